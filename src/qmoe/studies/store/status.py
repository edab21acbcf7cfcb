"""How far the studies of a store are, read from another process while one writes."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from qmoe.errors import StoreError
from qmoe.safe_files import open_to_read, read_regular

#: Where Linux keeps semaphores that have names.
_SEMAPHORES = Path("/dev/shm")
#: How a holder is named, see `Store.alone`.
_HOLDER = re.compile(r"process (\d+) on (.+)")
#: Bytes of the file that names the holder, at most.
_LONGEST = 500
#: Seconds before the last result whose results give the rate.
_RECENT = 600.0
_COUNTS = """
SELECT study, COUNT(*), TOTAL(status = 'done'), TOTAL(status = 'failed')
FROM (SELECT DISTINCT study, hash FROM members JOIN arms USING (arm)) LEFT JOIN trials USING (hash)
JOIN studies ON studies.name = study GROUP BY study ORDER BY position
"""
_ALL = "SELECT COUNT(*), COUNT(status) FROM (SELECT DISTINCT hash FROM members) LEFT JOIN trials USING (hash)"


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is.

    Attributes:
        study: its name.
        n_trials: trials that it asks for, those of its other specifications among them.
        done: how many are done.
        failed: how many failed.
    """

    study: str
    n_trials: int
    done: int
    failed: int


@dataclass(frozen=True)
class StoreStatus:
    """How far all studies of a store are.

    Attributes:
        studies: each of them, in the order of their first run.
        missing: trials that are neither done nor failed; one that several studies ask for counts once.
        writer: the process that writes to it, such as ``process 12 on host``; None where none does.
        per_second: trials that ended in a second, of late; None where too few ended to tell.
    """

    studies: tuple[StudyProgress, ...]
    missing: int
    writer: str | None
    per_second: float | None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done at this rate; None where that is not known or nobody works on it."""
        if self.writer is None or not self.per_second:
            return None
        return self.missing / self.per_second


def status_of(path: Path) -> StoreStatus:
    """Reads how far a store is, without writing to it.

    Raises:
        StoreError: when there is no store, or none of today.
    """
    if not path.exists():
        raise StoreError(f"There is no store {path}; run `qmoe reproduce` or `qmoe run` with --out first.")
    try:
        with closing(open_to_read(path)) as db:
            studies = tuple(StudyProgress(name, n, int(done), int(bad)) for name, n, done, bad in db.execute(_COUNTS))
            n_trials, n_ended = db.execute(_ALL).fetchone()
            last = (
                "SELECT finished_at FROM trials JOIN executions USING (execution) ORDER BY finished_at DESC LIMIT 10000"
            )
            ended = [datetime.datetime.fromisoformat(row[0]).timestamp() for row in db.execute(last)]
    except (sqlite3.Error, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}; run its studies again to bring it up to date.") from None
    return StoreStatus(studies, n_trials - n_ended, writer_of(path), _rate(ended))


def writer_of(path: Path) -> str | None:
    """The process that runs studies into a store; None where none does."""
    file = Path(f"{path}.lock")
    if not file.exists():
        return None
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = Path(f"{path}.holder")
        try:
            return read_regular(holder, _LONGEST).decode(errors="replace")
        except OSError:
            return "another process"
    except OSError:  # on a medium that cannot be written to nobody writes
        return None
    lock.release()
    return None


def _rate(ended: list[float]) -> float | None:
    """Of times from the last to the first."""
    recent = [at for at in ended if at >= ended[0] - _RECENT]
    lasted = recent[0] - recent[-1] if recent else 0.0
    return None if lasted <= 0 else (len(recent) - 1) / lasted


def remove_leftovers(holder: Path) -> None:
    """Removes the semaphores of the process pool of a process that held a store until it was killed.

    loky's own process that would do so is in the same group, and was killed with it.

    Args:
        holder: the file that names the process; of one that runs, or ran on another machine, nothing is removed.
    """
    try:
        named = _HOLDER.fullmatch(read_regular(holder, _LONGEST).decode(errors="replace").strip())
    except OSError:
        return
    if named is None or named[2] != socket.gethostname() or _runs(int(named[1])):
        return
    for semaphore in _SEMAPHORES.glob(f"sem.loky-{int(named[1])}-*"):
        with contextlib.suppress(OSError):  # of somebody else, or gone
            semaphore.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of somebody else
        return True
    return True
