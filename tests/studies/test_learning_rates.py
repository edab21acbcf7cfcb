"""Learning rates beside the study's own, and measurements beside the trials."""

import numpy as np
import pytest

from helpers import bring_down
from qmoe.claims import judge, parse_claims, runs_of
from qmoe.errors import ConfigError
from qmoe.studies import InProcess, Store, make_trials, parse_study, plan_stacks, run_studies
from qmoe.studies.measurements import effective_dimension_on, measure, missing_measurements
from tiny_study import tiny_values


def test_every_arm_is_trained_at_every_rate_from_the_same_seeds():
    study = parse_study(tiny_values(lr_factors=[0.5, 4.0]))
    assert study.learning_rates == (0.1, 0.05, 0.4)
    by_rate = {}
    for member in make_trials(study):
        trial = member.trial
        by_rate.setdefault(trial.training.lr, []).append((member.arm, trial.data_seed, trial.init_seed))
    assert list(by_rate) == [0.1, 0.05, 0.4]
    assert by_rate[0.1] == by_rate[0.05] == by_rate[0.4]


def test_other_rates_leave_the_trials_of_the_study_alone():
    plain = [m.trial.hash for m in make_trials(parse_study(tiny_values()))]
    assert [m.trial.hash for m in make_trials(parse_study(tiny_values(lr_factors=[0.5])))][: len(plain)] == plain


def test_records_are_those_of_the_studys_own_rate_unless_another_is_asked_for(tmp_path):
    study = parse_study(tiny_values(lr_factors=[0.5]))
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([study], store).ran == 24
        results = store.load("tiny")
    own, other = results.of("quantum"), results.of("quantum", lr=0.05)
    assert {r.trial.training.lr for r in own} == {0.1}
    assert {r.trial.training.lr for r in other} == {0.05}
    assert len(own) == len(other) == 6
    assert runs_of(results).learning_rates == (0.05, 0.1)


def test_a_verdict_on_a_store_is_that_of_the_studys_own_rate(tmp_path):
    study = parse_study(tiny_values(lr_factors=[0.5], seeds={"data": 8, "per_data": 1}))
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([study], store)
        results = store.load("tiny")
    (claim,) = parse_claims(
        {"id": "mine", "statement": "s", "source": "s", "studies": ["tiny"], "min_seeds": 6,
         "tests": [{"kind": "difference", "name": "t", "a": "quantum", "b": "linear", "margin": 0.02}]},
        "mine",
    )  # fmt: skip
    (verdict,) = judge([claim], [results])
    (same,) = judge([claim], [runs_of(results).at(0.1)])
    assert verdict.as_dict() == same.as_dict()


def test_only_the_studys_own_rate_is_timed():
    study = parse_study(tiny_values(lr_factors=[0.5], timed=2))
    alone = [stack[0] for stack in plan_stacks([study], set()) if len(stack) == 1]
    assert len(alone) == 4
    assert {trial.training.lr for trial in alone} == {0.1}


def test_a_quick_look_leaves_the_other_rates_out():
    assert parse_study(tiny_values(lr_factors=[0.5])).resized(2, quick=True).learning_rates == (0.1,)


@pytest.mark.parametrize("factors", [[1.0], [0.5, 0.5], [0.0], [-2.0]])
def test_a_rate_twice_or_none_at_all_is_refused(factors):
    with pytest.raises(ConfigError, match="lr_factors"):
        parse_study(tiny_values(lr_factors=factors))


# --- measurements -----------------------------------------------------------------------------------------------------


def test_effective_dimensions_are_measured_once_and_kept(tmp_path):
    study = parse_study(tiny_values(effective_dimension=["linear"], seeds={"data": 6, "per_data": 1}))
    calls = []
    with Store(tmp_path / "s.sqlite") as store:
        assert missing_measurements([study], store) == [(study, ["linear"])]
        measure(study, ["linear"], store, InProcess(), lambda: calls.append(None))
        assert missing_measurements([study], store) == []
    with Store(tmp_path / "s.sqlite") as store:
        found = store.measurements()
    values = found[effective_dimension_on(study)]["linear"]
    assert values.shape == (6,)
    assert len(calls) == 6
    assert np.isfinite(values).all()
    assert (values > 0).all()


def test_too_few_seeds_are_not_measured(tmp_path):
    study = parse_study(tiny_values(effective_dimension=["linear"]))
    with Store(tmp_path / "s.sqlite") as store:
        assert missing_measurements([study], store) == []


def test_an_arm_that_is_not_there_cannot_be_measured():
    with pytest.raises(ConfigError, match=r"study: effective_dimension: Unknown arm 'linnear'.*did you mean 'linear'"):
        parse_study(tiny_values(effective_dimension=["linnear"]))


def test_a_store_of_the_first_version_is_taken_over(tmp_path):
    path = tmp_path / "s.sqlite"
    study = parse_study(tiny_values())
    with Store(path) as store:
        run_studies([study], store)
    bring_down(path, 1)
    with Store(path) as store:
        assert store.measurements() == {}
        store.save_measurement("x", "q", "a", [1.0, 2.0])
        np.testing.assert_array_equal(store.measurements()["q"]["a"], [1.0, 2.0])
        assert len(store.load("tiny").records) == 12
