"""Where things stand in the memory that the kernels share with Python."""

from __future__ import annotations

import numpy as np

from qmoe.compiled.lanes import WIDTH
from qmoe.engines.calling import LAST

#: Vectors of lanes whose read-outs are transformed at once.
READOUT_ROW = 64

# Operations, in the first column of a row of a program.
ROTATE, ROTATE_LANES, PHASE, PHASE_EACH = range(4)
TURN, DAMP = range(2)
# A row: operation, size of the group, then three each of pivots, flips, signs and slots.
PIVOT, FLIP, SIGN, SLOT = 2, 5, 8, 11
ROW = 14

# What an angle is made of.
CONSTANT, WEIGHT, FEATURE = range(3)

# Places in the header of a program.
(
    N_QUBITS, LANE_BITS, N_FEATURES, N_OUTPUTS, N_WEIGHTS, N_TABLES, N_SHARED, N_SLOTS, BORN, PREPARED,
    FORWARD, N_FORWARD, BACKWARD, N_BACKWARD, START, N_START, START_SLOTS,
    SOURCES, FACTORS, LANE_SIGNS, TERMS, TERM_FACTORS, N_TERMS, TABLES_EACH, ENCODES_LATER, SIGNS, SHIFTS, ORDER,
    N_DAMPS, COUNTS, HEADER,
) = range(31)  # fmt: skip

# Parts of the scratch memory of one thread. Those from FACTORS_TABLE on are for noise.
(
    PSI, LAM, ROWS, SUMS, COEFFICIENTS, GRADIENTS, TABLES, TABLE_GRADIENTS, WORK,
    FACTORS_TABLE, CHECKPOINTS, STRENGTH_GRADIENT, SIZE,
) = range(13)  # fmt: skip

# Parts of the scratch memory for large states: TERM_ANGLES is shared; those from PART_ROWS on are of one part of the state.
TERM_ANGLES = FACTORS_TABLE
PART_ROWS, PART_SUMS, PART_GRADIENTS, PART_TABLE, PART_PHASES, PART_WORK, PART_TERMS, PART_SIZE = range(8)
#: Parts of a large state, and basis states whose phases are computed at once.
N_PARTS = 8
PHASE_CHUNK = 1024

#: In place of the last item of a call, for large states: samples of the block.
N_HERE = LAST


def offsets(sizes: dict[int, int], count: int = SIZE) -> np.ndarray:
    """``(count + 1,)``: where parts of ``sizes`` bytes begin, one after another, and where the last ends."""
    # Whole cache lines, and two apart, so that psi and lam do not compete for the same places in the cache.
    padded = [-(-sizes.get(part, 0) // WIDTH) * WIDTH + 2 * WIDTH * (part in sizes) for part in range(count)]
    return np.concatenate([[0], np.cumsum(padded)])


def make_header(values: dict[int, int | bool | np.ndarray]) -> np.ndarray:
    """``(HEADER,)`` integers: numbers as they are, arrays as their addresses. The caller keeps the arrays."""
    header = np.zeros(HEADER, dtype=np.int64)
    for place, value in values.items():
        header[place] = value.ctypes.data if isinstance(value, np.ndarray) else value
    return header
