import math
import warnings

import numpy as np
import pytest
from scipy import stats

from qmoe.errors import ConfigError, ShapeError, StatisticalWarning
from qmoe.statistics import bootstrap, mean_interval, paired_difference, percentile_of, summarize

SAMPLE = np.random.default_rng(1).gamma(2.0, size=40)


def test_summary_of_a_known_sample():
    found = summarize([4.0, 1.0, 3.0, 2.0])
    assert (found.n, found.mean, found.median, found.minimum, found.maximum) == (4, 2.5, 2.5, 1.0, 4.0)
    assert (found.q1, found.q3) == (1.75, 3.25)
    assert found.sd == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    assert summarize([2.0]).sd == 0.0


def test_interval_is_scipys_bca():
    expected = stats.bootstrap(
        (SAMPLE,), np.mean, n_resamples=9999, method="BCa", random_state=np.random.default_rng(5), vectorized=True
    ).confidence_interval
    assert mean_interval(SAMPLE, seed=5) == pytest.approx((expected.low, expected.high))


def test_interval_covers_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = [low <= 2.0 <= high for low, high in (mean_interval(generator.gamma(2.0, size=30)) for _ in range(150))]
    assert 0.85 <= np.mean(hits) <= 0.99


def test_interval_is_over_clusters():
    within = np.repeat([1.0, 2.0, 4.0], 5) + np.tile([-0.2, -0.1, 0.0, 0.1, 0.2], 3)
    labels = np.repeat([7, 3, 5], 5)
    assert mean_interval(within, labels) == mean_interval([2.0, 4.0, 1.0])
    low, high = mean_interval(within)
    assert high - low < np.diff(mean_interval(within, labels))[0]


def test_equal_seeds_give_equal_bounds_and_others_move_them():
    assert mean_interval(SAMPLE) == mean_interval(SAMPLE)
    assert mean_interval(SAMPLE, seed=1) != mean_interval(SAMPLE, seed=2)
    wide, narrow = np.diff(mean_interval(SAMPLE, level=0.99))[0], np.diff(mean_interval(SAMPLE, level=0.8))[0]
    assert wide > narrow


@pytest.mark.parametrize("values", [[0.3, 0.3, 0.3], [0.1 + 0.2, 0.3], [0.0, 0.0]])
def test_equal_values_have_an_interval_of_width_zero(values):
    low, high = mean_interval(values)
    assert low == high == values[0]


@pytest.mark.parametrize(("values", "clusters"), [([1.0], None), ([1.0, 2.0], [4, 4])])
def test_one_cluster_has_no_interval(values, clusters):
    with pytest.warns(StatisticalWarning, match="at least 2 clusters, got 1"):
        low, high = mean_interval(values, clusters)
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_one_outlier_among_equal_values_gives_finite_bounds_and_no_warning(n):
    values = [1.0] * (n - 1) + [0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = mean_interval(values)
    assert 0.5 <= low < high <= 1.0


def test_paired_difference_uses_the_pairs():
    a, b = SAMPLE + 0.5, SAMPLE + np.tile([0.1, -0.1], 20)
    found = paired_difference(a, b)
    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == mean_interval(a - b)
    assert found.above
    assert not found.below
    flipped = paired_difference(b, a)
    assert flipped.below
    assert not flipped.above
    same = paired_difference(a, a)
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    assert not same.above
    assert not same.below
    assert paired_difference(a, b, np.arange(40) // 2).n_clusters == 20


def test_percentile_counts_ties_half():
    sample = [1.0, 2.0, 2.0, 3.0]
    assert [percentile_of(v, sample) for v in (0.0, 1.0, 2.0, 2.5, 3.0, 9.0)] == [0, 12.5, 50, 75, 87.5, 100]


def test_refusals():
    with pytest.raises(ShapeError, match="n of at least 1"):
        summarize([])
    with pytest.raises(ShapeError, match="nan"):
        mean_interval([1.0, float("nan")])
    with pytest.raises(ShapeError, match="one label for each"):
        mean_interval([1.0, 2.0], [1])
    with pytest.raises(ShapeError, match="pass pairs"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], level=95)


@pytest.mark.parametrize("law", ["normal", "lognormal", "binary"])
def test_thousands_of_values_need_no_resampling(law, monkeypatch):
    rng = np.random.default_rng(4)
    draw = {
        "normal": rng.standard_normal, "lognormal": lambda n: rng.lognormal(0, 1.5, n),
        "binary": lambda n: (rng.random(n) < 0.02).astype(float),
    }[law]  # fmt: skip
    values = draw(4000)
    drawn = np.array([mean_interval(values, seed=seed) for seed in range(4)])
    monkeypatch.setattr(bootstrap, "_LARGE", 1000)
    found = np.array(mean_interval(values))
    # To the noise of resampling, of which these are four draws.
    assert found == pytest.approx(drawn.mean(axis=0), abs=0.01 * np.ptp(found))
    assert mean_interval(1 - values) == pytest.approx((1 - found[1], 1 - found[0]), abs=1e-12)


def test_many_values_are_resampled_some_at_a_time_with_the_same_bounds(monkeypatch):
    values = np.random.default_rng(3).standard_normal(300)
    whole = mean_interval(values)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 300 * 1000)
    bootstrap._bootstrapped.cache_clear()
    assert mean_interval(values) == pytest.approx(whole, abs=1e-14)
    monkeypatch.setattr(bootstrap, "_MANY", 100)  # not remembered either
    assert mean_interval(values) == pytest.approx(whole, abs=1e-14)
    assert bootstrap._bootstrapped.cache_info().currsize == 1
