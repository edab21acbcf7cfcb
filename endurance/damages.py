"""Damages stores and sees what readers and runs make of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import sqlite3
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from qmoe.errors import QMoEError

from endurance.deliberate_damages import DELIBERATE
from endurance.random_damages import RANDOM, Damage
from endurance.sample import Sample, Told, forget, run_again, settled, tell, times

_FORKING = threading.Lock()
#: Seconds after which a process hangs.
PATIENCE = 120.0
#: Ends that are as they should be. ``named``: numbers are missing or others, and words say so.
READ_WELL = ("same", "named", "refused")
RUN_WELL = ("same", "refused")


@dataclass(frozen=True)
class Damaged:
    """What became of a damaged store.

    Attributes:
        kind: name of the damage.
        what: what was done.
        read: how reading it ended: one of `READ_WELL`, or ``silent``, ``traceback``, ``hang``, ``crash``.
        run: how running its studies again and reading it ended: one of `RUN_WELL`, or one of those.
        words: what was said.
    """

    kind: str
    what: str
    read: str
    run: str
    words: str

    @property
    def is_well(self) -> bool:
        """Whether it was refused, healed or without effect, and nobody was told wrong numbers without a word."""
        return self.read in READ_WELL and self.run in RUN_WELL


def damage_at_random(sample: Sample, number: int, seed: int = 0, jobs: int = 2) -> Iterator[Damaged]:
    """Damages a store in a number of ways, one at a time."""
    kinds = [kind for kind, often in RANDOM.items() for _ in range(often)]
    tasks = [(kinds[i % len(kinds)], random.Random(f"{seed}:{i}")) for i in range(number)]
    yield from _all(sample, tasks, jobs)


def damage_deliberately(sample: Sample, jobs: int = 2) -> Iterator[Damaged]:
    """Damages a store in each way of `DELIBERATE`, one at a time."""
    yield from _all(sample, [(kind, random.Random(0)) for kind in DELIBERATE], jobs)


def _all(sample: Sample, tasks: Sequence[tuple[Damage, random.Random]], jobs: int) -> Iterator[Damaged]:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as threads:
        yield from threads.map(
            lambda task: one(sample, Path(folder) / str(task[0]), *task[1]), list(enumerate(tasks))
        )


def one(sample: Sample, folder: Path, damage: Damage, rng: random.Random) -> Damaged:
    """Damages a copy of a store, in a process of its own as it may hang or crash."""
    what = ""
    while not what:  # not every change is one, and SQLite refuses some
        store = sample.copy(folder)
        before = _files(folder)
        with contextlib.suppress(sqlite3.Error):
            done = damage(store, rng)
            what = done if _files(folder) != before else ""
    read, words, _ = _apart(lambda: _read(sample, store))
    # As after reading by an older command: what it left is part of the case.
    run, more, _ = _apart(lambda: _run(sample, store))
    return Damaged(damage.__name__, what, read, run, " | ".join(filter(None, (words, more))))


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() if file.is_file() else b"" for file in folder.iterdir()}


def _read(sample: Sample, store: Path) -> tuple[str, str]:
    told = tell(store)
    if told.numbers == sample.told.numbers:
        return "same", "; ".join(told.words[:2])
    if told.words:
        return "named", "; ".join(told.words[:2])
    return "silent", differing(sample.told.numbers, told.numbers)


def _run(sample: Sample, store: Path) -> tuple[str, str]:
    run_again(sample.studies, store)
    told = tell(store)
    if settled(told) != settled(sample.told):
        return "silent", differing(settled(sample.told), settled(told))
    before, after = times(sample.told), times(told)
    wrong = [digest for digest, (seconds, at) in after.items() if before[digest][1] == at and before[digest][0] != seconds]
    if wrong:
        return "silent", f"seconds of {wrong[0]}"
    if told.words:
        return "silent", f"not healed: {'; '.join(told.words[:2])}"
    return "same", ""


def differing(one: Any, other: Any, place: str = "") -> str:
    """Where two nested values differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in one or key not in other:
                return f"{place}/{key} is {'gone' if key in one else 'new'}"
            if one[key] != other[key]:
                return differing(one[key], other[key], f"{place}/{key}")
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            if a != b:
                return differing(a, b, f"{place}/{i}")
    return f"{place}: {str(one)[:60]} -> {str(other)[:60]}"


def _apart(function: Callable[[], tuple[str, str]]) -> tuple[str, str, float]:
    """What a function returns in a forked process, with the seconds that it took."""
    context = multiprocessing.get_context("fork")
    begin = time.monotonic()
    with _FORKING:  # or another process would hold the end of this pipe open
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(function, theirs))
        process.start()
        theirs.close()
    try:
        found = ours.recv() if ours.poll(PATIENCE) else ("hang", "")
    except EOFError:
        process.join()
        found = ("crash", f"exit code {process.exitcode}")
    if found[0] == "hang":
        process.kill()
    process.join()
    return (*found, time.monotonic() - begin)


def _answer(function: Callable[[], tuple[str, str]], to: Connection) -> None:
    forget()
    try:
        found = function()
    except QMoEError as error:
        found = "refused", f"{type(error).__name__}: {error}"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        found = "traceback", f"{error!r} in {Path(last.filename).name}:{last.lineno}"
    to.send(found)


def counted(found: Sequence[Damaged]) -> dict[str, int]:
    """How often each pair of ends came."""
    return dict(sorted(Counter(f"{one.read}, then {one.run}" for one in found).items()))
