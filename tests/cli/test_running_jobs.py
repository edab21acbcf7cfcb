"""Signals that ask to stop, failed trials on the command line, and how far a store is."""

import contextlib
import functools
import json
import multiprocessing
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pandas
import pytest
from typer.testing import CliRunner

from qmoe.cli import computing
from qmoe.cli.app import app
from qmoe.cli.computing import Computing, Halted, until_stopped
from qmoe.cli.jobs import FAILED
from qmoe.errors import ConfigError, StoreError, UnsupportedError
from qmoe.studies import Store, make_trials, run_stack, run_studies
from qmoe.studies.admission.plan import PROCESS_BYTES, predict
from qmoe.studies.run import executors
from qmoe.studies.run.stack_run import failed
from qmoe.studies.store import status_of
from tiny_study import TINY_TOML

QMOE = [sys.executable, "-c", "from qmoe.cli import main; main()"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_and_the_second_ends_at_once(name, monkeypatch, capfd):
    number, ended = getattr(signal, name), []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(sys, "argv", ["qmoe", "run", "mine.toml"])
    before = signal.getsignal(number)
    with until_stopped() as stop:
        stop.finishing, stop.stored, stop.total = lambda: True, 1_200, 5_000
        assert not stop.event.is_set()
        signal.raise_signal(number)
        assert stop.event.is_set()
        assert ended == []
        signal.raise_signal(number)
    assert ended == [128 + number] == [stop.status]
    assert signal.getsignal(number) is before
    first, second = capfd.readouterr().err.strip().splitlines()
    assert first == "Stopping once what runs is stored, a few seconds' work. Ctrl-C again stops at once."
    assert second == "Stopped: 1,200 of 5,000 trials are stored. To go on: qmoe run mine.toml"


def test_what_is_told_at_the_end_does_not_stand_on_the_line_of_the_bar(monkeypatch, capfd):
    monkeypatch.setattr(os, "_exit", lambda _: None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with until_stopped() as stop:
        stop.finishing, stop.stored, stop.total = lambda: True, 5, 12
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert "\n\x1b[?25hStopped: 5 of 12 trials are stored." in capfd.readouterr().err.partition("at once.\n")[2]


def test_where_nothing_runs_that_could_be_stored_the_first_signal_ends_the_job(capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["qmoe", "run", "mine.toml"])
    with until_stopped() as stop, pytest.raises(Halted):
        signal.raise_signal(signal.SIGINT)
    assert stop.told == "Stopped before any training. To start again: qmoe run mine.toml"
    assert capfd.readouterr().err == ""


def test_ending_at_once_takes_the_worker_processes_along(monkeypatch):
    monkeypatch.setattr(os, "_exit", lambda status: None)
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    child.start()
    with until_stopped() as stop:
        stop.finishing = lambda: True
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    child.join(10)
    assert child.exitcode == -signal.SIGKILL


@pytest.fixture
def port_of_dask_is_taken():
    """Another run, or another scheduler, has the port that Dask tells its health at by default."""
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # somebody else has it, which is as good
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        yield


@pytest.mark.parametrize("executor", ["local", "dask:local"])
@pytest.mark.usefixtures("port_of_dask_is_taken")
def test_ctrl_c_while_workers_start_is_quiet_and_tells_what_is_stored(tmp_path, executor):
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    command = [*QMOE, "run", "tiny.toml", "--out", "results", "--executor", executor, "--workers", "2"]
    # Programs that a shell starts in the background ignore Ctrl-C, and so would what they start.
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    job = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=heeding,
    )  # fmt: skip
    said = [job.stdout.readline(), job.stdout.readline()]
    assert said[1].startswith("Predicted: ")  # the workers start with the first task
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, error = job.communicate(timeout=120)
    assert job.returncode == 130
    told = error.strip().splitlines()
    stored = r"Stopped: \d+ of 12 trials are stored"
    assert re.match(rf"{stored}.* To go on: {re.escape(shlex.join(['qmoe', *command[len(QMOE) :]]))}", told[-1])
    assert told[:-1] in ([], ["Stopping once what runs is stored, a few seconds' work. Ctrl-C again stops at once."])


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with until_stopped() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert not stop.event.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_does_not_end_in_time_is_ended(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(computing, "GRACE", 0.01)
    with until_stopped() as stop:
        stop.finishing = lambda: True
        signal.raise_signal(signal.SIGTERM)
        stop.event.wait()
        while not ended:
            pass
    assert ended == [128 + signal.SIGTERM]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_status_counts_what_is_done_and_says_who_writes(tmp_path, tiny):
    with Store(tmp_path / "store.sqlite") as store:
        store.save_study(tiny)
        store.save(run_stack((make_trials(tiny)[0].trial,)))
        store.save([failed(make_trials(tiny)[1].trial, "died", "SIGKILL")])
        told = invoke("status", tmp_path)
        assert told.exit_code == 0
        assert re.search(r"tiny +1 +1 +12", told.output)
        assert "10 trials are missing, and nothing is running" in " ".join(told.output.split())
        with store.alone():
            running = json.loads(invoke("status", tmp_path, "--json").stdout)
    assert running["writer"] == f"process {os.getpid()} on {socket.gethostname()}"
    assert running["missing"] == 10
    assert status_of(tmp_path / "store.sqlite").writer is None


def test_status_tells_the_time_that_is_left(tmp_path, tiny):
    path = tmp_path / "store.sqlite"
    with Store(path) as store, store.alone():
        run_studies([tiny], store)
        with sqlite3.connect(path) as db:
            hashes = [row[0] for row in db.execute("SELECT hash FROM trials ORDER BY hash")]
            db.executemany("DELETE FROM trials WHERE hash = ?", [(digest,) for digest in hashes[:7]])
            times = [(f"2026-01-01T00:00:{2 * i:02}+00:00", digest) for i, digest in enumerate(hashes[7:])]
            for number, (at, digest) in enumerate(times, 1000):
                row = (number, at)
                db.execute("INSERT INTO executions VALUES (?, 1.0, 1, 1, 'none', '0', NULL, ?)", row)
                db.execute("UPDATE trials SET execution = ? WHERE hash = ?", (number, digest))
        found = status_of(path)
        assert found.per_second == 0.5
        assert found.seconds_left == 14.0
        assert "0.5 a second, about 14 seconds left" in " ".join(invoke("status", tmp_path).output.split())


def test_check_names_damaged_rows(tmp_path, tiny):
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        run_studies([tiny], store)
    assert "All 12 rows are as they were written" in invoke("store", "check", tmp_path).output
    with sqlite3.connect(path) as db:
        (digest,) = db.execute("SELECT hash FROM trials ORDER BY hash").fetchone()
        db.execute("UPDATE trials SET loss = loss + 1 WHERE hash = ?", (digest,))
    told = invoke("store", "check", tmp_path)
    assert told.exit_code == 1
    assert f"trial {digest}: it is not as it was written" in told.output


def test_merge_tells_what_came_from_where_and_takes_a_preferred_folder(tmp_path, tiny):
    trials = [member.trial for member in make_trials(tiny)]
    for name, part in (("a", trials[:4]), ("b", trials[3:6])):
        with Store(tmp_path / name / "store.sqlite") as store:
            store.save_study(tiny)
            (first, *others) = run_stack(tuple(part))
            store.save([replace(first, metrics=first.metrics | {"loss": 0.5}), *others])
    refused = invoke("store", "merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c")
    assert isinstance(refused.exception, StoreError)
    assert "--prefer" in str(refused.exception)
    told = invoke("store", "merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c", "--prefer", tmp_path / "b")
    assert told.exit_code == 0, told.output
    assert f"3 trials from {tmp_path}/a/store.sqlite\n3 trials from {tmp_path}/b/store.sqlite" in told.output
    assert f"{tmp_path}/c/store.sqlite: 6 trials of 1 study" in told.output


def test_status_of_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="There is no store"):
        status_of(tmp_path / "store.sqlite")
    (tmp_path / "store.sqlite").write_bytes(b"no database at all")
    with pytest.raises(StoreError, match="cannot be read"):
        status_of(tmp_path / "store.sqlite")


def test_failed_trials_show_in_the_status_the_last_line_and_the_json(tmp_path):
    (tmp_path / "wild.toml").write_text(TINY_TOML)
    # Products of two weights near 1e30 overflow float32.
    wild = (
        "training={epochs = 6, lr = 1e30}",
        "arms.quantum.model.router={kind = 'mlp', hidden = 8, activation = 'silu'}",
    )
    arguments = ["run", str(tmp_path / "wild.toml"), "--out", str(tmp_path / "results"), "--workers", "0"]
    arguments += [part for text in wild for part in ("--set", text)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == FAILED
    assert "6 trials failed" in told.output
    assert "--retry-failed" in told.output
    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert again.exit_code == FAILED
    summary = json.loads(again.stdout)
    assert (summary["trials_trained"], summary["trials_failed"]) == (0, 6)


def test_options_can_be_given_beside_the_file(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    told = invoke(
        "run", tmp_path / "tiny.toml", "--out", tmp_path, "--workers", 0, "--json",
        "--set", "arms.quantum.model.router.n_layers=1,2", "--set", "training.epochs=1",
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    with Store(tmp_path / "store.sqlite") as store:
        study = store.load("tiny").study
    assert [arm.name for arm in study.arms] == ["linear", "quantum-n-layers-1", "quantum-n-layers-2"]
    assert [arm.model.router.n_layers for arm in study.arms[1:]] == [1, 2]
    assert study.training.epochs == 1
    refused = invoke("run", tmp_path / "tiny.toml", "--set", "training.epochs")
    assert isinstance(refused.exception, ConfigError)


def test_export_writes_a_row_for_each_trial_epoch_and_measurement(tmp_path, tiny):
    study = tiny.model_copy(update={"arms": (tiny.arms[0].model_copy(update={"name": "linear"}), tiny.arms[1])})
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([study], store)
        store.save_measurement("0" * 16, "dimension on tiny", "=linear", [1.5, 2.5])
        frame = store.frame("tiny")
        history = store.load("tiny").frame(history=True)
    told = invoke("export", tmp_path)
    assert told.exit_code == 0, told.output
    trials = pandas.read_csv(tmp_path / "export" / "trials.csv")
    assert trials.hash.tolist() == frame.hash.tolist()
    assert trials.test_accuracy.tolist() == frame.test_accuracy.tolist()
    assert set(trials.arm) == {"linear", "quantum"}
    epochs = pandas.read_csv(tmp_path / "export" / "history.csv")
    assert len(epochs) == 12 * study.training.epochs == len(history)
    assert epochs.loss.tolist() == history.loss.tolist()
    assert set(epochs.epoch) == {1, 2}
    measured = pandas.read_csv(tmp_path / "export" / "measurements.csv")
    assert measured["value"].tolist() == [1.5, 2.5]
    assert set(measured["name"]) == {"'=linear"}  # a spreadsheet would compute it
    refused = invoke("export", tmp_path, "--to", "xlsx")
    assert isinstance(refused.exception, ConfigError)


@pytest.fixture
def free(monkeypatch):
    """Sets how much memory is free."""
    return lambda n: monkeypatch.setattr("qmoe.studies.admission.plan.free_bytes", lambda: n)


def run_tiny(tmp_path, *options):
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    return CliRunner().invoke(
        app, ["run", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out"), "--seeds", "1", *options]
    )


@pytest.mark.usefixtures("undrawn")
def test_the_plan_says_what_is_predicted(tmp_path):
    done = run_tiny(tmp_path, "--workers", "0")
    assert done.exit_code == 0, done.output
    assert re.search(
        r"Predicted: about 1 s of training, then the report; at most [\d.]+ [MG]iB of memory\.",
        done.stderr + done.stdout,
    )


@pytest.mark.usefixtures("undrawn")
def test_what_does_not_fit_is_refused_before_there_is_a_store_and_yes_goes_on(tmp_path, free):
    free(1 << 20)
    refused = run_tiny(tmp_path, "--workers", "0")
    assert isinstance(refused.exception, UnsupportedError)
    assert "1 MiB are free" in str(refused.exception)
    assert "--yes" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    assert run_tiny(tmp_path, "--workers", "0", "--yes").exit_code == 0


def test_as_many_workers_are_taken_as_fit_and_a_given_number_is_kept_or_refused(tiny, free, monkeypatch):
    monkeypatch.setattr(executors, "default_workers", lambda: 8)
    prediction = predict([tiny])
    each = PROCESS_BYTES + prediction.stack
    free(prediction.here + 3 * each)
    assert Computing().fitted(prediction).workers == 3
    assert Computing(workers=2).fitted(prediction).workers == 2
    with pytest.raises(UnsupportedError, match="or take fewer workers, or go on all the same with --yes"):
        Computing(workers=4).fitted(prediction)
    assert Computing(workers=4, force=True).fitted(prediction).workers == 4
    assert Computing("dask:local").fitted(prediction) == Computing("dask:local")
