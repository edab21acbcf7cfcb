import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import probability_of_superiority, success_rate


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.5, 0.999))
def test_the_interval_is_scipys_wilson_interval(n, k, level):
    k = min(k, n)
    found = success_rate([1.0] * k + [0.0] * (n - k), 0.5, level=level)
    theirs = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert found.value == pytest.approx(k / n)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_success_is_at_or_above_the_threshold():
    assert success_rate([0.5, 0.9, 0.95, 0.91], 0.9).value == 0.75
    assert success_rate([95 / 100] * 3, 0.95).value == 1
    assert success_rate([np.nextafter(0.9, 0)] * 3, 0.9).value == 0
    # All alike: not certain all the same, 3.84 / (n + 3.84) is left.
    found = success_rate([1.0] * 30, 0.9)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(30 / (30 + 1.959964**2), rel=1e-5)


def test_superiority_counts_ties_half():
    found = probability_of_superiority([3, 2, 1, 0.1 + 0.2], [1, 1, 2, 0.3])
    assert found.value == (2 + 0.5) / 4
    assert found.n_clusters == 4
    theirs = stats.binomtest(9, 12).proportion_ci(0.95, method="wilson")
    found = probability_of_superiority([1] * 9 + [-1] * 3, [0] * 12)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, theirs.low, theirs.high))
    same = probability_of_superiority([1.0] * 5, [1.0] * 5)
    assert same.value == 0.5
    assert same.low == pytest.approx(1 - same.high)


def test_swapping_arms_mirrors():
    a, b = np.random.default_rng(0).integers(0, 5, (2, 20))
    one, two = probability_of_superiority(a, b), probability_of_superiority(b, a)
    assert (one.value, one.low) == pytest.approx((1 - two.value, 1 - two.high))


def test_clusters_count_once():
    values, clusters = [1, 1, 1, 0, 0, 1], [1, 1, 1, 2, 2, 2]
    found = success_rate(values, 0.5, clusters)
    assert found.value == pytest.approx((1 + 1 / 3) / 2)
    assert found.n_clusters == 2
    wide, narrow = np.subtract(found.high, found.low), np.subtract(*[getattr(success_rate(values, 0.5), k)
                                                                  for k in ("high", "low")])  # fmt: skip
    assert wide > narrow
    won = probability_of_superiority([5, -1, -1, 1], [0] * 4, [0, 0, 0, 1])
    assert won.value == 1.0


def test_intervals_cover_with_ties_and_clusters():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(400):
        found = probability_of_superiority(rng.integers(0, 3, 25), rng.integers(0, 3, 25))
        hits.append(found.low <= 0.5 <= found.high)
    assert np.mean(hits) >= 0.94


def test_refusals():
    with pytest.raises(ConfigError, match="threshold"):
        success_rate([1.0], math.nan)
    with pytest.raises(ShapeError, match="nan"):
        success_rate([1.0, math.nan], 0.5)
    with pytest.raises(ConfigError, match="level"):
        probability_of_superiority([1.0], [0.0], level=95)
    with pytest.raises(ShapeError, match="pass pairs"):
        probability_of_superiority([1.0], [0.0, 1.0])
