"""A noisy circuit as one without noise whose angles have signs, and the places where errors flip them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qmoe.circuits import (
    Angle,
    Body,
    Born,
    Channel,
    Circuit,
    Dephase,
    Depolarize,
    Disturb,
    Feature,
    Gate,
    Operation,
    Prepare,
    Weight,
)
from qmoe.engines.batched.schedule import Run
from qmoe.engines.trajectories.confusions import FinalChannel, split_confusions
from qmoe.engines.trajectories.error_effects import LETTERS, Effects, letters_of
from qmoe.engines.trajectories.kraus_branches import Branch, branch_table, operators_of, plan_branches

#: The words about which gates turn, one for each angle.
_WORDS = {
    "RX": ("X",), "RY": ("Y",), "RZ": ("Z",), "PhaseShift": ("Z",), "Rot": ("Z", "Y", "Z"),
    "IsingXX": ("XX",), "IsingYY": ("YY",), "IsingZZ": ("ZZ",),
}  # fmt: skip
_ROT = ("RZ", "RY", "RZ")
_CONTROLLED = {"CRX": "CZ", "CRY": "CNOT", "CRZ": "CNOT"}


@dataclass(frozen=True)
class ErrorPlace:
    """Where one of several errors happens.

    Attributes:
        probabilities: ``(W, 2)``: of error w at strength p of the noise ``[w, 0] + p [w, 1]``.
        effects: which signs each flips, those of read-outs behind the others.
    """

    probabilities: tuple[tuple[float, float], ...]
    effects: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sources:
    """Angles with signs, and where their values come from.

    Attributes:
        index: ``(A,)`` places among the features, or among the weights and the numbers behind them.
        factors: ``(A,)`` what the values are multiplied by.
        signs: ``(A,)`` which sign each has; -1 for none.
    """

    index: np.ndarray
    factors: np.ndarray
    signs: np.ndarray


@dataclass(frozen=True, eq=False)
class BranchPlace:
    """A channel that is no mixture of Pauli errors.

    Attributes:
        channel: the channel.
        wires: what it acts on.
        codes: signs that number the operator in binary, lowest first.
        frames: the signs of X and Z of each wire: which error comes in.
    """

    channel: Channel
    wires: tuple[int, ...]
    codes: tuple[int, ...]
    frames: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class SignedCircuit:
    """What trajectories run, and what is drawn.

    Attributes:
        circuit: without noise; without branches, too.
        runs: for the torch engine, where there are branches; None where there are none.
        features: of angles that are features; None for features that are amplitudes.
        weights: of angles that are weights.
        numbers: what stands behind the weights.
        branches: channels that are no mixture of Pauli errors.
        n_signs: how many signs there are but those of the read-outs.
        places: where errors happen.
        confusions: channels behind all else.
        reads_signs: whether expectation values are asked of probabilities.
    """

    circuit: Circuit
    runs: tuple[Run, ...] | None
    features: Sources | None
    weights: Sources
    numbers: tuple[float, ...]
    branches: tuple[BranchPlace, ...]
    n_signs: int
    places: tuple[ErrorPlace, ...]
    confusions: tuple[FinalChannel, ...]
    reads_signs: bool

    @property
    def is_born(self) -> bool:
        """Whether trajectories give probabilities."""
        return isinstance(self.circuit.readout, Born)


@dataclass(frozen=True)
class _SignedAngle:
    """An angle of which a sign may flip: a factor times a feature, a weight or a number."""

    source: Angle
    factor: float
    sign: int


@dataclass(frozen=True)
class _Signed:
    """A gate with its angles: those that may flip, and right angles."""

    gate: Gate
    turns: tuple[_SignedAngle | float, ...]


_Item = _Signed | Prepare | BranchPlace | Depolarize | Dephase | Disturb


@functools.lru_cache(maxsize=256)
def signed_circuit(circuit: Circuit) -> SignedCircuit:
    """The trajectories of a circuit with noise, plain angles, and expectation values of Z or probabilities."""
    born = isinstance(circuit.readout, Born)
    ops, confusions = split_confusions(circuit.operations, born)
    if any(len(confusion.wires) > 1 for confusion in confusions):
        born = True
        ops, confusions = split_confusions(circuit.operations, born)
    tracker = _Tracker()
    items = [item for op in ops for item in tracker.items(op)]
    places = tuple(reversed(list(_places(items, circuit.n_qubits, tracker.n_signs))))
    flipped = functools.reduce(int.__or__, (effect for place in places for effect in place.effects), 0)
    return _assembled(circuit, born, items, flipped, tracker.n_signs, places, confusions)


class _Tracker:
    """Numbers signs, in the order of the circuit."""

    def __init__(self) -> None:
        self.n_signs = 0

    def items(self, op: Operation) -> list[_Item]:
        """What an operation becomes."""
        if isinstance(op, Gate):
            return [self._signed(gate, factor) for gate, factor in _pieces(op)]
        if isinstance(op, Disturb) and op.channel.pauli_probabilities() is None:
            n_codes = (len(operators_of(op.channel)[1]) - 1).bit_length()
            codes = tuple(self._new() for _ in range(n_codes))
            frames = tuple((self._new(), self._new()) for _ in op.wires)
            return [BranchPlace(op.channel, op.wires, codes, frames)]
        return [op]

    def _new(self) -> int:
        self.n_signs += 1
        return self.n_signs - 1

    def _signed(self, gate: Gate, factor: float) -> _Signed:
        return _Signed(
            gate,
            tuple(
                float(angle) if _is_right(angle) else _SignedAngle(angle, factor, self._new())  # type: ignore[arg-type]
                for angle in gate.angles
            ),
        )


def _is_right(angle: Angle) -> bool:
    """Whether it is a multiple of a right angle, at which a rotation makes one Pauli word of another."""
    return isinstance(angle, int | float) and abs(math.remainder(angle, math.pi / 2)) < 1e-12


def _pieces(gate: Gate) -> list[tuple[Gate, float]]:
    """A gate as gates about Pauli words and Clifford gates, each with the factor of its angles."""
    if gate.name == "T":
        return [(Gate("RZ", gate.wires, (math.pi / 4,)), 1.0)]
    if gate.name in _CONTROLLED:
        # Half the angle, and half against it where the control makes the target's word its negative.
        turn, flip = Gate(gate.name[1:], gate.wires[1:], gate.angles), Gate(_CONTROLLED[gate.name], gate.wires)
        if _is_right(gate.angles[0]):
            half = float(gate.angles[0]) / 2  # type: ignore[arg-type]
            return [
                (replace(turn, angles=(half,)), 1.0), (flip, 1.0), (replace(turn, angles=(-half,)), 1.0), (flip, 1.0)
            ]  # fmt: skip
        return [(turn, 0.5), (flip, 1.0), (turn, -0.5), (flip, 1.0)]
    if gate.name == "Rot" and 0 < sum(isinstance(angle, Feature) for angle in gate.angles) < 3:
        return [(Gate(name, gate.wires, (angle,)), 1.0) for name, angle in zip(_ROT, gate.angles, strict=True)]
    return [(gate, 1.0)]


def _places(items: Sequence[_Item], n_qubits: int, n_signs: int) -> Iterator[ErrorPlace]:
    """Places of errors, last first."""
    effects = Effects(n_qubits, n_signs)
    for item in reversed(items):
        if isinstance(item, _Signed):
            _pass(item, effects)
        elif isinstance(item, BranchPlace):
            for wire, bits in zip(item.wires, item.frames, strict=True):
                effects.pass_frame(wire, *bits)
            shares = operators_of(item.channel)[1]
            codes = [sum(1 << bit for k, bit in enumerate(item.codes) if i >> k & 1) for i in range(len(shares))]
            yield ErrorPlace(tuple((float(share), 0.0) for share in shares), tuple(codes))
        elif isinstance(item, Depolarize):
            for wire in reversed(item.wires):
                chances = ((1.0, -1.0), *[(0.0, 1 / 3)] * 3)
                yield ErrorPlace(chances, tuple(effects.of(letter, (wire,)) for letter in LETTERS))
        elif isinstance(item, Dephase):
            for wire in reversed(item.wires):
                yield ErrorPlace(((0.5, 0.0), (0.5, 0.0)), (0, effects.of(item.axis, (wire,))))
        elif isinstance(item, Disturb):
            found = item.channel.pauli_probabilities()
            assert found is not None
            words = [word for word in range(len(found)) if found[word] > 0 or word == 0]
            yield ErrorPlace(
                tuple((float(found[word]), 0.0) for word in words),
                tuple(effects.of(letters_of(word, len(item.wires)), item.wires) for word in words),
            )


def _pass(item: _Signed, effects: Effects) -> None:
    gate = item.gate
    if not gate.angles:
        effects.pass_fixed(gate.name, gate.wires)
    for turn, word in reversed(list(zip(item.turns, _WORDS.get(gate.name, ()), strict=True))):
        if isinstance(turn, _SignedAngle):
            effects.pass_sign(word, gate.wires, turn.sign)
        elif round(turn / (math.pi / 2)) % 2:
            effects.pass_quarter(word, gate.wires)


def _assembled(
    circuit: Circuit,
    born: bool,
    items: Sequence[_Item],
    flipped: int,
    n_signs: int,
    places: tuple[ErrorPlace, ...],
    confusions: tuple[FinalChannel, ...],
) -> SignedCircuit:
    builder = _Numbering(circuit.n_weights, flipped)
    ops: list[Gate | Prepare | Branch] = []
    branches = [item for item in items if isinstance(item, BranchPlace)]
    for item in items:
        if isinstance(item, _Signed):
            ops.append(replace(item.gate, angles=tuple(map(builder.angle, item.turns))))
        elif isinstance(item, Prepare | BranchPlace):
            ops.append(item)  # type: ignore[arg-type]  # branches are numbered below
    n_weights = len(builder.of_weights)
    for place, op in enumerate(ops):
        if isinstance(op, BranchPlace):
            n_numbers = branch_table(op.channel).shape[1]
            ops[place] = Branch(op.wires, tuple(Weight(n_weights + k) for k in range(n_numbers)))
            n_weights += n_numbers
    features = builder.of_features
    n_features = circuit.in_features if circuit.prepares else max(1, len(features))
    if not features and not circuit.prepares:
        features = [(0, 0.0, -1)]  # none of its features stands in an angle, and a circuit has one at least
    gates = tuple(op for op in ops if not isinstance(op, Branch))
    body = Body(gates, (len(builder.of_weights),))
    pure = Circuit(circuit.n_qubits, None, None, None, Born() if born else circuit.readout, None, n_features, body)
    return SignedCircuit(
        circuit=pure,
        runs=plan_branches(ops, circuit.n_qubits) if branches else None,
        features=None if circuit.prepares else _sources(features),
        weights=_sources(builder.of_weights),
        numbers=tuple(builder.numbers),
        branches=tuple(branches),
        n_signs=n_signs,
        places=places,
        confusions=confusions,
        reads_signs=born and not isinstance(circuit.readout, Born),
    )


class _Numbering:
    """Gives each angle a feature or a weight of its own."""

    def __init__(self, n_weights: int, flipped: int) -> None:
        self.of_features: list[tuple[int, float, int]] = []
        self.of_weights: list[tuple[int, float, int]] = []
        self.numbers: list[float] = []
        self._n_weights, self._flipped = n_weights, flipped

    def angle(self, turn: _SignedAngle | float) -> Angle:
        """The new angle."""
        if not isinstance(turn, _SignedAngle):
            return turn
        sign = turn.sign if self._flipped >> turn.sign & 1 else -1
        if isinstance(turn.source, Feature):
            self.of_features.append((turn.source.index, turn.factor, sign))
            return Feature(len(self.of_features) - 1)
        if isinstance(turn.source, Weight):
            self.of_weights.append((turn.source.index, turn.factor, sign))
            return Weight(len(self.of_weights) - 1)
        number = float(turn.source) * turn.factor  # type: ignore[arg-type]  # expressions are features by now
        if sign < 0:
            return number
        self.numbers.append(number)
        self.of_weights.append((self._n_weights + len(self.numbers) - 1, 1.0, sign))
        return Weight(len(self.of_weights) - 1)


def _sources(listed: Sequence[tuple[int, float, int]]) -> Sources:
    index, factors, signs = zip(*listed, strict=True) if listed else ((), (), ())
    return Sources(np.array(index, np.int64), np.array(factors, float), np.array(signs, np.int64))
