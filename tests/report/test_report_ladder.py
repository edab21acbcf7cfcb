"""The ladder's sections."""

import csv
import re

import numpy as np
import pytest
from invented_results import OWN, invented

from qmoe.report import build_report
from qmoe.report.findings.over_data_sets import rank_sentences, ranked
from qmoe.report.findings.rung_results import (
    CONTROLS,
    COUNTERPARTS,
    QUANTUM_PARTS,
    group_of,
    ladder_sentences,
    rungs_of,
)
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.rank_diagram import rank_plot
from qmoe.report.pictures.style import style
from qmoe.studies import RUNGS, Store, ladder_rungs, load_preset, parse_study, run_studies

DROP = {"quantum": 0.0, "twin": 0.0, "no-entangler": 0.05, "tanh": -0.05, "linear": 0.02, "random-labels": 0.45}


def ladder(name="ladder-moons", **options):
    return invented(name, lambda arm, _v, _f: 0.95 - DROP.get(arm, 0.1), seeds=12, spread=0.004, **options)


def test_every_rung_has_its_group():
    groups = [group_of(name) for name in RUNGS]
    assert set(groups) == {QUANTUM_PARTS, COUNTERPARTS, CONTROLS}
    assert group_of("dephased-all") == QUANTUM_PARTS
    assert group_of("twin") == COUNTERPARTS
    assert group_of("permuted") == CONTROLS


def test_rungs_hold_differences_success_and_parameters():
    results = ladder()
    counted = {}
    rungs = {s.rung.name: s for s in rungs_of(results, counted)}
    assert list(rungs) == ["", *(r.name for r in ladder_rungs(results.study))]
    assert [rungs[n].verdict for n in ("", "twin", "no-entangler", "tanh", "linear")] == [
        "", "alike", "worse", "better", "open",
    ]  # fmt: skip
    expected = np.mean([r.metrics["test_accuracy"] for r in results.of("tanh")]) - np.mean(
        [r.metrics["test_accuracy"] for r in results.of("quantum")]
    )
    assert rungs["tanh"].difference.mean == pytest.approx(expected, abs=1e-12)
    assert rungs["tanh"].success.value == 1.0
    size = rungs[""].size
    assert (size.nominal, size.live, size.rank) == (24, 22, 9)
    n_counted = len(counted)
    rungs_of(ladder("ladder-circles"), counted)
    assert len(counted) == n_counted  # the same routers on as many features


def test_sentences_follow_the_data():
    parts, classical, controls = ladder_sentences(rungs_of(ladder(), {}))
    assert "worse by more than 0.02: without entanglers" in parts
    assert "the same within 0.02: classical twin" in classical
    assert "better by more than 0.02: MLP router (tanh)" in classical
    assert "inconclusive: linear router" in classical
    assert "quantum router (random labels)" in controls


def test_data_on_which_routing_does_not_matter_are_named():
    assert len(ladder_sentences(rungs_of(ladder(), {}))) == 3
    idle = invented("ladder-moons", lambda arm, _v, _f: 0.93 if arm == "mean" else 0.95, seeds=12, spread=0.004)
    assert "routing is not shown to matter on these data" in ladder_sentences(rungs_of(idle, {}))[-1]


def test_data_that_need_no_router_are_named_first_where_that_is_shown():
    def sentences(**scores):
        results = invented("ladder-moons", lambda arm, _v, _f: scores.get(arm, 0.95), seeds=12, spread=0.004)
        return ladder_sentences(rungs_of(results))

    found = sentences(**{"random-labels": 0.5})
    assert found[0] == (
        "No router is needed here: quantum router (switched off), quantum router (permuted), no router, constant router and "
        "one expert of them are as accurate as the quantum router within 0.02."
    )
    assert not any("not shown to matter" in words for words in found)
    assert "No router" not in sentences(permuted=0.8)[0]
    assert "No router" not in sentences(**{"uniform": 0.93, "constant": 0.928, "single-expert": 0.93})[0]


def test_ranks_say_what_seven_data_sets_cannot_tell():
    ladders = {f"d{i}": rungs_of(ladder(), {}) for i in range(2)}
    found = ranked(ladders)
    assert found.names[0] == "tanh"
    assert "random-labels" not in found.names
    assert found.n_datasets == 2
    assert "No single pair can be told apart this way" in rank_sentences(found)[1]
    with style():
        figure = rank_plot(found, dict.fromkeys(found.names, "router"), {})
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert sum(text.startswith("router  ") or text.endswith("  router") for text in shown) == len(found.names)


def test_marks_beyond_the_axis_become_arrows():
    rows = (ForestRow("near", 0.01, 0.0, 0.02), ForestRow("far", -0.5, -0.6, -0.4), ForestRow("none", None, 0, 0))
    with style():
        figure = forest_plot([(ForestAxis("difference", 0.02, limits=(-0.1, 0.1)), [ForestGroup("", rows)])])
    (axes,) = figure.axes
    assert "<" in [line.get_marker() for line in axes.lines]
    assert {"−0.50", "too few runs"} <= {text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["near", "far", "none"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of two small ladders that were really trained."""
    out = tmp_path_factory.mktemp("ladder")
    with Store(out / "s.sqlite") as store:
        for name in ("ladder-moons", "ladder-xor"):
            study = load_preset(name).resized(seeds=2, quick=True)
            training = study.training.model_copy(update={"epochs": 1})
            seeds = study.seeds.model_copy(update={"per_data": 1})
            changed = study.model_copy(update={"training": training, "seeds": seeds})
            run_studies([changed], store)
    return build_report(out / "s.sqlite", out)


def test_each_ladder_has_a_section_and_all_have_one(page):
    text = page.read_text(encoding="utf-8")
    for name in ("ladders", "ladder-moons", "ladder-xor"):
        assert f'<section id="{name}"' in text
    assert text.count('type="radio"') == 0
    assert "Rungs that do not apply here" not in text
    assert "loss summed over batches" not in text  # no picture of 24 lines
    assert re.search(r"24 / 22 / 9", text)
    with (page.parent / "tables" / "ladder-moons-ladder.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rung"] for row in rows] == ["quantum", *RUNGS]
    with (page.parent / "tables" / "ladders.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1 + len(RUNGS)
    assert {"ladder-moons-ladder.svg", "ladders-ranks.svg"} <= {p.name for p in (page.parent / "figures").iterdir()}


def test_a_users_ladder_shows_its_other_arms_and_what_is_left_out(tmp_path):
    study = parse_study({**OWN, "ladder": ["no-entangler", "dephased-layers", "twin", "linear"]})
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([study], store)
    text = build_report(tmp_path / "s.sqlite", tmp_path).read_text(encoding="utf-8")
    assert 'id="claim-A2"' in text
    assert "there is no arm" not in text
    section = re.search(r'<section id="my-own-study".*?</section>', text, flags=re.DOTALL).group()
    assert "Rungs that do not apply here" in section
    assert "one layer has nothing between layers" in section
    assert "mine &amp; 100%" in section
    assert "Accuracy against noise, noisy_router" in section
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert (tmp_path / "tables" / "my-own-study-arms.csv").exists()


def test_claims_on_ladders_are_open_with_two_seeds(page):
    text = page.read_text(encoding="utf-8")
    cards = re.findall(r'<article class="card (\w+)" id="claim-([CT]\d\w?)"', text)
    assert {name for _, name in cards} == {"C3", "C6a", "C6b", "T1", "T2", "T4"}
    assert {outcome for outcome, _ in cards} == {"inconclusive"}
