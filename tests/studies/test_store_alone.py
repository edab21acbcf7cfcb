"""The store can be read without qmoe: scripts/recompute.py, which follows docs/store.md, finds the same figures."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qmoe.studies import Store, make_trials, parse_study, run_studies, specifications
from tiny_study import tiny_values

SCRIPT = Path(__file__).parents[2] / "scripts" / "recompute.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    values = tiny_values()
    values["lr_factors"] = [0.5]
    values["multiverse"] = {"scaling": ["minmax_pi", "standard"], "optimiser": ["adam", "adam-best"]}
    folder = tmp_path_factory.mktemp("alone")
    with Store(folder / "store.sqlite") as store:
        run_studies([parse_study(values)], store)
    return folder


def test_every_trial_has_its_places(folder):
    with Store(folder / "store.sqlite") as store:
        study = store.load("tiny").study
    with sqlite3.connect(folder / "store.sqlite") as db:
        found = db.execute(
            "SELECT specification, name, strength, data_seed, init_seed, hash FROM arms JOIN members USING (arm)"
        ).fetchall()
        choices = [
            json.loads(row[0]) for row in db.execute("SELECT choices FROM specifications ORDER BY specification")
        ]
    plain = [study, *(s.study for s in specifications(study)[1:])]
    expected = [
        (n, m.arm, m.strength, m.trial.data_seed, m.trial.init_seed, m.trial.hash)
        for n, one in enumerate(plain)
        for m in make_trials(one)
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert choices == [dict(s.choices) for s in specifications(study)]


def test_running_a_study_again_leaves_one_place_for_each_trial(folder):
    with Store(folder / "store.sqlite") as store:
        before = store._db.execute("SELECT COUNT(*) FROM members").fetchone()
        store.save_study(store.load("tiny").study)
        assert store._db.execute("SELECT COUNT(*) FROM members").fetchone() == before


def test_the_script_knows_nothing_of_qmoe(folder):
    program = f"""
import runpy, sys
sys.argv = ["recompute", {str(folder)!r}]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit as end:
    assert end.code == 0
assert not any(name.split(".")[0] in ("qmoe", "torch") for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    with Store(folder / "store.sqlite") as store:
        results = store.load("tiny")
    mean = np.mean([r.metrics["test_accuracy"] for r in results.of("quantum")])
    assert any(line.split()[1] == "quantum" and line.split()[3] == f"{mean:.6f}" for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("other", "quantum", "linear"), "the store has no study other; it has tiny."),
        (("tiny", "quantum", "mlp"), "tiny has no finished arm mlp; it has linear, quantum."),
    ],
)
def test_what_is_not_in_the_store_is_told_with_what_is(folder, asked, words):
    told = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "--analyses", *asked], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert told.stderr.strip().endswith(words)


def test_a_folder_without_a_store_is_told(tmp_path):
    told = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "store.sqlite is not there" in told.stderr
