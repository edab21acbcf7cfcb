"""The hidden manifold model and sklearn's clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification

from qmoe.data import HiddenManifold, Synthetic, fit_scaling
from qmoe.errors import ConfigError


@pytest.mark.parametrize("seed", [0, 42])
def test_synthetic_is_the_papers_call_of_sklearn(seed: int) -> None:
    x, y = make_classification(500, n_features=16, n_informative=10, n_redundant=0, n_classes=2, random_state=seed)
    points = Synthetic().sample(seed)
    np.testing.assert_array_equal(points.x, x)
    np.testing.assert_array_equal(points.y, y)
    scaled = fit_scaling("unit_norm", points.x)(points.x)
    np.testing.assert_allclose(scaled, x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-14)


def test_synthetic_passes_every_option_on() -> None:
    x, y = make_classification(
        90,
        n_features=9,
        n_informative=4,
        n_redundant=3,
        n_classes=3,
        n_clusters_per_class=1,
        class_sep=2.5,
        flip_y=0.2,
        random_state=5,
    )
    points = Synthetic(90, 9, 4, 3, 3, 2.5, 1, 0.2).sample(5)
    np.testing.assert_array_equal(points.x, x)
    np.testing.assert_array_equal(points.y, y)


def test_synthetic_refuses_options_that_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match=r"n_informative=10 and n_redundant=8 .* take n_features >= 18"):
        Synthetic(n_redundant=8)
    with pytest.raises(ConfigError, match=r"gives 4 corners for 6 clusters; take n_informative >= 3"):
        Synthetic(n_informative=2, n_classes=3)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    n_features=st.integers(1, 12),
    shortfall=st.integers(0, 4),
    problem_seed=st.integers(0, 2**32 - 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_features_determine_the_label_where_the_manifold_fits(
    n_features: int, shortfall: int, problem_seed: int, seed: int
) -> None:
    m = max(1, n_features - shortfall)
    dataset = HiddenManifold(60, n_features, m, problem_seed)
    points = dataset.sample(seed)
    posterior = dataset.posterior(points.x)
    # Only a point within rounding of the border, blown up by a nearly singular map, may come out wrong.
    assert (posterior.argmax(axis=1) != points.y).mean() <= 1 / 60
    assert dataset.bayes_error() == 0.0
    assert (np.abs(points.x) <= 1.0).all()


def test_manifold_larger_than_the_feature_space_has_no_known_truth() -> None:
    dataset = HiddenManifold(n_features=3, manifold_dim=4)
    assert dataset.bayes_error() is None
    assert dataset.posterior(np.zeros((2, 3))) is None


def test_manifold_classes_are_balanced_in_the_population_and_samples_share_one_problem() -> None:
    dataset = HiddenManifold(n_samples=40_000)
    one, two = dataset.sample(0), dataset.sample(1)
    assert abs(one.y.mean() - 0.5) < 4.0 * 0.5 / np.sqrt(40_000)
    np.testing.assert_allclose(one.x.mean(axis=0), two.x.mean(axis=0), atol=0.03)


def test_before_the_tanh_the_rows_span_as_many_dimensions_as_the_manifold() -> None:
    points = HiddenManifold(n_features=8, manifold_dim=3).sample(0)
    before = np.arctanh(points.x)
    assert np.linalg.matrix_rank(before - before.mean(axis=0), tol=1e-6) == 3
    assert np.linalg.matrix_rank(points.x - points.x.mean(axis=0), tol=1e-6) == 8
