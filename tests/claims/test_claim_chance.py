"""Guessing is saying the commonest class, whose share may be anything."""

import dataclasses

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.metrics import balanced_accuracy_score

from qmoe.claims import ArmRuns, StudyRuns, judge, parse_claims, runs_of
from qmoe.report.findings.doubts import page_caveats
from qmoe.studies import StudyResults, load_preset, make_trials, parse_study, run_stack
from qmoe.studies.assembly import build_model, prepare_data
from qmoe.training import balanced_accuracy
from tiny_study import tiny_values
from user_tables import table_values, write_table

N = 30
SHARES = [(80, 20), (88, 12), (70, 15, 15), (60, 40), (52, 48)]


def skewed(shares, rows=200):
    """Labels that stand in these shares, in an order of no meaning."""
    labels = np.repeat([f"c{i}" for i in range(len(shares))], [rows * share // 100 for share in shares])
    return np.random.default_rng(0).permutation(labels)


@pytest.fixture(params=SHARES, ids=str)
def guessed(request, tmp_path):
    """Records of runs that have nothing to learn, with the share of the commonest class."""
    path = write_table(tmp_path / "data.csv", rows=200, labels=skewed(request.param))
    study = parse_study(table_values(path, arms=tiny_values()["arms"]))
    members = make_trials(study)
    linear, quantum = ([m.trial for m in members if m.arm == arm] for arm in ("linear", "quantum"))
    records = {r.trial.hash: r for trials in (linear, quantum) for r in run_stack(tuple(trials))}
    return StudyResults.of_records(study, tuple(members), records), request.param[0] / 100


def test_every_trial_has_its_chance_and_its_balanced_accuracy(guessed):
    results, share = guessed
    for record in results.records.values():
        assert record.metrics["chance"] == pytest.approx(share, abs=0.01)
        data, model = prepare_data(record.trial.draw), build_model(record.trial)
        model.load_state_dict(safetensors.torch.load(record.state))
        with torch.no_grad():
            predicted = model(data.x_test.float()).argmax(1)
        assert record.metrics["test_balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(data.y_test, predicted)
        )
    runs = runs_of(results)
    assert runs.guessing("test_accuracy") == pytest.approx(share, abs=0.01)
    assert runs.guessing("train_accuracy") == pytest.approx(share, abs=0.01)
    assert (
        runs.guessing("test_balanced_accuracy") == 1 / results.study.data.kind(**results.study.data.options).n_classes
    )
    assert runs.guessing("loss") is None


def test_without_a_test_part_chance_is_that_of_the_training_part(tmp_path):
    path = write_table(tmp_path / "data.csv", rows=60, labels=["a", "a", "b"] * 20)
    values = table_values(path, protocol="published")
    values["data"] |= {"test_fraction": 0.0}
    (record,) = run_stack((make_trials(parse_study(values))[0].trial,))
    assert record.metrics["chance"] == pytest.approx(2 / 3)
    assert "test_balanced_accuracy" not in record.metrics


def test_results_without_a_chance_of_their_own_count_classes_alike():
    study = load_preset("ladder-hyperplanes").resized(1)
    assert runs_of(StudyResults.of_records(study, tuple(make_trials(study)), {})).chance == 0.5


def runs(chance, mean_a, mean_b, spread=0.004):
    """Two arms of 30 draws with two initialisations each around these means."""
    generator, rows = np.random.default_rng(1), np.arange(2 * N)
    arms = {
        (name, None): ArmRuns(
            name, rows // 2, rows % 2, {"test_accuracy": mean + spread * generator.standard_normal(2 * N)}
        )
        for name, mean in (("x", mean_a), ("y", mean_b))
    }
    return StudyRuns("s", arms, chance)


def verdict(study, direction="greater"):
    test = {"kind": "difference", "name": "t", "a": "x", "b": "y", "direction": direction, "margin": 0.02}
    values = {"id": "X", "statement": "x beats y", "source": "me", "studies": ["s"], "tests": [test]}
    return judge(parse_claims(values), [study])[0]


@pytest.mark.parametrize("direction", ["greater", "equivalent"])
@pytest.mark.parametrize("chance", [0.5, 0.7, 0.8, 0.88])
def test_arms_at_the_share_of_the_commonest_class_decide_nothing(chance, direction):
    found = verdict(runs(chance, chance + 0.002, chance), direction)
    assert found.outcome == "inconclusive"
    assert f"neither arm does better than guessing ({chance:.3g})" in found.reasons[0]


@pytest.mark.parametrize(("mean_a", "mean_b"), [(0.79, 0.7), (0.7, 0.79), (0.75, 0.75)])
def test_below_guessing_no_lead_counts_either(mean_a, mean_b):
    found = verdict(runs(0.8, mean_a, mean_b))
    assert found.outcome == "inconclusive"
    assert "guessing (0.8)" in found.reasons[0]


@pytest.mark.parametrize(
    ("mean_a", "mean_b", "outcome"), [(0.9, 0.8, "supported"), (0.8, 0.9, "refuted"), (0.9, 0.9, "refuted")]
)
def test_above_guessing_verdicts_are_given(mean_a, mean_b, outcome):
    assert verdict(runs(0.8, mean_a, mean_b)).outcome == outcome


def test_the_page_names_arms_that_guess():
    def results(score, chance):
        study = parse_study(tiny_values(seeds={"data": 1, "per_data": 2}))
        members = make_trials(study)
        record = run_stack((members[0].trial,))[0]
        metrics = record.metrics | {"test_accuracy": score, "chance": chance}
        records = {m.trial.hash: dataclasses.replace(record, trial=m.trial, metrics=metrics) for m in members}
        return StudyResults.of_records(study, tuple(members), records)

    said = "No better than guessing the commonest class: tiny (linear and quantum)."
    assert any(line.startswith(said) for line in page_caveats([results(0.8, 0.8)]))
    assert any(line.startswith(said) for line in page_caveats([results(0.5, 0.7)]))
    assert not any("guessing" in line for line in page_caveats([results(0.81, 0.8)]))


def test_balanced_accuracy_is_the_mean_over_the_classes_that_occur():
    class Says(torch.nn.Module):
        def __init__(self, answer: int) -> None:
            super().__init__()
            self.answer = torch.nn.Parameter(torch.eye(3)[answer])

        def forward(self, x):
            return x.sum(-1, keepdim=True) * 0 + self.answer

    y = torch.tensor([[0] * 8 + [1] * 2, [0] * 6 + [2] * 4])
    found = balanced_accuracy([Says(0), Says(1)], torch.zeros(2, 10, 1), y)
    assert found.tolist() == [0.5, 0.0]
    endless = balanced_accuracy([Says(0), Says(0)], torch.tensor([[[0.0]] * 10, [[float("inf")]] + [[0.0]] * 9]), y)
    assert endless[0] == 0.5
    assert np.isnan(endless[1])
