"""SciPy's routine, called directly and through its public door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der

from qmoe.training import scipy_lbfgs
from qmoe.training.scipy_lbfgs import Limits, minimum


def rosenbrock(x: np.ndarray, gradient: np.ndarray) -> float:
    gradient[:] = rosen_der(x)
    return float(rosen(x))


@settings(deadline=None)
@given(
    start=st.lists(st.floats(-3, 3), min_size=2, max_size=9),
    iterations=st.integers(1, 60),
    memory=st.integers(1, 12),
    tolerance=st.floats(1e-9, 1e-1),
)
def test_both_ways_give_the_same_numbers_to_the_last_bit(
    start: list[float], iterations: int, memory: int, tolerance: float
) -> None:
    limits = Limits(iterations, tolerance, memory)
    x, n = scipy_lbfgs._directly(rosenbrock, np.array(start), limits)
    expected, n_expected = scipy_lbfgs._publicly(rosenbrock, np.array(start), limits)
    np.testing.assert_array_equal(x, expected)
    assert n == n_expected <= iterations


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_both_ways_end_alike_where_a_loss_is_not_finite(bad: float) -> None:
    def cliff(x: np.ndarray, gradient: np.ndarray) -> float:
        gradient[:] = 2 * x - 2
        return bad if x[0] > 0.5 else float(np.sum((x - 1) ** 2))

    limits, start = Limits(50, 1e-8, 5), np.zeros(3)
    x, n = scipy_lbfgs._directly(cliff, start, limits)
    expected, n_expected = scipy_lbfgs._publicly(cliff, start, limits)
    np.testing.assert_array_equal(x, expected)
    assert n == n_expected


def test_the_start_is_left_alone_and_the_minimum_found() -> None:
    start = np.array([-1.2, 1.0])
    x, _ = minimum(rosenbrock, start, Limits(200, 1e-9, 10))
    np.testing.assert_allclose(x, [1, 1], atol=1e-8)
    np.testing.assert_array_equal(start, [-1.2, 1.0])


def test_the_installed_routine_is_the_known_one() -> None:
    assert scipy_lbfgs._is_known()


def test_a_routine_with_other_arguments_is_found_out_and_the_public_door_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise TypeError("setulb() takes 14 arguments")

    monkeypatch.setattr("scipy.optimize._lbfgsb.setulb", refuses)
    monkeypatch.setattr(scipy_lbfgs, "_is_known", scipy_lbfgs._is_known.__wrapped__)
    monkeypatch.setattr(scipy_lbfgs, "_publicly", lambda *_: (np.zeros(2), 7))
    assert minimum(rosenbrock, np.zeros(2), Limits(5, 1e-3, 3))[1] == 7


def test_a_release_that_was_never_tried_takes_the_public_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.__version__", "1.18.0")
    monkeypatch.setattr("scipy.optimize._lbfgsb.setulb", lambda *_: pytest.fail("the routine was called"))
    assert not scipy_lbfgs._is_known.__wrapped__()


def test_a_routine_that_ends_elsewhere_is_not_the_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    publicly = scipy_lbfgs._publicly

    def a_little_off(*arguments: object) -> tuple[np.ndarray, int]:
        x, n = publicly(*arguments)  # type: ignore[arg-type]
        return np.nextafter(x, 9), n

    monkeypatch.setattr(scipy_lbfgs, "_publicly", a_little_off)
    assert not scipy_lbfgs._is_known.__wrapped__()
