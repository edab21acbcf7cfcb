"""Cosines and sines of whole arrays, in a form that compilers turn into vector instructions."""

from __future__ import annotations

import math

import numpy as np

from qmoe.compiled.addresses import double, fused, inner, put_double

# pi/2 in three parts of at most 33 bits, so that n times the first two is exact for n < 2**20 (Cody and Waite 1980).
_P1 = float(np.float32(math.pi / 2))
_P2 = float(np.float32(math.pi / 2 - _P1))
# What is left of pi/2 = 1.57079632679489661923132169163975144 after both.
_P3 = 6.123233995736766e-17 + (math.pi / 2 - _P1 - _P2)
_LIMIT = 1e6
#: Added to a number and taken off again, it leaves the nearest integer; floors would go through integers, one by one.
_ROUND = 1.5 * 2**52


@fused
def cos_sin(angles, n):
    """For ``n`` doubles at address ``angles``, writes the cosines behind them and the sines behind those.

    The angle is reduced to ``[-pi/4, pi/4]``, where the Taylor series to the power 17 are exact to the last bit or so
    (error below 3e-16 for angles below 1e6). Larger angles take the slow road.
    """
    cosines, sines = angles + 8 * n, angles + 16 * n
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(double(angles, i)))
    if not largest < _LIMIT:
        for i in range(n):
            put_double(cosines, i, math.cos(double(angles, i)))
            put_double(sines, i, math.sin(double(angles, i)))
        return
    for i in range(n):
        x = double(angles, i)
        turns = x * (2 / math.pi) + _ROUND - _ROUND
        r = ((x - turns * _P1) - turns * _P2) - turns * _P3
        z = r * r
        s = -1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + z * (-1 / 39916800 + z * (
            1 / 6227020800 + z * (-1 / 1307674368000 + z * (1 / 355687428096000)))))))  # fmt: skip
        s = r + r * (z * s)
        c = 1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z * (1 / 479001600 + z * (
            -1 / 87178291200 + z * (1 / 20922789888000))))))  # fmt: skip
        c = 1.0 + z * (-0.5 + z * c)
        # Quarter turns 0 .. 3: (c, s), (-s, c), (-c, -s), (s, -c).
        quarter = turns - 4.0 * (turns * 0.25 - 0.375 + _ROUND - _ROUND)
        swap = quarter == 1.0 or quarter == 3.0
        cosine = s if swap else c
        sine = c if swap else s
        put_double(cosines, i, -cosine if quarter == 1.0 or quarter == 2.0 else cosine)
        put_double(sines, i, -sine if quarter >= 2.0 else sine)


@inner
def walsh_hadamard(values, n):
    """Replaces ``n`` (a power of 2) doubles at address ``values`` by ``sum_m (-1)^parity(m & k) values[m]``."""
    half = 1
    while half < n:
        for first in range(0, n, 2 * half):
            for i in range(first, first + half):
                a, b = double(values, i), double(values, i + half)
                put_double(values, i, a + b)
                put_double(values, i + half, a - b)
        half *= 2
