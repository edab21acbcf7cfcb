"""Specifications: which there are, that each is a plain study, and that no trial runs twice."""

import itertools
import json

import numpy as np
import pytest

from qmoe.claims import runs_of
from qmoe.errors import ConfigError
from qmoe.report import build_report, read_store
from qmoe.studies import (
    Store,
    StudyResults,
    load_preset,
    make_trials,
    parse_study,
    plan_stacks,
    run_stack,
    run_studies,
    specifications,
)
from qmoe.studies.admission.footprint import MAX_MINIMIZED
from qmoe.studies.assembly import build_model, build_router
from qmoe.studies.naming import continues
from qmoe.studies.run.stacks import cost
from qmoe.studies.specifications import all_members
from tiny_study import tiny_values

TWIN = {"name": "twin", "label": "twin", "model": {"router": {"kind": "twin"}, "experts": {"kind": "linear"}}}
ARMS = [*tiny_values()["arms"], TWIN]


def values(**changes):
    """A study with four ways to scale and turn, each by Adam at one rate or the best of two, or by L-BFGS: 12 in all."""
    table = {
        "scaling": ["minmax_pi", "standard"], "rotation": ["X", "Z"], "optimiser": ["adam", "adam-best", "lbfgs-best"],
        "data": 2, "starts": 3, "max_iterations": 20, "tolerance": 1e-3,
    }  # fmt: skip
    return tiny_values(**({"arms": ARMS, "lr_factors": [0.5], "multiverse": table} | changes))


def turned(rotation):
    """The arms of `values` about another axis, written by hand."""
    found = json.loads(json.dumps(ARMS))
    for arm in found[1:]:
        arm["model"]["router"]["rotation"] = rotation
    return found


def hashes(study):
    return [m.trial.hash for m in make_trials(study)]


def test_every_combination_is_one_specification_and_the_studys_own_comes_first():
    found = specifications(parse_study(values()))
    names = ["scaling", "rotation", "optimiser"]
    assert [list(one.choices) for one in found] == [names] * 12
    wanted = itertools.product(["minmax_pi", "standard"], ["X", "Z"], ["adam", "adam-best", "lbfgs-best"])
    assert [tuple(one.choices.values()) for one in found] == list(wanted)
    assert found[0].choices == {"scaling": "minmax_pi", "rotation": "X", "optimiser": "adam"}
    assert [one.select for one in found] == ["all", "best_rate", "best_start"] * 4
    assert found[0].label == "scaling minmax_pi, rotation X, optimiser adam"
    assert specifications(parse_study(tiny_values())) == ()


def test_the_studys_own_choices_come_first_where_they_are_no_listed_alternative():
    found = specifications(parse_study(values(multiverse={"rotation": ["Y", "Z"], "epochs": [3]})))
    assert [dict(one.choices) for one in found] == [
        {"rotation": "X", "epochs": "2"}, {"rotation": "Y", "epochs": "3"}, {"rotation": "Z", "epochs": "3"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "by_hand", "select"),
    [
        (("standard", "Z", "adam"), {"data": "standard", "arms": "Z"}, "all"),
        (("minmax_pi", "X", "adam"), {}, "all"),
        (("standard", "X", "adam-best"), {"data": "standard", "lr_factors": [0.5]}, "best_rate"),
        (("minmax_pi", "Z", "lbfgs-best"),
         {"arms": "Z", "seeds": {"data": 2, "per_data": 3},
          "training": {"optimiser": "lbfgs", "max_iterations": 20, "tolerance": 1e-3}}, "best_start"),
    ],
)  # fmt: skip
def test_the_trials_of_a_specification_are_those_of_a_plain_study_written_by_hand(choice, by_hand, select):
    by_hand = dict(by_hand)
    by_hand["arms"] = turned(by_hand["arms"]) if "arms" in by_hand else ARMS
    if "data" in by_hand:
        by_hand["data"] = tiny_values()["data"] | {"scaling": by_hand["data"]}
    plain = parse_study(tiny_values(**by_hand))
    (found,) = [one for one in specifications(parse_study(values())) if tuple(one.choices.values()) == choice]
    assert hashes(found.study) == hashes(plain)
    assert [(m.arm, m.strength) for m in make_trials(found.study)] == [(m.arm, m.strength) for m in make_trials(plain)]
    assert found.select == select
    assert found.study.multiverse is None
    assert parse_study(json.loads(found.study.model_dump_json())) == found.study


def test_trials_that_specifications_share_are_counted_once():
    study = parse_study(values())
    members = list(all_members(study))
    assert len({m.trial.hash for m in members}) == len(members)
    # By Adam, two rates of six seeds; by L-BFGS, three starts on two draws. The linear arm is the same about either axis.
    each = 2 * 6 + 2 * 3
    assert len(members) == 2 * each * (1 + 2 + 2)
    of_specifications = {h for one in specifications(study) for h in hashes(one.study)}
    assert of_specifications == {m.trial.hash for m in members}
    planned = [t.hash for stack in plan_stacks([study], set()) for t in stack]
    assert sorted(planned) == sorted(of_specifications)


def test_what_differs_in_nothing_that_is_trained_is_one_specification():
    table = {"optimiser": ["adam", "lbfgs-best"], "epochs": [2, 4]}
    found = specifications(parse_study(values(multiverse=table)))
    assert [tuple(one.choices.values()) for one in found] == [
        ("adam", "2"), ("adam", "4"), ("lbfgs-best", "to a minimum")
    ]  # fmt: skip
    router = {"kind": "quantum", "encoding": "amplitude"}
    amplitudes = {"name": "q", "label": "q", "model": {"router": router, "experts": {"kind": "linear"}}}
    table = {"rotation": ["X", "Z"]}
    assert len(specifications(parse_study(tiny_values(arms=[amplitudes], multiverse=table)))) == 1
    by_name = {"kind": "quantum", "circuit": "iqp"}
    named = {"name": "q", "label": "q", "model": {"router": by_name, "experts": {"kind": "linear"}}}
    assert len(specifications(parse_study(tiny_values(arms=[named], multiverse=table)))) == 1


def test_only_the_arms_that_are_named_are_tried_and_the_study_keeps_its_own():
    table = {"rotation": ["X", "Z"], "arms": ["quantum"], "per_data": 1}
    base, other = specifications(parse_study(values(multiverse=table, timed=1)))
    assert [arm.name for arm in base.study.arms] == ["linear", "quantum", "twin"]
    assert [arm.name for arm in other.study.arms] == ["quantum"]
    assert [(m.trial.data_seed, m.trial.init_seed) for m in make_trials(other.study)] == [(0, 0), (1, 0), (2, 0)]
    assert (base.study.timed, other.study.timed) == (1, 0)
    study = parse_study(values(multiverse=table, timed=1))
    assert sum(len(stack) == 1 for stack in plan_stacks([study], set())) == 3


def test_experts_with_an_angle_encoding_are_turned_as_well():
    arm = {"name": "q", "label": "q", "model": {
        "router": {"kind": "quantum"}, "experts": {"kind": "quantum", "encoding": "angle"}, "head": True}}  # fmt: skip
    _, other = specifications(parse_study(tiny_values(arms=[arm], multiverse={"rotation": ["X", "Y"]})))
    model = other.study.arms[0].model
    assert (model.router.rotation, model.experts.rotation) == ("Y", "Y")


def test_an_initial_scale_is_a_factor_on_the_routers_first_weights_alone():
    plain, scaled = specifications(parse_study(values(multiverse={"initial_scale": [1.0, 0.25]})))
    assert scaled.choices == {"initial_scale": "0.25"}
    for one, other in zip(make_trials(plain.study), make_trials(scaled.study), strict=True):
        model = build_model(one.trial)
        before, after = model.state_dict(), build_model(other.trial).state_dict()
        trained = {f"router.{name}" for name, _ in model.router.named_parameters()}
        alone = build_router(other.trial).state_dict()
        for name, value in before.items():
            factor = 0.25 if name in trained else 1.0
            np.testing.assert_allclose(after[name], factor * value, rtol=1e-6, err_msg=name)
            if name.startswith("router."):
                np.testing.assert_array_equal(after[name], alone[name.removeprefix("router.")])


# --- running ----------------------------------------------------------------------------------------------------------


class InterruptedRunError(Exception):
    """What stops a run."""


def test_an_interrupted_multiverse_goes_on_and_gives_the_results_of_an_uninterrupted_one(tmp_path):
    study = parse_study(values())
    ticks: list[float] = []

    def stop(part):
        ticks.append(part)
        if len(ticks) == 3:
            raise InterruptedRunError

    with Store(tmp_path / "a.sqlite") as store:
        with pytest.raises(InterruptedRunError):
            run_studies([study], store, on_progress=stop)
        before = len(store.hashes())
        assert 0 < before < 180
        assert run_studies([study], store).ran == 180 - before
        assert run_studies([study], store).ran == 0
        resumed = store.load("tiny")
    with Store(tmp_path / "b.sqlite") as store:
        total, done = 0.0, []
        plans: list[float] = []
        run_studies([study], store, on_plan=lambda stacks: plans.extend(map(cost, stacks)), on_progress=done.append)
        total = sum(plans)
        assert sum(done) == pytest.approx(total)
        whole = store.load("tiny")
    # Read after the stores were closed.
    assert [one.specification for one in whole.specifications] == list(specifications(study))
    for one, other in zip(resumed.specifications, whole.specifications, strict=True):
        assert one.n_missing == 0
        assert {h: r.metrics for h, r in one.records.items()} == {h: r.metrics for h, r in other.records.items()}
    assert whole.specifications[0].records.items() <= whole.records.items()


def test_specifications_become_arrays_for_verdicts(tmp_path):
    study = parse_study(values())
    records = {r.trial.hash: r for stack in plan_stacks([study], set()) for r in run_stack(stack)}
    results = StudyResults.of_records(study, tuple(make_trials(study)), records)
    base, tuned, minimised = (runs_of(one) for one in results.specifications[:3])
    assert {runs.name for runs in (base, tuned, minimised)} == {"tiny"}
    assert base.learning_rates == (0.1,)
    assert tuned.learning_rates == (0.05, 0.1)
    starts = minimised.arms["twin", None]
    assert list(zip(starts.data_seeds, starts.init_seeds, strict=True)) == list(itertools.product(range(2), range(3)))
    assert {"loss", "gradient", "n_iterations", "converged", "test_accuracy", "chance"} <= set(starts.values)
    assert starts.done.all()
    assert np.isnan(starts.recent).all()


def test_a_trial_to_a_minimum_says_how_far_it_came_and_has_no_history():
    training = {"optimiser": "lbfgs", "max_iterations": 500, "tolerance": 1e-3}
    study = parse_study(tiny_values(training=training, seeds={"data": 3, "per_data": 12}))
    stacks = plan_stacks([study], set())
    assert sorted(map(len, stacks)) == [18] * 4
    assert MAX_MINIMIZED == 32
    stack = stacks[-1]
    together = run_stack(stack)
    (alone,) = run_stack((stack[5],))
    assert alone.metrics == together[5].metrics
    for record in together:
        assert record.history == {}
        assert record.trial.training.dtype == "float64"
        assert record.metrics["converged"] == (record.metrics["gradient"] <= 1e-3)
        assert 0 < record.metrics["n_iterations"] <= 500
        assert {"train_accuracy", "test_accuracy", "test_balanced_accuracy", "parameters"} <= set(record.metrics)


# --- what is refused, and what is cut short ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "words"),
    [({"scaling": ["minmaxpi"]}, ["unknown scaling 'minmaxpi'", "did you mean 'minmax_pi'"]),
     ({"optimiser": ["adam-bst"]}, ["unknown optimiser 'adam-bst'", "did you mean 'adam-best'"]),
     ({"rotation": ["W"]}, ["multiverse.rotation", "'X', 'Y' or 'Z'"]),
     ({"rotation": ["X", "X"]}, ["rotation lists an alternative twice"]),
     ({"rotation": ["X"], "arms": ["quantm"]}, ["multiverse.arms", "'quantm'", "did you mean 'quantum'"]),
     ({"rotations": ["X"]}, ["unknown key 'rotations'", "did you mean 'rotation'"]),
     ({"starts": 4}, ["no choice has alternatives", "scaling, rotation"]),
     ({"epochs": [0]}, ["multiverse.epochs", "greater than or equal to 1"]),
     ({"optimiser": ["lbfgs-best"], "tolerance": 0.0}, ["multiverse.tolerance"])],
)  # fmt: skip
def test_alternatives_that_do_not_exist_are_refused_with_a_hint(table, words):
    with pytest.raises(ConfigError) as caught:
        parse_study(values(multiverse=table))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"lr_factors": []}, '"adam-best" chooses among learning rates, and the study has one; add lr_factors'),
     ({"lr_factors": [], "training": {"optimiser": "lbfgs"}, "multiverse": {"epochs": [3]}}, "the study trains by L-BFGS"),
     ({"training": {"optimiser": "lbfgs"}}, "lr_factors are multiples of a learning rate"),
     ({"training": {"optimiser": "lbfgs", "lr": 0.3}}, 'no use of lr, which belong to "adam"'),
     ({"training": {"tolerance": 1e-3}}, 'no use of tolerance, which belong to "lbfgs"'),
     ({"training": {"optimiser": "lbfgs", "dtype": "float32"}}, 'takes dtype = "float64"')],
)  # fmt: skip
def test_choices_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse_study(values(**changes))


def test_fewer_seeds_and_a_quick_look_reduce_the_multiverse():
    study = parse_study(values())
    fewer = specifications(study.resized(1))
    assert {one.study.seeds.data for one in fewer} == {1}
    quick = study.resized(2, quick=True)
    assert [tuple(one.choices.values()) for one in specifications(quick)] == [("minmax_pi", "X"), ("minmax_pi", "Z")]
    assert {m.trial.training.optimiser for m in all_members(quick)} == {"adam"}


def test_a_study_without_its_multiverse_does_not_continue_the_one_that_had_it():
    study = parse_study(values())
    plain = study.model_copy(update={"multiverse": None})
    assert continues(study, plain)
    assert not continues(plain, study)


@pytest.mark.parametrize("name", ["moons", "circles", "spirals", "checkerboard"])
def test_shipped_ladders_have_eighteen_specifications(name):
    study = load_preset(f"ladder-{name}")
    found = specifications(study)
    assert len(found) == 18
    assert found[0].choices == {"scaling": "minmax_pi", "rotation": "X", "optimiser": "adam"}
    assert study.multiverse.starts >= 8
    assert study.data.test_samples == 5000
    names = {"quantum", "linear", "twin", "no-entangler", "dephased-all", "dephased-x", "dephased-y", "stochastic"}
    assert {arm.name for arm in found[-1].study.arms} == names


def test_a_study_that_trains_to_a_minimum_is_reported_without_curves(tmp_path):
    training = {"optimiser": "lbfgs", "max_iterations": 20}
    study = parse_study(tiny_values(training=training, seeds={"data": 2, "per_data": 1}))
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([study], store)
    page = build_report(read_store(tmp_path / "s.sqlite"), tmp_path).read_text(encoding="utf-8")
    assert "Final accuracy of every run" in page
    assert "Loss by epoch" not in page


def test_the_rates_of_adam_best_may_stand_in_the_table_alone():
    table = {"optimiser": ["adam", "adam-best"], "lr_factors": [0.5]}
    study = parse_study(tiny_values(arms=ARMS, multiverse=table))
    in_study = parse_study(tiny_values(arms=ARMS, lr_factors=[0.5], multiverse={"optimiser": ["adam", "adam-best"]}))
    assert study.learning_rates == (0.1,)
    hashes = [{m.trial.hash for m in make_trials(s.study)} for s in specifications(study)]
    assert hashes == [{m.trial.hash for m in make_trials(s.study)} for s in specifications(in_study)]
    with pytest.raises(ConfigError, match=r"lr_factors names 1, which is training\.lr itself"):
        parse_study(tiny_values(arms=ARMS, multiverse=table | {"lr_factors": [1.0]}))
