"""Inside the kernels: what happens to a block of states at the ends of a circuit, and one row of its program at a time."""

from __future__ import annotations

from qmoe.compiled.addresses import inlined, inner, integer, itemsize, odd, put_real, real
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.native.kernels.angles import amplitude_gradient, norm_of, transform
from qmoe.engines.native.kernels.state_passes import (
    add_signed,
    clear,
    probabilities,
    rotate1,
    rotate2,
    rotate3,
    rotate_lanes,
    seed_gradient,
    spread,
    unrotate1,
    unrotate2,
    unrotate_lanes,
)
from qmoe.engines.native.layout import (
    LANE_BITS,
    N_FEATURES,
    N_QUBITS,
    ORDER,
    PIVOT,
    PREPARED,
    READOUT_ROW,
    ROTATE_LANES,
    SHIFTS,
    SIGNS,
    START_SLOTS,
)


@inlined
def count_cosets(row, n):
    """How many cosets of ``n`` vectors the row of a rotation goes through."""
    if integer(row, 0) == ROTATE_LANES:
        return n if integer(row, PIVOT) < 0 else n >> 1
    return n >> integer(row, 1)


@inlined
def rotate(one, psi, row, coefficients, lo, hi):
    """Applies the row of a group of rotations to the cosets lo .. hi - 1."""
    size = integer(row, 1)
    if integer(row, 0) == ROTATE_LANES:
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
    if integer(row, 0) == ROTATE_LANES:
        unrotate_lanes(one, psi, lam, row, coefficients, gradients, lo, hi)
    elif integer(row, 1) == 2:
        unrotate2(one, psi, lam, row, coefficients, gradients, lo, hi)
    else:
        unrotate1(one, psi, lam, row, coefficients, gradients, lo, hi)


@inner
def begin(one, header, coefficients, psi, x, n_here, feature_stride, sample_stride):
    """Writes the initial state of a block."""
    lanes = WIDTH // itemsize(one)
    q, bits = integer(header, N_QUBITS), integer(header, LANE_BITS)
    if integer(header, PREPARED):
        clear(one, psi, 0, 2 * ((1 << q) >> bits))
        for lane in range(n_here):
            sample = x + lane * sample_stride * itemsize(one)
            norm = norm_of(one, sample, integer(header, N_FEATURES), feature_stride)
            for f in range(integer(header, N_FEATURES)):
                place = (f >> bits) * 2 * lanes + (lane if bits == 0 else f & (lanes - 1))
                put_real(one, psi, place, real(one, sample, f * feature_stride) / norm)
        return
    slots = integer(header, START_SLOTS)
    for lane in range(lanes):
        # Lanes that are basis states; the cosine and sine stand in lane 0, where no sign is changed.
        amplitude = 1.0
        for i in range(bits):
            place = 2 * integer(slots, i) * lanes + (lanes if lane >> i & 1 else 0)
            amplitude *= real(one, coefficients, place)
        put_real(one, psi, lane, amplitude)
        put_real(one, psi, lanes + lane, 0.0)
    for i in range(bits, q):
        spread(one, psi, coefficients, integer(slots, i), 1 << (i - bits))


@inlined
def sum_signs(one, header, psi, rows, sums, lo, hi):
    """Adds ``sum_k (-1)^parity(sign_w & k) |psi_k|^2`` over the vectors lo .. hi - 1 to ``sums[w]``, for every wire w."""
    q, bits = integer(header, N_QUBITS), integer(header, LANE_BITS)
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        probabilities(one, psi, rows, first, first + width)
        transform(one, rows, width)
        for w in range(q):
            sign = integer(integer(header, SIGNS), w) >> bits
            negative = odd(sign & first) ^ integer(integer(header, SHIFTS), w)
            add_signed(one, rows, sign & (width - 1), sums, w, negative)


@inlined
def write_expectations(one, header, sums, out, n_here):
    """Writes ``sums`` to ``out`` ``(n_here, Q)``."""
    lanes = WIDTH // itemsize(one)
    q = integer(header, N_QUBITS)
    if integer(header, LANE_BITS) == 0:
        for lane in range(n_here):
            for w in range(q):
                put_real(one, out, lane * q + w, real(one, sums, w * lanes + lane))
        return
    for w in range(q):
        total = 0.0
        for lane in range(lanes):
            value = real(one, sums, w * lanes + lane)
            total += -value if odd(integer(integer(header, SIGNS), w) & lane) else value
        put_real(one, out, w, total)


@inlined
def read_born(one, header, psi, rows, out, n_here, lo, hi):
    """Writes the probabilities of the vectors lo .. hi - 1 to their places in ``out`` ``(n_here, D)``."""
    lanes = WIDTH // itemsize(one)
    dim = 1 << integer(header, N_QUBITS)
    places = integer(header, ORDER)
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        probabilities(one, psi, rows, first, first + width)
        if integer(header, LANE_BITS) == 0:
            for i in range(width):
                for lane in range(n_here):
                    place = lane * dim + integer(places, first + i)
                    put_real(one, out, place, real(one, rows, i * lanes + lane))
        else:
            for i in range(width * lanes):
                put_real(one, out, integer(places, first * lanes + i), real(one, rows, i))


@inlined
def load_cotangent(one, header, sums, cotangent, n_here):
    """The gradients of the expectation values of a block, a vector of lanes for each wire."""
    lanes = WIDTH // itemsize(one)
    q = integer(header, N_QUBITS)
    for w in range(q):
        if integer(header, LANE_BITS) > 0:
            value = real(one, cotangent, w)
            for lane in range(lanes):
                negative = odd(integer(integer(header, SIGNS), w) & lane)
                put_real(one, sums, w * lanes + lane, -value if negative else value)
        else:
            for lane in range(n_here):
                put_real(one, sums, w * lanes + lane, real(one, cotangent, lane * q + w))
            for lane in range(n_here, lanes):
                put_real(one, sums, w * lanes + lane, 0.0)


@inlined
def seed_signs(one, header, psi, lam, rows, sums, lo, hi):
    """Writes ``lam`` for the vectors lo .. hi - 1, from the gradients of the expectation values in ``sums``."""
    q, bits = integer(header, N_QUBITS), integer(header, LANE_BITS)
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        clear(one, rows, 0, width)
        for w in range(q):
            sign = integer(integer(header, SIGNS), w) >> bits
            negative = odd(sign & first) ^ integer(integer(header, SHIFTS), w)
            add_signed(one, sums, w, rows, sign & (width - 1), negative)
        transform(one, rows, width)
        seed_gradient(one, psi, lam, rows, first, first + width)


@inlined
def seed_born(one, header, psi, lam, rows, cotangent, n_here, lo, hi):
    """Writes ``lam`` for the vectors lo .. hi - 1, from the gradients ``cotangent`` of all probabilities."""
    lanes = WIDTH // itemsize(one)
    dim = 1 << integer(header, N_QUBITS)
    places = integer(header, ORDER)
    width = min(hi - lo, READOUT_ROW)
    for first in range(lo, hi, width):
        if integer(header, LANE_BITS) == 0:
            for i in range(width):
                for lane in range(n_here):
                    value = real(one, cotangent, lane * dim + integer(places, first + i))
                    put_real(one, rows, i * lanes + lane, value)
                for lane in range(n_here, lanes):
                    put_real(one, rows, i * lanes + lane, 0.0)
        else:
            for i in range(width * lanes):
                put_real(one, rows, i, real(one, cotangent, integer(places, first * lanes + i)))
        seed_gradient(one, psi, lam, rows, first, first + width)


@inlined
def amplitude_gradients(one, header, lam, x, gx, n_here, feature_stride, sample_stride):
    """Adds the gradients of amplitude-encoded features; ``lam`` stands at the initial state."""
    lanes, size = WIDTH // itemsize(one), itemsize(one)
    n, bits = integer(header, N_FEATURES), integer(header, LANE_BITS)
    if bits == 0:
        for lane in range(n_here):
            sample, to = x + lane * sample_stride * size, gx + lane * n * size
            amplitude_gradient(one, sample, feature_stride, n, lam + lane * size, 2 * lanes, to)
        return
    # Real parts stand in every other vector: brought together at the front, none of them is read after it is written.
    for f in range(n):
        put_real(one, lam, f, real(one, lam, (f >> bits) * 2 * lanes + (f & (lanes - 1))))
    amplitude_gradient(one, x, feature_stride, n, lam, 1, gx)
