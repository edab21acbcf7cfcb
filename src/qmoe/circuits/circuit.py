"""The circuit: a frozen description that engines execute."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from qmoe.circuits.ansatze import Ansatz, StronglyEntangling, as_ansatz
from qmoe.circuits.checks import check_ansatz, check_encoding, check_readout
from qmoe.circuits.drawing import draw_operations
from qmoe.circuits.encodings import AngleEncoding, Encoding, as_encoding
from qmoe.circuits.gates import Dephase, Depolarize, Gate, Operation, Prepare, Weight
from qmoe.circuits.noise import NoiseModel, as_noise
from qmoe.circuits.readouts import Expval, Readout, as_readout
from qmoe.errors import ConfigError, not_plain


@dataclass(frozen=True)
class Circuit:
    """What a circuit is: encoding, trainable layers, read-out and noise. It executes nothing.

    Equal circuits are equal and hash alike, so plans can be cached by circuit.

    Args:
        n_qubits: number of wires Q, at least 1.
        n_layers: number of trainable layers L, at least 0. Uploads are spread over the layers, each before a block of
            them, so the number of weights does not depend on the number of uploads.
        encoding: an `Encoding`, or its name ``"angle"`` or ``"amplitude"``.
        ansatz: an `Ansatz`, its name, or a list of gates that makes up one layer.
        readout: a `Readout`, or its name ``"expval"`` or ``"born"``.
        noise: a `NoiseModel`, a depolarizing probability, or None.
        in_features: number of features; by default as many as the encoding takes.

    Raises:
        ConfigError: for unknown names, impossible sizes, or parts that do not fit together.
    """

    n_qubits: int
    n_layers: int = 1
    encoding: Encoding = field(default_factory=AngleEncoding)
    ansatz: Ansatz = field(default_factory=StronglyEntangling)
    readout: Readout = field(default_factory=Expval)
    noise: NoiseModel | None = None
    in_features: int = -1

    def __init__(
        self,
        n_qubits: int,
        n_layers: int = 1,
        encoding: str | Encoding = "angle",
        ansatz: str | Ansatz | Iterable[Gate] = "strongly_entangling",
        readout: str | Readout = "expval",
        noise: float | NoiseModel | None = None,
        in_features: int | None = None,
    ) -> None:
        for name, value, least in (("n_qubits", n_qubits, 1), ("n_layers", n_layers, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"{name} is {value!r}{not_plain(value)}, expected an integer of at least {least}.")
        encoding, ansatz = as_encoding(encoding), as_ansatz(ansatz)
        if in_features is None or in_features == -1:
            in_features = encoding.n_features(n_qubits)
        if not isinstance(in_features, int) or isinstance(in_features, bool):
            raise ConfigError(f"in_features is {in_features!r}, expected an integer of at least 1.")
        encoding.check_features(in_features, n_qubits)
        if in_features < 1:
            raise ConfigError(f"in_features is {in_features!r}, expected an integer of at least 1.")
        ansatz.check_wires(n_qubits)
        noise = as_noise(noise)
        check_encoding(encoding, n_qubits, in_features, noise is not None)
        check_ansatz(ansatz, n_qubits, n_layers)
        if encoding.uploads > max(n_layers, 1):
            raise ConfigError(
                f"{encoding.uploads} uploads need at least as many layers, got n_layers={n_layers}; "
                "raise n_layers or lower uploads."
            )
        readout = as_readout(readout)
        check_readout(readout, n_qubits)
        values = (n_qubits, n_layers, encoding, ansatz, readout, noise, in_features)
        for part, content in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, part, content)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Engines look plans up by circuit at every call.
        return hash(tuple(getattr(self, part) for part in self.__dataclass_fields__))

    def __getstate__(self) -> dict[str, Any]:
        # A hash of strings is another number in another process.
        return {part: getattr(self, part) for part in self.__dataclass_fields__}

    @property
    def dim(self) -> int:
        """Dimension ``D = 2**Q`` of the state space."""
        return 2**self.n_qubits

    @property
    def n_outputs(self) -> int:
        """How many numbers the read-out returns."""
        return self.readout.n_outputs(self.n_qubits)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights, ``(L, ...)``: ``(L, Q, 3)`` for the strongly entangling ansatz."""
        return (self.n_layers, *self.ansatz.layer_shape(self.n_qubits))

    @property
    def n_weights(self) -> int:
        """Number of trainable weights."""
        return math.prod(self.weight_shape)

    @property
    def frequencies(self) -> tuple[int, ...] | None:
        """Frequencies of one feature in any expectation value, ``-R .. R``; None for amplitude encoding."""
        top = self.encoding.max_frequency
        return None if top is None else tuple(range(-top, top + 1))

    @property
    def n_frequencies(self) -> int | None:
        """Size of the spectrum over all features, ``(2R + 1)**F``; None for amplitude encoding."""
        return None if self.frequencies is None else len(self.frequencies) ** self.in_features

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Everything an engine does before it measures, in order; weights are numbered over the flattened weights."""
        wires = tuple(range(self.n_qubits))
        per_layer = math.prod(self.ansatz.layer_shape(self.n_qubits))
        ops: list[Operation] = []
        for layers in _blocks(self.n_layers, self.encoding.uploads):
            ops += self._with_noise(self.encoding.operations(self.n_qubits), wires, ends_block=True)
            if self.noise is not None and self.noise.dephases_encoding:
                ops.append(Dephase(wires, self.noise.dephasing_axis))
            for layer in layers:
                gates = [_shifted(gate, layer * per_layer) for gate in self.ansatz.layer(layer, self.n_qubits)]
                ops += self._with_noise(gates, wires, ends_block=layer == layers[-1])
                if self.noise is not None and self.noise.dephases_layers and layer < self.n_layers - 1:
                    ops.append(Dephase(wires, self.noise.dephasing_axis))
        return tuple(ops)

    def with_noise(self, noise: float | NoiseModel | None) -> Circuit:
        """The same circuit with other noise, in place of all that it has, dephasing included."""
        return replace(self, noise=noise)  # type: ignore[arg-type]  # __init__ takes a plain probability as well

    def options(self) -> dict[str, Any]:
        """The arguments that make `qmoe.QuantumRouter` or `qmoe.QuantumExperts` with this circuit."""
        return {part: getattr(self, part) for part in self.__dataclass_fields__ if part != "in_features"}

    def draw(self) -> str:
        """A text picture: a line per wire, time from left to right."""
        return draw_operations(self.operations, self.n_qubits, self.readout.name)

    def _with_noise(self, part: Iterable[Operation], wires: tuple[int, ...], ends_block: bool) -> list[Operation]:
        """A part of the circuit with its depolarizing channels; a block ends with an encoding, or the last of its layers."""
        part = list(part)
        if self.noise is None:
            return part
        if self.noise.placement == "block":
            return [*part, Depolarize(wires)] if ends_block else part
        noisy: list[Operation] = []
        for op in part:
            noisy += [op, Depolarize(wires if isinstance(op, Prepare) else _wires_of(op))]
        return noisy


def _wires_of(op: Operation) -> tuple[int, ...]:
    return tuple(range(op.n_wires)) if isinstance(op, Prepare) else op.wires


def _shifted(gate: Gate, by: int) -> Gate:
    angles = tuple(Weight(a.index + by) if isinstance(a, Weight) else a for a in gate.angles)
    return Gate(gate.name, gate.wires, angles)


def _blocks(n_layers: int, uploads: int) -> list[range]:
    """Splits the layers into ``uploads`` runs as equal as can be, longer ones first."""
    short, longer = divmod(n_layers, uploads)
    ends = [0]
    for block in range(uploads):
        ends.append(ends[-1] + short + (block < longer))
    return [range(a, b) for a, b in itertools.pairwise(ends)]
