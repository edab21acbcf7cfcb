"""The command line, as a user meets it."""

import functools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from helpers import qmoe_command as qmoe
from qmoe.cli.overview.command_groups import COMMAND_GROUPS
from qmoe.data import DATASETS
from qmoe.errors import ConfigError
from qmoe.studies import load_preset, preset_names, preset_text
from qmoe.studies.presets import further_presets

QMOE = [sys.executable, "-c", "from qmoe.cli import main; main()"]
TINY = """
name = "tiny"
title = "Tiny"
phase = "phase2"
protocol = "heldout"
data = { name = "moons", options = { n_samples = 60 }, scaling = "minmax_pi" }
seeds = { data = 2, per_data = 1 }
training = { epochs = 2 }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
[[arms]]
name = "quantum"
label = "quantum router"
model = { router = { kind = "quantum" }, experts = { kind = "linear" } }
"""


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def finished(tiny_file, tmp_path_factory):
    """A folder that `qmoe run` wrote, with what it printed."""
    out = tmp_path_factory.mktemp("out") / "results"
    done = qmoe("run", tiny_file, "--out", out, "--workers", 0)
    assert done.returncode == 0, done.stderr
    return out, done


def test_run_writes_store_page_figures_and_tables_and_says_where(finished):
    out, done = finished
    assert (out / "store.sqlite").is_file()
    assert (out / "report.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert list((out / "figures").glob("*.svg"))
    assert list((out / "tables").glob("*.csv"))
    assert "report.html" in done.stdout
    assert "No claim is asked here. --claims FILE has claims of your own judged" in done.stdout


@pytest.mark.usefixtures("undrawn")
def test_the_verdict_on_each_claim_is_told(tmp_path):
    out = tmp_path / "results"
    done = qmoe("run", "phase2-heldout", "--seeds", 2, "--out", out, "--workers", 0, "--quick")
    assert done.returncode == 0, done.stderr
    assert re.search(r"C2 .*quantum against linear router .*inconclusive", done.stdout)
    (verdict,) = json.loads(qmoe("report", out, "--json").stdout)["verdicts"]
    assert (verdict["claim"], verdict["outcome"]) == ("C2", "inconclusive")


@pytest.mark.usefixtures("undrawn")
def test_more_seeds_train_only_what_is_new(finished, tiny_file):
    out, _ = finished
    done = qmoe("run", tiny_file, "--out", out, "--workers", 0, "--json", "--seeds", 3)
    summary = json.loads(done.stdout)
    # Three data seeds with one initialisation each, of which two were there; two arms.
    assert summary["trials_trained"] == 2
    assert set(summary) == {"report", "trials_trained", "trials_failed", "seconds", "headline", "verdicts"}
    assert Path(summary["report"]).is_file()


@pytest.mark.usefixtures("undrawn")
def test_a_study_that_takes_the_place_of_another_says_so(finished, tiny_file, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "results")
    other = tmp_path / "other.toml"
    other.write_text(TINY.replace("epochs = 2", "epochs = 3"))
    said = "had another study tiny"
    assert said in qmoe("run", other, "--out", out, "--workers", 0).stdout
    assert said not in qmoe("run", other, "--out", out, "--workers", 0, "--seeds", 3).stdout
    assert said in qmoe("run", tiny_file, "--out", out, "--workers", 0, "--json").stderr


@pytest.mark.usefixtures("undrawn")
def test_report_rewrites_the_page_from_the_store(finished):
    out, _ = finished
    (out / "report.html").unlink()
    done = qmoe("report", out)
    assert done.returncode == 0, done.stderr
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["reproduce", "phase4"], 2, ["Unknown phase 'phase4'", "did you mean", "phase1, phase2, phase3"]),
        (["run", "phase2-heldot"], 2, ["Unknown preset 'phase2-heldot'", "did you mean 'phase2-heldout'"]),
        (["run", "none.toml"], 2, ["none.toml", "qmoe presets"]),
        (["presets", "phase2"], 2, ["Unknown preset 'phase2'", "did you mean"]),
        (["report", "nowhere"], 1, ["There is no store", "nowhere"]),
        (["reproduce", "--seeds", "0"], 2, ["--seeds", "1"]),
        (["reproduce", "--sedes", "3"], 2, ["--sedes"]),
        (["reproduce", "phase2", "--out", "/proc/qmoe-results"], 1, ["/proc/qmoe-results", "choose another"]),
    ],
)
def test_bad_input_is_answered_in_one_line_without_a_traceback(arguments, code, words, tmp_path):
    done = qmoe(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_study_with_an_unknown_key_is_refused_by_file_and_key(tmp_path):
    (tmp_path / "mine.toml").write_text(TINY.replace("epochs", "epoch"))
    done = qmoe("run", "mine.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.toml: training: unknown key 'epoch'; did you mean 'epochs'?" in done.stderr


def test_a_preset_that_was_changed_needs_a_name_of_its_own(tmp_path):
    changed = preset_text("phase2-heldout").replace('"moons"', '"circles"')
    (tmp_path / "mine.toml").write_text(changed, encoding="utf-8")
    done = qmoe("run", "mine.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "differs from it in data; give it a name of its own" in done.stderr


def test_presets_lists_all_and_prints_one(tmp_path):
    listed = qmoe("presets").stdout.splitlines()
    studies = {name: load_preset(name) for name in [*preset_names(), *further_presets()]}
    width = max(map(len, studies))
    lines = [f"{name:{width}}  {study.title} ({study.protocol})" for name, study in studies.items()]
    n = len(further_presets())
    group = f"{'qml-benchmarks':{width}}  Published data sets of Bowles, Ahmed and Schuld (group of the {n} below)"
    assert listed == [*lines[:-n], group, *lines[-n:]]
    printed = qmoe("presets", "phase2-heldout").stdout
    assert tomllib.loads(printed) == tomllib.loads(preset_text("phase2-heldout"))
    assert printed.splitlines()[0] == "# A copy of the preset phase2-heldout. Before you change anything else:"
    opening = printed.partition("\nname =")[0]
    assert all(what in opening for what in ("name and a title", "root of its own", "boundaries"))
    assert "Expected" not in printed  # what the preset gave is not what a study made of it will give


def test_help_lists_every_command_in_a_group_on_a_line_that_is_not_cut():
    told = qmoe("--help").stdout
    for title, group in COMMAND_GROUPS.items():
        assert f"\n{title}:\n" in told
        assert all(f"  {name.ljust(9)}  {words}\n" in told for name, words in group.items())
    assert "…" not in told
    assert "..." not in told.partition("Start here")[2]
    assert "Others:" not in told, "a command is missing in COMMAND_GROUPS"


def test_a_group_of_presets_is_told_as_one_with_its_members():
    lines = qmoe("presets", "qml-benchmarks").stdout.splitlines()
    assert lines[0].startswith(f"qml-benchmarks is a group of {len(further_presets())} studies")
    assert "qmoe run qml-benchmarks" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == further_presets("qml-benchmarks")
    with pytest.raises(ConfigError, match=r"'qml-benchmarks' is a group of 11 studies.*qml-benchmarks-two-curves-4"):
        preset_text("qml-benchmarks")


def test_an_unknown_preset_is_answered_with_the_nearest_three():
    told = qmoe("presets", "lader-moon").stderr
    assert "did you mean 'ladder-moons', 'ladder-xor' or 'ladder-moons-overlap'?" in told
    assert told.endswith(f"`qmoe presets` lists all {len(preset_names()) + len(further_presets()) + 1}.\n")


def test_datasets_lists_every_data_set_with_its_options():
    listed = qmoe("datasets").stdout
    for name in DATASETS:
        assert f"{name}: " in listed
    assert "n_samples = 500, noise = 0.1" in listed


def test_doctor_says_what_runs_and_why():
    done = qmoe("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("torch", "pennylane", "engine auto", "self-test", "passed"):
        assert word in done.stdout
    found = json.loads(qmoe("doctor", "--json").stdout)
    assert found["ok"]
    assert found["missing"] == []
    assert found["self_test_error"] < 1e-10


@pytest.mark.parametrize(
    "command", ["reproduce", "run", "ablate", "report", "presets", "datasets", "doctor", "register", "verify", "power"]
)
def test_the_help_of_every_command_ends_with_an_example(command):
    text = qmoe(command, "--help").stdout
    assert re.search(rf"Example: qmoe {command}", text)


def test_version_is_printed():
    import qmoe as package

    assert qmoe("--version").stdout.strip() == f"qmoe {package.__version__}"


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_keeps_what_runs_and_the_same_command_goes_on(tmp_path):
    study = TINY.replace("epochs = 2", "epochs = 300").replace("data = 2, per_data = 1", "data = 40, per_data = 1")
    # So many layers and draws that most of the quantum arm is still to do when the first trials are in the store.
    (tmp_path / "long.toml").write_text(study.replace('kind = "quantum"', 'kind = "quantum", n_layers = 200'))
    command = [*QMOE, "run", "long.toml", "--out", "results", "--workers", "2"]
    # Programs that a shell starts in the background ignore Ctrl-C, and so would what they start.
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    job = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeding
    )
    store = tmp_path / "results" / "store.sqlite"
    deadline, done = time.monotonic() + 300, 0  # starting takes long where much else runs
    while not done and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.02)
        if store.exists():
            try:
                with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
                    done = db.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
            except sqlite3.Error:  # not made yet
                continue
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, error = job.communicate(timeout=120)
    assert job.returncode == 130
    assert "Stopping once what runs is stored" in error
    assert "To go on: qmoe run long.toml --out results --workers 2" in error
    assert "Traceback" not in error
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        kept = db.execute("SELECT COUNT(*) FROM trials WHERE status = 'done'").fetchone()[0]
    assert done <= kept < 80
    again = qmoe("run", "long.toml", "--out", "results", "--workers", "0", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["trials_trained"] == 80 - kept
