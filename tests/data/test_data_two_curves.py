"""Two curves of Fourier series: the published definition, and the truth by another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from qmoe.data import TwoCurves
from qmoe.data.curves import NoisyCurves


def test_without_noise_every_row_lies_on_the_series_of_its_class() -> None:
    dataset = TwoCurves(n_samples=40, n_features=3, degree=4, noise=0.0, offset=0.3)
    points = dataset.sample(2)
    cosines, sines = dataset._coefficients()
    assert np.square(cosines).sum() + np.square(sines).sum() == pytest.approx(1.0, rel=1e-14)
    assert min(cosines.min(), sines.min()) >= 0.0
    grid = np.linspace(0.0, 1.0, 20_001)
    for x, label in zip(points.x, points.y, strict=True):
        nearest = np.linalg.norm(dataset.curves().curves[label](grid) - x, axis=1).argmin()
        for i in range(3):
            value = cosines[i, 0] + sines[i, 0] + 0.3 * label
            for k in (1, 2, 3, 4):
                angle = k * math.pi * grid[nearest]
                value += cosines[i, k] * math.cos(angle) + sines[i, k] * math.sin(angle)
            assert value == pytest.approx(x[i], abs=1e-3)


@pytest.mark.parametrize("n_samples", [100, 101])
def test_classes_are_balanced_and_in_random_order(n_samples: int) -> None:
    y = TwoCurves(n_samples).sample(0).y
    assert np.bincount(y).tolist() == [n_samples - n_samples // 2, n_samples // 2]
    assert not np.array_equal(y, np.sort(y))


def test_noise_has_the_declared_spread() -> None:
    clean, noisy = (TwoCurves(20_000, noise=noise).sample(4) for noise in (0.0, 0.05))
    np.testing.assert_array_equal(clean.y, noisy.y)
    difference = noisy.x - clean.x
    assert difference.std() == pytest.approx(0.05, rel=0.02)
    np.testing.assert_allclose(np.cov(difference.T) / 0.05**2, np.eye(4), atol=0.05)


def test_equal_classes_cannot_be_told_apart_and_distant_ones_always() -> None:
    for n_features in (2, 3):
        assert TwoCurves(n_features=n_features, offset=0.0, degree=1).bayes_error() == pytest.approx(0.5, abs=1e-4)
        assert TwoCurves(n_features=n_features, offset=5.0).bayes_error() == 0.0


@pytest.mark.parametrize("n_features", [1, 3, 5])
def test_sampled_bayes_error_of_two_points_is_the_closed_form(n_features: int) -> None:
    def at(where: float) -> NoisyCurves:
        return lambda t: np.full((len(t), n_features), where)

    curves = NoisyCurves((at(0.0), at(1.0)), 0.8)
    assert curves.bayes_error() == pytest.approx(stats.norm.cdf(-math.sqrt(n_features) / 1.6), abs=5e-4)


def test_sampled_bayes_error_is_that_of_the_grid_where_an_axis_says_nothing() -> None:
    plane = TwoCurves(n_features=2, noise=0.05).curves()
    lifted = tuple((lambda t, c=curve: np.column_stack([c(t), np.zeros(len(t))])) for curve in plane.curves)
    assert NoisyCurves(lifted, plane.noise).bayes_error() == pytest.approx(plane.bayes_error(), abs=1e-3)


def test_posterior_is_that_of_a_sum_over_the_curve() -> None:
    dataset = TwoCurves(n_features=3, noise=0.1, degree=2)
    x = dataset.sample(0).x[:20]
    t = (np.arange(20_000) + 0.5) / 20_000
    density = np.stack(
        [
            [np.exp(-0.5 * np.square((curve(t) - row) / 0.1).sum(axis=1)).sum() for row in x]
            for curve in dataset.curves().curves
        ],
        axis=1,
    )
    np.testing.assert_allclose(dataset.posterior(x), density / density.sum(axis=1, keepdims=True), atol=1e-6)
