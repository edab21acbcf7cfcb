"""What of the runs is compared, where routing matters, and what too small a lead is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.claims import ArmRuns, Contrast, StudyRuns, decide, judge, parse_claims, plan, shipped_claims
from qmoe.claims.deciding.evidence import conclude
from qmoe.errors import ConfigError

DRAWS, STARTS = 30, 8


def arm(scores, losses=None, label="new"):
    rows = np.arange(scores.size)
    values = {"test_accuracy": scores.ravel()} | ({} if losses is None else {"loss": losses.ravel()})
    return ArmRuns(label, rows // scores.shape[1], rows % scores.shape[1], values)


def claim(identity="X", family="own", **test):
    values = {"kind": "difference", "name": "t", "a": "x", "b": "y", "margin": 0.02} | test
    return parse_claims(
        {"id": identity, "statement": "s", "source": "me", "family": family, "studies": ["s"], "tests": [values]}
    )[0]


def verdict(asked, **arms):
    return judge([asked], [StudyRuns("s", {(name, None): runs for name, runs in arms.items()}, 0.5)])[0]


@pytest.fixture
def lucky():
    """Two arms that can do the same; x gets there in every draw but in few of its runs, y in all, and losses tell."""
    generator = np.random.default_rng(0)
    good = generator.permuted(np.tile(np.arange(STARTS) < 2, (DRAWS, 1)), axis=1) | (
        generator.random((DRAWS, STARTS)) < 0.05
    )
    top = generator.normal(0.97, 0.004, (2, DRAWS, STARTS))
    x = np.where(good, top[0], top[0] - 0.1)
    return arm(x, 1 - x), arm(top[1], 1 - top[1], "old")


def test_each_estimand_has_a_verdict_of_its_own_and_all_are_told(lucky):
    x, y = lucky
    mean, success, best = (
        verdict(claim(direction="equivalent", estimand=e, success=0.95), x=x, y=y) for e in ("mean", "success", "best")
    )
    assert [v.outcome for v in (mean, success, best)] == ["refuted", "refuted", "supported"]
    assert success.key.effect == pytest.approx(-0.75, abs=0.05)
    assert "share of successful runs by test accuracy" in success.reasons[0]
    assert best.key.evidence.n_clusters == DRAWS
    for found in (mean, success, best):
        told = {e.estimand: e for e in found.key.estimates}
        assert list(told) == ["mean", "success", "best"]
        assert told[found.key.estimand].effect == pytest.approx(found.key.effect)
        assert told["success"].threshold == 0.95
        assert told["best"].starts == STARTS


def test_a_run_exactly_at_the_threshold_succeeds_wherever_it_is_counted():
    exactly = arm(np.full((DRAWS, STARTS), 95 / 100), np.zeros((DRAWS, STARTS)))
    below = np.random.default_rng(0).uniform(0.8, 0.9, (DRAWS, STARTS))
    found = verdict(claim(success=0.95), x=exactly, y=arm(below, 1 - below, "old")).key
    told = {e.estimand: e for e in found.estimates}
    assert (found.evidence.success_a.value, found.evidence.success_b.value) == (1, 0)
    assert (told["success"].mean_a, told["success"].mean_b) == (1, 0)


def test_the_best_of_few_initialisations_is_no_capacity(lucky):
    few = [arm(r.values["test_accuracy"].reshape(DRAWS, STARTS)[:, :3], r.values["loss"].reshape(DRAWS, STARTS)[:, :3])
           for r in lucky]  # fmt: skip
    found = verdict(claim(estimand="best"), x=few[0], y=few[1])
    assert any("the best of 3 initialisations; fewer than 8" in words for words in found.caveats)
    assert not any("best of" in words for words in verdict(claim(estimand="best"), x=lucky[0], y=lucky[1]).caveats)


def test_the_best_needs_losses_and_success_a_threshold(lucky):
    x, y = (arm(r.values["test_accuracy"].reshape(DRAWS, STARTS)) for r in lucky)
    assert "some runs have no loss" in verdict(claim(estimand="best"), x=x, y=y).reasons[0]
    with pytest.raises(ConfigError, match="the threshold that a run must reach"):
        claim(estimand="success")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.03, 0.05), st.floats(0.0005, 0.05), st.integers(6, 30), st.booleans())
def test_an_interval_inside_the_margin_is_never_supported(seed, gap, spread, n, heavy):
    generator = np.random.default_rng(seed)
    d = gap + spread * (generator.standard_t(2, n) if heavy else generator.normal(size=n))
    for direction, sign in (("greater", 1), ("less", -1)):
        found = decide(0.9 + sign * d, np.full(n, 0.9), Contrast(direction, 0.02))
        if found.evidence.low > -0.02 and found.evidence.high < 0.02:
            assert found.outcome != "supported"
        if found.outcome == "supported":
            assert sign * found.evidence.effect >= 0.02


def test_a_small_lead_and_an_uncertain_one_have_reasons_of_their_own():
    noise = np.random.default_rng(0).normal(size=30)
    noise = (noise - noise.mean()) / noise.std()
    base = np.full(30, 0.9)
    unsure = decide(base + 0.016 + 0.03 * noise, base, Contrast("greater", 0.02))
    assert unsure.outcome == "inconclusive"
    assert unsure.why_open == "a lead is significant, but its estimate is below the smallest difference that matters"
    assert unsure.evidence.high > 0.02
    inside = decide(base + 0.012 + 0.01 * noise, base, Contrast("greater", 0.02)).evidence
    assert inside.inside_margin
    assert conclude(inside, 0.01, 1.0).why_open.startswith("the lead is too small to matter")


def test_every_inconclusive_comparison_says_what_it_could_have_found():
    generator = np.random.default_rng(1)
    x, y = (arm(0.9 + generator.normal(0, 0.08, (DRAWS, 2)), label=label) for label in ("new", "old"))
    found = verdict(claim(), x=x, y=y)
    e = found.key.evidence
    assert found.outcome == "inconclusive"
    assert 0.02 < e.smallest_effect < 0.08
    assert e.draws_needed > DRAWS
    assert f"the smallest effect found with a power of 80% is {e.smallest_effect:.2g}" in found.reasons[0]
    assert f"an effect as large as the margin needs {e.draws_needed} draws of the data" in found.reasons[0]


def three(off, x=0.97, y=0.97):
    generator = np.random.default_rng(3)
    return {
        name: arm(m + generator.normal(0, 0.005, (DRAWS, 2)), label=name)
        for name, m in (("x", x), ("y", y), ("mean", off))
    }


@pytest.mark.parametrize("direction", ["greater", "equivalent", "not_less"])
def test_no_difference_counts_only_where_routing_matters(direction):
    matters = verdict(claim(direction=direction), **three(0.88))
    assert matters.outcome == {"greater": "refuted"}.get(direction, "supported")
    idle = verdict(claim(direction=direction), **three(0.965))
    assert idle.outcome == "inconclusive"
    assert "on this data set routing is not shown to matter" in idle.reasons[0]
    # The switched-off arm takes the place of "no room": both arms may be near 100%.
    assert verdict(claim(direction=direction), **three(0.9, 0.994, 0.993)).outcome == matters.outcome


def test_a_difference_counts_wherever_it_shows():
    assert verdict(claim(), **three(0.965, y=0.9)).outcome == "supported"
    assert verdict(claim(), **three(0.9, x=0.9)).outcome == "refuted"
    assert verdict(claim(b="mean"), **three(0.965)).outcome == "refuted"


def test_claims_of_other_families_move_nothing():
    generator = np.random.default_rng(5)

    def scores(lead):
        return arm(0.9 + lead + generator.normal(0, 0.03, (DRAWS, 2)))

    studies = [StudyRuns(f"s{i}", {("x", None): scores(0.01 * i), ("y", None): scores(0)}, 0.5) for i in range(6)]
    asked = [claim(f"C{i}", "paper").model_copy(update={"studies": (f"s{i}",)}) for i in range(3)]
    more = [claim(f"{f}{i}", f).model_copy(update={"studies": (f"s{i}",)}) for f in ("qmoe", "own") for i in range(6)]
    alone, together = judge(asked, studies), judge([*more[:6], *asked, *more[6:]], studies)[6:9]
    assert [v.as_dict() for v in alone] == [v.as_dict() for v in together]
    assert [(v.p_support, v.p_refute) for v in alone] == [(v.p_support, v.p_refute) for v in together]
    within = judge([*asked, claim("C9", "paper").model_copy(update={"studies": ("s0",)})], studies)
    assert any(a.p_support != b.p_support for a, b in zip(alone, within, strict=False))


def test_shipped_claims_are_of_two_families():
    families = {c.id: c.family for c in shipped_claims()}
    assert all(family == ("paper" if name.startswith("C") else "qmoe") for name, family in families.items())
    assert claim().family == "own"


def test_tests_that_must_all_hold_are_not_corrected_for_their_number():
    generator = np.random.default_rng(8)
    arms = {f"y{i}": arm(0.9 + generator.normal(0, 0.05, (DRAWS, 2))) for i in range(5)}
    x = arm(0.94 + generator.normal(0, 0.05, (DRAWS, 2)))
    tests = [{"kind": "difference", "name": b, "a": "x", "b": b, "margin": 0.02} for b in arms]
    values = {"id": "X", "statement": "s", "source": "me", "studies": ["s"], "tests": tests}
    found = verdict(parse_claims(values)[0], x=x, **arms)
    assert found.p_support == max(c.evidence.p_support for c in found.comparisons)
    assert found.p_refute == pytest.approx(min(1, 5 * min(c.evidence.p_refute for c in found.comparisons)))
    assert [c.decision.p_support for c in found.comparisons] == [c.evidence.p_support for c in found.comparisons]


def test_a_pilot_says_how_many_draws_each_test_needs():
    generator = np.random.default_rng(2)
    x, y = (arm(0.9 + generator.normal(0, 0.05, (8, 2)), label=label) for label in ("new", "old"))
    (found,) = plan([claim()], {"s": StudyRuns("s", {("x", None): x, ("y", None): y}, 0.5)})
    assert (found.claim, found.a_key, found.b, found.pilot_draws) == ("X", ("x", None), "old", 8)
    assert found.draws_needed > 8
    assert found.smallest_effect > 0.02
    (missing,) = plan([claim()], {"s": StudyRuns("s", {("x", None): x}, 0.5)})
    assert missing.obstacle == "there is no arm 'y'"


def test_a_measurement_may_be_compared_with_a_number():
    test = {
        "kind": "measurement",
        "name": "m",
        "quantity": "q",
        "a": "x",
        "b": 1.0,
        "direction": "not_less",
        "margin": 0.05,
    }
    asked = parse_claims({"id": "X", "statement": "s", "source": "me", "tests": [test]})[0]
    assert judge([asked], [], {"q": {"x": np.ones(30)}})[0].outcome == "supported"
    found = judge([asked], [], {"q": {"x": np.linspace(0, 0.7, 30)}})[0]
    assert found.outcome == "refuted"
    assert found.key.b == "value 1"
