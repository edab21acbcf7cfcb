"""Inside the kernels: from weights and features to cosines and sines, and from gradients of angles back to both."""

from __future__ import annotations

import numba
import numpy as np

from qmoe.engines.native import program as pg
from qmoe.engines.native.compiling import inner, itemsize, pointer_double, pointer_int, pointer_like
from qmoe.engines.native.lanes import WIDTH
from qmoe.engines.native.lowering import FEATURE, WEIGHT
from qmoe.engines.native.passes import butterflies
from qmoe.engines.native.trigonometry import cos_sin, walsh_hadamard

carray = numba.carray


@inner
def odd(bits):  # type: ignore[no-untyped-def]
    """1 where an odd number of bits is set, else 0."""
    parity = 0
    while bits:
        bits &= bits - 1
        parity ^= 1
    return parity


@inner
def transform(one, values, n):  # type: ignore[no-untyped-def]
    """Walsh-Hadamard transform of ``n`` vectors of lanes."""
    bit = 0
    while 1 << bit < n:
        butterflies(one, values, bit, n)
        bit += 1


@inner
def norm_of(x, n, stride):  # type: ignore[no-untyped-def]
    """Euclidean norm of ``n`` numbers, ``stride`` apart."""
    total = 0.0
    for f in range(n):
        total += np.float64(x[f * stride]) ** 2
    return np.sqrt(total)


@inner
def value_of(one, kind, index, weights, x, feature_stride):  # type: ignore[no-untyped-def]
    """What an angle is made of: a weight, a feature or nothing."""
    if kind == WEIGHT:
        return np.float64(weights[index])
    if kind == FEATURE:
        return np.float64(x[index * feature_stride])
    return 0.0


@inner
def share_slots(one, header, at, angles, weights, x, feature_stride):  # type: ignore[no-untyped-def]
    """Half the angles of the slots that all lanes share."""
    shared = header[pg.N_SHARED]
    sources = carray(pointer_int(header[pg.SOURCES], one), (2 * shared,))
    factors = carray(pointer_double(header[pg.FACTORS], one), (2 * shared,))
    for s in range(shared):
        value = value_of(one, sources[2 * s], sources[2 * s + 1], weights, x, feature_stride)
        angles[s] = 0.5 * (factors[2 * s] * value + factors[2 * s + 1])


@inner
def write_slots(one, header, at, cos, sin):  # type: ignore[no-untyped-def]
    """Coefficients of the shared slots, in every lane with the sine's sign there."""
    lanes = WIDTH // itemsize(one)
    shared = header[pg.N_SHARED]
    coefficients = carray(pointer_like(at[pg.COEFFICIENTS], one), (2 * shared * lanes,))
    lane_signs = carray(pointer_int(header[pg.LANE_SIGNS], one), (shared,))
    for s in range(shared):
        coefficients[2 * s * lanes : (2 * s + 1) * lanes] = cos[s]
        coefficients[(2 * s + 1) * lanes : (2 * s + 2) * lanes] = sin[s]
        if lane_signs[s]:
            for lane in range(lanes):
                if odd(lane_signs[s] & lane):
                    coefficients[(2 * s + 1) * lanes + lane] = -sin[s]


@inner
def share_angles(one, header, at, weights, x, feature_stride):  # type: ignore[no-untyped-def]
    """Cosines and sines of the angles of all slots that the lanes share."""
    n = header[pg.N_SHARED]
    work = carray(pointer_double(at[pg.WORK], one), (3 * n,))
    angles, cos, sin = work[:n], work[n : 2 * n], work[2 * n :]
    share_slots(one, header, at, angles, weights, x, feature_stride)
    cos_sin(angles, cos, sin, n)
    write_slots(one, header, at, cos, sin)


@inner
def share_tables(one, header, at, weights, x, feature_stride):  # type: ignore[no-untyped-def]
    """The tables of phases: cosine and sine for every basis state."""
    tables = header[pg.N_TABLES]
    dim = 1 << header[pg.N_QUBITS]
    n = tables * dim
    work = carray(pointer_double(at[pg.WORK], one), (3 * n,))
    angles, cos, sin = work[:n], work[n : 2 * n], work[2 * n :]
    angles[:] = 0.0
    terms = carray(pointer_int(header[pg.TERMS], one), (4 * header[pg.N_TERMS],))
    factors = carray(pointer_double(header[pg.TERM_FACTORS], one), (2 * header[pg.N_TERMS],))
    for t in range(header[pg.N_TERMS]):
        value = value_of(one, terms[4 * t + 2], terms[4 * t + 3], weights, x, feature_stride)
        angles[terms[4 * t] * dim + terms[4 * t + 1]] -= 0.5 * (factors[2 * t] * value + factors[2 * t + 1])
    for t in range(tables):
        walsh_hadamard(angles[t * dim :], dim)
    cos_sin(angles, cos, sin, n)
    write_table(one, at[pg.TABLES], cos, sin, n, 1 if header[pg.LANE_BITS] == 0 else WIDTH // itemsize(one))


@inner
def write_table(one, address, cos, sin, n, width):  # type: ignore[no-untyped-def]
    """Cosines and sines alternating, ``width`` at a time."""
    table = carray(pointer_like(address, one), (2 * n,))
    for first in range(0, n, width):
        for i in range(width):
            table[2 * first + i] = cos[first + i]
            table[2 * first + width + i] = sin[first + i]


@inner
def encode_samples(one, header, at, x, n_here, feature_stride, sample_stride):  # type: ignore[no-untyped-def]
    """Cosines and sines of the angles of each sample of a block; lanes without a sample get the angle 0."""
    lanes = WIDTH // itemsize(one)
    shared = header[pg.N_SHARED]
    each = header[pg.N_SLOTS] - shared
    if each == 0:
        return
    n = each * lanes
    work = carray(pointer_double(at[pg.WORK], one), (3 * n,))
    angles, cos, sin = work[:n], work[n : 2 * n], work[2 * n :]
    sources = carray(pointer_int(header[pg.SOURCES], one), (2 * (shared + each),))
    factors = carray(pointer_double(header[pg.FACTORS], one), (2 * (shared + each),))
    for e in range(each):
        s = shared + e
        feature = sources[2 * s + 1] * feature_stride
        for lane in range(lanes):
            value = np.float64(x[feature + lane * sample_stride]) if lane < n_here else 0.0
            angles[e * lanes + lane] = 0.5 * (factors[2 * s] * value + factors[2 * s + 1])
    cos_sin(angles, cos, sin, n)
    coefficients = carray(pointer_like(at[pg.COEFFICIENTS], one), (2 * (shared + each) * lanes,))
    for e in range(each):
        first = 2 * (shared + e) * lanes
        for lane in range(lanes):
            coefficients[first + lane] = cos[e * lanes + lane]
            coefficients[first + lanes + lane] = sin[e * lanes + lane]


@inner
def slot_gradient(one, header, gradients, s):  # type: ignore[no-untyped-def]
    """Sum over lanes of the gradient of slot ``s``, with the sine's sign in each."""
    lanes = WIDTH // itemsize(one)
    lane_sign = carray(pointer_int(header[pg.LANE_SIGNS], one), (header[pg.N_SLOTS],))[s]
    total = 0.0
    for lane in range(lanes):
        value = np.float64(gradients[s * lanes + lane])
        total += -value if lane_sign and odd(lane_sign & lane) else value
    return total


@inner
def accumulate_shared(one, header, at, gw, gx):  # type: ignore[no-untyped-def]
    """Adds the gradients of the shared slots to those of the weights ``gw`` and of the features ``gx``."""
    lanes = WIDTH // itemsize(one)
    shared = header[pg.N_SHARED]
    gradients = carray(pointer_like(at[pg.GRADIENTS], one), (header[pg.N_SLOTS] * lanes,))
    sources = carray(pointer_int(header[pg.SOURCES], one), (2 * shared,))
    factors = carray(pointer_double(header[pg.FACTORS], one), (2 * shared,))
    for s in range(shared):
        if sources[2 * s] == WEIGHT:
            gw[sources[2 * s + 1]] += 0.5 * factors[2 * s] * slot_gradient(one, header, gradients, s)
        elif sources[2 * s] == FEATURE and len(gx):
            gx[sources[2 * s + 1]] += 0.5 * factors[2 * s] * slot_gradient(one, header, gradients, s)


@inner
def accumulate_tables(one, header, at, gw, gx):  # type: ignore[no-untyped-def]
    """Adds the gradients of the phases to those of the weights and of the features."""
    lanes = WIDTH // itemsize(one)
    tables = header[pg.N_TABLES]
    dim = 1 << header[pg.N_QUBITS]
    sums = carray(pointer_double(at[pg.WORK], one), (tables * dim,))
    width = lanes if header[pg.LANE_BITS] == 0 else 1
    table = carray(pointer_like(at[pg.TABLE_GRADIENTS], one), (tables * dim * width,))
    for k in range(tables * dim):
        total = 0.0
        for lane in range(width):
            total += table[k * width + lane]
        sums[k] = total
    for t in range(tables):
        walsh_hadamard(sums[t * dim :], dim)
    terms = carray(pointer_int(header[pg.TERMS], one), (4 * header[pg.N_TERMS],))
    factors = carray(pointer_double(header[pg.TERM_FACTORS], one), (2 * header[pg.N_TERMS],))
    for t in range(header[pg.N_TERMS]):
        gradient = -0.5 * factors[2 * t] * sums[terms[4 * t] * dim + terms[4 * t + 1]]
        if terms[4 * t + 2] == WEIGHT:
            gw[terms[4 * t + 3]] += gradient
        elif terms[4 * t + 2] == FEATURE and len(gx):
            gx[terms[4 * t + 3]] += gradient


@inner
def accumulate_samples(one, header, at, out, n_here):  # type: ignore[no-untyped-def]
    """Adds the gradients of the angles of each sample of a block to ``out`` ``(n_here, F)``."""
    lanes = WIDTH // itemsize(one)
    n_features = header[pg.N_FEATURES]
    sources = carray(pointer_int(header[pg.SOURCES], one), (2 * header[pg.N_SLOTS],))
    factors = carray(pointer_double(header[pg.FACTORS], one), (2 * header[pg.N_SLOTS],))
    gradients = carray(pointer_like(at[pg.GRADIENTS], one), (header[pg.N_SLOTS] * lanes,))
    for s in range(header[pg.N_SHARED], header[pg.N_SLOTS]):
        for lane in range(n_here):
            out[lane * n_features + sources[2 * s + 1]] += 0.5 * factors[2 * s] * gradients[s * lanes + lane]
