"""Published results beside those of studies on the same rows, and the claim over data sets."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from qmoe.claims import FURTHER_CLAIMS, further_claims, judge, shipped_claims
from qmoe.data.qml_benchmarks import QmlTwoCurvesDiff
from qmoe.report import build_report
from qmoe.report.findings.contents import Contents, read_store
from qmoe.report.published.over_sets import on_published_rows
from qmoe.report.published.published_section import _SHOWN
from qmoe.studies import InProcess, Store, parse_study, run_studies
from qmoe.studies.baselines import measure_baselines, missing_baselines
from qmoe.studies.presets import further_presets, preset_values

QUANTITY = "mean test accuracy on each data set of qml-benchmarks"
SVM = "support vector machine (RBF), searched"
NAMES = ("qml-benchmarks-two-curves-4", "qml-benchmarks-two-curves-diff-15")


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "store.sqlite"
    studies = []
    for name in NAMES:
        values = preset_values(name)
        values["training"]["epochs"], values["seeds"]["per_data"] = 2, 2
        values["arms"] = [arm for arm in values["arms"] if arm["name"] in ("linear", "mlp")]
        studies.append(parse_study(values))
    fresh = preset_values(NAMES[0])
    fresh |= {"name": "fresh", "baselines": [], "arms": studies[0].model_dump()["arms"][:1]}
    fresh["seeds"] = {"data": 2, "per_data": 1}
    fresh["training"] = {"epochs": 2}
    studies.append(parse_study(fresh))
    with Store(path) as store:
        run_studies(studies, store)
        for study, names in missing_baselines(studies, store):
            measure_baselines(study, names, store, InProcess())
    return path


@pytest.fixture(scope="module")
def contents(store_path: Path) -> Contents:
    return read_store(store_path)


def test_only_studies_on_published_rows_are_set_beside_published_results(contents: Contents) -> None:
    found = on_published_rows(contents.results, contents.measurements)
    assert [each.results.study.name for each in found] == list(NAMES)
    assert list(found[0].arms) == ["MLP router", "linear router"]
    assert {"SVC", "DressedQuantumCircuitClassifier"} <= {score.model for score in found[0].published}


def test_the_searched_machine_has_the_published_accuracy(contents: Contents) -> None:
    for each in on_published_rows(contents.results, contents.measurements):
        (published,) = (score for score in each.published if score.model == "SVC")
        assert each.baselines[SVM] == pytest.approx(published.test_accuracy, abs=1e-6)


def test_claims_know_the_accuracies_by_data_set(contents: Contents) -> None:
    measured = contents.measurements[QUANTITY]
    assert list(measured) == ["MLP router", "linear router", "logistic regression", "support vector machine (RBF)", SVM]
    assert all(values.shape == (2,) for values in measured.values())


def largest(contents: Contents) -> list[float]:
    """Of each study the largest accuracy that its row shows; one that repeats the training accuracy does not count."""
    return [
        max(
            [
                *each.ours.values(),
                *(s.test_accuracy for s in each.published if s.model in _SHOWN and not s.repeats_training),
            ]
        )
        for each in on_published_rows(contents.results, contents.measurements)
    ]


def test_the_page_says_where_ours_equals_theirs_and_marks_scores_that_repeat_training(
    contents: Contents, tmp_path: Path
) -> None:
    page = build_report(contents, tmp_path).read_text(encoding="utf-8")
    assert "has the accuracy that they published on 2 of 2 sets." in page
    assert "An asterisk marks a published test accuracy that is in fact the training accuracy" in page
    table = page.partition('<div class="scroll compares"')[2].partition("</table>")[0]
    assert [f"<b>{best:.3f}</b>" in table for best in largest(contents)] == [True, True]
    rows = list(
        csv.DictReader((tmp_path / "tables" / "published-results.csv").read_text(encoding="utf-8").splitlines())
    )
    assert [row["set"] for row in rows] == ["Two curves, 4 features", "Two curves of degree 15", "mean of 2"]
    (score,) = (s for s in QmlTwoCurvesDiff(15).published_scores() if s.model == "MLPClassifier")
    assert float(rows[1]["published MLPClassifier"]) == pytest.approx(score.test_accuracy)
    assert rows[1]["published MLPClassifier starred"] == "True"
    assert rows[2]["published MLPClassifier"] == ""
    means = [float(row["published IQPKernelClassifier"]) for row in rows]
    assert means[2] == pytest.approx((means[0] + means[1]) / 2)


# --- the claim -------------------------------------------------------------------------------------------------------


def test_further_claims_are_none_of_the_registered_ones() -> None:
    assert tuple(claim.id for claim in further_claims()) == FURTHER_CLAIMS
    assert not {claim.id for claim in shipped_claims()} & set(FURTHER_CLAIMS)


@pytest.mark.parametrize(("lead", "outcome"), [(-0.03, "supported"), (0.06, "refuted"), (0.021, "inconclusive")])
def test_no_router_beats_the_machine_unless_one_leads_by_more_than_the_margin(lead: float, outcome: str) -> None:
    (claim,) = further_claims()
    generator = np.random.default_rng(1)
    machine = 0.85 + 0.1 * generator.normal(size=len(further_presets()))
    arms = {test.a: machine - 0.05 + 0.01 * generator.normal(size=len(machine)) for test in claim.tests}
    arms["quantum router"] = machine + lead + 0.01 * generator.normal(size=len(machine))
    (verdict,) = judge([claim], [], {QUANTITY: arms | {SVM: machine}})
    assert verdict.outcome == outcome


def test_too_few_data_sets_leave_it_inconclusive(contents: Contents) -> None:
    (claim,) = further_claims()
    few = {test.a: np.array([0.5, 0.6]) for test in claim.tests} | {SVM: np.array([0.9, 0.8])}
    (verdict,) = judge([claim], [], {QUANTITY: few})
    assert verdict.outcome == "inconclusive"
    assert "there are 2 data sets, and the claim asks for 11" in verdict.reasons[0]
