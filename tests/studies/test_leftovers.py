"""Semaphores of a run that was killed with all of its processes are removed by the next run into the same store."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qmoe.studies import Store

SEMAPHORES = Path("/dev/shm")
pytestmark = pytest.mark.skipif(not SEMAPHORES.is_dir(), reason="semaphores are no files here")


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def semaphore():
    """Makes files that are named as loky names the semaphores of a process."""
    made = []

    def make(process):
        made.append(SEMAPHORES / f"sem.loky-{process}-test{len(made)}")
        made[-1].touch()
        return made[-1]

    yield make
    for path in made:
        path.unlink(missing_ok=True)


def hold(folder, text):
    """Runs into a store that a process with this name held until it was killed."""
    (folder / "store.sqlite.holder").write_text(text, encoding="utf-8")
    with Store(folder / "store.sqlite") as store, store.alone():
        return


def test_those_of_a_killed_holder_are_removed_and_no_others(ended, semaphore, tmp_path):
    left, longer, living = semaphore(ended), semaphore(f"{ended}0"), semaphore(os.getpid())
    hold(tmp_path, f"process {ended} on {socket.gethostname()}")
    assert not left.exists()
    assert longer.exists()
    assert living.exists()


def test_those_of_a_process_that_runs_stay(semaphore, tmp_path):
    living = semaphore(os.getppid())
    hold(tmp_path, f"process {os.getppid()} on {socket.gethostname()}")
    assert living.exists()


@pytest.mark.parametrize(
    "text", ["process {} on elsewhere", "{}", "process {}", "", "x" * 10_000 + "process {} on here"]
)
def test_those_of_other_machines_and_unknown_holders_stay(text, ended, semaphore, tmp_path):
    left = semaphore(ended)
    hold(tmp_path, text.format(ended))
    assert left.exists()
