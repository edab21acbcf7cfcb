"""Where a mean curve falls to 0 for good."""

import math

import numpy as np
import pytest

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import crossing

GRID = [0.0, 0.1, 0.2, 0.3]


def test_the_place_is_interpolated_between_the_points_around_it():
    found = crossing([[3.0, 1.0, -1.0, -2.0]] * 6, GRID)
    assert found.at == pytest.approx(0.15)
    assert (found.low, found.high) == (found.at, found.at)
    assert (found.share, found.n_clusters) == (1.0, 6)


def test_only_a_fall_that_lasts_counts():
    assert crossing([[1.0, -1.0, 1.0, -1.0]] * 2, GRID).at == pytest.approx(0.25)


def test_a_curve_that_stays_above_is_not_reached_and_one_that_never_is_above_is_at_the_first_point():
    above, below = crossing([[1.0] * 4] * 6, GRID), crossing([[-1.0] * 4] * 6, GRID)
    assert (above.at, above.low, above.high, above.reached, above.share) == (math.inf, math.inf, math.inf, False, 0.0)
    assert (below.at, below.low, below.high, below.reached) == (0.0, 0.0, 0.0, True)


def test_a_curve_that_ends_on_zero_is_there():
    assert crossing([[1.0, 1.0, 1.0, 0.0]] * 3, GRID).at == pytest.approx(0.3)


def test_one_cluster_has_a_place_and_no_interval():
    found = crossing([[1.0, -1.0, -1.0, -1.0], [3.0, -1.0, -1.0, -1.0]], GRID, clusters=[7, 7])
    assert found.at == pytest.approx(0.1 * 2 / 3)
    assert np.isnan([found.low, found.high]).all()
    assert found.n_clusters == 1


def test_the_interval_covers_the_true_place_about_as_often_as_it_says():
    generator, hits = np.random.default_rng(0), 0
    for trial in range(200):
        slopes = 1 + generator.normal(0, 0.3, (30, 1))
        curves = slopes * (0.17 - np.array(GRID)) + generator.normal(0, 0.03, (30, 4))
        found = crossing(curves, GRID, seed=trial)
        hits += found.low <= 0.17 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_where_some_resamples_stay_above_the_upper_bound_is_beyond_the_grid():
    curves = np.random.default_rng(1).normal(0, 1, (10, 4)) + np.array([2.0, 1.0, 0.5, -0.1])
    found = crossing(curves, GRID)
    assert np.isfinite([found.at, found.low]).all()
    assert math.isinf(found.high)
    assert 0 < found.share < 1


def test_runs_on_one_draw_are_averaged_first():
    curves = np.random.default_rng(2).normal(0, 0.1, (20, 4)) + np.array([0.3, 0.1, -0.1, -0.3])
    clusters = np.repeat(np.arange(10), 2)
    by_hand = crossing(curves.reshape(10, 2, 4).mean(1), GRID)
    assert crossing(curves, GRID, clusters) == by_hand


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"values has shape \(2, 3\)"):
        crossing(np.zeros((2, 3)), GRID)
    with pytest.raises(ShapeError, match="expected rising numbers"):
        crossing(np.zeros((2, 2)), [0.1, 0.1])
    with pytest.raises(ConfigError, match="level is 1"):
        crossing(np.zeros((2, 2)), [0.1, 0.2], level=1)
