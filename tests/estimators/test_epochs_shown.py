"""What ``verbose`` shows: a bar in a terminal, some lines elsewhere, a line for each epoch, or nothing."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from joblib import Parallel, delayed

import qmoe
from qmoe.errors import ConfigError

X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X[:, 0] > 0).astype(int)


def quick(**options):
    return qmoe.QMoEClassifier("linear", random_state=0, **{"epochs": 30, **options})


def test_without_a_terminal_about_ten_lines_tell_how_far_it_is(capsys):
    clf = quick(verbose=1).fit(X, Y)
    found = [
        re.fullmatch(r"Epoch (\d+) of 30, loss (\d\.\d{4}), accuracy (\d\.\d{4})", line)
        for line in capsys.readouterr().out.splitlines()
    ]
    assert [int(m[1]) for m in found if m] == [1, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30]
    last = found[-1]
    assert last is not None
    assert float(last[2]) == pytest.approx(clf.loss_curve_[-1], abs=1e-4)
    assert float(last[3]) == pytest.approx(clf.history_["running_accuracy"][-1], abs=1e-4)


def test_early_stopping_shows_its_score_and_the_last_epoch(capsys):
    clf = quick(verbose=True, early_stopping=True, n_iter_no_change=3, epochs=1_000).fit(X, Y)
    last = capsys.readouterr().out.splitlines()[-1]
    assert clf.n_iter_ < 1_000
    assert re.fullmatch(
        rf"Epoch {clf.n_iter_} of 1000, loss .*, validation accuracy {clf.validation_scores_[-1]:.4f}", last
    )


def test_a_regressor_shows_its_score(capsys):
    qmoe.QMoERegressor("linear", epochs=2, random_state=0, verbose=1).fit(X, X[:, 0])
    assert re.match(r"Epoch 1 of 2, loss \d\.\d{4}, score ", capsys.readouterr().out)


def test_a_terminal_shows_a_bar_that_ends_full(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    quick(verbose=1).fit(X, Y)
    out = capsys.readouterr().out
    assert out.count("\x1b[?25h") == 1  # the cursor is back
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    assert "30/30" in plain
    assert re.search(r"loss \d\.\d{4}, accuracy \d\.\d{4}", plain)


def test_an_interruption_leaves_no_bar_behind(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    def interrupted(*data, on_epoch, **options):
        on_epoch(1, np.ones(1), np.ones(1))
        raise KeyboardInterrupt

    monkeypatch.setattr("qmoe.estimators.base.train_stack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("\x1b[?25h") == 1


class Failing(io.StringIO):
    """An output that fails from some write on."""

    def __init__(self, error, after, file):
        super().__init__()
        self.error, self.left, self.file = error, after, file

    def fileno(self):
        return self.file.fileno()  # where rich leads what it still has, once a pipe is broken

    def write(self, text):
        if not self.left:
            raise self.error
        self.left -= 1
        return super().write(text)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")])
def test_an_output_that_fails_costs_no_training(terminal, after, error, monkeypatch, tmp_path):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm"}.items() if terminal else ():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("qmoe.estimators.epochs_shown._REDRAW", 0.0)
    right = quick().fit(X, Y).loss_curve_
    for verbose in (1, 2):
        with (tmp_path / "rest").open("w") as file:
            out = Failing(error, after, file)
            monkeypatch.setattr(sys, "stdout", out)
            assert quick(verbose=verbose).fit(X, Y).loss_curve_ == right
        assert sys.stdout is out
        assert out.left == 0


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_closed_output_costs_no_training(verbose, monkeypatch):
    closed = io.StringIO()
    closed.close()
    for out in (closed, None):
        monkeypatch.setattr(sys, "stdout", out)
        assert quick(verbose=verbose).fit(X, Y).n_iter_ == 30


def test_a_dumb_terminal_gets_lines(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    quick(verbose=1).fit(X, Y)
    assert len(re.findall(r"^Epoch \d+ of 30, loss", capsys.readouterr().out, re.MULTILINE)) == 11


def test_workers_of_joblib_show_lines():
    code = (
        "import numpy as np, qmoe\n"
        "from joblib import Parallel, delayed\n"
        "X = np.random.default_rng(0).normal(size=(40, 2))\n"
        "clf = qmoe.QMoEClassifier('linear', epochs=1, random_state=0, verbose=1)\n"
        "Parallel(2)(delayed(clf.fit)(X, X[:, 0] > 0) for _ in range(2))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(re.findall(r"^Epoch 1 of 1, loss", told.stdout, re.MULTILINE)) == 2
    assert told.stderr == ""


def test_threads_of_joblib_may_each_show_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    Parallel(2, "threading")(delayed(quick(verbose=1).fit)(X, Y) for _ in range(2))
    assert capsys.readouterr().out.count("30/30") >= 2


def test_a_quiet_training_is_watched_by_nobody(monkeypatch):
    given = []

    def train(*data, **options):
        given.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("qmoe.estimators.base.train_stack", train)
    for verbose in (0, False, np.int64(0)):
        with pytest.raises(KeyboardInterrupt):
            quick(verbose=verbose).fit(X, Y)
    assert ["on_epoch" in options for options in given] == [False, False, False]


@pytest.mark.parametrize("verbose", ["yes", -1, 1.5, None])
def test_another_verbose_is_refused(verbose):
    with pytest.raises(ConfigError, match=r"verbose is .*, expected 0 for no output, 1 for a progress bar"):
        quick(verbose=verbose).fit(X, Y)
