"""`python -m qmoe` is `qmoe`."""

import json
import subprocess
import sys

import pytest
from test_cli import TINY

from helpers import qmoe_command as qmoe


def module(*arguments, cwd=None):
    command = [sys.executable, "-m", "qmoe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.parametrize("arguments", [["presets", "phase2-heldout"], ["run", "x"]])
def test_it_answers_as_the_command_does(arguments, tmp_path):
    ours, theirs = module(*arguments, cwd=tmp_path), qmoe(*arguments, cwd=tmp_path)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


def test_its_help_names_the_way_it_was_called():
    assert "python -m qmoe" in module("--help").stdout


def test_it_trains_on_worker_processes(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    done = module("run", "tiny.toml", "--workers", 2, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials_trained"] == 4
