"""The statistical core of verdicts: what supports, what refutes, and what does neither."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.claims import Contrast, decide
from qmoe.claims.deciding.combining import combined
from qmoe.claims.deciding.evidence import conclude, weigh
from qmoe.errors import ConfigError, ShapeError

GREATER = Contrast("greater", 0.02)
EQUIVALENT = Contrast("equivalent", 0.02)


def scores(mean, spread=0.01, n=30, seed=0):
    noise = np.random.default_rng(seed).normal(size=n)
    noise = (noise - noise.mean()) / noise.std()
    return mean + spread * noise


BASE = scores(0.9, 0.02, seed=1)


@pytest.mark.parametrize(
    ("direction", "gap", "outcome"),
    [
        ("greater", 0.05, "supported"),
        ("greater", -0.05, "refuted"),
        ("greater", 0.0, "refuted"),  # equivalent within the margin
        ("greater", 0.008, "refuted"),  # ahead, by too little to matter
        ("less", -0.05, "supported"),
        ("less", 0.05, "refuted"),
        ("equivalent", 0.0, "supported"),
        ("equivalent", 0.05, "refuted"),
        ("equivalent", -0.05, "refuted"),
        ("not_less", 0.0, "supported"),
        ("not_less", 0.05, "supported"),
        ("not_less", -0.05, "refuted"),
        ("not_more", -0.05, "supported"),
        ("not_more", 0.05, "refuted"),
    ],
)
def test_a_clear_difference_is_decided_by_its_direction_and_the_margin(direction, gap, outcome):
    assert decide(BASE + scores(gap), BASE, Contrast(direction, 0.02)).outcome == outcome


@pytest.mark.parametrize("direction", ["greater", "less", "equivalent", "not_less", "not_more"])
def test_a_difference_that_may_or_may_not_matter_decides_nothing(direction):
    found = decide(
        BASE + scores(0.02 if direction in ("greater", "equivalent") else -0.02, 0.3), BASE, Contrast(direction, 0.02)
    )
    assert found.outcome == "inconclusive"
    assert "compatible with a difference that matters and with one that does not" in found.why_open


def test_without_a_margin_no_difference_never_refutes():
    assert decide(BASE + scores(0.0, 0.001), BASE, Contrast("greater", 0.0)).outcome == "inconclusive"
    assert decide(BASE + scores(0.001, 0.001), BASE, Contrast("greater", 0.0)).outcome == "supported"
    assert decide(BASE - scores(0.001, 0.001), BASE, Contrast("greater", 0.0)).outcome == "refuted"


def test_at_least_raises_what_must_be_shown_and_what_refutes():
    contrast = Contrast("greater", 0.02, at_least=0.05)
    assert decide(BASE + scores(0.08), BASE, contrast).outcome == "supported"
    assert decide(BASE + scores(0.03), BASE, contrast).outcome == "refuted"


def test_fewer_clusters_than_six_decide_nothing():
    clusters = np.repeat(np.arange(5), 6)
    found = decide(BASE + scores(0.05, 0.001), BASE, GREATER, clusters)
    assert found.outcome == "inconclusive"
    assert "only 5 independent seeds" in found.why_open


def test_runs_on_the_same_data_count_once():
    noise = scores(0.0, 0.03, n=10)
    once = weigh(BASE[:10] + 0.01 + noise, BASE[:10], GREATER)
    twelve = weigh(
        np.repeat(BASE[:10] + 0.01 + noise, 12), np.repeat(BASE[:10], 12), GREATER, np.repeat(np.arange(10), 12)
    )
    assert (twelve.n_clusters, twelve.n_pairs) == (10, 120)
    assert twelve.p_support == once.p_support
    np.testing.assert_allclose([twelve.effect, twelve.low, twelve.high], [once.effect, once.low, once.high], atol=1e-12)


def test_a_few_runs_that_make_the_mean_do_not_outvote_all_others():
    # Twenty-six pairs lose a little, four win much: the mean is up, the typical pair down.
    d = np.concatenate([np.linspace(-0.021, -0.019, 26), [0.75, 0.8, 0.85, 0.9]])
    found = decide(BASE + d, BASE, Contrast("greater", 0.0))
    assert found.evidence.effect > 0.05
    assert found.evidence.ranks_against_support
    assert found.outcome != "supported"


def test_ratios_are_of_geometric_means():
    seconds = np.exp(scores(0.0, 0.05))
    found = decide(2 * seconds, seconds, Contrast("greater", 1.1, at_least=1.5, scale="ratio"))
    assert found.outcome == "supported"
    assert found.evidence.effect == pytest.approx(2, abs=1e-12)
    assert found.evidence.mean_a / found.evidence.mean_b == pytest.approx(2, abs=1e-12)
    assert decide(1.2 * seconds, seconds, Contrast("less", 1.1, scale="ratio")).outcome == "refuted"
    with pytest.raises(ConfigError, match="positive"):
        decide(seconds - 5, seconds, Contrast(scale="ratio", margin=1.1))


def test_counts_are_compared_exactly():
    a, b = np.full(3, 24.0), np.full(3, 42.0)
    assert decide(a, b, Contrast("less", 0), exact=True).outcome == "supported"
    assert decide(a, b, Contrast("greater", 0), exact=True).outcome == "refuted"
    assert decide(a, a, Contrast("less", 0), exact=True).outcome == "refuted"
    assert decide(a, a, Contrast("equivalent", 1), exact=True).outcome == "supported"
    assert decide(a, b, Contrast("not_less", 18), exact=True).outcome == "supported"
    assert decide(a, b, Contrast("not_less", 17), exact=True).outcome == "refuted"


def test_correction_for_many_tests_can_leave_open_what_one_test_would_show():
    evidence = weigh(BASE + scores(0.01, 0.025), BASE, Contrast("greater", 0.0))
    assert evidence.p_support < 0.05
    assert conclude(evidence, evidence.p_support, 1.0).outcome == "supported"
    left = conclude(evidence, min(1.0, 60 * evidence.p_support), 1.0)
    assert left.outcome == "inconclusive"
    after = ", but not after the correction for multiple comparisons"
    assert left.why_open == f"taken by itself, this comparison shows a lead{after}"


@pytest.mark.parametrize(
    ("direction", "gap", "shown"),
    [
        ("greater", 0.3, "shows a lead"),
        ("greater", -0.001, "rules out a lead that matters (0.02 or more)"),
        ("less", 0.001, "rules out a lead that matters (0.02 or more)"),
        ("less", -0.3, "shows a lead"),
        ("equivalent", 0.001, "rules out a difference that matters (0.02 or more)"),
        ("equivalent", 0.3, "shows a difference of more than 0.02"),
        ("not_less", 0.001, "rules out a deficit that matters (0.02 or more)"),
        ("not_less", -0.3, "shows a deficit of more than 0.02"),
        ("not_more", -0.001, "rules out an excess that matters (0.02 or more)"),
        ("not_more", 0.3, "shows an excess of more than 0.02"),
    ],
)
def test_what_a_correction_leaves_open_says_what_is_shown_without_it(direction, gap, shown):
    found = conclude(weigh(BASE + scores(gap), BASE, Contrast(direction, 0.02)), 1.0, 1.0)
    assert found.outcome == "inconclusive"
    assert found.why_open.startswith(f"taken by itself, this comparison {shown}, but not after")


def test_ratios_and_stated_leads_are_named_as_such_where_a_correction_leaves_them_open():
    times = np.exp(scores(0.0))
    ratio = Contrast("less", 1.1, scale="ratio")
    assert (
        "rules out a lead that matters (a factor of 1.1 or more)"
        in conclude(weigh(times, np.exp(scores(0.001, seed=2)), ratio), 1.0, 1.0).why_open
    )
    assert (
        "rules out a lead," in conclude(weigh(BASE - scores(0.01), BASE, Contrast("greater", 0.0)), 1.0, 1.0).why_open
    )
    stated = Contrast("greater", 0.02, at_least=0.05)
    assert "shows a lead of more than 0.05," in conclude(weigh(BASE + scores(0.3), BASE, stated), 1.0, 1.0).why_open
    assert (
        "rules out a lead that matters (0.05 or more),"
        in conclude(weigh(BASE, BASE - scores(0.03), stated), 1, 1).why_open
    )


def test_success_rates_are_told_where_a_threshold_is_stated():
    a = np.where(np.arange(30) < 24, 0.98, 0.86)
    found = decide(a, np.full(30, 0.9), GREATER, success=0.95).evidence
    assert found.success_a.value == pytest.approx(0.8)
    assert found.success_b.value == 0
    assert found.success_a.low < 0.8 < found.success_a.high
    assert found.wins.value == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ConfigError, {"alpha": 0.7}),
        (ConfigError, {"contrast": Contrast("greater_than", 0.02)}),
        (ShapeError, {"b": BASE[:-1]}),
        (ShapeError, {"a": np.full(30, math.nan)}),
        (ShapeError, {"clusters": np.arange(29)}),
    ],
)
def test_what_does_not_fit_is_refused(error, arguments):
    with pytest.raises(error):
        decide(**{"a": BASE, "b": BASE, "contrast": GREATER} | arguments)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.1, 0.1), st.floats(0.001, 0.1))
def test_exchanging_the_sides_mirrors_the_verdict(seed, gap, spread):
    d = np.random.default_rng(seed).normal(gap, spread, 12)
    there, back = decide(BASE[:12] + d, BASE[:12], GREATER), decide(BASE[:12], BASE[:12] + d, Contrast("less", 0.02))
    assert there.outcome == back.outcome
    assert there.p_support == pytest.approx(back.p_support)
    assert there.evidence.effect == pytest.approx(-back.evidence.effect)
    both = decide(BASE[:12] + d, BASE[:12], EQUIVALENT), decide(BASE[:12], BASE[:12] + d, EQUIVALENT)
    assert both[0].p_support == pytest.approx(both[1].p_support)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.1, 0.1))
def test_a_higher_score_never_makes_support_less_likely(seed, gap):
    d = np.random.default_rng(seed).normal(gap, 0.05, 12)
    low, high = weigh(BASE[:12] + d, BASE[:12], GREATER), weigh(BASE[:12] + d + 0.01, BASE[:12], GREATER)
    assert high.p_support <= low.p_support
    assert high.p_refute >= low.p_refute


def test_tests_combine_as_statements_that_may_still_turn_out_either_way():
    yes, no, open_ = "supported", "refuted", "inconclusive"
    assert combined([yes, yes], "all") == yes
    assert combined([yes, open_], "all") == open_
    assert combined([no, open_], "all") == no
    assert combined([yes, open_, no], "any") == yes
    assert combined([no, open_], "any") == open_
    assert combined([no, no], "any") == no
    assert combined([yes, yes, no], "majority") == yes
    assert combined([yes, no], "majority") == no
    assert combined([yes, yes, open_, open_], "majority") == open_
    assert combined([no, no, open_, yes], "majority") == no
    assert combined([], "all") == open_
