import dataclasses
import json

import numpy as np
import pytest

from qmoe.report import headline
from qmoe.report.findings.doubts import page_caveats
from qmoe.report.findings.headline import two_groups
from qmoe.report.findings.paper import departures, paper
from qmoe.report.sections.summary import gaps, quick_check
from qmoe.studies import Record, StudyResults, load_preset, make_trials
from qmoe.studies.store import Execution

ROUTER = {"mlp2": 12, "mlp4": 22, "mlp8": 42, "mlp16": 82, "mlp32": 162, "mlp64": 322, "quantum": 24, "linear": 6}


def made(name, means, seeds=40, spread=0.004, losses=None, histories=None):
    """A study with invented results: ``means`` by arm, or by (arm, strength)."""
    study = load_preset(name).resized(seeds=seeds)
    members = make_trials(study)
    generator = np.random.default_rng(3)
    noise = {}
    records = {}
    for m in members:
        seed = (m.trial.data_seed, m.trial.init_seed)
        common = noise.setdefault(seed, generator.normal(0, spread))
        score = means.get((m.arm, m.strength), means.get(m.arm)) + common + generator.normal(0, spread / 4)
        loss = (losses or {}).get(m.arm, 1.0) + abs(common)
        metric = {"train_accuracy": score, "loss": loss, "parameters": 36.0}
        metric["router_parameters"] = float(ROUTER.get(m.arm, 51))
        epochs = study.training.epochs
        history = {"loss": [loss] * epochs, "running_accuracy": [score] * epochs}
        if study.data.test_fraction > 0:
            metric["test_accuracy"] = score
            history["test_accuracy"] = [score] * epochs
        history |= (histories or {}).get(m.arm, {})
        records[m.trial.hash] = Record(m.trial, metric, history, b"", Execution(1.0, 10, 1, "torch", "0", None))
    return StudyResults.of_records(study, tuple(members), records)


def test_the_published_figures_are_all_there():
    assert len(paper().figures) == 29 + 6 + 7  # outcomes, seconds, parameter counts
    assert paper().value("phase1-mnist-published", "seconds", "qmoe") == 5258
    assert paper().value("phase3b-published", "train_accuracy", "quantum", 0.1) == 0.994
    assert [f.value for f in paper().of("phase2-published", "loss", "quantum")] == [5.15, 1.05, 1.19, 0.44, 0.30]
    assert {f.epoch for f in paper().of("phase1-synthetic-published", "test_accuracy")} == {7}
    for figure in paper().figures:
        study = load_preset(figure.study)
        arms = {(arm.name, v) for arm in study.arms for v in arm.noise or (None,)}
        assert (figure.arm, figure.strength) in arms


def test_percentiles_of_known_samples():
    scores = dict.fromkeys(("classical", "qnn", "qmoe"), 0.5)
    results = made("phase1-synthetic-published", scores, seeds=100, spread=0.0)
    half = {"classical": [0.87, 0.89], "qnn": [0.70, 0.70], "qmoe": [0.78, 0.78]}
    for i, record in enumerate(results.records.values()):
        arm = next(m.arm for m in results.members if m.trial.hash == record.trial.hash)
        record.history["test_accuracy"][:] = [0.0] * 7 + [half[arm][i % 2]]
    rows = {row.arm: row for row in headline([results])}
    assert [rows[a].percentile for a in ("classical", "qnn", "qmoe")] == [50.0, 0.0, 50.0]
    assert rows["classical"].n == 100
    assert rows["classical"].mean == pytest.approx(0.88)
    assert (rows["classical"].minimum, rows["classical"].maximum) == (0.87, 0.89)
    assert [rows[a].outside for a in ("classical", "qnn", "qmoe")] == [False, True, False]
    assert "likely because" in rows["qnn"].note
    assert rows["qmoe"].note == ""
    json.dumps(rows["qnn"].to_dict(), allow_nan=False)


def test_a_figure_is_ranked_at_the_decimals_it_was_printed_with():
    results = made("phase1-mnist-published", dict.fromkeys(("classical", "qnn", "qmoe"), 2104 / 2115), spread=0.0)
    assert 2104 / 2115 < 0.9948
    row = headline([results])[0]
    assert row.paper == 0.9948
    assert row.percentile == 50.0


def test_losses_are_taken_at_their_epoch():
    line = [float(10 * (e + 1)) for e in range(50)]
    results = made("phase2-published", {"linear": 0.9, "quantum": 0.9}, histories={"linear": {"loss": line}})
    rows = [r for r in headline([results]) if r.arm == "linear" and r.quantity == "loss"]
    assert [(r.epoch, r.mean) for r in rows] == [(0, 10.0), (10, 110.0), (20, 210.0), (30, 310.0), (40, 410.0)]
    assert all(r.low == r.high == r.mean for r in rows)


def test_an_arm_without_a_published_accuracy_still_shows_ours():
    results = made("phase2-published", {"linear": 0.9, "quantum": 0.98})
    found = {r.arm: r for r in headline([results]) if r.quantity == "train_accuracy"}
    assert {arm: row.paper for arm, row in found.items()} == {"linear": None, "quantum": None}
    assert found["quantum"].mean == pytest.approx(0.98, abs=0.01)


def test_other_protocols_and_missing_arms_are_said():
    results = made("phase2-published", {"linear": 0.9, "quantum": 0.9}, seeds=2)
    assert departures(results.study) == []
    assert "Only 2 seeds" in headline([results])[0].note
    changed = results.study.model_copy(update={"training": results.study.training.model_copy(update={"lr": 0.2})})
    row = headline([dataclasses.replace(results, study=changed)])[0]
    assert row.percentile is None
    assert "not the published protocol: training.lr is 0.2, not 0.1" in row.note
    empty = StudyResults.of_records(results.study, results.members, {})
    assert {(r.n, r.note) for r in headline([empty])} == {(0, "not run yet")}
    assert gaps([empty])[0].startswith("4 of 4 trials missing: run the same command again.")


def test_a_page_of_few_seeds_says_at_its_top_that_it_decides_nothing():
    quick, whole = (made("phase2-published", {"linear": 0.9, "quantum": 0.9}, seeds=n) for n in (2, 6))
    said = "A quick check: 3 seeds or fewer show that everything runs, and decide nothing."
    assert quick_check([quick]) == [said]
    assert quick_check([quick, whole]) == [f"{said} (phase2-published)"]
    assert quick_check([whole]) == []


def test_arms_without_a_published_figure_have_rows_too():
    rows = headline([made("phase2-heldout", {"linear": 0.9, "quantum": 0.95})])
    assert [(r.arm, r.paper, r.quantity) for r in rows] == [
        ("linear", None, "test_accuracy"),
        ("quantum", None, "test_accuracy"),
    ]
    assert rows[0].low < rows[0].mean < rows[0].high


def test_few_runs_mark_no_figure_as_lying_outside():
    means = {"classical": 0.97, "qnn": 0.6, "qmoe": 0.9}
    assert not any(row.outside for row in headline([made("phase1-synthetic-published", means, seeds=3, spread=0.0)]))
    assert all(row.outside for row in headline([made("phase1-synthetic-published", means, seeds=40, spread=0.0)]))


def test_caveats_come_and_go():
    calm = page_caveats([made("phase2-heldout", {"linear": 0.9, "quantum": 0.95})])
    text = " ".join(calm)
    for words in ("Too few runs", "Not converged", "No spread", "two groups", "not of one size"):
        assert words not in text
    few = " ".join(page_caveats([made("phase2-heldout", {"linear": 0.9, "quantum": 0.95}, seeds=3, spread=0.0)]))
    for words in ("Too few runs", "No spread", "fewer than ten independent seeds", "percentile moves"):
        assert words in few
    falling = {"loss": [float(2**-e) for e in range(50)]}
    results = made("phase2-heldout", {"linear": 0.9, "quantum": 0.95}, histories={"linear": falling})
    assert "Not converged" in " ".join(page_caveats([results]))
    assert "(linear router)" in " ".join(page_caveats([results]))
    means = {"linear": 0.9, "quantum": 0.95}
    results = made("phase2-heldout", means)
    for i, record in enumerate(r for r in results.of("quantum")):
        record.metrics["test_accuracy"] += 0.2 * (i % 2) - 0.2
    results = StudyResults.of_records(results.study, results.members, results.records)
    assert "two groups" in " ".join(page_caveats([results]))


def test_gaps_that_chance_leaves_on_few_test_rows_are_no_two_groups():
    generator = np.random.default_rng(0)
    found = 0
    for rows in (20, 36, 100):
        for accuracy in (0.8, 0.95):
            found += sum(two_groups(generator.binomial(rows, accuracy, 60) / rows) is not None for _ in range(300))
    assert found == 0
    apart = np.concatenate([generator.binomial(36, 0.4, 20), generator.binomial(36, 0.95, 40)]) / 36
    assert two_groups(apart) == pytest.approx(max(apart[apart < 0.7]))
