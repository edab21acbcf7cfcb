"""register, verify and power, as a user meets them."""

import json
import re

import pytest

from helpers import qmoe_command

STUDY = """
name = "tiny"
title = "Tiny"
phase = "phase2"
protocol = "heldout"
data = { name = "moons", options = { n_samples = 60 }, scaling = "minmax_pi" }
seeds = { root = ROOT, data = 6, per_data = 1 }
training = { epochs = 2 }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
[[arms]]
name = "mlp"
label = "MLP router"
model = { router = { kind = "mlp" }, experts = { kind = "linear" } }
"""
CLAIM = """
id = "mine"
statement = "s"
source = "me"
studies = ["tiny"]
min_seeds = 6
[[tests]]
kind = "difference"
name = "t"
a = "mlp"
b = "linear"
margin = 0.02
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(STUDY.replace("ROOT", "0"))
    (tmp_path / "pilot.toml").write_text(STUDY.replace("ROOT", "7"))
    (tmp_path / "claim.toml").write_text(CLAIM)
    return tmp_path


def qmoe(*arguments, code=0):
    """What the command prints to both streams; it must end with a code."""
    done = qmoe_command(*arguments)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_registered_study_runs_from_the_seed_of_its_hash_and_is_verified(folder):
    said = qmoe("register", "tiny.toml", "--claims", "claim.toml", "--out", "r.json")
    made = json.loads((folder / "r.json").read_text())
    assert f"1 claim on 1 study: {made['digest']}" in said
    qmoe("run", "tiny.toml", "--claims", "claim.toml", "--registration", "r.json", "--out", "out", "--workers", "0")
    said = qmoe("verify", "r.json", "tiny.toml", "--claims", "claim.toml", "--results", "out")
    assert "No run is older than the registration." in said
    assert "Everything is as registered." in said
    (folder / "claim.toml").write_text(CLAIM.replace("0.02", "0.01"))
    said = qmoe("verify", "r.json", "tiny.toml", "--claims", "claim.toml", code=1)
    assert "The claim mine has changed in tests.0.margin." in said
    options = ("--claims", "claim.toml", "--registration", "r.json", "--out", "out", "--workers", "0")
    assert re.search(r"not as registered.*tests\.0\.margin", qmoe("run", "tiny.toml", *options, code=2))


@pytest.mark.usefixtures("undrawn")
def test_a_pilot_of_another_seed_says_how_many_draws_are_needed(folder):
    qmoe("run", "pilot.toml", "--out", "pilot", "--workers", "0")
    (found,) = json.loads(qmoe("power", "tiny.toml", "--pilot", "pilot", "--claims", "claim.toml", "--json"))
    assert (found["claim"], found["pilot_draws"], found["margin"]) == ("mine", 6, 0.02)
    assert found["draws_needed"] >= 2
    assert "draws needed" in qmoe("power", "tiny.toml", "--pilot", "pilot", "--claims", "claim.toml")
    said = qmoe("power", "pilot.toml", "--pilot", "pilot", "--claims", "claim.toml", code=2)
    assert "has the root seed 7 of the study itself" in said
