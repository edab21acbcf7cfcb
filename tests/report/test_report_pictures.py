import dataclasses
import re

import numpy as np
import pytest
import torch
from PIL import Image

from qmoe.report import build_report
from qmoe.report.findings.arms import finished
from qmoe.report.findings.contents import Contents
from qmoe.report.findings.planes import planes_of
from qmoe.report.pictures.boundary_pictures import mean_plot, single_plot
from qmoe.report.pictures.distributions import curve_plot
from qmoe.report.pictures.style import CLASS_0, CLASS_1, QUANTUM, Panel, arm_colours, save, style
from qmoe.report.sections.blocks import Context
from qmoe.report.sections.own_study import MAX_ALL_PAIRS, differences
from qmoe.report.sections.phase2 import phase2_section
from qmoe.report.tables import Table
from qmoe.studies import LocalProcesses, Store, load_preset, parse_study, run_studies
from qmoe.studies.assembly import prepare_data
from qmoe.studies.run.dispatch import results

LINEAR = {"router": {"kind": "linear"}, "experts": {"kind": "linear"}}
MLP = {"router": {"kind": "mlp", "hidden": 4}, "experts": {"kind": "linear"}}
QUANTUM_ROUTER = {"router": {"kind": "quantum", "n_qubits": 2, "n_layers": 1}, "experts": {"kind": "linear"}}


def load(store, name):
    with Store(store, create=False) as opened:
        return opened.load(name)


def run(path, **changes):
    """A study with a linear, an MLP and a quantum router; runs it into a store."""
    study = {
        "name": "three",
        "title": "Three routers",
        "phase": "own",
        "protocol": "heldout",
        "data": {"name": "circles", "options": {"n_samples": 40}, "scaling": "standard"},
        "seeds": {"data": 7, "per_data": 2},
        "training": {"epochs": 1},
        "arms": [
            {"name": "linear", "label": "linear", "model": LINEAR},
            {"name": "mlp4", "label": "MLP", "model": MLP},
            {"name": "quantum", "label": "quantum", "model": QUANTUM_ROUTER},
        ],
        **changes,
    }
    with Store(path) as store:
        run_studies([parse_study(study)], store)
        return store.load("three")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return finished(run(tmp_path_factory.mktemp("three") / "store.sqlite"))


def pixels_near(image, colour, tolerance=40):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(image.astype(int) - wanted).max(axis=-1) < tolerance).sum())


@pytest.mark.parametrize("draw", [single_plot, mean_plot])
def test_the_points_of_both_classes_are_in_the_image(tiny_store, tmp_path, draw):
    (planes,) = planes_of(finished(load(tiny_store, "phase2-published"))[:1], nodes=12)
    with style():
        figure = draw(planes)
        if draw is mean_plot:
            for patch in figure.axes[0].patches:
                patch.set_alpha(1)
        save(Panel("plane", figure, ""), tmp_path, dpi=100)
    with Image.open(tmp_path / "plane.png") as opened:
        image = np.asarray(opened.convert("RGB"))
    raw = prepare_data(planes.arm.first.draw).raw
    labels = np.concatenate([raw.y_train, raw.y_test])
    for label, colour in enumerate((CLASS_0, CLASS_1)):
        # A dot is 3.6 pixels wide; some cover each other.
        assert pixels_near(image, colour) > 3 * (labels == label).sum()


def test_figures_are_the_same_from_processes_and_from_one(one_study, tmp_path):
    store = one_study("phase2-published")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    build_report(store, alone)
    with LocalProcesses(2) as pool:
        list(results(pool, abs, [1]))  # started, as after training
        build_report(store, shared, executor=pool)
    names = sorted(path.relative_to(alone) for path in alone.rglob("*.*"))
    assert names == sorted(path.relative_to(shared) for path in shared.rglob("*.*"))
    assert len(names) > 10
    for name in names:
        assert (alone / name).read_bytes() == (shared / name).read_bytes(), name


def test_threads_are_as_many_after_a_report_as_before(one_study, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        build_report(one_study("phase1-synthetic-published"), tmp_path / "report")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_each_arm_of_a_users_study_has_a_line_of_its_own(three):
    keys = [arm.key for arm in three]
    colours = arm_colours(keys, [("quantum", None)])
    assert len(set(colours.values())) == 3
    assert colours["quantum", None] == QUANTUM
    many = [(f"arm{i}", None) for i in range(20)]
    assert QUANTUM not in arm_colours(many).values()
    with style():
        same = curve_plot(three, "loss", "loss", colours=dict.fromkeys(keys, QUANTUM))
    assert len({line.get_linestyle() for line in same.axes[0].lines}) == 3


def test_arms_are_compared_by_draws_of_the_data(three):
    table, sentences = differences(three, "three")
    assert len(table.rows) == len(sentences.lines) == 3
    expected = np.mean(three[1].scores - three[0].scores)
    assert table.rows[0]["mean"] == pytest.approx(expected, abs=1e-12)
    assert {row["clusters"] for row in table.rows} == {7}
    for row, line in zip(table.rows, sentences.lines, strict=True):
        clear = row["low"] > 0 or row["high"] < 0
        assert (" ahead of " in line) == clear
        assert ("cannot be told apart" in line) == (not clear)
        assert "paper" not in line + table.caption


def test_the_arm_that_is_ahead_is_named_first(three):
    luck = 0.001 * np.array([i % 2 + i for i in range(three[0].n)])
    arms = [
        dataclasses.replace(arm, values={**arm.values, "test_accuracy": shift + luck})
        for arm, shift in zip(three, (0.3, 0.1, 0.2), strict=True)
    ]
    _, sentences = differences(arms, "three")
    assert [line.split(":")[0] for line in sentences.lines] == [
        "linear is clearly ahead of MLP",
        "linear is clearly ahead of quantum",
        "quantum is clearly ahead of MLP",
    ]
    assert all(": +0." in line for line in sentences.lines)


def test_a_lead_that_is_too_small_to_matter_is_not_called_clear(three):
    luck = 0.001 * np.array([i % 2 + i % 3 for i in range(three[0].n)])
    arms = [
        dataclasses.replace(arm, values={**arm.values, "test_accuracy": scores})
        for arm, scores in zip(three[:2], (0.5 + luck, 0.507 + luck[::-1]), strict=True)
    ]
    (line,) = differences(arms, "two")[1].lines
    assert line.startswith(f"{arms[1].title} is ahead of {arms[0].title}, by less than what matters (0.02): +0.0")


def test_few_seeds_and_many_arms(tmp_path):
    arms = [{"name": f"a{i}", "label": f"arm {i}", "model": LINEAR} for i in range(MAX_ALL_PAIRS + 1)]
    results = run(tmp_path / "s.sqlite", arms=arms, seeds={"data": 1, "per_data": 3})
    table, sentences = differences(finished(results), "three")
    assert len(table.rows) == MAX_ALL_PAIRS
    assert {row["minus_arm"] for row in table.rows} == {"a0"}
    assert all("share only 3 seeds: too few to tell" in line for line in sentences.lines)
    assert {row["verdict"] for row in table.rows} == {"too few to tell"}
    assert differences(finished(results)[:1], "three") == []


def test_captions_of_a_users_study_do_not_claim_the_papers(built):
    page = (built / "report.html").read_text(encoding="utf-8")
    own = re.search(r'<section id="my-own-study".*?</section>', page, flags=re.DOTALL).group()
    assert "as in the paper" not in own
    assert "Which arm is ahead" in own
    assert (built / "tables" / "my-own-study-differences.csv").exists()


def test_phase_2_tells_losses_from_accuracies_and_runs_from_draws(tmp_path):
    study = load_preset("phase2-published").resized(seeds=2)
    study = study.model_copy(update={"training": study.training.model_copy(update={"epochs": 1})})
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([study], store)
        results = store.load(study.name)
    contents = Contents((results,), {})
    assert {row.quantity for row in contents.rows} > {"loss"}
    with style():
        (section,) = phase2_section(Context(contents, lambda _words: None))
    (losses,) = [b for b in section.blocks if isinstance(b, Table) and b.name == "phase2-comparison"]
    assert {row["quantity"] for row in losses.rows} == {"loss"}
    straight, first, mean = section.blocks[:3]
    assert "a straight line in" in straight.lines[0]
    assert "as in the paper" in first.caption
    assert "2 runs of each arm on one draw of the data" in mean.caption
    assert [p.figure.axes[0].get_title("left").split(", ")[-1] for p in mean.panels] == ["2 runs", "2 runs"]
