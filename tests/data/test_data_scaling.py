"""Scalings: fitted on the training part, exact at the ends, and clear about what they cannot scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from qmoe.data import SCALINGS, MinMaxCentred, MinMaxPi, Moons, Standard, fit_scaling
from qmoe.errors import ConfigError, ShapeError

MATRICES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), elements=st.floats(-1e6, 1e6)
)


def test_registry_holds_the_promised_names() -> None:
    assert list(SCALINGS) == ["none", "minmax_pi", "minmax_centred", "standard", "unit_norm"]
    with pytest.raises(ConfigError, match="Unknown scaling 'minmax'; did you mean 'minmax_pi'"):
        fit_scaling("minmax", np.zeros((2, 2)))


def test_minmax_pi_agrees_with_sklearn_on_both_parts() -> None:
    split = Moons().split(42)
    theirs = MinMaxScaler(feature_range=(0.0, np.pi)).fit(split.x_train)
    ours = fit_scaling("minmax_pi", split.x_train)
    np.testing.assert_allclose(ours(split.x_train), theirs.transform(split.x_train), rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours(split.x_test), theirs.transform(split.x_test), rtol=0, atol=1e-14)


def test_standard_agrees_with_sklearn_on_both_parts() -> None:
    split = Moons().split(42)
    theirs = StandardScaler().fit(split.x_train)
    ours = fit_scaling("standard", split.x_train)
    np.testing.assert_allclose(ours(split.x_test), theirs.transform(split.x_test), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["minmax_pi", "minmax_centred", "standard"])
def test_the_test_part_is_scaled_by_what_the_training_part_says(name: str) -> None:
    scale = fit_scaling(name, np.array([[0.0], [1.0]]))
    outside = scale(np.array([[2.0], [-1.0]]))
    expected = {"minmax_pi": [2, -1], "minmax_centred": [1.5, -1.5], "standard": [3 / np.pi, -3 / np.pi]}[name]
    np.testing.assert_allclose(outside[:, 0], np.array(expected) * np.pi)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(x=MATRICES)
def test_minmax_pi_fills_zero_to_pi_exactly(x: np.ndarray) -> None:
    scaled = fit_scaling("minmax_pi", x)(x)
    varies = x.max(axis=0) > x.min(axis=0)
    assert (scaled.min(axis=0) == 0.0).all()
    np.testing.assert_array_equal(scaled.max(axis=0), np.where(varies, np.pi, 0.0))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(x=MATRICES)
def test_minmax_centred_fills_minus_to_plus_a_quarter_turn_and_is_minmax_pi_moved_by_one(x: np.ndarray) -> None:
    scaled = fit_scaling("minmax_centred", x)(x)
    varies = x.max(axis=0) > x.min(axis=0)
    np.testing.assert_array_equal(scaled.min(axis=0), np.where(varies, -np.pi / 2, 0.0))
    np.testing.assert_array_equal(scaled.max(axis=0), np.where(varies, np.pi / 2, 0.0))
    moved = fit_scaling("minmax_pi", x)(x) - np.where(varies, np.pi / 2, 0.0)
    np.testing.assert_array_equal(scaled, moved)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(x=MATRICES)
def test_standard_gives_mean_zero_and_never_blows_up_a_constant(x: np.ndarray) -> None:
    constant = np.concatenate([x, np.full((len(x), 1), 0.1)], axis=1)
    scaled = fit_scaling("standard", constant)(constant)
    assert (scaled[:, -1] == 0.0).all()
    assert (np.abs(scaled) <= np.sqrt(len(x)) + 1e-6).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(x=MATRICES)
def test_unit_norm_keeps_the_direction_of_any_row_but_zero(x: np.ndarray) -> None:
    x = np.where(np.abs(x).max(axis=1, keepdims=True) == 0.0, 1.0, x)
    scaled = fit_scaling("unit_norm", x)(x)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1.0, rtol=1e-12)
    assert (np.sign(scaled) * np.sign(x) >= 0.0).all()


def test_unit_norm_is_exact_for_the_smallest_and_largest_rows() -> None:
    x = np.array([[3e-300, 4e-300], [3e300, 4e300]])
    np.testing.assert_allclose(fit_scaling("unit_norm", x)(x), [[0.6, 0.8], [0.6, 0.8]], rtol=1e-15)


def test_unit_norm_names_the_zero_row() -> None:
    with pytest.raises(ShapeError, match=r"row 1 is all zeros and has no direction \(2 such rows\)"):
        fit_scaling("unit_norm", np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    scale = fit_scaling("unit_norm", np.ones((1, 2)))
    with pytest.raises(ShapeError, match="row 0 is all zeros"):
        scale(np.zeros((1, 2)))


def test_constant_features_map_to_zero_wherever_they_are_later() -> None:
    for scaling in (MinMaxPi, MinMaxCentred, Standard):
        scale = scaling.fit(np.full((3, 1), 5.0))
        np.testing.assert_array_equal(scale(np.array([[5.0], [9.0]])), 0.0)


def test_none_gives_equal_rows_that_are_not_the_callers() -> None:
    x = np.array([[1.0, -2.0]])
    scaled = fit_scaling("none", x)(x)
    np.testing.assert_array_equal(scaled, x)
    assert scaled is not x
    assert not np.shares_memory(scaled, x)


@pytest.mark.parametrize("name", ["none", "minmax_pi", "minmax_centred", "standard", "unit_norm"])
def test_every_scaling_keeps_shape_takes_no_rows_and_leaves_its_input_alone(name: str) -> None:
    x = np.array([[1.0, 2.0], [3.0, 5.0], [-1.0, 0.5]])
    before = x.copy()
    scale = fit_scaling(name, x)
    assert scale(x).shape == (3, 2)
    assert scale(x[:0]).shape == (0, 2)
    assert scale(x.astype(np.float32)).dtype == np.float64
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", ["none", "minmax_pi", "minmax_centred", "standard", "unit_norm"])
def test_every_scaling_refuses_what_it_cannot_use(name: str) -> None:
    with pytest.raises(ShapeError, match="x_train has no rows"):
        fit_scaling(name, np.zeros((0, 2)))
    with pytest.raises(ShapeError, match=r"shape \(N, F\), got \(3,\)"):
        fit_scaling(name, np.zeros(3))
    with pytest.raises(ShapeError, match=r"x\[0, 1\] is inf"):
        fit_scaling(name, np.array([[1.0, np.inf]]))
    with pytest.raises(ShapeError, match=r"shape \(N, 2\), got \(1, 3\)"):
        fit_scaling(name, np.ones((2, 2)))(np.ones((1, 3)))


@pytest.mark.parametrize("name", ["minmax_pi", "minmax_centred", "standard"])
def test_numbers_beyond_float64_are_refused_instead_of_becoming_nan(name: str) -> None:
    x = np.array([[0.0, -1.7e308], [1.0, 1.7e308]])
    with pytest.raises(ShapeError, match="feature 1 leaves the range of float64"):
        _ = fit_scaling(name, x)(x)


def test_components_are_those_of_largest_variance_on_the_training_part() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(200, 3)) * [5.0, 2.0, 0.1]
    turn, _ = np.linalg.qr(rng.normal(size=(6, 3)))
    x = hidden @ turn.T + 3.0
    scale = fit_scaling("none", x, components=2)
    np.testing.assert_allclose(scale.axes @ scale.axes.T, np.eye(2), atol=1e-12)
    kept = scale(x)
    total = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    np.testing.assert_allclose(np.cov(kept.T), np.diag(total[:2]), atol=1e-10)
    fresh = rng.normal(size=(4, 6))
    np.testing.assert_allclose(scale(fresh), (fresh - x.mean(0)) @ scale.axes.T)


def test_components_are_scaled_as_features_are() -> None:
    x = np.random.default_rng(1).normal(size=(50, 5))
    angles = fit_scaling("minmax_pi", x, components=3)(x)
    np.testing.assert_allclose(angles.min(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(angles.max(0), np.pi)


def test_a_feature_of_large_numbers_does_not_become_the_first_component_where_features_are_standardised() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=(200, 4))
    x[:, 3] = 1000.0 * rng.normal(size=200) + 5000.0
    raw, standardised = (fit_scaling("none", x, components=1, standardise=on) for on in (False, True))
    assert abs(raw.axes[0, 3]) > 0.999
    assert abs(standardised.axes[0, 3]) < 0.2
    mean, deviation = x.mean(0), x.std(0)
    np.testing.assert_allclose(standardised(x[:5] + 1.0), ((x[:5] + 1.0 - mean) / deviation) @ standardised.axes.T)
    with pytest.raises(ShapeError, match=r"shape \(N, 4\), got \(3, 2\)"):
        standardised(np.zeros((3, 2)))


def test_a_constant_feature_is_left_out_of_standardised_components() -> None:
    x = np.random.default_rng(3).normal(size=(30, 3))
    x[:, 1] = 7.0
    assert fit_scaling("none", x, components=2, standardise=True).axes[:, 1] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_components_of_constant_features_are_zero_and_nothing_warns(recwarn: pytest.WarningsRecorder) -> None:
    rows = np.full((9, 3), 2.0)
    for standardise in (False, True):
        scale = fit_scaling("minmax_pi", rows, components=2, standardise=standardise)
        assert np.array_equal(scale(rows), np.zeros((9, 2)))
    assert [str(told.message) for told in recwarn] == []


def test_more_components_than_features_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 components of 9 training rows with 2 features, expected at most 2"):
        fit_scaling("none", np.zeros((9, 2)), components=3)
