"""What `qmoe run` says before it trains: how many trials, of what, and what is there already."""

import re
import tomllib

import pytest
from test_cli import TINY
from typer.testing import CliRunner

from qmoe.cli import jobs
from qmoe.cli.app import app
from qmoe.cli.console import make_console, make_progress
from qmoe.cli.jobs import _predicted, _TrainingBar
from qmoe.studies import InProcess, LocalProcesses, make_trials, parse_study, plan_stacks
from qmoe.studies.admission.plan import predict
from qmoe.studies.run.dispatch import Ended
from qmoe.studies.run.portions import Portions
from qmoe.studies.run.runner import RunState, _Tally
from qmoe.studies.run.stack_run import Trained

MULTIVERSE = """
[multiverse]
scaling = ["minmax_pi", "standard"]
rotation = ["X", "Z"]
"""


def said(tmp_path, *options):
    done = CliRunner().invoke(
        app, ["run", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out"), "--workers", "0", *options]
    )
    assert done.exit_code == 0, done.output
    return re.sub(r" results go to \S+", "", done.stdout).splitlines()


@pytest.mark.usefixtures("undrawn")
def test_trials_of_other_analyses_are_told_apart_and_what_is_there_is_not_to_train(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY + MULTIVERSE)
    # The linear arm is the same about either axis.
    assert (
        said(tmp_path, "--seeds", "1")[0]
        == "6 trials to train: 2 of the study, 4 of its 3 other analyses (multiverse);"
    )
    assert said(tmp_path)[0] == (
        "6 of 12 trials are there, 6 to train: 2 of the study, 4 of its 3 other analyses (multiverse);"
    )
    again = said(tmp_path)
    assert again[0] == "All 12 trials are there;"
    assert not [line for line in again if line.startswith(("training", "Predicted"))]


def test_the_bar_goes_by_trials_and_never_back_while_the_time_left_is_corrected():
    progress = make_progress(make_console(), lambda: 0.0)
    bar = _TrainingBar(progress, LocalProcesses(2))
    bar.begin(880, 1620, compiles=False)
    (task,) = progress.tasks
    assert (task.description, task.completed, task.total) == ("starting workers", 880, 1620)
    shown = []
    for stored, left in ((890, 4.0), (900, 400.0), (1500, 2.0)):
        bar.update(RunState(stored, 1620, 1.0, left))
        shown.append((task.completed, task.fields["left"]))
    assert shown == [(890, 2.0), (900, 200.0), (1500, 1.0)]
    assert task.description == "training"


@pytest.mark.parametrize(
    ("executor", "compiles", "words"),
    [(InProcess(), False, "training"), (InProcess(), True, "compiling"), (LocalProcesses(2), True, "compiling")],
)
def test_the_bar_says_what_is_waited_for(executor, compiles, words):
    progress = make_progress(make_console())
    _TrainingBar(progress, executor).begin(0, 12, compiles)
    assert progress.tasks[0].description == words


def test_the_prediction_counts_what_compiling_takes(monkeypatch):
    study = parse_study(tomllib.loads(TINY))
    stacks = plan_stacks([study], ())
    assert "compiling" not in _predicted(predict([study]), stacks, LocalProcesses(2))
    monkeypatch.setattr(jobs, "kernels_to_compile", lambda _: [(["one", "two"], 4), (["two", "three"], 8)])
    told = _predicted(predict([study]), stacks, LocalProcesses(2))
    assert told.startswith("Predicted: about 11 s of compiling and 4 s of training, then the report; at most")


def test_what_a_process_takes_to_begin_says_nothing_of_the_time_left():
    trial = make_trials(parse_study(tomllib.loads(TINY)))[0].trial
    told = []
    for first, seconds in ((True, 5.0), (False, 5.0)):
        tally = _Tally(Portions([(trial,) * 8], 1), set(), set(), told.append)
        tally.records_of(Ended((trial,) * 4, Trained([], seconds, first)))
        tally.tell()
    assert told[0].left < 0.1
    assert told[1].left == 5.0
