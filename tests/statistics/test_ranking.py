import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import critical_difference, holm, wilcoxon_test

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5]).tolist() == [0.5]
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([0.0, 0.0]).tolist() == [0.0, 0.0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(PROBABILITIES, st.sampled_from([0.01, 0.05, 0.3]))
def test_holm_is_the_closed_test_of_bonferroni(p, alpha):
    """A hypothesis falls where Bonferroni's test rejects every set of hypotheses that holds it."""
    adjusted = holm(p)
    sets = [c for k in range(1, len(p) + 1) for c in itertools.combinations(range(len(p)), k)]
    for i in range(len(p)):
        closed = max(min(1.0, len(c) * min(p[j] for j in c)) for c in sets if i in c)
        assert adjusted[i] == pytest.approx(closed)
        assert (adjusted[i] <= alpha) == (closed <= alpha)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(PROBABILITIES, st.randoms())
def test_holm_follows_its_values(p, random):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()
    order = random.sample(range(len(p)), len(p))
    assert holm([p[i] for i in order]) == pytest.approx(adjusted[order])


def test_friedman_is_scipys_and_ranks_are_by_hand():
    scores = np.array([[0.9, 0.8, 0.7], [0.6, 0.6, 0.5], [0.7, 0.9, 0.1], [0.8, 0.7, 0.6]])
    found = critical_difference(scores, ["a", "b", "c"])
    assert found.names == ("a", "b", "c")
    assert found.mean_ranks == pytest.approx([(1 + 1.5 + 2 + 1) / 4, (2 + 1.5 + 1 + 2) / 4, 3.0])
    theirs = stats.friedmanchisquare(*scores.T)
    assert (found.friedman_statistic, found.friedman_p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (found.n_datasets, found.alpha) == (4, 0.05)
    losses = critical_difference(-scores, ["a", "b", "c"], higher_is_better=False)
    assert losses.mean_ranks == pytest.approx(found.mean_ranks)
    worst_first = critical_difference(scores, ["a", "b", "c"], higher_is_better=False)
    assert worst_first.names == ("c", "b", "a")


def test_a_clear_order_with_one_pair_alike():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.6, 20)
    scores = np.stack([base, base + 0.2, base + 0.1 + rng.normal(0, 0.01, 20), base + 0.1], axis=1)
    found = critical_difference(scores, ["worst", "best", "twin", "other"])
    assert (found.names[0], found.names[3]) == ("best", "worst")
    assert found.friedman_p < 1e-6
    assert {frozenset(c) for c in found.cliques} == {frozenset({"twin", "other"})}
    i, j = found.names.index("best"), found.names.index("worst")
    raw = wilcoxon_test(scores[:, 1], scores[:, 0]).p_value
    assert found.p_values[i, j] == found.p_values[j, i] == pytest.approx(6 * raw)
    assert np.diag(found.p_values).tolist() == [1] * 4


def test_cliques_overlap_where_neighbours_are_alike_and_ends_are_not():
    from qmoe.statistics.ranking import _cliques

    alike = np.ones((4, 4), dtype=bool)
    alike[0, 2] = alike[2, 0] = alike[0, 3] = alike[3, 0] = False
    assert _cliques(alike, ("a", "b", "c", "d")) == (("a", "b"), ("b", "c", "d"))
    assert _cliques(np.eye(3, dtype=bool), ("a", "b", "c")) == ()
    assert _cliques(np.ones((3, 3), dtype=bool), ("a", "b", "c")) == (("a", "b", "c"),)


def test_without_a_difference_all_are_one_clique():
    same = critical_difference(np.full((5, 3), 0.7), ["a", "b", "c"])
    assert (same.friedman_statistic, same.friedman_p) == (0.0, 1.0)
    assert same.mean_ranks.tolist() == [2, 2, 2]
    assert same.cliques == (("a", "b", "c"),)
    assert same.p_values.min() == 1.0
    # Equal but for rounding is equal.
    nearly = critical_difference(np.array([[0.1 + 0.2, 0.3, 0.3]] * 4), ["a", "b", "c"])
    assert nearly.friedman_p == 1.0
    noise = critical_difference(np.random.default_rng(3).normal(size=(8, 4)), list("abcd"))
    assert noise.friedman_p > 0.05
    assert len(noise.cliques) == 1


def test_pairs_do_not_count_where_friedman_finds_nothing():
    # a beats b often and by much, b beats a nearly as often, by little: ranks within data sets do not see it.
    wins = np.repeat([True, False], [12, 8])
    gap = np.where(wins, np.linspace(1, 2, 20), -np.linspace(0.01, 0.02, 20))
    scores = np.stack([gap, np.zeros(20), np.where(np.arange(20) % 2, 5.0, -5.0)], axis=1)
    found = critical_difference(scores, ["a", "b", "c"])
    assert found.friedman_p > 0.05
    assert found.p_values[found.names.index("a"), found.names.index("b")] < 0.05
    assert {frozenset(c) for c in found.cliques} == {frozenset("abc")}


def test_refusals():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.raises(ShapeError, match="two arms by wilcoxon_test"):
        critical_difference(scores[:, :2], ["a", "b"])
    with pytest.raises(ShapeError, match="different names"):
        critical_difference(scores, ["a", "b", "b"])
    with pytest.raises(ShapeError, match="not all finite"):
        critical_difference(scores * np.nan, ["a", "b", "c"])
    with pytest.raises(ConfigError, match="alpha"):
        critical_difference(scores, ["a", "b", "c"], alpha=5)
    for bad in ([], [1.5], [float("nan")]):
        with pytest.raises(ShapeError, match="from 0 to 1"):
            holm(bad)
