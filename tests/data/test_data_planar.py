"""Noisy curves: the samples are sklearn's, and the declared truth agrees with independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.datasets import make_circles, make_moons

from qmoe.data import Circles, Moons, Spirals
from qmoe.data.curves import NoisyCurves
from qmoe.data.planar import PlanarCurves
from qmoe.errors import ConfigError


@pytest.mark.parametrize(("n_samples", "noise", "seed"), [(500, 0.1, 42), (1000, 0.1, 0), (7, 0.0, 3)])
def test_moons_are_those_of_sklearn(n_samples: int, noise: float, seed: int) -> None:
    x, y = make_moons(n_samples, noise=noise, random_state=seed)
    points = Moons(n_samples, noise).sample(seed)
    np.testing.assert_array_equal(points.x, x)
    np.testing.assert_array_equal(points.y, y)


@pytest.mark.parametrize(("n_samples", "noise", "factor", "seed"), [(500, 0.1, 0.5, 42), (9, 0.0, 0.0, 1)])
def test_circles_are_those_of_sklearn(n_samples: int, noise: float, factor: float, seed: int) -> None:
    x, y = make_circles(n_samples, noise=noise, factor=factor, random_state=seed)
    points = Circles(n_samples, noise, factor).sample(seed)
    np.testing.assert_array_equal(points.x, x)
    np.testing.assert_array_equal(points.y, y)


def test_spirals_without_noise_lie_on_their_arms() -> None:
    dataset = Spirals(n_samples=301, noise=0.0, turns=2.0, n_classes=3)
    points = dataset.sample(0)
    radius = np.linalg.norm(points.x, axis=1)
    assert radius.min() >= 0.1
    assert radius.max() <= 1.0
    turned = np.arctan2(points.x[:, 1], points.x[:, 0]) / (2.0 * np.pi) - points.y / 3
    np.testing.assert_allclose(np.cos(2 * np.pi * (turned - 2.0 * (radius - 0.1) / 0.9)), 1.0, atol=1e-12)
    assert np.bincount(points.y).tolist() == [101, 100, 100]


def test_spirals_refuse_fewer_rows_than_classes() -> None:
    with pytest.raises(ConfigError, match="n_samples=2 leaves some of the 3 classes empty; take n_samples >= 3"):
        Spirals(n_samples=2, n_classes=3)


@pytest.mark.parametrize(
    "dataset",
    [
        Moons(50_000, 0.1),
        Moons(50_000, 0.3),
        Circles(50_000, 0.2, 0.8),
        Circles(50_000, 0.15, 0.0),
        Spirals(20_000, 0.1, 1.5, 3),
        Spirals(20_000, 0.05, 3.0),
    ],
)
def test_bayes_error_is_the_rate_at_which_the_posterior_errs(dataset: PlanarCurves) -> None:
    points = dataset.sample(1)
    posterior = dataset.posterior(points.x)
    error = dataset.bayes_error()
    assert error is not None
    wrong = (posterior.argmax(axis=1) != points.y).mean()
    assert abs(wrong - error) < 4.0 * np.sqrt(error * (1.0 - error) / len(points.y))
    # The mean of 1 - max posterior estimates the same number with less variance.
    doubt = 1.0 - posterior.max(axis=1)
    assert abs(doubt.mean() - error) < 4.0 * doubt.std() / np.sqrt(len(doubt)) + 1e-5


@pytest.mark.parametrize(("noise", "factor"), [(0.1, 0.5), (0.3, 0.8), (1.0, 0.2), (0.05, 0.9)])
def test_circles_agree_with_the_distribution_of_the_radius(noise: float, factor: float) -> None:
    dataset = Circles(noise=noise, factor=factor)
    outer, inner = stats.rice(1.0 / noise, scale=noise), stats.rice(factor / noise, scale=noise)
    radius = np.linspace(0.0, 1.0 + 10.0 * noise, 200_001)
    exact = 0.5 * integrate.trapezoid(np.minimum(outer.pdf(radius), inner.pdf(radius)), radius)
    assert dataset.bayes_error() == pytest.approx(exact, abs=1e-5)
    radii = np.array([0.1, 0.6, 0.75, 1.3])
    x = radii[:, None] * np.array([np.cos(0.7), np.sin(0.7)])
    expected = inner.pdf(radii) / (inner.pdf(radii) + outer.pdf(radii))
    np.testing.assert_allclose(dataset.posterior(x)[:, 1], expected, rtol=1e-8)


@pytest.mark.parametrize("noise", [0.1, 0.3, 2.0])
def test_moons_posterior_agrees_with_adaptive_integration(noise: float) -> None:
    def density(x: np.ndarray, curve: int) -> float:
        def at(t: float) -> float:
            centre = np.array([np.cos(t), np.sin(t)])
            centre = np.array([1.0, 0.5]) - centre if curve else centre
            return float(np.exp(-0.5 * np.sum(np.square((x - centre) / noise))))

        return float(integrate.quad(at, 0.0, np.pi, epsabs=0.0, epsrel=1e-10, limit=200)[0])

    points = np.array([[0.5, 0.25], [0.0, 0.1], [1.2, 0.4], [-0.3, -0.2]])
    for point, posterior in zip(points, Moons(noise=noise).posterior(points), strict=True):
        both = np.array([density(point, 0), density(point, 1)])
        np.testing.assert_allclose(posterior, both / both.sum(), rtol=1e-7)


def test_the_default_moons_have_this_bayes_error() -> None:
    assert Moons().bayes_error() == pytest.approx(6.43e-4, abs=2e-5)


def test_moons_are_symmetric_under_the_turn_that_exchanges_them() -> None:
    x = np.array([[0.3, 0.9], [-1.0, 2.0], [0.5, 0.25]])
    turned = np.array([1.0, 0.5]) - x
    dataset = Moons(noise=0.2)
    np.testing.assert_allclose(dataset.posterior(x), dataset.posterior(turned)[:, ::-1], rtol=1e-9)
    np.testing.assert_allclose(dataset.posterior(x[2:]), [[0.5, 0.5]], rtol=1e-9)


@pytest.mark.parametrize("dataset", [Moons(noise=0.0), Circles(noise=0.0), Spirals(noise=0.0), Moons(noise=1e-5)])
def test_without_overlap_the_error_is_zero_and_the_nearest_curve_is_certain(dataset: PlanarCurves) -> None:
    points = dataset.sample(0)
    assert dataset.bayes_error() == 0.0
    np.testing.assert_array_equal(dataset.posterior(points.x), np.eye(2)[points.y])


def test_overlap_too_fine_for_the_grid_gives_no_number_rather_than_a_wrong_one() -> None:
    assert Circles(noise=1e-4, factor=0.9999).bayes_error() is None


def test_more_noise_is_harder_and_more_turns_are_too() -> None:
    moons = [Moons(noise=noise).bayes_error() for noise in (0.05, 0.1, 0.2, 0.4, 1.0)]
    spirals = [Spirals(turns=turns).bayes_error() for turns in (1.0, 2.0, 3.0, 5.0)]
    for errors in (moons, spirals):
        known = np.array([error for error in errors if error is not None])
        assert len(known) == len(errors)
        assert (np.diff(known) > 0.0).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    noise=st.floats(0.0, 1e6),
    x=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=3),
)
def test_posterior_is_a_probability_for_any_noise_at_any_point(noise: float, x: list[tuple[float, float]]) -> None:
    posterior = Moons(noise=noise).posterior(np.array(x))
    assert ((posterior >= 0.0) & (posterior <= 1.0)).all()
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-12)


def test_coinciding_curves_leave_only_guessing() -> None:
    def line(t: np.ndarray) -> np.ndarray:
        return np.stack([t, np.zeros_like(t)], axis=-1)

    same = NoisyCurves((line, line), 0.3)
    assert same.bayes_error() == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose(same.posterior(np.array([[0.2, 5.0]])), 0.5)
