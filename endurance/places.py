"""Where a study runs: each executor as its users start it, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Every place, and how ``qmoe run`` is told of it.
PLACES = ("in process", "local", "dask:local", "dask, remote", "mpi")
#: Where a task can bring down the process that plans, or MPI all of its ranks.
FRAGILE = ("in process", "mpi")
_PATIENCE = 1200.0


@contextmanager
def command(place: str, folder: Path, environment: Mapping[str, str]) -> Iterator[list[str]]:
    """How ``qmoe run`` begins and ends in a place, around the file of a study; a scheduler lives as long as the block."""
    here = [sys.executable, "-m", "qmoe", "run"]
    if place == "in process":
        yield [*here, "--workers", "0"]
    elif place in ("local", "dask:local"):
        yield [*here, "--workers", "2", "--executor", place]
    elif place == "mpi":
        mpiexec = Path(sys.executable).with_name("mpiexec")
        yield [str(mpiexec), "-n", "3", sys.executable, "-m", "mpi4py.futures", *here[1:], "--executor", "mpi"]
    else:
        with _scheduler(folder, environment) as file:
            yield [*here, "--executor", f"dask:{file}"]


@contextmanager
def _scheduler(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """A Dask scheduler and two workers, each a program of its own as on other machines."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    dask = [sys.executable, "-m", "dask"]
    here = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    programs = [
        [*dask, "scheduler", "--port", "0", *here],
        [*dask, "worker", "--nworkers", "2", "--nthreads", "1", *here],
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for program in programs:
            with (folder / "dask.txt").open("ab") as log:
                started.append(subprocess.Popen(program, stdout=log, stderr=log, env=environment, cwd=folder))
            deadline = time.monotonic() + 60
            while not file.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        yield file
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def run(
    place: str, study: Path, out: Path, environment: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a study in a place to its end."""
    out.mkdir(parents=True, exist_ok=True)
    full = {**os.environ, **(environment or {})}
    with command(place, out, full) as begin:
        words = [*begin, str(study), "--out", str(out), *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, env=full, check=False)
