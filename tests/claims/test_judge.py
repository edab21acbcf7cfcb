"""The judge: claims and results in, verdicts out."""

import json

import numpy as np
import pytest

from qmoe.claims import ArmRuns, StudyRuns, judge, parse_claims, runs_of, shipped_claims
from qmoe.errors import ConfigError, ShapeError
from qmoe.studies import Store, run_studies
from qmoe.studies.measurements import effective_dimensions

N, PER_DATA = 30, 2
GENERATOR = np.random.default_rng(5)
LEVEL = GENERATOR.normal(0, 0.01, N).repeat(PER_DATA)


def arm(mean, spread=0.01, label="some router", *, seed=0, size=24, n=N, **more):
    generator = np.random.default_rng(seed)
    rows = np.arange(N * PER_DATA)
    scores = mean + LEVEL + spread * generator.standard_normal(len(rows))
    values = {"test_accuracy": scores, "loss": 1 - scores} | {
        name: np.full(len(rows), float(size)) for name in ("parameters", "router_parameters")
    }
    runs = ArmRuns(label, rows // PER_DATA, rows % PER_DATA, values | more.pop("values", {}), **more)
    return runs.take(rows < n * PER_DATA)


def study(name="s", **arms):
    return StudyRuns(name, {(key, None): runs for key, runs in arms.items()}, chance=0.5)


def claim(identity="X", tests=None, **changes):
    test = {"kind": "difference", "name": "t", "a": "x", "b": "y", "margin": 0.02} | changes.pop("test", {})
    values = {"id": identity, "statement": "x beats y", "source": "me", "studies": ["s"]} | changes
    return parse_claims(values | {"tests": tests or [test]})[0]


def verdict(asked, *studies, **options):
    return judge([asked], studies, **options)[0]


BETTER, BASE = arm(0.95, label="new", seed=1), arm(0.9, label="old", seed=2)


def test_a_verdict_has_outcome_effect_interval_and_a_sentence_with_labels_and_figures():
    found = verdict(claim(if_supported="It is so."), study(x=BETTER, y=BASE))
    assert found.outcome == "supported"
    assert found.reasons[0] == "It is so."
    assert "the new is more accurate than the old" in found.reasons[1]
    assert "over 30 draws of the data" in found.reasons[1]
    effect, low, high = found.key.interval
    assert low < effect < high
    assert effect == pytest.approx(0.05, abs=0.01)
    assert verdict(claim(), study(x=BASE, y=BETTER)).outcome == "refuted"
    json.dumps(found.as_dict())


def test_verdicts_do_not_depend_on_the_order_of_runs_arms_or_call():
    mixed = np.random.default_rng(0).permutation(N * PER_DATA)
    shuffled = ArmRuns(
        "new", BETTER.data_seeds[mixed], BETTER.init_seeds[mixed], {k: v[mixed] for k, v in BETTER.values.items()}
    )
    one, other = verdict(claim(), study(x=BETTER, y=BASE)), verdict(claim(), study(y=BASE, x=shuffled))
    assert one.as_dict() == other.as_dict()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (arm(0.95, n=20), "there are 20 draws of the data, and the claim asks for 30"),
        (arm(0.95, done=np.arange(60) < 40), "20 of 60 pairs of runs are not finished"),
        (arm(0.95, done=np.arange(60) < 50, failed=np.arange(60) >= 50), "10 of 60 pairs failed"),
        (arm(0.95, epochs=np.full(60, 99)), "different epochs"),
        (arm(0.95, lrs=np.full(60, 0.5)), "different learning rates"),
        (arm(0.95, tried=(0.1, 0.2, 0.3)), "3 and 1 learning rates"),
    ],
    ids=["too few", "unfinished", "selection", "epochs", "rates", "effort"],
)
def test_what_the_data_cannot_carry_is_inconclusive_with_the_reason(x, words):
    y = arm(0.9, seed=2, epochs=np.full(60, 50), lrs=np.full(60, 0.1))
    found = verdict(claim(), study(x=x, y=y))
    assert found.outcome == "inconclusive"
    assert words in found.reasons[0]


def test_missing_studies_arms_metrics_and_measurements_are_inconclusive_with_the_reason():
    assert "There are no results of s." in verdict(claim()).reasons[0]
    assert "there is no arm 'y'" in verdict(claim(), study(x=BETTER)).reasons[0]
    asked = claim(test={"metric": "speed"})
    assert "no finished run with the metric 'speed'" in verdict(asked, study(x=BETTER, y=BASE)).reasons[0]
    measured = claim(tests=[{"kind": "measurement", "name": "m", "quantity": "q", "a": "x", "b": "y", "margin": 1}])
    found = verdict(measured)
    assert found.outcome == "inconclusive"
    assert "q was not measured for x and y" in found.reasons[0]


def test_single_failed_runs_are_left_out_and_told():
    broken = np.arange(60) == 3
    found = verdict(claim(), study(x=arm(0.95, done=~broken, failed=broken), y=BASE))
    assert found.outcome == "supported"
    assert any("1 of 60 pairs failed" in held for held in found.caveats)


def test_equal_differences_everywhere_decide_nothing():
    twice = study(x=BASE, y=BASE)
    for direction in ("greater", "equivalent"):
        found = verdict(claim(test={"direction": direction}), twice)
        assert found.outcome == "inconclusive"
        assert "exactly equal" in found.reasons[0]


def test_where_there_is_no_room_no_difference_is_no_evidence():
    both = [
        arm(0.0, 0.001, seed=s, values={"test_accuracy": 0.995 + 0.001 * np.random.default_rng(s).random(60)})
        for s in (1, 2)
    ]
    for direction in ("greater", "equivalent"):
        found = verdict(claim(test={"direction": direction}), study(x=both[0], y=both[1]))
        assert found.outcome == "inconclusive"
        assert "so close to 100%" in found.reasons[0]
    guessing = study(x=arm(0.5, 0.01, seed=1), y=arm(0.5, 0.01, seed=2))
    assert "guessing" in verdict(claim(test={"direction": "equivalent"}), guessing).reasons[0]


def test_unequal_size_and_unfinished_training_are_told_beside_the_verdict():
    falling = np.tile([1.0, 0.9, 0.8, 0.7], (60, 1))
    found = verdict(claim(), study(x=arm(0.95, size=100, recent=falling, label="new"), y=BASE))
    assert found.outcome == "supported"
    assert any("100 against 24 parameters of the whole mixture" in held for held in found.caveats)
    assert any("still falling at the end of training (new)" in held for held in found.caveats)


def test_where_the_data_never_vary_the_initialisation_is_the_unit_and_that_is_told():
    rows = np.arange(30)
    x, y = (
        ArmRuns(
            n, np.zeros(30, dtype=int), rows, {"test_accuracy": m + 0.01 * np.random.default_rng(i).normal(size=30)}
        )
        for i, (n, m) in enumerate((("new", 0.95), ("old", 0.9)))
    )
    found = verdict(claim(), study(x=x, y=y))
    assert found.outcome == "supported"
    assert "over 30 initialisations" in found.reasons[0]
    assert any("the data never vary" in held for held in found.caveats)


def test_holms_correction_runs_over_all_claims_judged_together():
    weak = study(x=arm(0.92, 0.04, seed=1), y=arm(0.9, 0.04, seed=2))
    alone = verdict(claim(test={"margin": 0}), weak)
    p = alone.key.decision.p_support
    assert 0.001 < p < 0.05
    assert alone.outcome == "supported"
    null = [study(f"null{i}", x=arm(0.9, seed=20 + i), y=arm(0.9, seed=60 + i)) for i in range(60)]
    claims = [claim(test={"margin": 0}), *(claim(f"N{i}", studies=[f"null{i}"], test={"margin": 0}) for i in range(60))]
    together = judge(claims, [weak, *null])
    assert together[0].key.decision.p_support == pytest.approx(min(1, 61 * p))
    assert {v.outcome for v in together} == {"inconclusive"}


def test_a_cause_is_refuted_by_one_arm_that_does_without_it():
    tests = [
        {"kind": "difference", "name": f"needs-{b}", "a": "x", "b": b, "margin": 0.02}
        for b in ("entangling", "circuit")
    ]
    asked = claim(tests=tests)
    needs_both = study(x=BETTER, entangling=BASE, circuit=arm(0.9, seed=3))
    assert verdict(asked, needs_both).outcome == "supported"
    twin = study(x=BETTER, entangling=BASE, circuit=arm(0.955, seed=4, label="twin"))
    found = verdict(asked, twin)
    assert found.outcome == "refuted"
    assert "the some router" not in found.reasons[0]
    assert "twin" in found.reasons[0]
    assert found.key.b == "twin"
    unclear = study(x=BETTER, entangling=BASE, circuit=arm(0.93, 0.15, seed=3))
    assert verdict(asked, unclear).outcome == "inconclusive"


def rivals(**sizes):
    return claim(
        tests=[{"kind": "parameters", "name": "p", "a": "x", "rivals": list(sizes), "factor": 1.5, "margin": 0.02}]
    )


def test_fewer_parameters_means_that_no_small_rival_does_as_well():
    x, weak = arm(0.95, size=24, seed=1), arm(0.9, size=12, seed=2)
    large = arm(0.95, size=160, seed=3, label="large")
    asked = rivals(small=0, large=0)
    found = verdict(asked, study(x=x, small=weak, large=large))
    assert found.outcome == "supported"
    assert any("has 160 (large)" in held for held in found.caveats)
    found = verdict(asked, study(x=x, small=weak, large=arm(0.9, size=160, seed=3)))
    assert found.outcome == "supported"
    assert any("may be training, not size" in held for held in found.caveats)
    assert verdict(asked, study(x=x, small=arm(0.95, size=30, seed=4), large=large)).outcome == "refuted"
    assert verdict(asked, study(x=x, small=arm(0.95, size=36, seed=4), large=large)).outcome == "inconclusive"
    assert verdict(asked, study(x=x, large=large)).outcome == "inconclusive"  # the small rival is missing


def noisy(*accuracies):
    strengths = (0.0, 0.1, 0.3, 0.6)
    arms = {
        ("x", p): arm(a, seed=i, label=f"x at {p}") for i, (p, a) in enumerate(zip(strengths, accuracies, strict=True))
    }
    return StudyRuns("s", arms, 0.5)


def test_a_breakdown_is_robust_first_and_lasting_later():
    asked = claim(
        tests=[{"kind": "breakdown", "name": "b", "arm": "x", "robust_to": 0.1, "breaks_by": 0.7, "margin": 0.02}]
    )
    found = verdict(asked, noisy(0.95, 0.95, 0.95, 0.85))
    assert found.outcome == "supported"
    assert "From p = 0.6 on" in found.reasons[0]
    assert verdict(asked, noisy(0.95, 0.85, 0.85, 0.85)).outcome == "refuted"
    no_breakdown = verdict(asked, noisy(0.95, 0.95, 0.95, 0.95))
    assert no_breakdown.outcome == "refuted"
    assert "there is no breakdown" in no_breakdown.reasons[0]
    assert verdict(asked, noisy(0.95, 0.95, 0.85, 0.95)).outcome == "inconclusive"  # not lasting
    assert "no arm 'x' at noise 0" in verdict(asked, study(x=BASE)).reasons[0]


@pytest.mark.parametrize("other", [0.95, 0.9])
def test_a_breakdown_holds_whatever_else_its_family_refutes(other):
    # That a weak strength costs nothing supports here; that no strength does would refute, and waits for other refutations.
    asked = claim(
        tests=[{"kind": "breakdown", "name": "b", "arm": "x", "robust_to": 0.1, "breaks_by": 0.7, "margin": 0.02}]
    )
    beside = claim("Y", studies=["t"])
    tested = StudyRuns("t", {("x", None): arm(other, seed=8), ("y", None): arm(0.9, seed=9)}, 0.5)
    second, first = judge([beside, asked], [noisy(0.95, 0.95, 0.95, 0.85), tested])
    assert (first.outcome, second.outcome) == ("supported", "supported" if other > 0.9 else "refuted")
    assert first.p_support < 0.05
    assert (first.comparisons[0].outcome, first.comparisons[-1].outcome) == ("supported", "refuted")


def test_measurements_are_compared_by_position():
    asked = claim(tests=[{"kind": "measurement", "name": "m", "quantity": "ed", "a": "x", "b": "y", "margin": 1.0}])
    generator = np.random.default_rng(0)
    measured = {"ed": {"x": generator.normal(12, 0.5, 30), "y": generator.normal(8, 0.5, 30)}}
    assert verdict(asked, measurements=measured).outcome == "supported"
    swapped = {"ed": {"x": measured["ed"]["y"], "y": measured["ed"]["x"]}}
    assert verdict(asked, measurements=swapped).outcome == "refuted"
    few = {"ed": {name: values[:12] for name, values in measured["ed"].items()}}
    assert verdict(asked, measurements=few).outcome == "inconclusive"
    with pytest.raises(ShapeError, match="paired by position"):
        verdict(asked, measurements={"ed": {"x": measured["ed"]["x"], "y": measured["ed"]["y"][:5]}})


def test_seconds_are_of_models_that_trained_alone_each_a_measurement_by_itself():
    generator = np.random.default_rng(0)
    slow, fast = (arm(0.9, values={"seconds": np.full(60, np.nan)}) for _ in range(2))
    slow.values["seconds"][:12] = 3 * np.exp(generator.normal(0, 0.05, 12))
    fast.values["seconds"][:12] = np.exp(generator.normal(0, 0.05, 12))
    test = {"metric": "seconds", "scale": "ratio", "direction": "less", "margin": 1.1, "min_seeds": 12}
    found = verdict(claim(test=test), study(x=fast, y=slow))
    assert found.outcome == "supported"
    assert "over 12 pairs of models that trained alone" in found.reasons[0]


def at_rates(*means, label="new", seed=0):
    parts = [
        arm(m, seed=seed + i, label=label, lrs=np.full(60, lr))
        for i, (lr, m) in enumerate(zip((0.01, 0.1), means, strict=True))
    ]
    joined = {name: np.concatenate([p.values[name] for p in parts]) for name in parts[0].values}
    columns = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ("data_seeds", "init_seeds", "lrs")}
    return ArmRuns(label, values=joined, **columns)


def test_verdicts_can_be_had_for_each_learning_rate_and_for_the_best_of_each_arm():
    both = study(x=at_rates(0.85, 0.95), y=at_rates(0.9, 0.9, label="old", seed=7))
    assert "several learning rates" in verdict(claim(), both).reasons[0]
    assert both.learning_rates == (0.01, 0.1)
    assert [verdict(claim(), both.at(lr)).outcome for lr in both.learning_rates] == ["refuted", "supported"]
    best = both.tuned(by="loss")
    assert set(best.arms["x", None].lrs.tolist()) == {0.1}
    assert best.arms["x", None].tried == (0.01, 0.1)
    assert verdict(claim(), best).outcome == "supported"
    with pytest.raises(ConfigError, match="by test data"):
        both.tuned(by="test_accuracy")
    with pytest.raises(ConfigError, match="did you mean 'loss'"):
        both.tuned(by="los")


def test_a_learning_rate_at_which_runs_diverge_is_not_chosen():
    x = at_rates(0.85, 0.95)
    failed = np.arange(120) == 100
    values = {name: np.where(failed, np.nan, column) for name, column in x.values.items()}
    diverging = ArmRuns("new", x.data_seeds, x.init_seeds, values, ~failed, failed, x.lrs)
    assert set(study(x=diverging).tuned().arms["x", None].lrs.tolist()) == {0.01}


def test_results_of_a_store_are_judged_as_arrays(tiny, tmp_path):
    asked = claim(test={"a": "quantum", "b": "linear"})
    with Store(tmp_path / "s.sqlite") as store:
        named = tiny.model_copy(update={"name": "s"})
        store.save_study(named)
        assert "no finished run" in verdict(asked, store.load("s")).reasons[0]
        run_studies([named], store)
        results = store.load("s")
    runs = runs_of(results)
    quantum = runs.arms["quantum", None]
    assert runs.chance == 0.5
    assert quantum.done.all()
    assert quantum.values["test_accuracy"].tolist() == [r.metrics["test_accuracy"] for r in results.of("quantum")]
    assert quantum.values["mean_loss"][0] == pytest.approx(np.mean(results.of("quantum")[0].history["loss"]))
    assert "seconds" not in quantum.values  # they trained in stacks
    found = verdict(asked, results)
    assert "there are 3 draws of the data" in found.reasons[0]
    with pytest.raises(ConfigError, match="Two results are named 's'"):
        judge([asked], [results, results])


def test_effective_dimensions_are_measured_on_each_draw_of_the_data(tiny):
    found = effective_dimensions(tiny, ["quantum", "linear"], repeats=2, n_draws=6)
    assert {name: len(values) for name, values in found.items()} == {"quantum": 2, "linear": 2}
    assert found["quantum"][0] != found["quantum"][1]
    again = effective_dimensions(tiny, ["quantum"], repeats=1, n_draws=6)
    assert again["quantum"][0] == found["quantum"][0]
    with pytest.raises(ConfigError, match="did you mean 'quantum'"):
        effective_dimensions(tiny, ["quantun"])


def test_without_results_every_shipped_claim_is_inconclusive():
    assert {v.outcome for v in judge(shipped_claims(), [])} == {"inconclusive"}
