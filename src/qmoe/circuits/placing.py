"""Operations in their order: those that a template makes, and the channels of noise between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from qmoe.circuits.angles.expressions import shifted
from qmoe.circuits.ansatze import Ansatz
from qmoe.circuits.encodings import Encoding
from qmoe.circuits.gates import Dephase, Depolarize, Gate, Operation, Prepare
from qmoe.circuits.noise import NoiseModel


def template_operations(
    n_qubits: int, n_layers: int, encoding: Encoding, ansatz: Ansatz, noise: NoiseModel | None
) -> tuple[Operation, ...]:
    """Uploads and layers with their noise; weights are numbered over the flattened weights."""
    wires = tuple(range(n_qubits))
    per_layer = math.prod(ansatz.layer_shape(n_qubits))
    ops: list[Operation] = []
    for layers in _blocks(n_layers, encoding.uploads):
        ops += _with_depolarizing(encoding.operations(n_qubits), wires, noise, ends_block=True)
        if noise is not None and noise.dephases_encoding:
            ops.append(Dephase(wires, noise.dephasing_axis))
        for layer in layers:
            gates = [_shifted(gate, layer * per_layer) for gate in ansatz.layer(layer, n_qubits)]
            ops += _with_depolarizing(gates, wires, noise, ends_block=layer == layers[-1])
            if noise is not None and noise.dephases_layers and layer < n_layers - 1:
                ops.append(Dephase(wires, noise.dephasing_axis))
    return tuple(ops)


def with_noise_between(operations: Sequence[Operation], noise: NoiseModel, n_qubits: int) -> tuple[Operation, ...]:
    """Operations that no template made, with noise: runs of them with and without features count as encodings and layers.

    The whole is one block. After the last run nothing is dephased, as after the last layer of a template.
    """
    wires = tuple(range(n_qubits))
    ops: list[Operation] = []
    runs = [(encodes, list(run)) for encodes, run in itertools.groupby(operations, _encodes)]
    for index, (encodes, run) in enumerate(runs):
        is_last = index == len(runs) - 1
        ops += _with_depolarizing(run, wires, noise, ends_block=is_last)
        dephases = noise.dephases_encoding if encodes else noise.dephases_layers
        if dephases and not is_last:
            ops.append(Dephase(wires, noise.dephasing_axis))
    return tuple(ops)


def wires_of(op: Operation) -> tuple[int, ...]:
    """The wires that an operation acts on."""
    return tuple(range(op.n_wires)) if isinstance(op, Prepare) else op.wires


def _encodes(op: Operation) -> bool:
    return isinstance(op, Prepare) or (isinstance(op, Gate) and op.encodes)


def _with_depolarizing(
    part: Iterable[Operation], wires: tuple[int, ...], noise: NoiseModel | None, ends_block: bool
) -> list[Operation]:
    """A part of the circuit with its depolarizing channels; a block ends with an encoding, or the last of its layers."""
    part = list(part)
    if noise is None:
        return part
    if noise.placement == "block":
        return [*part, Depolarize(wires)] if ends_block else part
    noisy: list[Operation] = []
    for op in part:
        noisy += [op, Depolarize(wires if isinstance(op, Prepare) else wires_of(op))]
    return noisy


def _shifted(gate: Gate, by: int) -> Gate:
    return Gate(gate.name, gate.wires, tuple(shifted(angle, by) for angle in gate.angles))


def _blocks(n_layers: int, uploads: int) -> list[range]:
    """Splits the layers into ``uploads`` runs as equal as can be, longer ones first."""
    short, longer = divmod(n_layers, uploads)
    ends = [0]
    for block in range(uploads):
        ends.append(ends[-1] + short + (block < longer))
    return [range(a, b) for a, b in itertools.pairwise(ends)]
