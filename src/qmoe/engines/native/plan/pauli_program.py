"""A circuit with noise as numbers: the Pauli coefficients of its density matrix are rotated in pairs, and damped.

A state is the real vector ``tr(P rho)`` over Pauli words ``P = i^|a & b| X^a Z^b``, at index ``a * D + b``. Where a word W
anticommutes with the generator G of a rotation, ``W`` and ``W G`` turn into each other by the full angle; all other words
stay. The depolarizing channel multiplies each word by ``(1 - 4p/3)`` to the number of noisy wires on which it is not I.
Dephasing of a wire forgets the words that anticommute with the Pauli word of its axis: along Z those with X or Y on it. They
are found by their bits, whatever the bits are called. Other mixtures of Pauli errors multiply words by constants, which
join the dampings; what is left of channels are sparse matrices.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qmoe.circuits import Born, Circuit
from qmoe.circuits.noise.channel import DUST
from qmoe.compiled.lanes import WIDTH, n_lanes
from qmoe.engines.native import layout as at
from qmoe.engines.native.plan import mixing
from qmoe.engines.native.plan.lowering import Damp, Forget, Mix, Phase, Rotation, Step, Turn, lower
from qmoe.engines.native.plan.stages import odd

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: In place of the exponent of a damping factor that is 0 whatever the noise strength.
FORGOTTEN = -1


@dataclass
class _Turn:
    generator: tuple[int, int]
    turn: Turn


@dataclass
class _Damping:
    """Words are multiplied: by the damping factor, ``counts`` times, and by ``constants``, which None is for no numbers."""

    counts: np.ndarray = field(repr=False)
    constants: np.ndarray | None = field(default=None, repr=False)

    @property
    def kinds(self) -> np.ndarray:
        """``(n, 2)``: words of one kind are multiplied by the same."""
        constants = np.ones(len(self.counts)) if self.constants is None else self.constants
        return np.stack([self.counts, np.round(constants / DUST)], -1)

    def joined(self, other: _Damping) -> _Damping:
        """Both at once."""
        either = (self.counts == FORGOTTEN) | (other.counts == FORGOTTEN)
        numbers = [op.constants for op in (self, other) if op.constants is not None]
        return _Damping(
            np.where(either, FORGOTTEN, self.counts + other.counts), np.prod(numbers, 0) if numbers else None
        )

    def as_matrix(self) -> csr_array | None:
        """The same as a matrix; None where the strength of the noise has a part in it."""
        if (self.counts > 0).any():
            return None
        constants = 1.0 if self.constants is None else self.constants
        return mixing.diagonal(np.where(self.counts == FORGOTTEN, 0.0, constants))


@dataclass
class _Mixing:
    """Words are added to words."""

    matrix: csr_array = field(repr=False)


_Op = _Turn | _Damping | _Mixing


class NoisyProgram:
    """What the kernels of the Pauli vector run; arrays as in `qmoe.engines.native.plan.state_program.Program`.

    Attributes:
        sizes: what `header` holds, by name.
        header: that as an array.
        rows: a `PauliRow` for each operation.
        pairs: generator -> ``(4**Q / 4, 2)`` indices that it rotates, the first towards the second.
        counts: ``(dampings, 4**Q)`` exponents of the damping factor, or `FORGOTTEN` where the factor is 0.
        constants: ``(dampings, 4**Q)`` further factors, or None where all are 1.
        matrices: of the channels that add words to words.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        q = circuit.n_qubits
        steps, wire_bits, prepared = lower(circuit)
        self._paulis = _Paulis(q)
        ops = self._schedule(_relevant(steps, prepared, q))
        turns = [op for op in ops if isinstance(op, _Turn)]
        each = [op.turn.kind == at.FEATURE for op in turns]
        ordered = [op for op, e in zip(turns, each, strict=True) if not e] + [
            op for op, e in zip(turns, each, strict=True) if e
        ]
        slot_of = {id(op): slot for slot, op in enumerate(ordered)}
        self.pairs = {op.generator: self._paulis.pairs(*op.generator) for op in turns}
        dampings = [op for op in ops if isinstance(op, _Damping)]
        self.counts = np.array([op.counts for op in dampings], dtype=np.int64).reshape(-1, 4**q)
        self.constants = _constants(dampings)
        self.matrices = [op.matrix for op in ops if isinstance(op, _Mixing)]
        self._tables = [_entries(matrix) for matrix in self.matrices]
        self._mixings = at.as_rows(at.Mixing, (at.Mixing(*map(at.address, table)) for table in self._tables))
        rows, damping, mix = [], 0, 0
        for op in ops:
            if isinstance(op, _Turn):
                pairs = self.pairs[op.generator]
                rows.append(at.PauliRow(at.TURN, slot_of[id(op)], at.address(pairs), len(pairs)))
            elif isinstance(op, _Damping):
                rows.append(at.PauliRow(at.DAMP, damping))
                damping += 1
            else:
                rows.append(at.PauliRow(at.MIX, len(dampings) + mix, at.address(self._mixings[mix])))
                mix += 1
        self.rows = at.as_rows(at.PauliRow, rows)
        self.sources = at.as_rows(at.Source, (at.Source(o.turn.kind, o.turn.index) for o in ordered))
        # The kernels halve angles, as state vectors want them; Pauli words turn by the whole.
        self.factors = 2 * np.array([(o.turn.factor, o.turn.offset) for o in ordered]).reshape(-1, 2)
        self.lane_signs = np.zeros(len(ordered), dtype=np.int64)
        self.signs = np.array(wire_bits.sign, dtype=np.int64)
        self.shifts = np.array(wire_bits.shift, dtype=np.int64)
        born = isinstance(circuit.readout, Born)
        self.order = np.argsort(wire_bits.order()).astype(np.int64)
        self.sizes = at.Header(
            n_qubits=q, dim=circuit.dim, n_vectors=circuit.dim**2, n_features=circuit.in_features,
            n_outputs=circuit.n_outputs, n_weights=circuit.n_weights, n_shared=each.count(False), n_slots=len(ordered),
            is_born=born, is_prepared=prepared, forward=at.address(self.rows), n_forward=len(rows),
            sources=at.address(self.sources), factors=at.address(self.factors), lane_signs=at.address(self.lane_signs),
            signs=at.address(self.signs), shifts=at.address(self.shifts), order=at.address(self.order),
            n_dampings=damping, damping_counts=at.address(self.counts), n_mixings=mix,
            damping_constants=0 if self.constants is None else at.address(self.constants),
        )  # fmt: skip
        self.header = at.as_array(self.sizes)

    def parts(self, itemsize: int) -> np.ndarray:
        """Offsets in bytes of the sections of a thread's scratch memory, and its size, for numbers of ``itemsize``."""
        sizes, vector = self.sizes, self.sizes.n_vectors * WIDTH
        return at.offsets(
            at.Scratch(
                psi=vector,
                lam=vector,
                rows=2 * sizes.dim * WIDTH,
                coefficients=2 * sizes.n_slots * WIDTH,
                gradients=sizes.n_slots * WIDTH,
                work=3 * 8 * max(sizes.n_shared, (sizes.n_slots - sizes.n_shared) * n_lanes(itemsize)),
                damping=2 * sizes.n_dampings * sizes.n_vectors * itemsize,
                checkpoints=(sizes.n_dampings + sizes.n_mixings) * vector,
                strength_gradient=WIDTH,
            )
        )

    @property
    def cost(self) -> float:
        """How many passes over the words it makes, roughly."""
        entries = sum(matrix.nnz for matrix in self.matrices)
        return len(self.rows) + entries / self.sizes.n_vectors

    def _schedule(self, steps: list[Step]) -> list[_Op]:
        """Rotations in order; a channel joins an earlier one where either commutes with all rotations in between."""
        ops: list[_Op] = []
        for step in steps:
            if isinstance(step, Phase):
                ops.append(_Turn((0, step.mask), step.turn))
            elif isinstance(step, Rotation):
                # The rotation's generator is i X^flip Z^sign, a word up to its sign.
                negative = (step.flip & step.sign).bit_count() % 4 == 3
                ops.append(_Turn((step.flip, step.sign), step.turn * -1 if negative else step.turn))
            elif isinstance(step, Mix) and not mixing.is_diagonal(step.channel):
                self._place(ops, _Mixing(self._paulis.mixed(step)))
            else:
                self._place(ops, self._paulis.damping(step))
        return ops

    def _place(self, ops: list[_Op], new: _Damping | _Mixing) -> None:
        for place in reversed(range(len(ops))):
            op = ops[place]
            if not isinstance(op, _Turn) and (joined := _joined(op, new)) is not None:
                ops[place] = joined
                return
            if not self._commute(new, op):
                break
        else:
            if isinstance(new, _Damping):
                ops.insert(0, new)
                return
        # Depolarizing noise alone has kept its place ever since.
        if (isinstance(new, _Damping) and new.constants is None) or not self._join_later(ops, new):
            ops.append(new)

    def _join_later(self, ops: list[_Op], new: _Damping | _Mixing) -> bool:
        """Joins the last channel, where that could as well come after the rotations behind it."""
        for place in reversed(range(len(ops))):
            op = ops[place]
            if not isinstance(op, _Turn):
                joined = _joined(op, new)
                if joined is None or not all(self._commute(op, later) for later in ops[place + 1 :]):
                    return False
                ops[place:] = [*ops[place + 1 :], joined]
                return True
        return False

    def _commute(self, channel: _Damping | _Mixing, other: _Op) -> bool:
        if isinstance(other, _Turn):
            pairs = self._paulis.pairs(*other.generator)
            if isinstance(channel, _Mixing):
                return mixing.commutes_with_turn(channel.matrix, pairs)
            kinds = channel.kinds
            return bool((kinds[pairs[:, 0]] == kinds[pairs[:, 1]]).all())
        if isinstance(channel, _Damping):
            return isinstance(other, _Damping) or mixing.commutes_with_damping(other.matrix, channel.kinds)
        return isinstance(other, _Damping) and mixing.commutes_with_damping(channel.matrix, other.kinds)


def _joined(earlier: _Damping | _Mixing, later: _Damping | _Mixing) -> _Damping | _Mixing | None:
    """Both as one; None where that is not possible, or not worth it."""
    if isinstance(earlier, _Damping) and isinstance(later, _Damping):
        return earlier.joined(later)
    matrices = [op.matrix if isinstance(op, _Mixing) else op.as_matrix() for op in (earlier, later)]
    if matrices[0] is None or matrices[1] is None:
        return None
    if isinstance(earlier, _Damping) or isinstance(later, _Damping):
        return _Mixing(mixing.product(matrices[1], matrices[0]))
    joined = mixing.joined(matrices[1], matrices[0])
    return None if joined is None else _Mixing(joined)


def _constants(dampings: list[_Damping]) -> np.ndarray | None:
    if all(op.constants is None for op in dampings):
        return None
    return np.array([np.ones(len(op.counts)) if op.constants is None else op.constants for op in dampings])


def _entries(matrix: csr_array) -> tuple[np.ndarray, ...]:
    """What a `Mixing` points to."""
    found: list[np.ndarray] = []
    for one in (matrix, matrix.T.tocsr()):
        found += [
            one.indptr.astype(np.int64),
            one.indices.astype(np.int64),
            np.ascontiguousarray(one.data, dtype=float),
        ]
    return tuple(found)


class _Paulis:
    """Products of Pauli words of Q qubits, for all words at once."""

    def __init__(self, n_qubits: int) -> None:
        self.dim = 2**n_qubits
        words = np.arange(4**n_qubits)
        self.x, self.z = words // self.dim, words % self.dim

    def pairs(self, x: int, z: int) -> np.ndarray:
        """``(4**Q / 4, 2)``: words that a rotation about the word (x, z) turns, the first towards the second."""
        # P_W P_G = i^power P_{W + G}, from X^a Z^b X^c Z^d = (-1)^|b & c| X^(a+c) Z^(b+d).
        product_x, product_z = self.x ^ x, self.z ^ z
        power = _count(self.x & self.z) + (x & z).bit_count() - _count(product_x & product_z) + 2 * _count(self.z & x)
        # The coefficient of W gains -i i^power sin(angle) times that of W G; the first of a pair loses.
        first = np.flatnonzero(power % 4 == 3)
        return np.ascontiguousarray(np.stack([first, product_x[first] * self.dim + product_z[first]], 1))

    def damping(self, step: Damp | Forget | Mix) -> _Damping:
        """A channel that multiplies words."""
        if isinstance(step, Mix):
            return _Damping(np.zeros(len(self.x), dtype=np.int64), mixing.factors_of(step, self.x, self.z))
        return _Damping(self.damped(step) if isinstance(step, Damp) else self.forgotten(step))

    def mixed(self, step: Mix) -> csr_array:
        """The matrix of a channel that adds words to words."""
        return mixing.matrix_of(step, self.x, self.z, self.dim)

    def damped(self, damp: Damp) -> np.ndarray:
        """``(4**Q,)``: 1 for words that are not I on the qubit."""
        return ((_count(self.x & damp.sign) | _count(self.z & damp.flip)) & 1) * 1

    def forgotten(self, forget: Forget) -> np.ndarray:
        """``(4**Q,)``: `FORGOTTEN` for words that anticommute with one that stays, 0 for all others."""
        odd_ones = ((_count(self.x & sign) ^ _count(self.z & flip)) & 1 for flip, sign in forget.words)
        lost = functools.reduce(np.bitwise_or, odd_ones)
        return np.where(lost == 1, FORGOTTEN, 0)


def _count(bits: np.ndarray) -> np.ndarray:
    return np.bitwise_count(bits).astype(np.int64)


def _relevant(steps: list[Step], prepared: bool, n_qubits: int) -> list[Step]:
    """Without the phases that act on basis states alone, or that nothing turns into something measured.

    Where all qubits are dephased along Z there are only basis states, and all of a density matrix that is kept could be
    measured. Along another axis that is not so; but what commutes with a phase before it does so after it.
    """
    ends = [i for i, step in enumerate(steps) if isinstance(step, Forget) and _is_diagonal(step, n_qubits)]
    kept: list[Step] = []
    for i, step in enumerate(steps):
        if isinstance(step, Phase):
            first = max((end for end in ends if end < i), default=None)
            last = min((end for end in ends if end > i), default=len(steps))
            before = any(_turns(s, step.mask) for s in steps[first or 0 : i])
            after = any(_turns(s, step.mask) for s in steps[i + 1 : last])
            if not after or not (before or (prepared and first is None)):
                continue
        kept.append(step)
    return kept


def _turns(step: Step, mask: int) -> bool:
    """Whether it takes words that a phase leaves alone to words that it does not, or back."""
    if isinstance(step, Rotation):
        return odd(step.flip & mask)
    return isinstance(step, Mix) and any(odd(flip & mask) for flip in mixing.turned_flips(step))


def _is_diagonal(forget: Forget, n_qubits: int) -> bool:
    """Whether it leaves nothing but basis states."""
    return len(forget.words) == n_qubits and not any(flip for flip, _ in forget.words)


@functools.lru_cache(maxsize=256)
def make_noisy_program(circuit: Circuit) -> NoisyProgram:
    """The program of a circuit with noise, but for its strength; made once."""
    return NoisyProgram(circuit)
