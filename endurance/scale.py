"""A million trials with invented results: planned, stored, asked about and reported, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qmoe.studies import Store, Study, make_trials, parse_study
from qmoe.studies.run.stack_run import run_stack
from qmoe.studies.run.stacks import plan_stacks
from qmoe.studies.store import Execution, Record, status_of

TRIALS = 1_000_000
_AT_ONCE = 4000
_ROUTERS = ({"kind": "quantum", "n_qubits": 2}, {"kind": "twin"}, {"kind": "mlp"}, {"kind": "linear"})
#: Runs a step and prints its seconds, and the bytes that it took at most.
_STEP = """
import json, resource, sys, time
from pathlib import Path
from endurance import scale
begin = time.perf_counter()
getattr(scale, sys.argv[1])(Path(sys.argv[2]), int(sys.argv[3]))
seconds = time.perf_counter() - begin
print(json.dumps([seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def large_study(trials: int) -> Study:
    """A study of four arms with two initialisations of each draw."""
    arms = [
        {"name": r["kind"], "label": r["kind"], "model": {"router": r, "experts": {"kind": "linear"}}} for r in _ROUTERS
    ]
    return parse_study(
        {
            "name": "large", "title": "Many trials", "phase": "own", "protocol": "heldout", "keep": "figures",
            "data": {"name": "moons", "options": {"n_samples": 200}},
            "seeds": {"data": trials // (2 * len(arms)), "per_data": 2}, "arms": arms,
        }
    )  # fmt: skip


def plan(folder: Path, trials: int) -> None:
    """Plans all of it into an empty store."""
    study = large_study(trials)
    with Store(folder / "store.sqlite") as store:
        store.save_study(study)
        wanted = {member.trial.hash: member.trial for member in make_trials(study)}
        stacks = plan_stacks([study], store.settled(wanted))
    assert sum(map(len, stacks)) == trials


def store(folder: Path, trials: int) -> None:
    """Stores a result for each trial: what one trial of its arm gave, with another accuracy."""
    members = make_trials(large_study(trials))
    first = {arm: run_stack((next(m.trial for m in members if m.arm == arm),))[0] for arm in {m.arm for m in members}}
    rng, execution = np.random.default_rng(0), Execution(1.0, 128, 1, "native", "0", None)
    with Store(folder / "store.sqlite") as opened:
        for begin in range(0, trials, _AT_ONCE):
            records = []
            for member in members[begin : begin + _AT_ONCE]:
                metrics = dict(first[member.arm].metrics)
                metrics |= dict.fromkeys(
                    ("test_accuracy", "test_balanced_accuracy"), float(np.clip(rng.normal(0.9, 0.03), 0, 1))
                )
                records.append(Record(member.trial, metrics, {}, b"", execution, recent=first[member.arm].recent))
            opened.save(records)


def ask(folder: Path, trials: int) -> None:
    """Asks how far it is, and for a frame of all trials."""
    assert status_of(folder / "store.sqlite").missing == 0
    with Store(folder / "store.sqlite", create=False) as opened:
        assert len(opened.frame("large")) == trials


def report(folder: Path, trials: int) -> None:
    """Writes the report."""
    del trials
    from qmoe.report import build_report

    build_report(folder / "store.sqlite", folder / "report")


def campaign(folder: Path, trials: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """All steps, each with its seconds and its memory."""
    found: dict[str, Any] = {"trials": trials}
    (folder / "store.sqlite").unlink(missing_ok=True)
    for step in ("plan", "store", "ask", "report"):
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _STEP, step, str(folder), str(trials)], capture_output=True, text=True, check=True
        )
        seconds, peak = json.loads(done.stdout.splitlines()[-1])
        found[step] = {"seconds": round(seconds, 1), "bytes": peak}
        tell(f"{step}: {seconds:.1f} s, {peak / 2**30:.2f} GiB (with its start {time.perf_counter() - begin:.1f} s)")
    return found | {"size": (folder / "store.sqlite").stat().st_size}
