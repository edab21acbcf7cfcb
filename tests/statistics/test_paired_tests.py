import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import sign_flip_test, wilcoxon_test
from qmoe.statistics.paired_tests import MAX_EXACT_FLIPS, paired_values, rank_distribution

ALTERNATIVES = ("two-sided", "greater", "less")
NORMAL = np.random.default_rng(0).normal(0.3, 1.0, 12)
#: Accuracies of a test part of 100 samples: full of ties.
ACCURACIES = np.random.default_rng(1).integers(-3, 6, 15) / 100


def zeros(d):
    return np.zeros(len(d))


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_without_ties_it_is_scipys_exact_test(alternative):
    found = wilcoxon_test(NORMAL, zeros(NORMAL), alternative=alternative)
    assert found.p_value == stats.wilcoxon(NORMAL, alternative=alternative, method="exact").pvalue
    assert found.statistic == stats.wilcoxon(NORMAL, alternative="greater").statistic
    assert (found.exact, found.zero_spread, found.n_clusters, found.n_zero, found.enough) == (True, False, 12, 0, True)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_with_ties_it_is_the_full_enumeration(alternative):
    d = np.array([0.01, -0.01, 0.02, 0.02, 0.02, -0.03, 0.05, 0.05, 0.0, 0.0])
    found = wilcoxon_test(d, zeros(d), alternative=alternative)
    live = d[d != 0]
    exhaustive = stats.PermutationMethod(n_resamples=10**6)
    assert found.p_value == pytest.approx(stats.wilcoxon(live, alternative=alternative, method=exhaustive).pvalue)
    assert found.exact
    assert found.n_zero == 2
    ranks = stats.rankdata(np.abs(live))
    assert found.statistic == ranks[live > 0].sum()


def test_wilcoxon_by_hand():
    # Six positive differences: both tails have one sign pattern of 64 each.
    assert wilcoxon_test([1, 2, 3, 4, 5, 6], [0] * 6).p_value == 2 / 64
    assert wilcoxon_test([1, 2, 3, 4, 5, 6], [0] * 6, alternative="greater").p_value == 1 / 64
    assert wilcoxon_test([1, 2, 3, 4, 5, 6], [0] * 6, alternative="less").p_value == 1.0
    assert wilcoxon_test([1, 1, 1, 1], [0] * 4, alternative="greater").p_value == 1 / 16


def test_many_ties_are_approximate_beyond_the_limit():
    d = np.random.default_rng(2).integers(-3, 5, 300) / 100
    found = wilcoxon_test(d, zeros(d))
    assert not found.exact
    assert found.p_value == pytest.approx(stats.wilcoxon(d[d != 0], method="asymptotic").pvalue)


def test_the_distribution_of_ranks_is_scipys_without_ties():
    mass = rank_distribution(np.arange(1, 9))[::2]
    for w in range(0, 37, 5):
        values = np.arange(1.0, 9.0)
        signs = next(s for s in itertools.product((-1, 1), repeat=8) if values[np.array(s) > 0].sum() == w)
        expected = stats.wilcoxon(values * signs, alternative="less", method="exact").pvalue
        assert mass[: w + 1].sum() == pytest.approx(expected)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("d", [NORMAL, ACCURACIES[:10]], ids=["normal", "ties"])
def test_sign_flips_are_enumerated(d, alternative):
    found = sign_flip_test(d, zeros(d), alternative=alternative)
    live = d[d != 0]
    means = np.array([np.dot(s, live) for s in itertools.product((-1, 1), repeat=len(live))])
    if alternative == "two-sided":
        expected = np.mean(np.abs(means) >= abs(live.sum()) - 1e-12)
    else:
        sign = 1 if alternative == "greater" else -1
        expected = np.mean(sign * means >= sign * live.sum() - 1e-12)
    assert found.p_value == pytest.approx(expected)
    assert found.exact
    assert found.statistic == pytest.approx(d.mean())


def test_sign_flips_are_scipys_permutation_test():
    theirs = stats.permutation_test(
        (NORMAL[:9],), np.mean, permutation_type="samples", vectorized=True, n_resamples=2**9, alternative="greater"
    )
    assert sign_flip_test(NORMAL[:9], zeros(NORMAL[:9]), alternative="greater").p_value == pytest.approx(theirs.pvalue)


def test_random_flips_agree_with_all_of_them(monkeypatch):
    d = np.random.default_rng(3).normal(0.4, 1, 16)
    exact = sign_flip_test(d, zeros(d))
    monkeypatch.setattr("qmoe.statistics.paired_tests.MAX_EXACT_FLIPS", 10)
    drawn = sign_flip_test(d, zeros(d), seed=1)
    assert exact.exact
    assert not drawn.exact
    # Standard error of a share of 99,999.
    assert drawn.p_value == pytest.approx(exact.p_value, abs=4 * math.sqrt(exact.p_value / 99_999))
    assert drawn == sign_flip_test(d, zeros(d), seed=1)
    assert drawn.p_value != sign_flip_test(d, zeros(d), seed=2).p_value
    for alternative in ("greater", "less"):
        one = sign_flip_test(d, zeros(d), alternative=alternative)
        monkeypatch.setattr("qmoe.statistics.paired_tests.MAX_EXACT_FLIPS", 20)
        assert one.p_value == pytest.approx(sign_flip_test(d, zeros(d), alternative=alternative).p_value, abs=0.01)
        monkeypatch.setattr("qmoe.statistics.paired_tests.MAX_EXACT_FLIPS", 10)


def test_a_drawn_p_value_is_never_zero():
    d = np.ones(MAX_EXACT_FLIPS + 10) + np.arange(MAX_EXACT_FLIPS + 10) / 10
    assert sign_flip_test(d, zeros(d), n_resamples=999).p_value == 1 / 1000


@pytest.mark.parametrize("test", [wilcoxon_test, sign_flip_test])
def test_equal_arms_have_a_p_value_of_one_and_are_marked(test):
    a = [0.1 + 0.2, 0.9, 0.7]
    same = test(a, [0.3, 0.9, 0.7])
    assert (same.p_value, same.statistic, same.n_zero, same.zero_spread, same.exact) == (1.0, 0.0, 3, True, True)
    shifted = test([0.9] * 8, [0.8] * 8)
    assert shifted.zero_spread
    assert shifted.p_value == 2 / 2**8


def test_differences_that_differ_by_rounding_are_ties():
    a, b = np.array([0.9, 0.8, 0.3, 0.1]), np.array([0.8, 0.7, 0.2, 0.2])
    assert len(np.unique(a - b)) > 2
    assert len(np.unique(paired_values(a, b))) == 2
    assert wilcoxon_test(a, b).p_value == wilcoxon_test([1, 1, 1, -1], [0] * 4).p_value
    assert paired_values([1e9, 0.0], [1e9 + 1, 0.0]).tolist() == [-1, 0]
    assert paired_values([0.9], [0.8]).tolist() == [0.1]
    for scale in (1e-300, 1e300):
        assert paired_values([3 * scale, 1.0 * scale], [scale, scale]) == pytest.approx([2 * scale, 0])


@pytest.mark.parametrize("test", [wilcoxon_test, sign_flip_test])
def test_runs_on_the_same_data_are_averaged_first(test):
    a, b = np.random.default_rng(4).normal(size=(2, 24))
    clusters = np.tile(np.arange(8), 3)
    found = test(a, b, clusters)
    means = (a - b).reshape(3, 8).mean(axis=0)
    assert found.n_clusters == 8
    assert found.p_value == pytest.approx(test(means, np.zeros(8)).p_value)
    assert not test(a[:5], b[:5]).enough


@pytest.mark.parametrize("test", [wilcoxon_test, sign_flip_test])
def test_under_the_null_hypothesis_p_values_hold_their_level(test):
    rng = np.random.default_rng(5)
    p = np.array([test(*rng.integers(80, 100, (2, 10)) / 100).p_value for _ in range(400)])
    assert 0.02 <= (p <= 0.05).mean() <= 0.08


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-8, 8), min_size=1, max_size=12), st.sampled_from([0.01, 1.0, 1e5]))
def test_swapping_arms_scaling_and_reordering(values, scale):
    d = scale * np.array(values, dtype=float)
    for test in (wilcoxon_test, sign_flip_test):
        one = test(d, zeros(d))
        assert 0 < one.p_value <= 1
        assert test(zeros(d), d).p_value == pytest.approx(one.p_value)
        assert test(d[::-1], zeros(d)).p_value == pytest.approx(one.p_value)
        greater = test(d, zeros(d), alternative="greater").p_value
        less = test(d, zeros(d), alternative="less").p_value
        assert test(zeros(d), d, alternative="less").p_value == pytest.approx(greater)
        assert greater + less >= 1 - 1e-9
        assert one.p_value == pytest.approx(min(1.0, 2 * min(greater, less)))


def test_refusals():
    for test in (wilcoxon_test, sign_flip_test):
        with pytest.raises(ShapeError, match="pass pairs"):
            test([1.0, 2.0], [1.0])
        with pytest.raises(ShapeError, match="finite"):
            test([1.0, math.nan], [1.0, 2.0])
        with pytest.raises(ShapeError, match="one label for each"):
            test([1.0, 2.0], [1.0, 1.0], [0])
        with pytest.raises(ConfigError, match="did you mean 'greater'"):
            test([1.0], [0.0], alternative="greter")
    with pytest.raises(ConfigError, match="n_resamples"):
        sign_flip_test([1.0], [0.0], n_resamples=0)


@pytest.mark.parametrize(("n", "n_resamples"), [(30, 999), (30, 250_000)])
def test_random_flips_are_those_of_one_stream_however_they_are_drawn(n, n_resamples):
    d = np.random.default_rng(3).normal(0.2, 1.0, n).round(3) + 1e-4  # none of them 0
    generator, count, drawn = np.random.default_rng(5), 1, 0
    at_once = (1 << 22) // n
    while drawn < n_resamples:
        rows = min(at_once, n_resamples - drawn)
        signs = 2.0 * generator.integers(0, 2, size=(rows, n)) - 1.0
        count += int((signs @ d >= d.sum() - 1e-9 * np.abs(d).sum()).sum())
        drawn += rows
    for _ in range(2):  # the second time from memory
        found = sign_flip_test(d, zeros(d), alternative="greater", n_resamples=n_resamples, seed=5)
        assert found.p_value == count / (n_resamples + 1)
        assert not found.exact
