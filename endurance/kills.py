"""Kills the processes of a run at random instants, runs the same command again, and compares what comes out."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from endurance.sample import STORE
from qmoe.studies import Store, load_study, make_trials

TRIALS = 2000
KILLS = 200
#: Where tasks run, by the name that the command line takes.
EXECUTORS = ("local", "dask:local")
#: What is killed, in turn. ``workers``: one of them, or all; ``both``: the coordinator with all of its workers.
TARGETS = ("workers", "coordinator", "workers", "both", "workers")
WORKERS = 2
STUDY = """
name = "killed"
title = "Killed"
phase = "mine"
protocol = "heldout"
data = { name = "moons", options = { n_samples = 200, noise = 0.1 }, scaling = "minmax_pi" }
seeds = { data = DRAWS, per_data = 2 }
training = { epochs = EPOCHS, batch_size = 16, lr = 0.05 }
[[arms]]
name = "quantum"
label = "quantum router"
model = { router = { kind = "quantum" }, experts = { kind = "linear" } }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
"""
#: So that a trial takes a tenth of a second: what is under way is a few trials, and a study outlives many kills.
_EPOCHS = 600
#: One kill of so many comes while the run still starts; the others once it has stored some trials more, up to so many, and a
#: moment that is no longer than a portion takes.
_EARLY, _MORE, _MOMENT = 5, 20, 1.0
#: Seconds that a run may take that nobody disturbs; and processes to end whose coordinator was killed.
_PATIENCE, _LEFT_OVER = 900.0, 20.0


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        executor: where tasks ran.
        target: what was killed, see `TARGETS`.
        after: seconds since the start, or since the kill before.
        more: trials that were stored in that time.
        processes: how many got SIGKILL.
        done: trials in the store at that instant.
        lived: whether the coordinator was still there a second later; it is to be where workers alone were killed.
    """

    executor: str
    target: str
    after: float
    more: int
    processes: int
    done: int
    lived: bool


@dataclass(frozen=True)
class Round:
    """A study that was killed again and again until it was done.

    Attributes:
        executor: where tasks ran.
        kills: how many kills it took.
        starts: how often the command was started.
        equal: whether its table equals that of the undisturbed run, bit for bit.
        lost: trials that it lacks.
        repeated: trials that were in the store and were planned again.
        left_over: processes that were still there long after their coordinator was killed.
    """

    executor: str
    kills: int
    starts: int
    equal: bool
    lost: int
    repeated: int
    left_over: int

    @property
    def is_well(self) -> bool:
        """Whether nothing was lost, doubled, different, or left over."""
        return self.equal and not (self.lost or self.repeated or self.left_over)


class Campaign:
    """Kills runs of one study. It may be stopped and goes on: what was done is in its folder.

    Args:
        folder: where it works.
        trials: trials of the study.
        report: called with a line after each kill.
    """

    def __init__(self, folder: Path, trials: int = TRIALS, report: Callable[[str], None] = print) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._log, self._report = folder, folder / "kills.jsonl", report
        self._toml = folder / "killed.toml"
        self._toml.write_text(STUDY.replace("DRAWS", str(trials // 4)).replace("EPOCHS", str(_EPOCHS)))
        self._hashes = {member.trial.hash for member in make_trials(load_study(self._toml))}
        self._kills: list[Kill] = []
        self._rounds: list[Round] = []
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            entry = json.loads(line)
            if "target" in entry:
                self._kills.append(Kill(**entry))
            else:
                self._rounds.append(Round(**entry))

    def run(self, kills: int = KILLS, seed: int = 0) -> dict[str, Any]:
        """Kills until there were as many, half of them with each executor, and returns the record."""
        calm = self._folder / "calm"
        if not (calm / "starts_in").exists():
            begin = time.monotonic()
            job = self._start(calm, "local")
            _wait(job, calm / STORE, 1, 0.0)
            starts_in = time.monotonic() - begin
            assert job.wait(_PATIENCE) == 0
            (calm / "starts_in").write_text(str(starts_in))
        self._starts_in = float((calm / "starts_in").read_text())
        self._calm = table(calm / STORE)
        assert self._calm.keys() == self._hashes
        for executor in EXECUTORS:
            while self._n(executor) < kills // len(EXECUTORS) or not self._is_complete(executor):
                self._round(executor, kills // len(EXECUTORS), seed)
        return self.record()

    def _n(self, executor: str) -> int:
        return sum(kill.executor == executor for kill in self._kills)

    def _is_complete(self, executor: str) -> bool:
        """Whether each kill is of a round that has ended."""
        return self._n(executor) == sum(one.kills for one in self._rounds if one.executor == executor)

    def _round(self, executor: str, wanted: int, seed: int) -> None:
        """One study from its beginning, or from where it was stopped, to its end."""
        number = sum(one.executor == executor for one in self._rounds)
        out = self._folder / f"{executor.replace(':', '-')}-{number}"
        before = sum(one.kills for one in self._rounds if one.executor == executor)
        starts = repeated = 0
        family: set[psutil.Process] = set()
        while True:
            settled = _count(out / STORE)
            job = self._start(out, executor)
            starts += 1
            begin = time.monotonic()
            while job.poll() is None and self._n(executor) < wanted:
                n = self._n(executor)
                rng = random.Random(f"{seed}:{executor}:{n}")
                had, target = _count(out / STORE), TARGETS[n % len(TARGETS)]
                early = rng.randrange(_EARLY) == 0
                more = 0 if early else rng.randint(1, _MORE)
                moment = rng.uniform(0, self._starts_in if early else _MOMENT)
                if not _wait(job, out / STORE, had + more, moment):
                    break  # it has ended before
                family |= _family(job.pid)
                self._kill(job, executor, target, time.monotonic() - begin, had, out, rng)
                begin = time.monotonic()
            try:
                job.wait(_PATIENCE if self._n(executor) >= wanted else 1)
            except subprocess.TimeoutExpired:
                job.kill()
                raise AssertionError(f"{executor}: the run hangs") from None
            planned = re.search(r"([\d,]+) trials to train", (out / "out.txt").read_text())
            if planned is not None:
                repeated += max(0, int(planned[1].replace(",", "")) - (len(self._hashes) - settled))
            if job.returncode == 0:
                break
            assert job.returncode == -signal.SIGKILL, (out / "out.txt").read_text()[-2000:]
        _, alive = psutil.wait_procs(family, timeout=_LEFT_OVER)
        found = table(out / STORE)
        self._note(
            Round(
                executor, self._n(executor) - before, starts, found == self._calm,
                len(self._hashes - found.keys()), repeated, len(alive),
            )
        )  # fmt: skip
        for process in alive:
            process.kill()

    def _kill(
        self,
        job: subprocess.Popen[bytes],
        executor: str,
        target: str,
        after: float,
        had: int,
        out: Path,
        rng: random.Random,
    ) -> None:
        workers = _workers(job.pid)
        if target == "workers" and not workers:  # not started yet: what there is, is the coordinator
            target = "coordinator"
        killed = [] if target == "coordinator" else workers
        if target == "workers":
            killed = rng.sample(workers, rng.randint(1, len(workers)))
        for process in killed:
            _end(process.pid)
        if target != "workers":
            _end(job.pid)
        time.sleep(1.0 if target == "workers" else 0.0)
        done = _count(out / STORE)
        lived = job.poll() is None if target == "workers" else False
        n = len(killed) + (target != "workers")
        self._note(Kill(executor, target, round(after, 2), done - had, n, done, lived))

    def _note(self, entry: Kill | Round) -> None:
        with self._log.open("a") as log:
            log.write(json.dumps(asdict(entry)) + "\n")
        if isinstance(entry, Kill):
            self._kills.append(entry)
        else:
            self._rounds.append(entry)
        self._report(f"{len(self._kills)} kills: {entry}")

    def _start(self, out: Path, executor: str) -> subprocess.Popen[bytes]:
        out.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "qmoe", "run", str(self._toml), "--out", str(out), "--executor", executor]
        with (out / "out.txt").open("wb") as log:
            return subprocess.Popen(
                [*command, "--workers", str(WORKERS)], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def record(self) -> dict[str, Any]:
        """What came of it, as plain data."""
        return {
            "trials": len(self._hashes),
            "kills": {
                executor: dict(sorted(Counter(k.target for k in self._kills if k.executor == executor).items()))
                for executor in EXECUTORS
            },
            "processes_killed": sum(kill.processes for kill in self._kills),
            "worker_kills_that_ended_a_run": sum(k.target == "workers" and not k.lived for k in self._kills),
            "rounds": [asdict(one) for one in self._rounds],
        }


def table(path: Path) -> dict[str, tuple[Any, ...]]:
    """What a store has of each trial, as it was computed: all but when, how long and in which stack."""
    with Store(path, create=False) as store:
        records = store.load("killed").records
    return {
        digest: (record.metrics, record.history, record.state, record.error, record.failure)
        for digest, record in records.items()
    }


def _count(path: Path) -> int:
    """Trials that are done, read as another process would."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
            return int(db.execute("SELECT COUNT(*) FROM trials WHERE failure IS NULL").fetchone()[0])
    except sqlite3.OperationalError:  # being made
        return 0


def _wait(job: subprocess.Popen[bytes], path: Path, until: int, moment: float) -> bool:
    """Waits until a store has so many trials, and for some seconds more; whether the process is still there then."""
    while job.poll() is None and _count(path) < until:
        time.sleep(0.02)
    deadline = time.monotonic() + moment
    while job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return job.poll() is None


def _family(pid: int) -> set[psutil.Process]:
    try:
        return {psutil.Process(pid), *psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _workers(pid: int) -> list[psutil.Process]:
    """The processes that tasks of a run run in."""
    found = []
    for process in sorted(_family(pid), key=lambda one: one.pid):
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if (
            process.pid != pid
            and ("loky" in words or "multiprocessing.spawn" in words)
            and "resource_tracker" not in words
        ):
            found.append(process)
    return found


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
