"""Exponentials in a form that compilers turn into vector instructions."""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload

from qmoe.compiled.addresses import OPTIONS, inlined, times_power_of_two

# log 2 in two parts, the first of 32 bits, so that n times it is exact for the n that occur (Cody and Waite 1980).
_L1 = math.floor(math.log(2) * 2**32) / 2**32
_L2 = 1.9082149292705877e-10  # what is left of log 2 = 0.693147180559945309417232121458176568 after the first part
_ROUND = 1.5 * 2**52
#: Below this the exponential is taken to be 0, above its negative infinity; what lies between is a normal number.
_LIMIT = 708.0
# The same for numbers of 32 bits; the first part of log 2 has 9 bits.
_L1_SINGLE = 355 / 512
_L2_SINGLE = -2.1219444005469058e-4
_ROUND_SINGLE = 1.5 * 2**23
_LIMIT_SINGLE = 87.0


@inlined
def exponential(x):
    """``exp(x)`` of a double to the last bit or two; NaN stays.

    With ``x = n log 2 + r``, it is ``2**n`` times the Taylor series of ``exp(r)`` to the power 13 (error below 1e-17).
    """
    bounded = min(max(x, -_LIMIT), _LIMIT)
    shifted = bounded * (1 / math.log(2)) + _ROUND
    n = shifted - _ROUND
    r = (bounded - n * _L1) - n * _L2
    p = 1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (
        1 / 479001600 + r * (1 / 6227020800))))))  # fmt: skip
    p = 1.0 + r * (1.0 + r * (0.5 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * p))))))
    value = times_power_of_two(p, shifted)
    value = 0.0 if x < -_LIMIT else value
    value = np.inf if x > _LIMIT else value
    return value if x == x else x


@inlined
def single_exponential(x):
    """The same of a number of 32 bits, in such numbers, to their last bit or two; here the series ends at the power 7."""
    f = np.float32
    bounded = min(max(x, f(-_LIMIT_SINGLE)), f(_LIMIT_SINGLE))
    shifted = bounded * f(1 / math.log(2)) + f(_ROUND_SINGLE)
    n = shifted - f(_ROUND_SINGLE)
    r = (bounded - n * f(_L1_SINGLE)) - n * f(_L2_SINGLE)
    p = f(1 / 24) + r * (f(1 / 120) + r * (f(1 / 720) + r * f(1 / 5040)))
    p = f(1) + r * (f(1) + r * (f(0.5) + r * (f(1 / 6) + r * p)))
    value = times_power_of_two(p, shifted)
    value = f(0) if x < f(-_LIMIT_SINGLE) else value
    value = f(np.inf) if x > f(_LIMIT_SINGLE) else value
    return value if x == x else x


def own_exponential(x):
    """``exp(x)`` in the precision of ``x``; in kernels only."""
    raise NotImplementedError


@overload(own_exponential, inline="always", jit_options=OPTIONS)
def _own_exponential(x):
    if x == types.float32:
        return lambda x: single_exponential(x)
    return lambda x: exponential(x)


@inlined
def sigmoid(x):
    """``1 / (1 + exp(-x))`` of a double; NaN stays."""
    small = exponential(-abs(x))
    return (1.0 if x >= 0 else small) / (1.0 + small)


@inlined
def tangent(x):
    """``tanh(x)`` of a double, to the last bits of 1; NaN stays."""
    small = exponential(-2.0 * abs(x))
    value = (1.0 - small) / (1.0 + small)
    return -value if x < 0 else value
