"""From a circuit to rotations and phases: every gate becomes ``exp(-i angle Y'/2)`` or ``exp(-i angle Z'/2)``.

CNOT, SWAP and X only rename basis states, so they are never executed: they change which index bits the later gates mean.
After k -> M k + v (over GF(2)), the bit of wire w is ``parity(sign_w & k)`` up to a constant, and flipping it alone is
``k ^ flip_w``. A rotation about Y is then a real rotation of the pairs ``(k, k ^ flip)``, and a rotation about Z a phase
that depends on ``parity(mask & k)``. Phases of one stage are merged into one factor per basis state.

All identities are up to a global phase, which no read-out sees:

* ``RX(a) = RZ(-pi/2) RY(a) RZ(pi/2)``, ``H = RY(pi/2) RZ(pi)``, ``CRY(a) = RY(a/2) CNOT RY(-a/2) CNOT``.
* ``CZ``, ``CRZ``, ``IsingZZ`` and ISWAP (times a SWAP) are phases of ``Z_c``, ``Z_t`` and ``Z_c Z_t``.
* ``IsingXX(a) = CNOT RX_c(a) CNOT``; ``IsingYY`` is the same between ``S`` gates.
* ``ECR`` turns about ``Z_c X_t`` by a quarter, which is a rotation of the target against the control, and flips the control.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qmoe.circuits import Angle, Channel, Circuit, Computed, Disturb, Expression, Feature, Gate, Prepare, Weight
from qmoe.circuits.gates import Dephase, Depolarize
from qmoe.engines.native.layout import CONSTANT, FEATURE, WEIGHT


@dataclass(frozen=True)
class Turn:
    """An angle: ``factor * source + offset``."""

    kind: int = CONSTANT
    index: int = 0
    factor: float = 0.0
    offset: float = 0.0

    def __mul__(self, by: float) -> Turn:
        return replace(self, factor=self.factor * by, offset=self.offset * by)

    def __add__(self, other: Turn) -> Turn:
        assert CONSTANT in (self.kind, other.kind)
        named = other if self.kind == CONSTANT else self
        return replace(named, offset=self.offset + other.offset)


@dataclass(frozen=True)
class Rotation:
    """``exp(-i turn Y'/2)``: rotates the pairs ``(k, k ^ flip)``, the first having ``parity(sign & k) = 0``."""

    flip: int
    sign: int
    turn: Turn


@dataclass(frozen=True)
class Phase:
    """``exp(-i turn Z'/2)``: basis state k gets the phase ``-turn/2`` where ``parity(mask & k) = 0``, else ``turn/2``."""

    mask: int
    turn: Turn


@dataclass(frozen=True)
class Damp:
    """The depolarizing channel on the qubit whose bit is ``sign``, flipped by ``flip``."""

    flip: int
    sign: int


@dataclass(frozen=True)
class Forget:
    """Full dephasing of qubits, each in the eigenbasis of a Pauli word.

    Attributes:
        words: ``(flip, sign)`` of each word: Z of a qubit is ``(0, sign)``, X is ``(flip, 0)``, Y is both.
    """

    words: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Mix:
    """A channel of noise on one or two qubits.

    Attributes:
        channel: what happens to them.
        wires: ``(flip, sign, shift)`` of each, as of `WireBits`.
    """

    channel: Channel
    wires: tuple[tuple[int, int, int], ...]


Step = Rotation | Phase | Damp | Forget | Mix


class WireBits:
    """Which index bits mean which wire, after the renaming gates so far."""

    def __init__(self, n_qubits: int) -> None:
        self.flip = [1 << (n_qubits - 1 - w) for w in range(n_qubits)]
        self.sign = list(self.flip)
        self.shift = [0] * n_qubits

    def cnot(self, control: int, target: int) -> None:
        """The target's bit becomes its sum with the control's, so the control's flip has to spare it."""
        self.sign[target] ^= self.sign[control]
        self.shift[target] ^= self.shift[control]
        self.flip[control] ^= self.flip[target]

    def swap(self, a: int, b: int) -> None:
        """Exchanges two wires."""
        for bits in (self.flip, self.sign, self.shift):
            bits[a], bits[b] = bits[b], bits[a]

    def order(self) -> list[int]:
        """The index of each logical basis state, in logical order (wire 0 most significant)."""
        indices = [0]
        for flip, shift in zip(self.flip, self.shift, strict=True):
            pair = (flip, 0) if shift else (0, flip)
            indices = [k ^ step for k in indices for step in pair]
        return indices


def lower(circuit: Circuit) -> tuple[list[Step], WireBits, bool]:
    """The circuit as steps in order, the final bits of the wires, and whether it starts from amplitude-encoded features."""
    lowering = _Lowering(circuit.n_qubits)
    prepared = False
    for op in circuit.operations:
        if isinstance(op, Prepare):
            prepared = True
        elif isinstance(op, Depolarize):
            for w in op.wires:
                lowering.steps.append(Damp(lowering.wire_bits.flip[w], lowering.wire_bits.sign[w]))
        elif isinstance(op, Dephase):
            lowering.forget(op.wires, op.axis)
        elif isinstance(op, Disturb):
            bits = lowering.wire_bits
            wires = tuple((bits.flip[w], bits.sign[w], bits.shift[w]) for w in op.wires)
            lowering.steps.append(Mix(op.channel, wires))
        elif isinstance(op, Gate):
            lowering.gate(op)
    return lowering.steps, lowering.wire_bits, prepared


_HALF, _QUARTER = math.pi / 2, math.pi / 4


def _turn(angle: Angle) -> Turn:
    if isinstance(angle, Weight):
        return Turn(WEIGHT, angle.index, 1.0)
    if isinstance(angle, Feature):
        return Turn(FEATURE, angle.index, 1.0)
    if isinstance(angle, Expression):
        factor, (named,) = next((c, factors) for c, factors in angle.terms if factors)
        return _turn(named) * factor + Turn(offset=angle.constant)
    assert not isinstance(angle, Computed), "a feature by now"
    return Turn(offset=float(angle))


class _Lowering:
    def __init__(self, n_qubits: int) -> None:
        self.wire_bits = WireBits(n_qubits)
        self.steps: list[Step] = []

    def gate(self, gate: Gate) -> None:
        """Appends the steps of one gate; methods are named after the gates, in lower case."""
        getattr(self, gate.name.lower())(*gate.wires, *(_turn(angle) for angle in gate.angles))

    def forget(self, wires: Sequence[int], axis: str = "Z") -> None:
        """Dephases wires, ahead of the depolarizing beside it: channels commute, and so the other can join this one."""
        place = len(self.steps)
        while place and isinstance(self.steps[place - 1], Damp):
            place -= 1
        flips, signs = axis != "Z", axis != "X"
        words = ((self.wire_bits.flip[w] * flips, self.wire_bits.sign[w] * signs) for w in wires)
        self.steps.insert(place, Forget(tuple(words)))

    # --- rotations -------------------------------------------------------------------------------------------------

    def ry(self, w: int, turn: Turn) -> None:
        turn = turn * -1 if self.wire_bits.shift[w] else turn
        self.steps.append(Rotation(self.wire_bits.flip[w], self.wire_bits.sign[w], turn))

    def _zs(self, wires: Sequence[int], turn: Turn) -> None:
        mask = shift = 0
        for w in wires:
            mask ^= self.wire_bits.sign[w]
            shift ^= self.wire_bits.shift[w]
        self.steps.append(Phase(mask, turn * -1 if shift else turn))

    def rz(self, w: int, turn: Turn | float) -> None:
        self._zs((w,), turn if isinstance(turn, Turn) else Turn(offset=turn))

    def rx(self, w: int, turn: Turn) -> None:
        self.rz(w, _HALF)
        self.ry(w, turn)
        self.rz(w, -_HALF)

    def rot(self, w: int, phi: Turn, theta: Turn, omega: Turn) -> None:
        self.rz(w, phi)
        self.ry(w, theta)
        self.rz(w, omega)

    def phaseshift(self, w: int, turn: Turn) -> None:
        self.rz(w, turn)

    # --- fixed gates of one wire -----------------------------------------------------------------------------------

    def hadamard(self, w: int) -> None:
        self.rz(w, math.pi)
        self.ry(w, Turn(offset=_HALF))

    def paulix(self, w: int) -> None:
        self.wire_bits.shift[w] ^= 1

    def pauliz(self, w: int) -> None:
        self.rz(w, math.pi)

    def pauliy(self, w: int) -> None:
        self.pauliz(w)
        self.paulix(w)

    def s(self, w: int) -> None:
        self.rz(w, _HALF)

    def t(self, w: int) -> None:
        self.rz(w, _QUARTER)

    def sx(self, w: int) -> None:
        self.rx(w, Turn(offset=_HALF))

    # --- two wires -------------------------------------------------------------------------------------------------

    def cnot(self, c: int, t: int) -> None:
        self.wire_bits.cnot(c, t)

    def swap(self, a: int, b: int) -> None:
        self.wire_bits.swap(a, b)

    def cy(self, c: int, t: int) -> None:
        self.rz(t, -_HALF)
        self.cnot(c, t)
        self.rz(t, _HALF)

    def cz(self, c: int, t: int) -> None:
        self.rz(c, _HALF)
        self.rz(t, _HALF)
        self._zs((c, t), Turn(offset=-_HALF))

    def iswap(self, a: int, b: int) -> None:
        self._zs((a, b), Turn(offset=_HALF))
        self.swap(a, b)

    def ecr(self, c: int, t: int) -> None:
        bits = self.wire_bits
        turn = Turn(offset=-_HALF if bits.shift[c] ^ bits.shift[t] else _HALF)
        self.rz(t, _HALF)
        self.steps.append(Rotation(bits.flip[t], bits.sign[t] ^ bits.sign[c], turn))
        self.rz(t, -_HALF)
        self.paulix(c)

    def crz(self, c: int, t: int, turn: Turn) -> None:
        self.rz(t, turn * 0.5)
        self._zs((c, t), turn * -0.5)

    def cry(self, c: int, t: int, turn: Turn) -> None:
        self.cnot(c, t)
        self.ry(t, turn * -0.5)
        self.cnot(c, t)
        self.ry(t, turn * 0.5)

    def crx(self, c: int, t: int, turn: Turn) -> None:
        self.rz(t, _HALF)
        self.cry(c, t, turn)
        self.rz(t, -_HALF)

    def isingzz(self, a: int, b: int, turn: Turn) -> None:
        self._zs((a, b), turn)

    def isingxx(self, a: int, b: int, turn: Turn) -> None:
        self.cnot(a, b)
        self.rx(a, turn)
        self.cnot(a, b)

    def isingyy(self, a: int, b: int, turn: Turn) -> None:
        for w in (a, b):
            self.rz(w, -_HALF)
        self.isingxx(a, b, turn)
        for w in (a, b):
            self.rz(w, _HALF)
