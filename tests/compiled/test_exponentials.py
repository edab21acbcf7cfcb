"""Exponentials of compiled kernels against the C library's and mpmath's."""

import ctypes
import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from qmoe.compiled import addresses, cache
from qmoe.compiled.exponentials import exponential, sigmoid, tangent


def write_all(one, place, out, n):  # type: ignore[no-untyped-def]
    """The three functions of ``n`` doubles at ``place``, one after another."""
    for i in range(n):
        x = addresses.double(place, i)
        addresses.put_double(out, i, exponential(x))
        addresses.put_double(out, n + i, sigmoid(x))
        addresses.put_double(out, 2 * n + i, tangent(x))


@pytest.fixture(scope="module")
def run() -> Callable[[np.ndarray], np.ndarray]:
    """``(n,)`` to ``(3, n)``: exponentials, sigmoids, hyperbolic tangents."""
    code = addresses.compile_object(write_all, 8, 3, "qmoe_write_all")
    engine, address = cache._load(code, "qmoe_write_all")
    integers = [ctypes.c_int64] * 3
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, *integers)(address)

    def call(x: np.ndarray) -> np.ndarray:
        out, places = np.empty((3, len(x))), (ctypes.c_void_p * 2)()
        first = ctypes.addressof(places)
        assert function(first, first + 8, 1.0, x.ctypes.data, out.ctypes.data, len(x)) == 0
        assert engine is not None
        return out

    return call


def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    near = math.log(2) * (np.arange(-40, 40) + 0.5)  # where the number of halvings changes
    return np.concatenate(
        [rng.uniform(-708, 708, 3000), rng.normal(size=3000), rng.normal(size=500) * 1e-9, near, [0.0]]
    )


def test_exponentials_are_right_to_the_last_bits(run: Callable[[np.ndarray], np.ndarray]) -> None:
    x = points()
    with mpmath.workprec(120):
        exact = [mpmath.exp(mpmath.mpf(value)) for value in x]
        errors = [float(abs(mpmath.mpf(got) / want - 1)) for got, want in zip(run(x)[0], exact, strict=True)]
    assert max(errors) < 3 * 2.0**-53


def test_sigmoids_and_tangents_are_right_to_the_last_bits_of_one(run: Callable[[np.ndarray], np.ndarray]) -> None:
    x = points()
    _, sigmoids, tangents = run(x)
    with mpmath.workprec(120):
        wanted = [(1 / (1 + mpmath.exp(-mpmath.mpf(v))), mpmath.tanh(mpmath.mpf(v))) for v in x]
    np.testing.assert_allclose(sigmoids, [float(s) for s, _ in wanted], rtol=0, atol=3 * 2.0**-53)
    np.testing.assert_allclose(tangents, [float(t) for _, t in wanted], rtol=0, atol=3 * 2.0**-53)


def test_ends_of_the_range(run: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.array([-np.inf, -1e300, -709.0, 709.0, 1e300, np.inf, np.nan, 0.0, -0.0])
    exponentials, sigmoids, tangents = run(x)
    np.testing.assert_array_equal(exponentials, [0, 0, 0, np.inf, np.inf, np.inf, np.nan, 1, 1])
    np.testing.assert_array_equal(sigmoids, [0, 0, 0, 1, 1, 1, np.nan, 0.5, 0.5])
    np.testing.assert_array_equal(tangents, [-1, -1, -1, 1, 1, 1, np.nan, 0, 0])
