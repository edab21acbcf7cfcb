"""Parity problems: labels follow their rule, and the closed forms agree with integration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.data import Checkerboard, Hyperplanes, Xor
from qmoe.errors import ConfigError


@pytest.mark.parametrize("n_dims", [1, 2, 3, 4])
def test_xor_labels_the_parity_of_the_positive_corner_coordinates(n_dims: int) -> None:
    points = Xor(n_samples=200, noise=0.0, n_dims=n_dims).sample(0)
    assert set(np.unique(points.x)) == {-1.0, 1.0}
    np.testing.assert_array_equal(points.y, (points.x > 0).sum(axis=1) % 2)


@pytest.mark.parametrize(("noise", "n_dims"), [(0.3, 2), (1.0, 2), (0.7, 1), (0.8, 3), (0.6, 5)])
def test_xor_bayes_error_is_the_closed_form_and_what_the_posterior_errs(noise: float, n_dims: int) -> None:
    dataset = Xor(200_000, noise, n_dims)
    slip = stats.norm.cdf(-1.0 / noise)
    assert dataset.bayes_error() == pytest.approx((1.0 - (1.0 - 2.0 * slip) ** n_dims) / 2.0, rel=1e-10)
    points = dataset.sample(2)
    wrong = (dataset.posterior(points.x).argmax(axis=1) != points.y).mean()
    error = dataset.bayes_error()
    assert abs(wrong - error) < 4.0 * np.sqrt(error * (1.0 - error) / len(points.y))


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_xor_posterior_is_that_of_the_mixture_over_all_corners(n_dims: int) -> None:
    dataset = Xor(noise=0.8, n_dims=n_dims)
    x = np.random.default_rng(0).normal(size=(20, n_dims))
    density = np.zeros((20, 2))
    for corner in itertools.product((-1.0, 1.0), repeat=n_dims):
        distance = np.square(x - np.array(corner)).sum(axis=1)
        density[:, sum(c > 0 for c in corner) % 2] += np.exp(-0.5 * distance / 0.8**2)
    np.testing.assert_allclose(dataset.posterior(x), density / density.sum(axis=1, keepdims=True), rtol=1e-10)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(noise=st.floats(0.0, 1e6), n_dims=st.integers(1, 40))
def test_xor_truth_stays_a_probability(noise: float, n_dims: int) -> None:
    dataset = Xor(noise=noise, n_dims=n_dims)
    assert 0.0 <= dataset.bayes_error() <= 0.5
    posterior = dataset.posterior(np.linspace(-1e6, 1e6, 3 * n_dims).reshape(3, n_dims))
    assert ((posterior >= 0.0) & (posterior <= 1.0)).all()


def test_checkerboard_colours_alternate_from_cell_to_cell() -> None:
    dataset = Checkerboard(cells=3)
    centres = (np.stack(np.meshgrid(range(3), range(3), indexing="ij"), axis=-1).reshape(-1, 2) + 0.5) / 3
    np.testing.assert_array_equal(dataset.posterior(centres).argmax(axis=1), [0, 1, 0, 1, 0, 1, 0, 1, 0])
    points = dataset.sample(0)
    assert points.x.min() >= 0.0
    assert points.x.max() < 1.0
    np.testing.assert_array_equal(points.y, dataset.posterior(points.x).argmax(axis=1))


@pytest.mark.parametrize("flip", [0.1, 0.5])
def test_flipped_labels_are_wrong_at_the_declared_rate(flip: float) -> None:
    for dataset in (Checkerboard(50_000, flip=flip), Hyperplanes(50_000, flip=flip)):
        clean = type(dataset)(50_000).posterior(dataset.sample(1).x)
        points = dataset.sample(1)
        assert dataset.bayes_error() == flip
        wrong = (clean.argmax(axis=1) != points.y).mean()
        assert abs(wrong - flip) < 4.0 * np.sqrt(flip * (1.0 - flip) / 50_000)
        np.testing.assert_allclose(dataset.posterior(points.x[:50]).min(axis=1), flip)


@pytest.mark.parametrize("n_hyperplanes", [1, 2, 5, 10])
def test_hyperplanes_are_balanced_and_samples_share_one_problem(n_hyperplanes: int) -> None:
    dataset = Hyperplanes(n_samples=201, n_features=6, n_hyperplanes=n_hyperplanes, plane_dim=3)
    for seed in (0, 1):
        points = dataset.sample(seed)
        assert np.bincount(points.y).tolist() == [101, 100]
        assert np.linalg.matrix_rank(points.x) == 3
        np.testing.assert_array_equal(dataset.posterior(points.x).argmax(axis=1), points.y)
        assert not np.array_equal(points.y, np.sort(points.y))


def test_hyperplanes_are_those_of_the_published_definition() -> None:
    dataset = Hyperplanes(n_samples=2000, n_features=5, n_hyperplanes=4, plane_dim=3, problem_seed=7)
    normals, offsets, embedding = dataset._problem()
    assert [part.shape for part in (normals, offsets, embedding)] == [(4, 3), (4,), (3, 5)]
    assert all(0.0 <= part.min() <= part.max() <= 1.0 for part in (normals, offsets, embedding))
    points = dataset.sample(0)
    latent = np.array([np.linalg.solve(embedding @ embedding.T, embedding @ x) for x in points.x])
    np.testing.assert_allclose(latent @ embedding, points.x, atol=1e-10)
    for z, label in zip(latent[:200], points.y[:200], strict=True):
        positive = [
            sum(a * b for a, b in zip(w, z, strict=True)) + c > 0 for w, c in zip(normals, offsets, strict=True)
        ]
        assert label == sum(positive) % 2


def test_one_hyperplane_is_linearly_separable() -> None:
    points = Hyperplanes(n_samples=400, n_hyperplanes=1).sample(0)
    from sklearn.svm import LinearSVC

    assert LinearSVC(C=1e4, max_iter=100_000).fit(points.x, points.y).score(points.x, points.y) == 1.0


def test_another_problem_seed_is_another_problem() -> None:
    one, two = Hyperplanes(problem_seed=0), Hyperplanes(problem_seed=1)
    points = one.sample(0)
    agreement = (two.posterior(points.x).argmax(axis=1) == points.y).mean()
    assert 0.2 < agreement < 0.8


def test_hyperplanes_refuse_a_subspace_larger_than_the_space() -> None:
    with pytest.raises(ConfigError, match="plane_dim=5 does not fit into n_features=4; take plane_dim <= 4"):
        Hyperplanes(plane_dim=5)


def test_a_parity_that_is_almost_never_seen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def same_planes_twice(self: Hyperplanes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.ones((2, 1)), np.zeros(2), np.ones((1, 1))

    monkeypatch.setattr(Hyperplanes, "_problem", same_planes_twice)
    with pytest.raises(ConfigError, match="problem_seed=0 one parity holds almost no points; take another"):
        Hyperplanes(n_samples=10, n_features=1, n_hyperplanes=2, plane_dim=1).sample(0)
