"""What stands where in the memory that the kernels share with Python: records of 64-bit integers with names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from qmoe.compiled.lanes import WIDTH

#: Vectors of lanes whose read-outs are transformed at once.
READOUT_ROW = 64
#: Parts of a large state, and basis states whose phases are computed at once.
N_PARTS = 8
PHASE_CHUNK = 1024

# Operations, in the first column of a row of a program.
ROTATE, ROTATE_LANES, PHASE, PHASE_EACH = range(4)
TURN, DAMP, MIX = range(3)
# Columns of a row for a state vector: operation, size of the group, then three each of pivots, flips, signs and slots.
OPERATION, GROUP_SIZE, PIVOT, FLIP, SIGN, SLOT, ROW = 0, 1, 2, 5, 8, 11, 14

# What an angle is made of.
CONSTANT, WEIGHT, FEATURE = range(3)


class Header(NamedTuple):
    """A program as kernels see it: sizes, and addresses of its arrays, 0 for those that it has not.

    Attributes:
        n_qubits: Q.
        dim: ``2**Q``.
        lane_bits: how many of the lowest index bits are lanes; 0 where lanes are samples.
        n_vectors: vectors of lanes in one part (real or imaginary) of a state, ``dim >> lane_bits``.
        n_features: F.
        n_outputs: numbers of a read-out.
        n_weights: P.
        n_tables: tables of phases.
        n_shared: slots whose angles are the same for all samples; they come first.
        n_slots: angles of rotations, and of phases that differ between samples.
        is_born: whether probabilities are read out instead of expectation values.
        is_prepared: whether the initial state holds the features as amplitudes.
        forward: rows to apply.
        n_forward: how many.
        backward: rows to undo, last first, and then those that undo the initial product state.
        n_backward: rows of the first kind.
        n_start: rows of the second, undone for gradients of features alone.
        start_slots: slot of each index bit's first rotation.
        sources: `Source` of each slot.
        factors: factor and offset of each slot's angle, doubles.
        lane_signs: of each slot, in which lanes the sine has its sign changed.
        terms: `Term` of each phase.
        term_factors: factor and offset of its angle, doubles.
        n_terms: phases in all tables.
        has_sample_tables: whether a phase in a table is of a feature, so that every sample has tables of its own.
        encodes_later: whether angles of samples are needed after the initial state.
        signs: of each wire, the index bits that add up to its value.
        shifts: of each wire, 1 where its value is flipped beside.
        order: place of each index in the order of basis states, for probabilities.
        n_dampings: channels of noise.
        damping_counts: exponents of the damping factor of each word and channel.
        damping_constants: doubles: what else each is multiplied by; 0 where no channel has such factors.
        n_mixings: channels of noise that add words to each other.
    """

    n_qubits: int = 0
    dim: int = 0
    lane_bits: int = 0
    n_vectors: int = 0
    n_features: int = 0
    n_outputs: int = 0
    n_weights: int = 0
    n_tables: int = 0
    n_shared: int = 0
    n_slots: int = 0
    is_born: int = 0
    is_prepared: int = 0
    forward: int = 0
    n_forward: int = 0
    backward: int = 0
    n_backward: int = 0
    n_start: int = 0
    start_slots: int = 0
    sources: int = 0
    factors: int = 0
    lane_signs: int = 0
    terms: int = 0
    term_factors: int = 0
    n_terms: int = 0
    has_sample_tables: int = 0
    encodes_later: int = 0
    signs: int = 0
    shifts: int = 0
    order: int = 0
    n_dampings: int = 0
    damping_counts: int = 0
    damping_constants: int = 0
    n_mixings: int = 0


class Source(NamedTuple):
    """What the angle of a slot is made of: `CONSTANT`, `WEIGHT` or `FEATURE`, and which one."""

    kind: int
    number: int


class Term(NamedTuple):
    """A phase of a table: on which basis states its sign changes, and what its angle is made of."""

    table: int
    mask: int
    kind: int
    number: int


class PauliRow(NamedTuple):
    """A row of a program with noise: `TURN`, a slot, and the pairs that it turns; or `DAMP` and the number of a channel.

    Or `MIX`, the number of its vector among those that are kept, and in the place of pairs the address of a `Mixing`.
    """

    operation: int
    target: int
    pairs: int = 0
    n_pairs: int = 0


class Mixing(NamedTuple):
    """Addresses of a sparse matrix over Pauli words, by rows, and of its transpose.

    Attributes:
        starts: where the entries of each row begin, and where the last end.
        columns: of each entry.
        values: of each entry, doubles.
        back_starts, back_columns, back_values: of the transpose.
    """

    starts: int
    columns: int
    values: int
    back_starts: int
    back_columns: int
    back_values: int


class Scratch(NamedTuple):
    """The scratch memory of one thread: to Python sizes or offsets of its sections in bytes, to kernels their addresses.

    Attributes:
        psi: the state.
        lam: the gradient of the loss with respect to it.
        rows: vectors of lanes on their way to read-outs, and from their gradients.
        sums: expectation values or their gradients, a vector of lanes a wire.
        coefficients: cosine and sine of each slot, a vector each.
        gradients: of each slot.
        tables: cosines and sines of the phases of basis states.
        table_gradients: of those phases.
        work: doubles: angles, their cosines, their sines.
        damping: factors of all words and channels of noise, then their derivatives.
        checkpoints: the vector before each channel; with mixings, the vectors behind them too.
        strength_gradient: of the noise strength, a vector.
        term_angles: of large states, half the angle of each phase.
    """

    psi: int = 0
    lam: int = 0
    rows: int = 0
    sums: int = 0
    coefficients: int = 0
    gradients: int = 0
    tables: int = 0
    table_gradients: int = 0
    work: int = 0
    damping: int = 0
    checkpoints: int = 0
    strength_gradient: int = 0
    term_angles: int = 0


class PartScratch(NamedTuple):
    """Scratch memory of one part of a large state: its table of phases, and what is summed over parts later."""

    rows: int
    sums: int
    gradients: int
    table: int
    phases: int
    work: int
    terms: int


Record = Source | Term | PauliRow | Mixing


def offsets(sizes: Scratch | PartScratch) -> np.ndarray:
    """``(sections + 1,)``: where sections of so many bytes begin, one after another, and where the last ends."""
    # Whole cache lines, and two apart, so that psi and lam do not compete for the same places in the cache.
    padded = [-(-size // WIDTH) * WIDTH + 2 * WIDTH if size else 0 for size in sizes]
    return np.concatenate([[0], np.cumsum(padded)])


def as_array(header: Header) -> np.ndarray:
    """``(numbers,)`` integers, which the kernels read by address."""
    return np.array(header, dtype=np.int64)


def as_rows(kind: type[Record], rows: Iterable[Record]) -> np.ndarray:
    """``(n, fields)`` integers, a record each."""
    return np.array(list(rows), dtype=np.int64).reshape(-1, len(kind._fields))


def address(array: np.ndarray) -> int:
    """Where an array stands. The caller keeps it."""
    return int(array.ctypes.data)
