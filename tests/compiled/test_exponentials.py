"""Exponentials of compiled kernels against the C library's and mpmath's."""

import ctypes
import math
from collections.abc import Callable

import mpmath
import numba
import numpy as np
import pytest

from qmoe.compiled import addresses, cache
from qmoe.compiled.exponentials import exponential, own_exponential, sigmoid, tangent


def write_all(one, place, out, n):  # type: ignore[no-untyped-def]
    """The three functions of ``n`` doubles at ``place``, one after another."""
    for i in range(n):
        x = addresses.double(place, i)
        addresses.put_double(out, i, exponential(x))
        addresses.put_double(out, n + i, sigmoid(x))
        addresses.put_double(out, 2 * n + i, tangent(x))


def write_own(one, place, out, n):  # type: ignore[no-untyped-def]
    """Exponentials of ``n`` numbers of the type of ``one``, in their precision."""
    numbers = numba.carray(addresses.pointer_like(place, one), n)
    values = numba.carray(addresses.pointer_like(out, one), n)
    for i in range(n):
        values[i] = own_exponential(numbers[i])


def compiled(kernel: Callable[..., None], real: type) -> Callable[[np.ndarray, np.ndarray], None]:
    """A kernel of this file as a function of numbers and of where its results go."""
    symbol = f"qmoe_{kernel.__name__}_{real.__name__}"
    code = addresses.compile_object(kernel, np.dtype(real).itemsize, 3, symbol)
    engine, address = cache._load(code, symbol)
    scalar = np.ctypeslib.as_ctypes_type(real)
    integers = [ctypes.c_int64] * 3
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, scalar, *integers)(address)

    def call(x: np.ndarray, out: np.ndarray) -> None:
        assert x.dtype == out.dtype == real
        assert engine is not None
        places = (ctypes.c_void_p * 2)()
        first = ctypes.addressof(places)
        assert function(first, first + 8, 1.0, x.ctypes.data, out.ctypes.data, len(x)) == 0

    return call


@pytest.fixture(scope="module")
def run() -> Callable[[np.ndarray], np.ndarray]:
    """``(n,)`` to ``(3, n)``: exponentials, sigmoids, hyperbolic tangents."""
    fill = compiled(write_all, np.float64)

    def call(x: np.ndarray) -> np.ndarray:
        out = np.empty((3, len(x)))
        fill(x, out)
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


def test_exponentials_of_32_bits_are_right_to_the_last_bits() -> None:
    run, rng = compiled(write_own, np.float32), np.random.default_rng(1)
    near = math.log(2) * (np.arange(-40, 40) + 0.5)
    x = np.concatenate([rng.uniform(-87, 87, 3000), rng.normal(size=3000), rng.normal(size=500) * 1e-5, near, [0.0]])
    x = x.astype(np.float32)
    got = np.empty_like(x)
    run(x, got)
    errors = np.abs(got.astype(np.float64) / np.exp(x.astype(np.float64)) - 1)
    assert errors.max() < 3 * 2.0**-24


def test_ends_of_the_range_of_32_bits() -> None:
    x = np.array([-np.inf, -1e30, -88, 88, 1e30, np.inf, np.nan, 0.0, -0.0], np.float32)
    got = np.empty_like(x)
    compiled(write_own, np.float32)(x, got)
    np.testing.assert_array_equal(got, np.array([0, 0, 0, np.inf, np.inf, np.inf, np.nan, 1, 1], np.float32))


def test_exponentials_take_the_precision_of_their_argument() -> None:
    x, got = points(), np.empty(len(points()))
    compiled(write_own, np.float64)(x, got)
    np.testing.assert_allclose(got, np.exp(x), rtol=3 * 2.0**-53, atol=0)
