"""A claim over all specifications: what agrees, what depends, and on which choice."""

import itertools
import json

import numpy as np
import pytest

from qmoe.claims import ArmRuns, StudyRuns, Universe, judge, parse_claims
from qmoe.claims.analyses.over_analyses import Point, Pool, SpecificationRow, over_specifications
from qmoe.errors import ConfigError

CHOICES = {
    "scaling": ("minmax_pi", "minmax_centred", "standard"),
    "rotation": ("X", "Z"),
    "optimiser": ("adam", "lbfgs"),
}
SPECIFICATIONS = [dict(zip(CHOICES, each, strict=True)) for each in itertools.product(*CHOICES.values())]
DRAWS = 30


def study(effect, seed, name="s", arms=("x", "y"), draws=DRAWS):
    generator = np.random.default_rng(seed)
    rows = np.arange(2 * draws)
    level = generator.normal(0.9, 0.01, draws).repeat(2)
    return StudyRuns(
        name,
        {
            (arm, None): ArmRuns(
                arm, rows // 2, rows % 2,
                {"test_accuracy": level + (effect if arm == "x" else 0) + generator.normal(0, 0.01, 2 * draws)},
            )
            for arm in arms
        },
        0.5,
    )  # fmt: skip


def universes(effect_of, name="s", **options):
    return [Universe(c, study(effect_of(c), i, name, **options)) for i, c in enumerate(SPECIFICATIONS)]


def claim(identity="X", **changes):
    test = {"kind": "difference", "name": "t", "a": "x", "b": "y", "margin": 0.02}
    values = {"id": identity, "statement": "x beats y", "source": "me", "studies": ["s"], "tests": [test]}
    return parse_claims(values | changes)[0]


def verdict(found, asked=None):
    return judge([asked or claim()], {"s": found[0].runs}, multiverse={"s": found})[0]


@pytest.mark.parametrize(("effect", "outcome"), [(0.05, "supported"), (0.0, "refuted"), (-0.05, "refuted")])
def test_what_every_specification_says_is_the_verdict(effect, outcome):
    found = verdict(universes(lambda _c: effect))
    assert (found.outcome, found.own) == (outcome, outcome)
    assert found.multiverse.counts == {outcome: 12}
    assert [row.base for row in found.multiverse.rows] == [True] + 11 * [False]
    assert found.multiverse.rows[0].choices == SPECIFICATIONS[0]
    assert (
        f"Of 12 specifications of the analysis, 12 {'support' if outcome == 'supported' else 'refute'} it."
        in found.reasons
    )


def test_a_verdict_that_flips_with_a_choice_depends_on_it():
    found = verdict(universes(lambda c: 0.06 if c["rotation"] == "Z" else 0.0))
    assert (found.outcome, found.own) == ("depends", "refuted")
    choice = found.multiverse.deciding
    assert choice.choice == "rotation"
    assert choice.share > 0.9
    assert choice.outcomes == {"X": {"refuted": 6}, "Z": {"supported": 6}}
    assert choice.effects["Z"] - choice.effects["X"] == pytest.approx(0.06, abs=0.01)
    assert "It depends most on the encoding axis (rotation X: 6 refuted; rotation Z: 6 supported)." in found.reasons
    curve = found.multiverse.curve()
    assert [p.effect for _, p in curve] == sorted(p.effect for _, p in curve)
    assert [row.choices["rotation"] for row, _ in curve] == ["X"] * 6 + ["Z"] * 6
    assert all(p.low < p.effect < p.high for _, p in curve)
    json.dumps(found.as_dict(), allow_nan=False)


def test_specifications_that_share_an_alternative_find_together_what_single_ones_are_too_few_for():
    generator = np.random.default_rng(3)

    def noisy(c):
        found = study(0.06 if c["rotation"] == "Z" else 0.0, SPECIFICATIONS.index(c))
        scores = found.arms["x", None].values["test_accuracy"]
        scores += generator.normal(0, 0.06, scores.size)
        return Universe(c, found)

    found = verdict([noisy(c) for c in SPECIFICATIONS])
    assert found.multiverse.counts.get("inconclusive", 0) >= 1
    firm = {(p.choice, p.alternative): p.firm for p in found.multiverse.pools}
    assert (firm["rotation", "X"], firm["rotation", "Z"]) == ("refuted", "supported")
    assert len(firm) == 7
    assert {p.n for p in found.multiverse.pools} == {4, 6}
    assert found.outcome == "depends"


def test_what_no_mean_can_show_is_not_pooled():
    test = {"kind": "difference", "name": "t", "a": "x", "b": "y", "margin": 0.02, "direction": "equivalent"}
    found = verdict(universes(lambda c: 0.05 if c["rotation"] == "Z" else -0.05), claim(tests=[test]))
    assert found.multiverse.pools == ()
    assert found.outcome == "refuted"


def row(outcome, firm="inconclusive", leaning=None, at=None):
    """A specification with one comparison, whose effect is by itself far from that of the other side."""
    middle = {"supported": 0.05, "refuted": 0.0}.get(outcome, 0.02) if at is None else at
    key = ("t", "s", ("x", None), ("y", None))
    point = Point(*key, "test_accuracy", middle, middle - 0.01, middle + 0.01, outcome, 0.005, 30)
    return SpecificationRow({}, False, outcome, leaning or outcome, firm, (point,))


def test_the_rule_over_specifications():
    yes, no, open_ = "supported", "refuted", "inconclusive"
    assert over_specifications([row(yes, yes)] * 18) == yes
    assert over_specifications([row(yes, yes)] * 17 + [row(no)]) == yes  # one of 18 by chance
    assert over_specifications([row(yes, yes)] * 17 + [row(no, no)]) == "depends"
    assert over_specifications([row(yes, yes)] * 16 + [row(no)] * 2) == open_
    assert over_specifications([row(yes, yes)] * 9 + [row(open_, leaning=yes)] * 9) == yes
    assert over_specifications([row(yes, yes)] * 9 + [row(open_, leaning=no)] * 9) == open_
    assert over_specifications([row(yes, yes)] * 8 + [row(open_, leaning=yes)] * 10) == open_
    assert over_specifications([row(no, no)] * 18) == no
    assert over_specifications([row(open_)] * 18) == open_


def test_two_sides_that_chance_may_have_made_do_not_depend_on_the_analysis():
    # A lead of 0.01 that is the same everywhere is above 0 and below the margin: chance shows the one here, the other there.
    above, below = row("supported", "supported", at=0.021), row("refuted", "refuted", at=0.002)
    assert over_specifications([above] * 9 + [below] * 9) == "inconclusive"
    # The largest of 18 means is as far from the least as 3.8 standard errors of a difference in 5% of cases, with 30 draws.
    reach = 0.005 * np.sqrt(2) * 3.8149
    for gap, outcome in ((0.99 * reach, "inconclusive"), (1.01 * reach, "depends")):
        low = row("refuted", "refuted", at=0.021 - gap)
        assert over_specifications([above] * 9 + [below] * 8 + [low]) == outcome
    assert over_specifications([above] * 9 + [row("refuted", at=-0.5)] * 9) == "inconclusive"  # far away, but not firm
    sure = Point(*below.points[0].key, "m", 0.0, -0.001, 0.001, "refuted", 0.0005, 30)
    assert over_specifications([above] * 9 + [below] * 9, [Pool("rotation", "X", 9, "refuted", (sure,))]) == "depends"


def test_ratios_differ_by_their_logarithms():
    point = Point("t", "s", ("x", None), ("y", None), "seconds", 2.0, 1.8, 2.2, "supported", 0.01, 30, "ratio")
    assert point.distance == pytest.approx(np.log(2))
    assert np.isnan(Point("t", "s", ("x", None), ("y", None), "m", None, None, None, "inconclusive").distance)


def test_a_point_has_the_standard_error_over_draws():
    found = verdict(universes(lambda _c: 0.05))
    row = found.multiverse.rows[0]
    evidence = found.comparisons[0].evidence
    assert row.points[0].error == pytest.approx(evidence.sd / np.sqrt(DRAWS))
    assert (row.points[0].draws, row.points[0].scale) == (DRAWS, "difference")


def test_an_arm_that_a_specification_did_not_try_stays_at_the_studys_own():
    tests = [{"kind": "difference", "name": b, "a": "x", "b": b, "margin": 0.02} for b in ("y", "z")]
    own = study(0.05, 0, arms=("x", "y", "z"))
    found = [Universe(SPECIFICATIONS[0], own), *universes(lambda _c: 0.05)[1:]]
    got = judge([claim(tests=tests)], {"s": own}, multiverse={"s": found})[0]
    assert got.outcome == "supported"
    of_z = [p for r in got.multiverse.rows for p in r.points if p.test == "z"]
    assert len(of_z) == 12
    assert len({p.effect for p in of_z}) == 1


def test_a_specification_may_rest_on_fewer_draws_than_the_claim_asks_for():
    found = universes(lambda _c: 0.05)
    found[3] = Universe(SPECIFICATIONS[3], study(0.05, 3, draws=12))
    assert verdict(found).multiverse.counts == {"supported": 12}
    found[3] = Universe(SPECIFICATIONS[3], study(0.05, 3, draws=8))
    assert verdict(found).multiverse.counts == {"supported": 11, "inconclusive": 1}


def test_specifications_of_several_studies_are_matched_by_their_choices():
    asked = claim(studies=["s", "t"])
    one, other = universes(lambda _c: 0.05), universes(lambda _c: 0.05, "t")
    results = {"s": one[0].runs, "t": other[0].runs}
    both = judge([asked], results, multiverse={"s": one, "t": other[:1] + other[:0:-1]})[0]
    assert both.outcome == "supported"
    assert len(both.multiverse.rows) == 12
    effect = {(p.study, r.choices["rotation"], r.choices["scaling"], r.choices["optimiser"]): p.effect
              for r in both.multiverse.rows for p in r.points}  # fmt: skip
    assert len(effect) == 24
    alone = judge([asked], results, multiverse={"s": one})[0]
    assert len({p.effect for r in alone.multiverse.rows for p in r.points if p.study == "t"}) == 1


def test_without_specifications_there_is_no_multiverse():
    found = verdict([Universe(SPECIFICATIONS[0], study(0.05, 0))])
    assert len(found.multiverse.rows) == 1
    assert judge([claim()], [study(0.05, 0)])[0].multiverse is None


def test_each_study_can_have_its_own_verdict():
    asked = claim(studies=["s", "t"], per_study=True)
    one, other = universes(lambda _c: 0.05), universes(lambda c: 0.05 if c["rotation"] == "Z" else -0.03, "t")
    found = judge([asked], {"s": one[0].runs, "t": other[0].runs}, multiverse={"s": one, "t": other})[0]
    assert [(v.study, v.outcome) for v in found.per_study] == [("s", "supported"), ("t", "depends")]
    assert found.outcome == "depends"
    assert len(found.tests) == 2
    with pytest.raises(ConfigError, match="per_study"):
        claim(
            per_study=True,
            tests=[{"kind": "measurement", "name": "m", "quantity": "q", "a": "x", "b": 1.0, "margin": 1}],
        )


def with_losses(seeds=4, starts=3):
    rows = np.arange(seeds * starts)
    loss = np.tile([0.3, 0.1, 0.2], seeds)
    return ArmRuns("x", rows // starts, rows % starts, {"test_accuracy": rows / 100, "loss": loss})


def test_the_best_start_is_that_of_the_least_training_loss():
    best = StudyRuns("s", {("x", None): with_losses()}).best_starts().arms["x", None]
    assert best.values["test_accuracy"].tolist() == [0.01, 0.04, 0.07, 0.1]
    assert best.data_seeds.tolist() == [0, 1, 2, 3]
    assert best.init_seeds.tolist() == [0] * 4
    assert best.done.all()
    with pytest.raises(ConfigError, match="by test data"):
        StudyRuns("s", {}).best_starts("test_accuracy")


def test_a_start_that_broke_off_is_passed_over_and_one_that_waits_is_waited_for():
    runs = with_losses()
    failed, done = np.arange(12) == 1, (np.arange(12) != 1) & (np.arange(12) != 5)
    partly = ArmRuns("x", runs.data_seeds, runs.init_seeds, runs.values, done, failed)
    best = StudyRuns("s", {("x", None): partly}).selected("best_start").arms["x", None]
    assert best.values["test_accuracy"][0] == 0.02
    assert best.done.tolist() == [True, False, True, True]
    with pytest.raises(ConfigError, match="did you mean 'best_start'"):
        StudyRuns("s", {}).selected("best_starts")
