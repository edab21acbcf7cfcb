"""Operations in their order: those that a template makes, and the channels of noise between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from qmoe.circuits.angles.expressions import shifted
from qmoe.circuits.ansatze import Ansatz
from qmoe.circuits.encodings import Encoding
from qmoe.circuits.gates import NOISE, Dephase, Depolarize, Disturb, Gate, Operation, Prepare
from qmoe.circuits.noise import Channel, NoiseModel, OverRotation, Placed


def template_operations(
    n_qubits: int, n_layers: int, encoding: Encoding, ansatz: Ansatz, noise: NoiseModel | None
) -> tuple[Operation, ...]:
    """Uploads and layers with their noise; weights are numbered over the flattened weights."""
    placer = _Placer(tuple(range(n_qubits)), noise)
    per_layer = math.prod(ansatz.layer_shape(n_qubits))
    for layers in _blocks(n_layers, encoding.uploads):
        placer.add(encoding.operations(n_qubits), ("encoding",), ends_block=True)
        if noise is not None and noise.dephases_encoding:
            placer.dephase()
        for layer in layers:
            gates = [_shifted(gate, layer * per_layer) for gate in ansatz.layer(layer, n_qubits)]
            is_last = layer == layers[-1]
            placer.add(gates, ("layer", "layers") if is_last else ("layer",), ends_block=is_last)
            if noise is not None and noise.dephases_layers and layer < n_layers - 1:
                placer.dephase()
    return placer.finished()


def with_noise_between(operations: Sequence[Operation], noise: NoiseModel, n_qubits: int) -> tuple[Operation, ...]:
    """Operations that no template made, with noise: runs of them with and without features count as encodings and layers.

    The whole is one block. After the last run nothing is dephased, as after the last layer of a template. Errors of the
    measurement that stand in the list stay behind all else.
    """
    placer = _Placer(tuple(range(n_qubits)), noise)
    measuring = [op for op in operations if isinstance(op, Disturb) and op.channel.is_readout]
    operations = [op for op in operations if op not in measuring]
    runs = [(encodes, list(run)) for encodes, run in itertools.groupby(operations, _encodes)]
    for index, (encodes, run) in enumerate(runs):
        is_last = index == len(runs) - 1
        placer.add(run, ("encoding",) if encodes else ("layer", "layers"), ends_block=is_last)
        dephases = noise.dephases_encoding if encodes else noise.dephases_layers
        if dephases and not is_last:
            placer.dephase()
    return (*placer.finished(), *measuring)


def split_readout(operations: Sequence[Operation]) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """Operations, and the errors of the measurement behind them, which stay behind a change of basis.

    Example:
        >>> from qmoe.circuits import Circuit, ReadoutError, split_readout
        >>> noise = qmoe.NoiseModel(channels=[ReadoutError(0.01).before_readout()])
        >>> circuit = Circuit(1, 1, noise=noise)
        >>> [len(part) for part in split_readout(circuit.operations)]
        [4, 1]
    """
    n = len(operations)
    while n and isinstance(op := operations[n - 1], Disturb) and op.channel.is_readout:
        n -= 1
    return tuple(operations[:n]), tuple(operations[n:])


def wires_of(op: Operation) -> tuple[int, ...]:
    """The wires that an operation acts on."""
    return tuple(range(op.n_wires)) if isinstance(op, Prepare) else op.wires


def _encodes(op: Operation) -> bool:
    return isinstance(op, Prepare) or (isinstance(op, Gate) and op.encodes)


class _Placer:
    """Collects operations, and puts the channels of a noise model at their places."""

    def __init__(self, wires: tuple[int, ...], noise: NoiseModel | None) -> None:
        self._wires, self._noise = wires, noise
        self._ops: list[Operation] = []

    def add(self, part: Iterable[Operation], ends: tuple[str, ...], ends_block: bool) -> None:
        """A part of the circuit with its channels.

        Args:
            part: the operations.
            ends: the places that its end is.
            ends_block: whether a depolarizing channel of placement ``"block"`` follows: after an encoding, and after the
                last of its layers.
        """
        if self._noise is None:
            self._ops += part
            return
        everywhere = self._noise.placement == "gate"
        for op in part:
            self._gate(op, everywhere)
        if ends_block and not everywhere:
            self._ops.append(Depolarize(self._wires))
        for placed in self._noise.channels:
            if placed.place in ends:
                self._strike(placed, self._wires)

    def dephase(self) -> None:
        """Full dephasing of every wire."""
        assert self._noise is not None
        self._ops.append(Dephase(self._wires, self._noise.dephasing_axis))

    def finished(self) -> tuple[Operation, ...]:
        """All operations; errors of the measurement are last."""
        if self._noise is not None:
            ending = [placed for placed in self._noise.channels if placed.place == "readout"]
            for placed in sorted(ending, key=lambda placed: placed.channel.is_readout):
                self._strike(placed, self._wires)
        return tuple(self._ops)

    def _gate(self, op: Operation, depolarizes: bool) -> None:
        assert self._noise is not None
        channels = self._noise.channels if isinstance(op, Gate) else ()
        concerned = [placed for placed in channels if isinstance(op, Gate) and placed.concerns(op.name)]
        for placed in concerned:
            if isinstance(placed.channel, OverRotation) and isinstance(op, Gate):
                op = _over_rotated(op, placed.channel, placed.wires)
        self._ops.append(op)
        if depolarizes and not isinstance(op, NOISE):
            self._ops.append(Depolarize(wires_of(op)))
        for placed in concerned:
            self._strike(placed, wires_of(op))

    def _strike(self, placed: Placed, wires: tuple[int, ...]) -> None:
        if isinstance(placed.channel, Channel):
            self._ops += [Disturb(placed.channel, target) for target in placed.targets(wires)]


def _over_rotated(gate: Gate, error: OverRotation, wires: tuple[int, ...] | None) -> Gate:
    if wires is not None and not set(gate.wires) <= set(wires):
        return gate
    angles: tuple[Any, ...] = gate.angles
    return Gate(gate.name, gate.wires, tuple(angle * (1 + error.relative) + error.angle for angle in angles))


def _shifted(gate: Gate, by: int) -> Gate:
    return Gate(gate.name, gate.wires, tuple(shifted(angle, by) for angle in gate.angles))


def _blocks(n_layers: int, uploads: int) -> list[range]:
    """Splits the layers into ``uploads`` runs as equal as can be, longer ones first."""
    short, longer = divmod(n_layers, uploads)
    ends = [0]
    for block in range(uploads):
        ends.append(ends[-1] + short + (block < longer))
    return [range(a, b) for a, b in itertools.pairwise(ends)]
