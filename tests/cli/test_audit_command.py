"""`qmoe audit`, as a user meets it."""

import json
import sys

import pandas
import pytest
import typer

from helpers import qmoe_command as qmoe
from qmoe.cli import audit_command

CODE = """
import torch
print("this module runs")
def build():
    return torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
def mine():
    x = torch.rand(60, 2, generator=torch.Generator().manual_seed(0))
    return build, "0", x, (x[:, 0] > x[:, 1]).long()
def named():
    return dict(zip(("model", "path", "X", "y"), mine())) | {"seeds": 3, "epochs": 1, "arms": []}
def odd():
    return {"model": None, "path": "0", "X": [], "y": [], "foo": 1}


def short():
    return {"model": None}


def broken():
    raise KeyError("x")


def nothing():
    return None
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_model.py").write_text(CODE, encoding="utf-8")
    return tmp_path


def test_nothing_of_a_file_runs_unasked(folder):
    done = qmoe("audit", "my_model.py:mine", cwd=folder)
    assert done.returncode == 2
    assert "add --allow-import" in done.stderr
    assert "this module runs" not in done.stdout


def test_a_file_is_audited_and_its_runs_are_written(folder):
    options = ("--seeds", 6, "--epochs", 2, "--lr", 0.1, "--lr", 0.05, "--margin", 0.05, "--out", "runs.csv")
    done = qmoe("audit", "my_model.py:mine", "--allow-import", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Audit of layer 0, a Linear" in done.stdout
    assert "6 draws; differences below 0.05 do not matter" in done.stdout
    assert "All runs: runs.csv" in done.stdout
    assert len(pandas.read_csv(folder / "runs.csv")) == 2 * 5 * 6


def test_the_answer_is_json_if_asked_for_and_a_dict_may_hold_any_argument(folder):
    done = qmoe("audit", "my_model.py:named", "--allow-import", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.removeprefix("this module runs\n"))
    assert answer["path"] == "0"
    assert list(answer["scores"]) == ["base", "mean"]
    assert len(answer["scores"]["base"]) == 3


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("my_model.py", "expected FILE.py:NAME or MODULE:NAME"),
        ("my_model.py:mime", "Unknown name in my_model.py: 'mime'; did you mean 'mine'?"),
        ("my_model.py:nothing", "returned a NoneType, expected (model, path, X, y)"),
        ("my_model.py:odd", "Unknown argument in the dict of my_model.py:odd: 'foo'"),
        ("my_model.py:short", "The dict of my_model.py:short lacks path, X, y"),
        ("my_model.py:broken", "my_model.py:broken raised KeyError('x')"),
        ("other.py:mine", "other.py cannot be imported: FileNotFoundError"),
        ("no_such_module:mine", "no_such_module cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_no_function_for_an_audit_is_a_line_and_no_traceback(folder, source, told):
    done = qmoe("audit", source, "--allow-import", cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_is_not_there_is_told_before_anything_is_trained(folder):
    done = qmoe("audit", "my_model.py:mine", "--allow-import", "--out", "nowhere/runs.csv", cwd=folder)
    assert done.returncode == 2
    assert "there is no folder nowhere; make it first" in done.stderr


def test_an_interrupted_audit_says_how_far_it_was_and_how_to_start_again(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["qmoe", "audit", "mine.py:f"])

    def run(on_progress):
        on_progress(3, 14)
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        audit_command._with_progress(run, {}, as_json=True)
    assert ended.value.exit_code == 130
    words = "Stopped after 3 of 14 models; an audit keeps nothing before its end. To start again: qmoe audit mine.py:f"
    assert capsys.readouterr().err.startswith(words)
