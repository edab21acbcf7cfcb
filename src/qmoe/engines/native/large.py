"""State vectors beyond the cache: one block after another, each stage by all threads over the amplitudes.

Work is cut in a fixed number of parts, whatever the number of threads, and sums over parts are taken in order: the same
circuit gives the same numbers on any number of threads. Phases are computed where they are used, a chunk of basis states
at a time, so that two states are all the memory that gradients take.
"""

from __future__ import annotations

import numba
import numpy as np

from qmoe.engines.native import program as pg
from qmoe.engines.native.angles import (
    accumulate_samples,
    accumulate_shared,
    encode_samples,
    odd,
    share_angles,
    value_of,
    write_table,
)
from qmoe.engines.native.compiling import inner, itemsize, kernel, pointer_double, pointer_int, pointer_like
from qmoe.engines.native.lanes import WIDTH, n_lanes
from qmoe.engines.native.lowering import FEATURE, WEIGHT
from qmoe.engines.native.passes import (
    ROW,
    SIGN,
    SLOT,
    clear,
    phase,
    phase_each,
    phase_lanes,
    unphase,
    unphase_each,
    unphase_lanes,
)
from qmoe.engines.native.pure import (
    amplitude_gradients,
    begin,
    count_cosets,
    load_cotangent,
    read_born,
    rotate,
    seed_born,
    seed_signs,
    sum_signs,
    unrotate,
    write_expectations,
)
from qmoe.engines.native.trigonometry import cos_sin, walsh_hadamard

carray = numba.carray

#: Parts of a state, and basis states whose phases are computed at once.
N_PARTS = 8
CHUNK_BITS = 10
CHUNK = 1 << CHUNK_BITS
#: Vectors of lanes from which on a state is run this way; it then fills a second-level cache twice.
MIN_VECTORS = 1 << 14
# Scratch memory: shared by all parts, then that of each part.
COEFFICIENTS, TERM_ANGLES, WORK, SUMS, GRADIENTS, SHARED_SIZE = range(6)
PART_ROWS, PART_SUMS, PART_GRADIENTS, PART_TABLE, PART_PHASES, PART_WORK, PART_TERMS, PART_SIZE = range(8)


def shared_parts(program: pg.Program, size: int) -> np.ndarray:
    """Offsets of the scratch memory that all parts share."""
    slots = int(program.header[pg.N_SLOTS])
    return pg.offsets(
        {
            COEFFICIENTS: 2 * slots * WIDTH,
            TERM_ANGLES: len(program.terms) * 8,
            WORK: 3 * 8 * slots * n_lanes(size),
            SUMS: program.circuit.n_qubits * WIDTH,
            GRADIENTS: slots * WIDTH,
        }
    )


def own_parts(program: pg.Program, size: int) -> np.ndarray:
    """Offsets of the scratch memory of one part."""
    return pg.offsets(
        {
            PART_ROWS: pg.READOUT_ROW * WIDTH,
            PART_SUMS: program.circuit.n_qubits * WIDTH,
            PART_GRADIENTS: int(program.header[pg.N_SLOTS]) * WIDTH,
            PART_TABLE: 2 * CHUNK * size,
            PART_PHASES: (CHUNK >> program.lane_bits) * WIDTH,
            PART_WORK: 3 * CHUNK * 8,
            PART_TERMS: len(program.terms) * 8,
        }
    )


@inner
def _places(shared):  # type: ignore[no-untyped-def]
    """The shared scratch memory, under the names that kernels of small states use."""
    at = np.zeros(pg.SIZE, dtype=np.int64)
    at[pg.COEFFICIENTS], at[pg.WORK], at[pg.SUMS] = shared[COEFFICIENTS], shared[WORK], shared[SUMS]
    at[pg.GRADIENTS] = shared[GRADIENTS]
    return at


@kernel
def prepare_large(one, header, shared_layout, scratch, shape, x_at, w_at, psi):  # type: ignore[no-untyped-def]
    """Computes all angles of one block, and its initial state at ``psi`` unless that is 0."""
    n_here, x_batch, x_feature = shape
    shared = shared_layout + scratch
    at = _places(shared)
    x = carray(pointer_like(x_at, one), (1 << 62,))
    weights = carray(pointer_like(w_at, one), (header[pg.N_WEIGHTS],))
    share_angles(one, header, at, weights, x, x_feature)
    encode_samples(one, header, at, x, n_here, x_feature, x_batch)
    terms = carray(pointer_int(header[pg.TERMS], one), (4 * header[pg.N_TERMS],))
    factors = carray(pointer_double(header[pg.TERM_FACTORS], one), (2 * header[pg.N_TERMS],))
    angles = carray(pointer_double(shared[TERM_ANGLES], one), (header[pg.N_TERMS],))
    for t in range(header[pg.N_TERMS]):
        value = value_of(one, terms[4 * t + 2], terms[4 * t + 3], weights, x, x_feature)
        angles[t] = -0.5 * (factors[2 * t] * value + factors[2 * t + 1])
    if psi != 0:
        begin(one, header, at[pg.COEFFICIENTS], psi, x, n_here, x_feature, x_batch)


@inner
def _fill_chunk(one, header, shared, own, table, first):  # type: ignore[no-untyped-def]
    """The phases of one table for the basis states first .. first + CHUNK - 1."""
    work = carray(pointer_double(own[PART_WORK], one), (3 * CHUNK,))
    angles, cos, sin = work[:CHUNK], work[CHUNK : 2 * CHUNK], work[2 * CHUNK :]
    angles[:] = 0.0
    terms = carray(pointer_int(header[pg.TERMS], one), (4 * header[pg.N_TERMS],))
    values = carray(pointer_double(shared[TERM_ANGLES], one), (header[pg.N_TERMS],))
    for t in range(header[pg.N_TERMS]):
        if terms[4 * t] == table:
            mask = terms[4 * t + 1]
            angles[mask & (CHUNK - 1)] += -values[t] if odd(mask & first) else values[t]
    walsh_hadamard(angles, CHUNK)
    cos_sin(angles, cos, sin, CHUNK)
    width = 1 if header[pg.LANE_BITS] == 0 else WIDTH // itemsize(one)
    write_table(one, own[PART_TABLE], cos, sin, CHUNK, width)


@inner
def _collect_chunk(one, header, own, table, first):  # type: ignore[no-untyped-def]
    """Adds the gradients of the phases of a chunk to those of the terms."""
    lanes = WIDTH // itemsize(one) if header[pg.LANE_BITS] == 0 else 1
    sums = carray(pointer_double(own[PART_WORK], one), (CHUNK,))
    gradients = carray(pointer_like(own[PART_PHASES], one), (CHUNK * lanes,))
    for k in range(CHUNK):
        total = 0.0
        for lane in range(lanes):
            total += gradients[k * lanes + lane]
        sums[k] = total
    walsh_hadamard(sums, CHUNK)
    terms = carray(pointer_int(header[pg.TERMS], one), (4 * header[pg.N_TERMS],))
    out = carray(pointer_double(own[PART_TERMS], one), (header[pg.N_TERMS],))
    for t in range(header[pg.N_TERMS]):
        if terms[4 * t] == table:
            mask = terms[4 * t + 1]
            value = sums[mask & (CHUNK - 1)]
            out[t] += -value if odd(mask & first) else value


@kernel
def advance_large(one, header, shared_layout, own_layout, scratch, psi, address, part):  # type: ignore[no-untyped-def]
    """Applies the row at ``address`` to one part of the state."""
    shared = shared_layout + scratch
    own = own_layout + (shared[SHARED_SIZE] + part * own_layout[-1])
    bits = header[pg.LANE_BITS]
    n = (1 << header[pg.N_QUBITS]) >> bits
    row = carray(pointer_int(address, one), (ROW,))
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    if row[0] == pg.PHASE:
        step = CHUNK >> bits
        for first in range(lo, hi, step):
            _fill_chunk(one, header, shared, own, row[SLOT], first << bits)
            if bits == 0:
                phase(one, psi, own[PART_TABLE], first, first, first + step)
            else:
                phase_lanes(one, psi, own[PART_TABLE], first, first, first + step)
    elif row[0] == pg.PHASE_EACH:
        phase_each(one, psi, shared[COEFFICIENTS], row[SLOT], row[SIGN], lo, hi)
    else:
        count = count_cosets(row, n)
        lo, hi = count * part // N_PARTS, count * (part + 1) // N_PARTS
        rotate(one, psi, address, row, shared[COEFFICIENTS], lo, hi)


@kernel
def undo_large(one, header, shared_layout, own_layout, scratch, psi, lam, address, part):  # type: ignore[no-untyped-def]
    """Undoes the row at ``address`` on one part of both states, adding up gradients."""
    shared = shared_layout + scratch
    own = own_layout + (shared[SHARED_SIZE] + part * own_layout[-1])
    bits = header[pg.LANE_BITS]
    n = (1 << header[pg.N_QUBITS]) >> bits
    row = carray(pointer_int(address, one), (ROW,))
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    coefficients, gradients = shared[COEFFICIENTS], own[PART_GRADIENTS]
    if row[0] == pg.PHASE:
        step = CHUNK >> bits
        for first in range(lo, hi, step):
            _fill_chunk(one, header, shared, own, row[SLOT], first << bits)
            clear(one, own[PART_PHASES], 0, step)
            if bits == 0:
                unphase(one, psi, lam, own[PART_TABLE], own[PART_PHASES], first, first, first + step)
            else:
                unphase_lanes(one, psi, lam, own[PART_TABLE], own[PART_PHASES], first, first, first + step)
            _collect_chunk(one, header, own, row[SLOT], first << bits)
    elif row[0] == pg.PHASE_EACH:
        unphase_each(one, psi, lam, coefficients, gradients, row[SLOT], row[SIGN], lo, hi)
    else:
        count = count_cosets(row, n)
        lo, hi = count * part // N_PARTS, count * (part + 1) // N_PARTS
        unrotate(one, psi, lam, address, row, coefficients, gradients, lo, hi)


@kernel
def read_large(one, header, shared_layout, own_layout, scratch, psi, out_at, n_here, part):  # type: ignore[no-untyped-def]
    """Reads one part: probabilities to ``out_at``, or its share of the expectation values."""
    shared = shared_layout + scratch
    own = own_layout + (shared[SHARED_SIZE] + part * own_layout[-1])
    n = (1 << header[pg.N_QUBITS]) >> header[pg.LANE_BITS]
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    if header[pg.BORN]:
        out = carray(pointer_like(out_at, one), (1 << 62,))
        read_born(one, header, psi, own[PART_ROWS], out, n_here, lo, hi)
    else:
        clear(one, own[PART_SUMS], 0, header[pg.N_QUBITS])
        sum_signs(one, header, psi, own[PART_ROWS], own[PART_SUMS], lo, hi)


@inner
def _sum_parts(one, shared, own_layout, section, count, out):  # type: ignore[no-untyped-def]
    """Adds ``count`` numbers of every part's section to ``out``, part after part."""
    for part in range(N_PARTS):
        own = own_layout + (shared[SHARED_SIZE] + part * own_layout[-1])
        values = carray(pointer_like(own[section], one), (count,))
        for i in range(count):
            out[i] += values[i]


@kernel
def finish_large(one, header, shared_layout, own_layout, scratch, out_at, n_here):  # type: ignore[no-untyped-def]
    """Writes the expectation values to ``out_at``."""
    shared = shared_layout + scratch
    n = header[pg.N_QUBITS] * (WIDTH // itemsize(one))
    sums = carray(pointer_like(shared[SUMS], one), (n,))
    sums[:] = 0.0
    _sum_parts(one, shared, own_layout, PART_SUMS, n, sums)
    out = carray(pointer_like(out_at, one), (1 << 62,))
    write_expectations(one, header, shared[SUMS], out, n_here)


@kernel
def seed_large(  # type: ignore[no-untyped-def]
    one, header, shared_layout, own_layout, scratch, psi, lam, cotangent_at, n_here, part
):
    """Writes one part of ``lam``, and clears the part's gradients."""
    shared = shared_layout + scratch
    own = own_layout + (shared[SHARED_SIZE] + part * own_layout[-1])
    n = (1 << header[pg.N_QUBITS]) >> header[pg.LANE_BITS]
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    clear(one, own[PART_GRADIENTS], 0, header[pg.N_SLOTS])
    terms = carray(pointer_double(own[PART_TERMS], one), (header[pg.N_TERMS],))
    terms[:] = 0.0
    cotangent = carray(pointer_like(cotangent_at, one), (1 << 62,))
    if header[pg.BORN]:
        seed_born(one, header, psi, lam, own[PART_ROWS], cotangent, n_here, lo, hi)
    else:
        load_cotangent(one, header, own[PART_SUMS], cotangent, n_here)
        seed_signs(one, header, psi, lam, own[PART_ROWS], own[PART_SUMS], lo, hi)


@kernel
def collect_large(  # type: ignore[no-untyped-def]
    one, header, shared_layout, own_layout, scratch, shape, x_at, lam, gx_at, gw_at
):
    """Adds the gradients of one block to those of the weights, and of the features unless ``gx_at`` is 0."""
    n_here, x_batch, x_feature = shape
    shared = shared_layout + scratch
    at = _places(shared)
    n = header[pg.N_SLOTS] * (WIDTH // itemsize(one))
    gradients = carray(pointer_like(at[pg.GRADIENTS], one), (n,))
    gradients[:] = 0.0
    _sum_parts(one, shared, own_layout, PART_GRADIENTS, n, gradients)
    gw = carray(pointer_like(gw_at, one), (header[pg.N_WEIGHTS],))
    gx = carray(pointer_like(gx_at, one), (n_here * header[pg.N_FEATURES] if gx_at != 0 else 0,))
    accumulate_shared(one, header, at, gw, gx)
    terms = carray(pointer_int(header[pg.TERMS], one), (4 * header[pg.N_TERMS],))
    factors = carray(pointer_double(header[pg.TERM_FACTORS], one), (2 * header[pg.N_TERMS],))
    for t in range(header[pg.N_TERMS]):
        total = 0.0
        for part in range(N_PARTS):
            own = own_layout + (shared[SHARED_SIZE] + part * own_layout[-1])
            total += carray(pointer_double(own[PART_TERMS], one), (header[pg.N_TERMS],))[t]
        if terms[4 * t + 2] == WEIGHT:
            gw[terms[4 * t + 3]] -= 0.5 * factors[2 * t] * total
        elif terms[4 * t + 2] == FEATURE and gx_at != 0:
            gx[terms[4 * t + 3]] -= 0.5 * factors[2 * t] * total
    if gx_at != 0:
        accumulate_samples(one, header, at, gx, n_here)
        if header[pg.PREPARED]:
            x = carray(pointer_like(x_at, one), (1 << 62,))
            amplitude_gradients(one, header, lam, x, gx, n_here, x_feature, x_batch)
