"""What stands beside a ladder, and what is found over data sets."""

import numpy as np
import pytest
from invented_results import invented

from qmoe.report.findings.arms import finished
from qmoe.report.findings.beside_ladder import baseline_words, baselines_of, dephasing_words, ranks_of
from qmoe.report.findings.contents import Contents
from qmoe.report.findings.over_data_sets import Effect, effect_on, pooled, pooled_words
from qmoe.report.findings.rung_results import routing_matters, rungs_of
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.style import style
from qmoe.report.sections.all_ladders import ladders_section, pooled_blocks
from qmoe.report.sections.blocks import Context, Text
from qmoe.report.sections.one_ladder import dephasing_blocks, ladder_section
from qmoe.report.tables import Table
from qmoe.studies.baselines import baseline_quantity


def ladder(name="ladder-moons", drop=0.1, twin=0.0):
    def mean(arm, _strength, _factor):
        return 0.9 - {"quantum": 0.0, "twin": twin, "linear": 0.2}.get(arm, drop)

    return invented(name, mean, seeds=12, spread=0.004)


def arms(results):
    return {arm.name: arm for arm in finished(results)}


def test_baselines_are_set_against_the_quantum_router_draw_by_draw():
    results = ladder()
    quantum = arms(results)["quantum"]
    by_draw = np.array([quantum.scores[quantum.clusters == draw].mean() for draw in range(12)])
    values = {"rbf-svm": by_draw + 0.03, "bayes": np.full(12, 0.97), "unknown": by_draw}
    found = baselines_of(results.study, {baseline_quantity(results.study): values}, quantum)
    assert [b.name for b in found] == ["rbf-svm", "bayes"]
    svm, bayes = found
    assert svm.difference.mean == pytest.approx(0.03, abs=1e-12)
    assert (svm.difference.n_clusters, svm.n) == (12, 12)
    assert (bayes.mean, bayes.low, bayes.high) == (pytest.approx(0.97), 0.97, 0.97)
    words = baseline_words(found)
    assert words.startswith(
        "Of the classifiers that stand beside the ladder, the best is the support vector machine (RBF)"
    )
    assert words.endswith("; 0.970 is the best that any can reach.")
    assert baselines_of(results.study, {}, quantum) == []
    assert baseline_words([]) == ""


def test_the_ladder_shows_its_baselines(tmp_path):
    results = ladder()
    measured = {baseline_quantity(results.study): {"logistic": np.full(12, 0.8) + np.arange(12) / 1000}}
    context = Context(Contents((results,), measured), lambda _words: None)
    with style():
        section = ladder_section(context, results, rungs_of(results, {}), [])
    table = next(b for b in section.blocks if isinstance(b, Table) and b.name == "ladder-moons-ladder")
    assert table.rows[-1]["label"] == "logistic regression"
    assert table.rows[-1]["group"] == "Other classifiers"
    assert table.rows[-1]["difference"] < 0
    dephasing = next(b for b in section.blocks if isinstance(b, Table) and b.name == "ladder-moons-dephasing")
    assert [row["axis"] for row in dephasing.rows] == ["none", "Z", "X", "Y"]
    assert [row["rank"] for row in dephasing.rows] == [8, 2, 0, 1]


def test_dephasing_is_told_axis_by_axis():
    found = arms(ladder())
    quantum = found["quantum"]
    by_rung = {"dephased-x": (found["dephased-x"], found["dephased-x"].minus(quantum)),
               "dephased-all": (found["twin"], found["twin"].minus(quantum))}  # fmt: skip
    (words,) = dephasing_words(by_rung, {"none": 8, "X": 0, "Z": 2})
    assert "along Z and by −0.1" in words
    assert "a spread of 0.1" in words
    assert "Of the router's 8 functions of the features, 2 are left along Z and 0 along X." in words
    assert "functions of the features" not in dephasing_words(by_rung, {})[0]
    assert dephasing_blocks("x", {"dephased-x": by_rung["dephased-x"]}, (quantum, quantum.first)) == []


def test_ranks_are_those_of_quantum_routers_alone():
    found = arms(ladder())
    assert ranks_of(found["quantum"].first) == {"none": 8, "X": 0, "Y": 1, "Z": 2}
    assert ranks_of(found["linear"].first) == {}


def test_data_sets_where_the_switched_off_router_does_as_well_are_set_apart():
    results = [
        ladder("ladder-moons"),
        ladder("ladder-circles"),
        ladder("ladder-checkerboard"),
        ladder("ladder-xor", 0.0),
    ]
    ladders = {r.study.name: rungs_of(r, {}) for r in results}
    assert [routing_matters(rungs) for rungs in ladders.values()] == [True, True, True, False]
    context = Context(Contents(tuple(results), {}), lambda _words: None)
    with style():
        section = ladders_section(context, ladders, results)
    tables = {b.name: b for b in section.blocks if isinstance(b, Table)}
    assert {c.keys[0] for c in tables["ladders-undecided"].columns} == {"label", "ladder-xor"}
    assert "ladder-xor" not in {c.keys[0] for c in tables["ladders"].columns}
    text = " ".join(line for b in section.blocks if isinstance(b, Text) for line in b.lines)
    assert "switching the router off is not shown to cost more than 0.02" in text
    assert "Over 3 data sets, the difference quantum router minus linear router is +0.2" in text


def test_effects_over_data_sets_have_a_mean_and_a_prediction():
    results = ladder()
    a, b = arms(results)["quantum"], arms(results)["linear"]
    one = effect_on("moons", a, b)
    each = a.differences(b)
    assert each.shape == (12,)
    assert one.difference.mean == pytest.approx(each.mean(), abs=1e-12)
    assert one.standard_error == pytest.approx(each.std(ddof=1) / np.sqrt(12))
    assert effect_on("moons", a, a) is None
    effects = [Effect(f"set {i}", one.difference, one.standard_error) for i in range(3)]
    assert pooled("a minus b", effects[:2]).summary is None
    found = pooled("a minus b", effects)
    assert found.summary.mean == pytest.approx(one.difference.mean)
    assert "On a new data set of this kind it would lie between" in pooled_words(found)
    with style():
        text, figure = pooled_blocks([found, pooled("c", effects[:1])])
    assert len(text.lines) == 1
    labels = [label.get_text() for label in figure.panels[0].figure.axes[0].get_yticklabels()]
    assert labels == ["set 0", "set 1", "set 2", "all data sets"]


def test_a_wider_interval_is_dashed_and_widens_the_axis():
    with style():
        rows = (ForestRow("all", 0.0, -0.1, 0.1, span=(-0.5, 0.5)),)
        (axes,) = forest_plot([(ForestAxis("difference"), [ForestGroup("", rows)])]).axes
    assert axes.get_xlim()[0] < -0.5
    assert sum(line.get_linestyle() == "--" for line in axes.lines) == 1
