import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.errors import ConfigError, ShapeError, StatisticalWarning
from qmoe.statistics import equivalence_test, wilcoxon_test

DIFFERENCES = np.array([0.01, -0.02, 0.03, 0.0, 0.005, -0.015, 0.02, 0.01])


def test_it_is_two_t_tests_of_scipy():
    found = equivalence_test(DIFFERENCES, np.zeros(8), 0.02)
    low = stats.ttest_1samp(DIFFERENCES, -0.02, alternative="greater").pvalue
    high = stats.ttest_1samp(DIFFERENCES, 0.02, alternative="less").pvalue
    assert found.p_value == pytest.approx(max(low, high))
    interval = stats.ttest_1samp(DIFFERENCES, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.estimate == pytest.approx(DIFFERENCES.mean())
    assert (found.margin, found.alpha, found.n_clusters, found.zero_spread) == (0.02, 0.05, 8, False)


def test_by_hand():
    # Mean 0, standard deviation 1, n = 9: t = 3 margins on either side, 8 degrees of freedom.
    d = np.tile([-1.0, 0.0, 1.0], 3) * math.sqrt(8 / 6)
    assert equivalence_test(d, np.zeros(9), 1.0).p_value == pytest.approx(stats.t.sf(3, 8))
    assert equivalence_test(d, np.zeros(9), 1.0).equivalent
    assert not equivalence_test(d, np.zeros(9), 0.5).equivalent


@pytest.mark.parametrize("robust", [False, True])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.floats(0.05, 3), st.integers(6, 20))
def test_the_verdict_is_that_of_the_interval(robust, seed, margin, n):
    d = np.random.default_rng(seed).normal(0.2, 1, n)
    found = equivalence_test(d, np.zeros(n), margin, robust=robust)
    inside = -margin < found.low and found.high < margin
    assert found.equivalent == inside
    assert found.low <= found.estimate <= found.high
    mirrored = equivalence_test(np.zeros(n), d, margin, robust=robust)
    assert (mirrored.p_value, mirrored.low) == pytest.approx((found.p_value, -found.high))
    assert equivalence_test(d, np.zeros(n), 2 * margin, robust=robust).p_value <= found.p_value + 1e-12


def test_the_robust_variant_is_two_signed_rank_tests():
    d = np.append(np.random.default_rng(0).normal(0, 0.01, 11), 5.0)
    found = equivalence_test(d, np.zeros(12), 0.02, robust=True)
    low = wilcoxon_test(d + 0.02, np.zeros(12), alternative="greater").p_value
    high = wilcoxon_test(d - 0.02, np.zeros(12), alternative="less").p_value
    assert found.p_value == max(low, high)
    # One wild run decides the t test and not the ranks.
    assert found.equivalent
    assert not equivalence_test(d, np.zeros(12), 0.02).equivalent
    assert abs(found.estimate) < 0.01


def test_the_robust_interval_covers_the_centre_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [equivalence_test(rng.standard_t(2, 10) + 0.5, np.zeros(10), 1.0, robust=True) for _ in range(300)]
    # 9.7% outside, exactly: the largest level of 10 ranks up to 10%.
    assert np.mean([f.low <= 0.5 <= f.high for f in found]) == pytest.approx(0.916, abs=0.03)


def test_it_errs_on_the_margin_as_often_as_it_says():
    rng = np.random.default_rng(2)
    for robust in (False, True):
        found = [equivalence_test(rng.normal(1, 0.5, 15), np.zeros(15), 1.0, robust=robust) for _ in range(400)]
        assert 0.02 <= np.mean([f.equivalent for f in found]) <= 0.08


@pytest.mark.parametrize("robust", [False, True])
def test_zero_spread_is_a_point(robust):
    same = equivalence_test([0.3] * 6, [0.1 + 0.2] * 6, 0.01, robust=robust)
    assert (same.p_value, same.estimate, same.low, same.high) == (0.0, 0.0, 0.0, 0.0)
    assert same.zero_spread
    assert same.equivalent
    apart = equivalence_test([0.9] * 6, [0.8] * 6, 0.1, robust=robust)
    assert apart.p_value == 1.0
    assert not apart.equivalent
    assert equivalence_test([0.9] * 6, [0.8] * 6, 0.11, robust=robust).equivalent


def test_few_clusters_decide_nothing():
    with pytest.warns(StatisticalWarning, match="at least 2 clusters"):
        one = equivalence_test([1.0, 1.1], [1.0, 1.1], 0.5, clusters=[7, 7])
    assert (one.p_value, one.low, one.high, one.n_clusters) == (1.0, -math.inf, math.inf, 1)
    five = equivalence_test([0.0, 1e-3, 0, 0, 0], [0.0] * 5, 1.0)
    assert five.p_value < 0.05
    assert not five.equivalent
    ranks = equivalence_test([0.0, 1e-3, 0, 2e-3], [0.0] * 4, 1.0, robust=True)
    assert (ranks.low, ranks.high) == (-math.inf, math.inf)


def test_runs_on_the_same_data_are_averaged_first():
    a, b = np.random.default_rng(3).normal(size=(2, 24))
    found = equivalence_test(a, b, 0.5, np.tile(np.arange(8), 3))
    means = equivalence_test((a - b).reshape(3, 8).mean(axis=0), np.zeros(8), 0.5)
    assert found.n_clusters == means.n_clusters == 8
    assert (found.p_value, found.low, found.high) == pytest.approx((means.p_value, means.low, means.high))


def test_refusals():
    for margin in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="largest difference that does not matter"):
            equivalence_test([1.0, 2.0], [1.0, 1.0], margin)
    with pytest.raises(ConfigError, match="alpha"):
        equivalence_test([1.0, 2.0], [1.0, 1.0], 0.1, alpha=0.5)
    with pytest.raises(ShapeError, match="pass pairs"):
        equivalence_test([1.0, 2.0], [1.0], 0.1)
