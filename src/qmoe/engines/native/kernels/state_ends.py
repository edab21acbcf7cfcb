"""Inside the kernels: what happens to a block of states at the ends of a circuit, and one row of its program at a time."""

from __future__ import annotations

from qmoe.compiled.addresses import inlined, integer, itemsize, merged, odd, put_real, real
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.native.kernels.angles import amplitude_gradient, norm_of, transform
from qmoe.engines.native.kernels.state_passes import (
    add_signed,
    clear,
    phase,
    phase_each,
    phase_lanes,
    probabilities,
    rotate1,
    rotate2,
    rotate3,
    rotate_lanes,
    seed_gradient,
    spread,
    unphase,
    unphase_each,
    unphase_lanes,
    unrotate1,
    unrotate2,
    unrotate_lanes,
)
from qmoe.engines.native.layout import GROUP_SIZE, OPERATION, PHASE_EACH, PIVOT, READOUT_ROW, ROTATE_LANES, SIGN, SLOT


@inlined
def count_cosets(row, n):
    """How many cosets of ``n`` vectors the row of a rotation goes through."""
    if integer(row, OPERATION) == ROTATE_LANES:
        return n if integer(row, PIVOT) < 0 else n >> 1
    return n >> integer(row, GROUP_SIZE)


@inlined
def rotate(one, psi, row, coefficients, lo, hi):
    """Applies the row of a group of rotations to the cosets lo .. hi - 1."""
    size = integer(row, GROUP_SIZE)
    if integer(row, OPERATION) == ROTATE_LANES:
        rotate_lanes(one, psi, row, coefficients, lo, hi)
    elif size == 3:
        rotate3(one, psi, row, coefficients, lo, hi)
    elif size == 2:
        rotate2(one, psi, row, coefficients, lo, hi)
    else:
        rotate1(one, psi, row, coefficients, lo, hi)


@inlined
def unrotate(one, psi, lam, row, coefficients, gradients, lo, hi):
    """Undoes the row of a group of rotations on the cosets lo .. hi - 1."""
    if integer(row, OPERATION) == ROTATE_LANES:
        unrotate_lanes(one, psi, lam, row, coefficients, gradients, lo, hi)
    elif integer(row, GROUP_SIZE) == 2:
        unrotate2(one, psi, lam, row, coefficients, gradients, lo, hi)
    else:
        unrotate1(one, psi, lam, row, coefficients, gradients, lo, hi)


@inlined
def advance_row(one, frame, psi, row, part, n_parts):
    """Applies a row that is not a table of phases to one of ``n_parts`` equal parts of the state."""
    n, coefficients = frame.program.n_vectors, frame.scratch.coefficients
    if integer(row, OPERATION) == PHASE_EACH:
        lo, hi = n * part // n_parts, n * (part + 1) // n_parts
        phase_each(one, psi, coefficients, integer(row, SLOT), integer(row, SIGN), lo, hi)
    else:
        count = count_cosets(row, n)
        rotate(one, psi, row, coefficients, count * part // n_parts, count * (part + 1) // n_parts)


@inlined
def undo_row(one, frame, psi, lam, row, gradients, part, n_parts):
    """Undoes such a row on one part of both states, and adds up the gradients of its slots."""
    n, coefficients = frame.program.n_vectors, frame.scratch.coefficients
    if integer(row, OPERATION) == PHASE_EACH:
        lo, hi = n * part // n_parts, n * (part + 1) // n_parts
        unphase_each(one, psi, lam, coefficients, gradients, integer(row, SLOT), integer(row, SIGN), lo, hi)
    else:
        count = count_cosets(row, n)
        lo, hi = count * part // n_parts, count * (part + 1) // n_parts
        unrotate(one, psi, lam, row, coefficients, gradients, lo, hi)


@inlined
def advance_phases(one, program, psi, table, lo, hi):
    """Multiplies the vectors lo .. hi - 1 by the phases of a table, which begins at the first of them."""
    if program.lane_bits == 0:
        phase(one, psi, table, lo, lo, hi)
    else:
        phase_lanes(one, psi, table, lo, lo, hi)


@inlined
def undo_phases(one, program, psi, lam, table, gradients, lo, hi):
    """Undoes that on both states, and adds the gradients of the phases to ``gradients``, which begin there too."""
    if program.lane_bits == 0:
        unphase(one, psi, lam, table, gradients, lo, lo, hi)
    else:
        unphase_lanes(one, psi, lam, table, gradients, lo, lo, hi)


@merged
def begin(one, frame, block, psi):
    """Writes the initial state of a block."""
    program, stride = frame.program, frame.call.x_feature
    lanes, bits = WIDTH // itemsize(one), program.lane_bits
    if program.is_prepared:
        clear(one, psi, 0, 2 * program.n_vectors)
        for lane in range(block.n_here):
            sample = block.x + lane * frame.call.x_batch * itemsize(one)
            norm = norm_of(one, sample, program.n_features, stride)
            for f in range(program.n_features):
                place = (f >> bits) * 2 * lanes + (lane if bits == 0 else f & (lanes - 1))
                put_real(one, psi, place, real(one, sample, f * stride) / norm)
        return
    coefficients, slots = frame.scratch.coefficients, program.start_slots
    for lane in range(lanes):
        # Lanes that are basis states; the cosine and sine stand in lane 0, where no sign is changed.
        amplitude = 1.0
        for i in range(bits):
            place = 2 * integer(slots, i) * lanes + (lanes if lane >> i & 1 else 0)
            amplitude *= real(one, coefficients, place)
        put_real(one, psi, lane, amplitude)
        put_real(one, psi, lanes + lane, 0.0)
    for i in range(bits, program.n_qubits):
        spread(one, psi, coefficients, integer(slots, i), 1 << (i - bits))


@inlined
def sum_signs(one, program, psi, rows, sums, lo, hi):
    """Adds ``sum_k (-1)^parity(sign_w & k) |psi_k|^2`` over the vectors lo .. hi - 1 to ``sums[w]``, for every wire w."""
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        probabilities(one, psi, rows, first, first + width)
        transform(one, rows, width)
        for w in range(program.n_qubits):
            sign = integer(program.signs, w) >> program.lane_bits
            negative = odd(sign & first) ^ integer(program.shifts, w)
            add_signed(one, rows, sign & (width - 1), sums, w, negative)


@inlined
def write_expectations(one, program, sums, out, n_here):
    """Writes ``sums`` to ``out`` ``(n_here, Q)``."""
    lanes, q = WIDTH // itemsize(one), program.n_qubits
    if program.lane_bits == 0:
        for lane in range(n_here):
            for w in range(q):
                put_real(one, out, lane * q + w, real(one, sums, w * lanes + lane))
        return
    for w in range(q):
        total = 0.0
        for lane in range(lanes):
            value = real(one, sums, w * lanes + lane)
            total += -value if odd(integer(program.signs, w) & lane) else value
        put_real(one, out, w, total)


@inlined
def read_born(one, program, psi, rows, out, n_here, lo, hi):
    """Writes the probabilities of the vectors lo .. hi - 1 to their places in ``out`` ``(n_here, D)``."""
    lanes, places = WIDTH // itemsize(one), program.order
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        probabilities(one, psi, rows, first, first + width)
        if program.lane_bits == 0:
            for i in range(width):
                for lane in range(n_here):
                    place = lane * program.dim + integer(places, first + i)
                    put_real(one, out, place, real(one, rows, i * lanes + lane))
        else:
            for i in range(width * lanes):
                put_real(one, out, integer(places, first * lanes + i), real(one, rows, i))


@inlined
def load_cotangent(one, program, sums, cotangent, n_here):
    """The gradients of the expectation values of a block, a vector of lanes for each wire."""
    lanes, q = WIDTH // itemsize(one), program.n_qubits
    for w in range(q):
        if program.lane_bits > 0:
            value = real(one, cotangent, w)
            for lane in range(lanes):
                negative = odd(integer(program.signs, w) & lane)
                put_real(one, sums, w * lanes + lane, -value if negative else value)
        else:
            for lane in range(n_here):
                put_real(one, sums, w * lanes + lane, real(one, cotangent, lane * q + w))
            for lane in range(n_here, lanes):
                put_real(one, sums, w * lanes + lane, 0.0)


@inlined
def seed_signs(one, program, psi, lam, rows, sums, lo, hi):
    """Writes ``lam`` for the vectors lo .. hi - 1, from the gradients of the expectation values in ``sums``."""
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        clear(one, rows, 0, width)
        for w in range(program.n_qubits):
            sign = integer(program.signs, w) >> program.lane_bits
            negative = odd(sign & first) ^ integer(program.shifts, w)
            add_signed(one, sums, w, rows, sign & (width - 1), negative)
        transform(one, rows, width)
        seed_gradient(one, psi, lam, rows, first, first + width)


@inlined
def seed_born(one, program, psi, lam, rows, cotangent, n_here, lo, hi):
    """Writes ``lam`` for the vectors lo .. hi - 1, from the gradients ``cotangent`` of all probabilities."""
    lanes, places = WIDTH // itemsize(one), program.order
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        if program.lane_bits == 0:
            for i in range(width):
                for lane in range(n_here):
                    value = real(one, cotangent, lane * program.dim + integer(places, first + i))
                    put_real(one, rows, i * lanes + lane, value)
                for lane in range(n_here, lanes):
                    put_real(one, rows, i * lanes + lane, 0.0)
        else:
            for i in range(width * lanes):
                put_real(one, rows, i, real(one, cotangent, integer(places, first * lanes + i)))
        seed_gradient(one, psi, lam, rows, first, first + width)


@inlined
def amplitude_gradients(one, frame, block, lam, gx):
    """Adds the gradients of amplitude-encoded features; ``lam`` stands at the initial state."""
    program, stride = frame.program, frame.call.x_feature
    lanes, size, n, bits = WIDTH // itemsize(one), itemsize(one), program.n_features, program.lane_bits
    if bits == 0:
        for lane in range(block.n_here):
            sample, to = block.x + lane * frame.call.x_batch * size, gx + lane * n * size
            amplitude_gradient(one, sample, stride, n, lam + lane * size, 2 * lanes, to)
        return
    # Real parts stand in every other vector: brought together at the front, none of them is read after it is written.
    for f in range(n):
        put_real(one, lam, f, real(one, lam, (f >> bits) * 2 * lanes + (f & (lanes - 1))))
    amplitude_gradient(one, block.x, stride, n, lam, 1, gx)
