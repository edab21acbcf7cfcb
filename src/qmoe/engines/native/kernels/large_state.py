"""State vectors beyond the cache: one block after another, each stage by all threads over the amplitudes.

Work is cut in a fixed number of parts, whatever the number of threads, and sums over parts are taken in order: the same
circuit gives the same numbers on any number of threads. Phases are computed where they are used, a chunk of basis states
at a time, so that two states are all the memory that gradients take.
"""

from __future__ import annotations

from qmoe.compiled.addresses import (
    double,
    inner,
    integer,
    itemsize,
    odd,
    put_double,
    put_integer,
    put_real,
    real,
)
from qmoe.compiled.lanes import WIDTH
from qmoe.compiled.trigonometry import cos_sin, walsh_hadamard
from qmoe.engines.calling import (
    COTANGENT,
    GW,
    GX,
    OUT,
    WEIGHTS,
    X_BATCH,
    X_FEATURE,
    X,
)
from qmoe.engines.native.kernels.angles import (
    accumulate_samples,
    accumulate_shared,
    accumulate_term,
    encode_samples,
    half_angle,
    share_angles,
    sum_phases,
    write_table,
)
from qmoe.engines.native.kernels.state_ends import (
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
from qmoe.engines.native.kernels.state_passes import (
    clear,
    phase,
    phase_each,
    phase_lanes,
    unphase,
    unphase_each,
    unphase_lanes,
)
from qmoe.engines.native.layout import (
    BORN,
    COEFFICIENTS,
    GRADIENTS,
    LANE_BITS,
    N_HERE,
    N_PARTS,
    N_QUBITS,
    N_SLOTS,
    N_TERMS,
    PART_GRADIENTS,
    PART_PHASES,
    PART_ROWS,
    PART_SIZE,
    PART_SUMS,
    PART_TABLE,
    PART_TERMS,
    PART_WORK,
    PHASE,
    PHASE_CHUNK,
    PHASE_EACH,
    PREPARED,
    SIGN,
    SIZE,
    SLOT,
    SUMS,
    TERM_ANGLES,
    TERM_FACTORS,
    TERMS,
)


@inner
def _own(at, part):
    """Where the addresses of the scratch memory of one part stand."""
    return at + (SIZE + part * PART_SIZE) * 8


def prepare_large(one, header, parts, call, scratch, psi):
    """Computes all angles of one block, and its initial state at ``psi`` unless that is 0.

    ``parts`` holds the offsets of the shared parts of the scratch memory, then those of each part of the state.
    """
    for i in range(SIZE + N_PARTS * PART_SIZE):
        put_integer(scratch, i, scratch + (SIZE + N_PARTS * PART_SIZE) * WIDTH + integer(parts, i))
    at = scratch
    x, weights, feature_stride = integer(call, X), integer(call, WEIGHTS), integer(call, X_FEATURE)
    share_angles(one, header, at, weights, x, feature_stride)
    encode_samples(one, header, at, x, integer(call, N_HERE), feature_stride, integer(call, X_BATCH))
    terms, factors = integer(header, TERMS), integer(header, TERM_FACTORS)
    for t in range(integer(header, N_TERMS)):
        kind, index = integer(terms, 4 * t + 2), integer(terms, 4 * t + 3)
        # A basis state of even parity turns by minus half the angle.
        angle = -half_angle(one, kind, index, factors, t, weights, x, feature_stride)
        put_double(integer(at, TERM_ANGLES), t, angle)
    if psi != 0:
        coefficients = integer(at, COEFFICIENTS)
        begin(one, header, coefficients, psi, x, integer(call, N_HERE), feature_stride, integer(call, X_BATCH))


@inner
def _fill_chunk(one, header, at, own, table, first):
    """The phases of one table for the basis states first .. first + PHASE_CHUNK - 1."""
    work, terms = integer(own, PART_WORK), integer(header, TERMS)
    for k in range(PHASE_CHUNK):
        put_double(work, k, 0.0)
    for t in range(integer(header, N_TERMS)):
        if integer(terms, 4 * t) == table:
            mask, angle = integer(terms, 4 * t + 1), double(integer(at, TERM_ANGLES), t)
            place = mask & (PHASE_CHUNK - 1)
            put_double(work, place, double(work, place) + (-angle if odd(mask & first) else angle))
    walsh_hadamard(work, PHASE_CHUNK)
    cos_sin(work, PHASE_CHUNK)
    width = 1 if integer(header, LANE_BITS) == 0 else WIDTH // itemsize(one)
    write_table(one, integer(own, PART_TABLE), work + 8 * PHASE_CHUNK, PHASE_CHUNK, width)


@inner
def _collect_chunk(one, header, own, table, first):
    """Adds the gradients of the phases of a chunk to those of the terms."""
    work, terms, to = integer(own, PART_WORK), integer(header, TERMS), integer(own, PART_TERMS)
    sum_phases(one, header, work, integer(own, PART_PHASES), PHASE_CHUNK)
    walsh_hadamard(work, PHASE_CHUNK)
    for t in range(integer(header, N_TERMS)):
        if integer(terms, 4 * t) == table:
            mask = integer(terms, 4 * t + 1)
            value = double(work, mask & (PHASE_CHUNK - 1))
            put_double(to, t, double(to, t) + (-value if odd(mask & first) else value))


def advance_large(one, header, at, psi, row, part):
    """Applies a row to one part of the state."""
    own, bits = _own(at, part), integer(header, LANE_BITS)
    n = (1 << integer(header, N_QUBITS)) >> bits
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    operation, slot, coefficients = integer(row, 0), integer(row, SLOT), integer(at, COEFFICIENTS)
    if operation == PHASE:
        step, table = PHASE_CHUNK >> bits, integer(own, PART_TABLE)
        for first in range(lo, hi, step):
            _fill_chunk(one, header, at, own, slot, first << bits)
            if bits == 0:
                phase(one, psi, table, first, first, first + step)
            else:
                phase_lanes(one, psi, table, first, first, first + step)
    elif operation == PHASE_EACH:
        phase_each(one, psi, coefficients, slot, integer(row, SIGN), lo, hi)
    else:
        count = count_cosets(row, n)
        rotate(one, psi, row, coefficients, count * part // N_PARTS, count * (part + 1) // N_PARTS)


def undo_large(one, header, at, psi, lam, row, part):
    """Undoes a row on one part of both states, adding up gradients."""
    own, bits = _own(at, part), integer(header, LANE_BITS)
    n = (1 << integer(header, N_QUBITS)) >> bits
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    operation, slot, coefficients = integer(row, 0), integer(row, SLOT), integer(at, COEFFICIENTS)
    gradients = integer(own, PART_GRADIENTS)
    if operation == PHASE:
        step, table, to = PHASE_CHUNK >> bits, integer(own, PART_TABLE), integer(own, PART_PHASES)
        for first in range(lo, hi, step):
            _fill_chunk(one, header, at, own, slot, first << bits)
            clear(one, to, 0, step)
            if bits == 0:
                unphase(one, psi, lam, table, to, first, first, first + step)
            else:
                unphase_lanes(one, psi, lam, table, to, first, first, first + step)
            _collect_chunk(one, header, own, slot, first << bits)
    elif operation == PHASE_EACH:
        unphase_each(one, psi, lam, coefficients, gradients, slot, integer(row, SIGN), lo, hi)
    else:
        count = count_cosets(row, n)
        first, last = count * part // N_PARTS, count * (part + 1) // N_PARTS
        unrotate(one, psi, lam, row, coefficients, gradients, first, last)


def read_large(one, header, at, call, psi, part):
    """Reads one part: probabilities, or its share of the expectation values."""
    own = _own(at, part)
    n = (1 << integer(header, N_QUBITS)) >> integer(header, LANE_BITS)
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    rows, sums = integer(own, PART_ROWS), integer(own, PART_SUMS)
    if integer(header, BORN):
        read_born(one, header, psi, rows, integer(call, OUT), integer(call, N_HERE), lo, hi)
    else:
        clear(one, sums, 0, integer(header, N_QUBITS))
        sum_signs(one, header, psi, rows, sums, lo, hi)


@inner
def _sum_parts(one, at, section, count, to):
    """Writes the sums over parts of ``count`` vectors of lanes, taken part after part."""
    for i in range(count * (WIDTH // itemsize(one))):
        total = 0.0
        for part in range(N_PARTS):
            total += real(one, integer(_own(at, part), section), i)
        put_real(one, to, i, total)


def finish_large(one, header, at, call):
    """Writes the expectation values."""
    _sum_parts(one, at, PART_SUMS, integer(header, N_QUBITS), integer(at, SUMS))
    write_expectations(one, header, integer(at, SUMS), integer(call, OUT), integer(call, N_HERE))


def seed_large(one, header, at, call, psi, lam, part):
    """Writes one part of ``lam``, and clears the part's gradients."""
    own = _own(at, part)
    n = (1 << integer(header, N_QUBITS)) >> integer(header, LANE_BITS)
    lo, hi = n * part // N_PARTS, n * (part + 1) // N_PARTS
    clear(one, integer(own, PART_GRADIENTS), 0, integer(header, N_SLOTS))
    for t in range(integer(header, N_TERMS)):
        put_double(integer(own, PART_TERMS), t, 0.0)
    rows, sums, n_here = integer(own, PART_ROWS), integer(own, PART_SUMS), integer(call, N_HERE)
    if integer(header, BORN):
        seed_born(one, header, psi, lam, rows, integer(call, COTANGENT), n_here, lo, hi)
    else:
        load_cotangent(one, header, sums, integer(call, COTANGENT), n_here)
        seed_signs(one, header, psi, lam, rows, sums, lo, hi)


def collect_large(one, header, at, call, lam):
    """Adds the gradients of one block to those of the weights, and of the features unless GX is 0."""
    _sum_parts(one, at, PART_GRADIENTS, integer(header, N_SLOTS), integer(at, GRADIENTS))
    gw, gx = integer(call, GW), integer(call, GX)
    accumulate_shared(one, header, at, gw, gx)
    for t in range(integer(header, N_TERMS)):
        total = 0.0
        for part in range(N_PARTS):
            total += double(integer(_own(at, part), PART_TERMS), t)
        accumulate_term(one, header, t, total, gw, gx)
    if gx != 0:
        n_here = integer(call, N_HERE)
        accumulate_samples(one, header, at, gx, n_here)
        if integer(header, PREPARED):
            x, feature_stride, sample_stride = integer(call, X), integer(call, X_FEATURE), integer(call, X_BATCH)
            amplitude_gradients(one, header, lam, x, gx, n_here, feature_stride, sample_stride)
