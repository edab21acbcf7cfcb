"""Damages stores and sees what readers and runs make of them."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from endurance.deliberate_damages import DELIBERATE
from endurance.random_damages import RANDOM, Damage
from endurance.sample import NO_WEIGHTS, Sample, Told, forget, run_again, settled, tell, times
from qmoe.errors import QMoEError

#: How often a damage is tried that SQLite refuses, or that changes nothing.
_TRIES = 200
#: Seconds after which a process hangs.
PATIENCE = 120.0
#: Ends that are as they should be. ``named``: numbers are missing or others, and words say so. ``fewer``: what is gone is
#: not shown, as if it had not run yet; all that is shown is right.
READ_WELL = ("same", "named", "fewer", "refused")
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


def damage_at_random(sample: Sample, number: int, first: int = 0, seed: int = 0, jobs: int = 2) -> Iterator[Damaged]:
    """Damages a store in a number of ways, one at a time, from the ``first`` on."""
    kinds = [kind for kind, often in RANDOM.items() for _ in range(often)]
    tasks = [(kinds[i % len(kinds)], random.Random(f"{seed}:{i}")) for i in range(first, number)]
    yield from _all(sample, tasks, jobs)


def damage_deliberately(sample: Sample, jobs: int = 2) -> Iterator[Damaged]:
    """Damages a store in each way of `DELIBERATE`, one at a time."""
    yield from _all(sample, [(kind, random.Random(0)) for kind in DELIBERATE], jobs)


def _all(sample: Sample, tasks: Sequence[tuple[Damage, random.Random]], jobs: int) -> Iterator[Damaged]:
    """What becomes of each, in their order; by processes that each take some, forked while there are no threads."""
    context = multiprocessing.get_context("fork")
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(jobs):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_share, args=(sample, Path(folder) / str(first), tasks[first::jobs], theirs)
            )
            process.start()
            theirs.close()
            shares.append((process, ours))
        for number in range(len(tasks)):
            yield shares[number % jobs][1].recv()
        for process, _ in shares:
            process.join()


def _share(sample: Sample, folder: Path, tasks: Sequence[tuple[Damage, random.Random]], to: Connection) -> None:
    for damage, rng in tasks:
        to.send(one(sample, folder, damage, rng))


def one(sample: Sample, folder: Path, damage: Damage, rng: random.Random) -> Damaged:
    """Damages a copy of a store, in a process of its own as it may hang or crash."""
    for _ in range(_TRIES):  # not every change is one, and SQLite refuses some
        store = sample.copy(folder)
        before = _files(folder)
        try:
            what = damage(store, rng)
        except sqlite3.Error:
            continue
        if _files(folder) != before:
            break
    else:
        raise RuntimeError(f"{damage.__name__} damages nothing; it does not fit the tables of today.")
    read, words = _apart(lambda: _read(sample, store))
    # As after reading by an older command: what it left is part of the case.
    run, more = _apart(lambda: _run(sample, store))
    return Damaged(damage.__name__, what, read, run, " | ".join(filter(None, (words, more))))


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() if file.is_file() else b"" for file in folder.iterdir()}


def _read(sample: Sample, store: Path) -> tuple[str, str]:
    told = tell(store)
    if told.numbers == sample.told.numbers:
        return "same", "; ".join(told.words[:2])
    if told.words:
        return "named", "; ".join(told.words[:2])
    difference = differing(sample.told.numbers, told.numbers)
    return ("fewer" if is_part(told, sample.told) else "silent"), difference


def _run(sample: Sample, store: Path) -> tuple[str, str]:
    run_again(sample.studies, store)
    told = tell(store)
    if settled(told) != settled(sample.told):
        return "silent", differing(settled(sample.told), settled(told))
    before, after = times(sample.told), times(told)
    wrong = [
        digest for digest, (seconds, at) in after.items() if before[digest][1] == at and before[digest][0] != seconds
    ]
    if wrong:
        return "silent", f"seconds of {wrong[0]}"
    return "same", "; ".join(told.words[:1])


def is_part(one: Told, whole: Told) -> bool:
    """Whether all that is told of studies and measurements is also told in the whole; verdicts are of what is there."""
    a, b = one.numbers, whole.numbers
    measured = all(
        values == b["measurements"].get(quantity, {}).get(name)
        for quantity, named in a["measurements"].items()
        for name, values in named.items()
    )
    trials = all(
        _is_part_of_trial(record, b.get(name, {}).get(digest))
        for name, records in a.items()
        if name.startswith("trials of")
        for digest, record in records.items()
    )
    return measured and trials and all(row in b["headline"] for row in a["headline"])


def _is_part_of_trial(one: dict[str, Any], whole: dict[str, Any] | None) -> bool:
    """Whether a trial is told of as it is, but for a history or weights that are gone: studies need not keep them."""
    if whole is None:
        return False
    gone: dict[str, Any] = {} if one["history"] else {"history": {}}
    if one["state"] == NO_WEIGHTS:
        gone["state"] = NO_WEIGHTS
    return one == whole | gone


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


def _apart(function: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """What a function returns in a forked process."""
    context = multiprocessing.get_context("fork")
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
    return found


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
