"""Inside the kernels: from weights and features to cosines and sines, and from gradients of angles back to both."""

from __future__ import annotations

from qmoe.compiled.addresses import double, inlined, inner, integer, itemsize, odd, put_double, put_real, real
from qmoe.compiled.lanes import WIDTH
from qmoe.compiled.trigonometry import cos_sin, walsh_hadamard
from qmoe.compiled.vectors import fill_lanes, sum_lanes
from qmoe.engines.native.kernels.state_passes import butterflies
from qmoe.engines.native.layout import (
    COEFFICIENTS,
    FACTORS,
    FEATURE,
    GRADIENTS,
    LANE_BITS,
    LANE_SIGNS,
    N_FEATURES,
    N_QUBITS,
    N_SHARED,
    N_SLOTS,
    N_TABLES,
    N_TERMS,
    SOURCES,
    TABLE_GRADIENTS,
    TABLES,
    TERM_FACTORS,
    TERMS,
    WEIGHT,
    WORK,
)


@inner
def transform(one, values, n):
    """Walsh-Hadamard transform of ``n`` vectors of lanes."""
    bit = 0
    while 1 << bit < n:
        butterflies(one, values, bit, n)
        bit += 1


@inner
def norm_of(one, x, n, stride):
    """Euclidean norm of ``n`` numbers, ``stride`` apart."""
    largest, total = 0.0, 0.0
    for f in range(n):
        largest = max(largest, abs(real(one, x, f * stride)))
    # Squares of very small and very large numbers would leave the range.
    for f in range(n):
        total += (real(one, x, f * stride) / largest) ** 2
    return largest * total**0.5


@inlined
def half_angle(one, kind, index, factors, i, weights, x, feature_stride):
    """Half of an angle: ``(factor, offset)`` number ``i`` in ``factors``, applied to a weight, a feature or nothing."""
    value = 0.0
    if kind == WEIGHT:
        value = real(one, weights, index)
    elif kind == FEATURE:
        value = real(one, x, index * feature_stride)
    return 0.5 * (double(factors, 2 * i) * value + double(factors, 2 * i + 1))


@inner
def share_angles(one, header, at, weights, x, feature_stride):
    """Cosines and sines of the angles of all slots that the lanes share, the sine with its sign in each lane."""
    lanes = WIDTH // itemsize(one)
    n = integer(header, N_SHARED)
    work, sources, factors = integer(at, WORK), integer(header, SOURCES), integer(header, FACTORS)
    for s in range(n):
        kind, index = integer(sources, 2 * s), integer(sources, 2 * s + 1)
        put_double(work, s, half_angle(one, kind, index, factors, s, weights, x, feature_stride))
    cos_sin(work, n)
    to = integer(at, COEFFICIENTS)
    for s in range(n):
        sign = integer(integer(header, LANE_SIGNS), s)
        cos, sin = double(work, n + s), double(work, 2 * n + s)
        fill_lanes(one, to, 2 * s, cos)
        fill_lanes(one, to, 2 * s + 1, sin)
        if sign:
            for lane in range(lanes):
                put_real(one, to, (2 * s + 1) * lanes + lane, -sin if odd(sign & lane) else sin)


@inner
def share_tables(one, header, at, weights, x, feature_stride):
    """The tables of phases: cosine and sine for every basis state."""
    dim = 1 << integer(header, N_QUBITS)
    n = integer(header, N_TABLES) * dim
    work = integer(at, WORK)
    for k in range(n):
        put_double(work, k, 0.0)
    terms, factors = integer(header, TERMS), integer(header, TERM_FACTORS)
    for t in range(integer(header, N_TERMS)):
        # A term is (table, mask, kind, index).
        place = integer(terms, 4 * t) * dim + integer(terms, 4 * t + 1)
        kind, index = integer(terms, 4 * t + 2), integer(terms, 4 * t + 3)
        # A basis state of even parity turns by minus half the angle.
        angle = half_angle(one, kind, index, factors, t, weights, x, feature_stride)
        put_double(work, place, double(work, place) - angle)
    for first in range(0, n, dim):
        walsh_hadamard(work + 8 * first, dim)
    cos_sin(work, n)
    write_table(
        one, integer(at, TABLES), work + 8 * n, n, 1 if integer(header, LANE_BITS) == 0 else WIDTH // itemsize(one)
    )


@inlined
def write_table(one, table, cosines, n, width):
    """Cosines and sines (behind them) alternating, ``width`` at a time."""
    for first in range(0, n, width):
        for i in range(width):
            put_real(one, table, 2 * first + i, double(cosines, first + i))
            put_real(one, table, 2 * first + width + i, double(cosines, n + first + i))


@inner
def encode_samples(one, header, at, x, n_here, feature_stride, sample_stride):
    """Cosines and sines of the angles of each sample of a block; lanes without a sample get the angle 0."""
    lanes = WIDTH // itemsize(one)
    shared = integer(header, N_SHARED)
    each = integer(header, N_SLOTS) - shared
    n = each * lanes
    work, sources, factors = integer(at, WORK), integer(header, SOURCES), integer(header, FACTORS)
    for e in range(each):
        feature = integer(sources, 2 * (shared + e) + 1) * feature_stride
        factor, offset = double(factors, 2 * (shared + e)), double(factors, 2 * (shared + e) + 1)
        if sample_stride == 1:  # known to be so, it compiles to vector instructions
            for lane in range(n_here):
                value = real(one, x, feature + lane)
                put_double(work, e * lanes + lane, 0.5 * (factor * value + offset))
        else:
            for lane in range(n_here):
                value = real(one, x, feature + lane * sample_stride)
                put_double(work, e * lanes + lane, 0.5 * (factor * value + offset))
        for lane in range(n_here, lanes):
            put_double(work, e * lanes + lane, 0.5 * offset)
    cos_sin(work, n)
    to = integer(at, COEFFICIENTS) + 2 * shared * WIDTH
    for e in range(each):
        for lane in range(lanes):
            put_real(one, to, 2 * e * lanes + lane, double(work, n + e * lanes + lane))
            put_real(one, to, (2 * e + 1) * lanes + lane, double(work, 2 * n + e * lanes + lane))


@inlined
def slot_gradient(one, header, at, s):
    """Sum over lanes of the gradient of slot ``s``, with the sine's sign in each."""
    gradients, sign = integer(at, GRADIENTS), integer(integer(header, LANE_SIGNS), s)
    if sign == 0:
        return sum_lanes(one, gradients, s)
    lanes, total = WIDTH // itemsize(one), 0.0
    for lane in range(lanes):
        value = real(one, gradients, s * lanes + lane)
        total += -value if odd(sign & lane) else value
    return total


@inlined
def add_real(one, address, index, value):
    """Adds to a number in memory."""
    put_real(one, address, index, real(one, address, index) + value)


@inlined
def accumulate_shared(one, header, at, gw, gx):
    """Adds the gradients of the shared slots to those of the weights ``gw``, and of the features unless ``gx`` is 0."""
    sources, factors = integer(header, SOURCES), integer(header, FACTORS)
    for s in range(integer(header, N_SHARED)):
        kind = integer(sources, 2 * s)
        to = gw if kind == WEIGHT else (gx if kind == FEATURE else 0)
        if to != 0:
            gradient = 0.5 * double(factors, 2 * s) * slot_gradient(one, header, at, s)
            add_real(one, to, integer(sources, 2 * s + 1), gradient)


@inlined
def accumulate_term(one, header, t, total, gw, gx):
    """Adds the gradient of term ``t``, whose phase has the gradient ``total``."""
    terms = integer(header, TERMS)
    kind = integer(terms, 4 * t + 2)
    to = gw if kind == WEIGHT else (gx if kind == FEATURE else 0)
    if to != 0:
        add_real(one, to, integer(terms, 4 * t + 3), -0.5 * double(integer(header, TERM_FACTORS), 2 * t) * total)


@inlined
def sum_phases(one, header, to, source, n):
    """Writes the gradients of the phases of ``n`` basis states to doubles, summed over lanes that are samples."""
    if integer(header, LANE_BITS) == 0:
        for k in range(n):
            put_double(to, k, sum_lanes(one, source, k))
    else:
        for k in range(n):
            put_double(to, k, real(one, source, k))


@inlined
def accumulate_tables(one, header, at, gw, gx):
    """Adds the gradients of the phases to those of the weights, and of the features unless ``gx`` is 0."""
    dim = 1 << integer(header, N_QUBITS)
    n = integer(header, N_TABLES) * dim
    work = integer(at, WORK)
    sum_phases(one, header, work, integer(at, TABLE_GRADIENTS), n)
    for first in range(0, n, dim):
        walsh_hadamard(work + 8 * first, dim)
    terms = integer(header, TERMS)
    for t in range(integer(header, N_TERMS)):
        total = double(work, integer(terms, 4 * t) * dim + integer(terms, 4 * t + 1))
        accumulate_term(one, header, t, total, gw, gx)


@inlined
def accumulate_samples(one, header, at, gx, n_here):
    """Adds the gradients of the angles of each sample of a block to ``gx`` ``(n_here, F)``."""
    lanes = WIDTH // itemsize(one)
    n_features = integer(header, N_FEATURES)
    sources, factors = integer(header, SOURCES), integer(header, FACTORS)
    for s in range(integer(header, N_SHARED), integer(header, N_SLOTS)):
        for lane in range(n_here):
            gradient = 0.5 * double(factors, 2 * s) * real(one, integer(at, GRADIENTS), s * lanes + lane)
            add_real(one, gx, lane * n_features + integer(sources, 2 * s + 1), gradient)


@inner
def amplitude_gradient(one, x, stride, n, gradients, gradient_stride, gx):
    """Adds to ``gx`` the gradient of ``n`` features, from that of the amplitudes ``x / |x|``."""
    norm = norm_of(one, x, n, stride)
    along = 0.0
    for f in range(n):
        along += real(one, x, f * stride) / norm * real(one, gradients, f * gradient_stride)
    for f in range(n):
        across = real(one, gradients, f * gradient_stride) - real(one, x, f * stride) / norm * along
        add_real(one, gx, f, across / norm)
