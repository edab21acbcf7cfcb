"""Several stores made one: every trial once, nothing mixed up."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmoe.data import DATASETS
from qmoe.data.tables.kept import keep_packed, packed_tables
from qmoe.errors import ConfigError, StoreError
from qmoe.studies.store.database import Store, explained
from qmoe.studies.store.status import writer_of
from qmoe.studies.store.trial_rows import check_digest

#: What a trial gave; all else in its row says when and where it ran.
_RESULT = ("metrics", "history", "state")
#: Names of conflicts that a message tells.
_TOLD = 5


@dataclass(frozen=True)
class MergeSummary:
    """What `merge_stores` did.

    Attributes:
        trials: trials in the merged store.
        taken: by source, how many rows of trials came from it now.
        damaged: by source, damaged rows with what is wrong with each; they are left out.
        studies: names of the studies in the merged store.
    """

    trials: int
    taken: dict[Path, int]
    damaged: dict[Path, dict[str, str]]
    studies: tuple[str, ...]


def merge_stores(sources: Sequence[Path], out: Path, prefer: Path | None = None) -> MergeSummary:
    """Puts the trials, studies, measurements and kept tables of stores into the store ``out``, all or nothing.

    A trial that several stores have is taken once. One that is done wins over one that failed. What ``out`` has already
    stays, so the same call may be made again. Damaged rows are left out.

    Args:
        sources: the store files, which are only read.
        out: where to; made where it is not there.
        prefer: the source whose results count where two differ.

    Raises:
        ConfigError: for a preferred store that is none of the sources.
        StoreError: when two differ in the result of a trial or a measurement and none is preferred, when they have
            different studies of one name, or when one of them is being written.
    """
    if prefer is not None and prefer.resolve() not in [path.resolve() for path in (*sources, out)]:
        raise ConfigError(f"prefer is {prefer}, expected one of {', '.join(map(str, sources))}.")
    with ExitStack() as stack:
        target = None
        if out.exists():
            target = stack.enter_context(Store(out))
            stack.enter_context(target.alone())
        paths = {path.resolve(): path for path in sources if path.resolve() != out.resolve()}
        opened = [] if target is None else [_OpenStore(out, target)]
        opened += [_OpenStore(path, stack.enter_context(_to_read(path))) for path in paths.values()]
        plan = _plan(opened, prefer)
        if target is None:
            target = stack.enter_context(Store(out))
            stack.enter_context(target.alone())
        taken = _write(target, opened, plan)
        n_trials = len(target.hashes() | target.failures())
        damaged = {source.path: source.damaged for source in opened if source.damaged}
        return MergeSummary(n_trials, taken, damaged, tuple(target.study_names()))


@dataclass(frozen=True, eq=False)
class _OpenStore:
    """A store to take from.

    Attributes:
        path: its file, as the caller names it.
        store: the store, open.
        damaged: rows that are not as they were written, each with what is wrong; filled by `trials`.
    """

    path: Path
    store: Store
    damaged: dict[str, str] = field(default_factory=dict)

    def trials(self) -> Iterator[tuple[Any, ...]]:
        """The rows of trials that are whole."""
        for row in self.rows("SELECT * FROM trials"):
            try:
                check_digest(row)
            except StoreError as error:
                self.damaged[row[0]] = str(error)
            else:
                yield row

    @property
    def columns(self) -> list[str]:
        """Names of the columns of trials."""
        with explained(self.path):
            return [column[0] for column in self.store.connection.execute("SELECT * FROM trials LIMIT 0").description]

    def rows(self, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        """The rows that a query finds."""
        with explained(self.path):
            yield from self.store.connection.execute(query, values)

    def tables(self) -> Iterator[tuple[str, bytes]]:
        """The tables of users that it keeps."""
        with explained(self.path):
            yield from packed_tables(self.store.connection)


@dataclass(frozen=True)
class _Taken:
    """Which source something comes from, and what it says there: done or not, and a fingerprint of its result."""

    source: int
    is_done: bool
    result: bytes


@dataclass(frozen=True, eq=False)
class _Plan:
    """What to take from which source, by hash; studies by name."""

    trials: dict[str, _Taken]
    measurements: dict[str, _Taken]
    studies: dict[str, int]


def _to_read(path: Path) -> Store:
    writer = writer_of(path)
    if writer is not None:
        raise StoreError(f"{path} is being written by {writer}; wait for it or end it, then merge.")
    return Store(path, create=False)


def _plan(sources: Sequence[_OpenStore], prefer: Path | None) -> _Plan:
    """Decides what comes from where, without writing anything."""
    studies = _plan_studies(sources)
    # What is preferred is seen first, so that it stays.
    favoured = None if prefer is None else prefer.resolve()
    order = sorted(range(len(sources)), key=lambda number: sources[number].path.resolve() != favoured)
    preferred = order[0] if favoured is not None else None
    trials, measurements = _Choice(preferred), _Choice(preferred)
    columns = sources[0].columns
    for source in sources:
        if source.columns != columns or not {"status", *_RESULT} <= set(columns):
            raise StoreError(f"{source.path} has other columns of trials than a qmoe store; leave it out.")
    at, status = [columns.index(name) for name in _RESULT], columns.index("status")
    for number in order:
        for row in sources[number].trials():
            trials.add(row[0], _Taken(number, row[status] == "done", _fingerprint([row[i] for i in at])))
        for digest, *values in sources[number].rows("SELECT hash, quantity, name, figures FROM measurements"):
            measurements.add(digest, _Taken(number, True, _fingerprint(values)))
    for what, choice in (("trial", trials), ("measurement", measurements)):
        choice.check(what, sources)
    return _Plan(trials.taken, measurements.taken, studies)


class _Choice:
    """Chooses, of what several sources have under one hash, what to take.

    Args:
        preferred: number of the source that wins where two differ; it is seen first.
    """

    def __init__(self, preferred: int | None) -> None:
        self._preferred = preferred
        self.taken: dict[str, _Taken] = {}
        self.differing: dict[str, tuple[int, int]] = {}

    def add(self, digest: str, new: _Taken) -> None:
        """Takes note of what a source has."""
        old = self.taken.get(digest)
        if old is None or (new.is_done and not old.is_done):
            self.taken[digest] = new
        elif new.is_done and new.result != old.result and old.source != self._preferred:
            self.differing[digest] = old.source, new.source

    def check(self, what: str, sources: Sequence[_OpenStore]) -> None:
        """Raises StoreError where two sources differ."""
        if not self.differing:
            return
        told = [f"{digest} ({sources[a].path} and {sources[b].path})" for digest, (a, b) in self.differing.items()]
        more = f", and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        n = f"{len(told)} {what}{'s have' if len(told) > 1 else ' has'}"
        raise StoreError(
            f"{n} different results in two stores: {', '.join(told[:_TOLD])}{more}. Name the store whose results count "
            "with --prefer; `qmoe store check` finds damaged rows."
        )


def _plan_studies(sources: Sequence[_OpenStore]) -> dict[str, int]:
    """The source of each study, in the order of the merged store."""
    found: dict[str, tuple[int, Any]] = {}
    for number, source in enumerate(sources):
        for name, spec in source.rows("SELECT name, spec FROM studies ORDER BY position"):
            asked = _without_places(spec)
            if name not in found:
                found[name] = number, asked
                continue
            before = sources[found[name][0]]
            if asked != found[name][1]:
                raise StoreError(
                    f"{before.path} and {source.path} have different studies {name}. Run one of them under another name, or "
                    f"both from the same file and with the same options; `qmoe diff` says how they differ."
                )
            mine, other = _members(before, name), _members(source, name)
            if not mine:  # a file of before version 3, whose study was not run since
                found[name] = number, asked
            elif other and mine != other:
                raise StoreError(
                    f"{before.path} and {source.path} have the study {name} from versions of qmoe whose numbers differ. Run "
                    "it again with one version into both, then merge."
                )
    return {name: number for name, (number, _) in found.items()}


def _without_places(spec: str) -> Any:
    """A study's JSON but for the place of its data file, which may be another on each machine."""
    try:
        values = json.loads(spec)
        kind = DATASETS.get(values["data"]["name"])
        if kind is not None:
            values["data"].get("options", {}).pop(kind.located, None)
    except (ValueError, TypeError, KeyError, AttributeError):
        return spec
    return values


def _members(source: _OpenStore, study: str) -> bytes:
    """A fingerprint of the trials of a study in their places; empty where it has none."""
    digest, n = hashlib.sha256(), 0
    for n, row in enumerate(source.rows("SELECT * FROM members WHERE study = ? ORDER BY rowid", study), 1):  # noqa: B007
        digest.update(repr(row).encode())
    return digest.digest() if n else b""


def _fingerprint(values: Sequence[Any]) -> bytes:
    digest = hashlib.sha256()
    for value in values:
        part = value if isinstance(value, bytes) else str(value).encode()
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _write(target: Store, sources: Sequence[_OpenStore], plan: _Plan) -> dict[Path, int]:
    """Writes what is planned, all or nothing; what is there already is left."""
    db, taken = target.connection, Counter[Path]()
    with explained(target.path), db:
        for number, source in enumerate(sources):
            if source.store is target:
                continue
            for row in source.rows("SELECT * FROM trials"):  # whose digests are checked by now
                if row[0] not in source.damaged and plan.trials[row[0]].source == number:
                    db.execute(f"REPLACE INTO trials VALUES ({_marks(row)})", row)
                    taken[source.path] += 1
            for row in source.rows("SELECT * FROM measurements ORDER BY rowid"):
                if plan.measurements[row[0]].source == number:
                    db.execute(f"REPLACE INTO measurements VALUES ({_marks(row)})", row)
            for key, content in source.tables():
                keep_packed(db, key, content)
            _write_studies(db, source, [name for name, at in plan.studies.items() if at == number])
        # In the order of the first store, then of the next ones.
        places = list(enumerate(plan.studies))
        db.executemany("UPDATE studies SET position = ? WHERE name = ?", places)
    return dict(taken)


def _write_studies(db: sqlite3.Connection, source: _OpenStore, names: Sequence[str]) -> None:
    for name in names:
        for table, column in (("studies", "name"), ("specifications", "study"), ("members", "study")):
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))
            for row in source.rows(f"SELECT * FROM {table} WHERE {column} = ?", name):
                db.execute(f"INSERT INTO {table} VALUES ({_marks(row)})", row)


def _marks(row: Sequence[Any]) -> str:
    return ", ".join("?" * len(row))
