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
from qmoe.studies.store.database import Store
from qmoe.studies.store.digests import of_measurement, of_study
from qmoe.studies.store.status import writer_of
from qmoe.studies.store.trial_rows import TrialRow, check_whole
from qmoe.studies.store.trial_table import TrialTable

#: Columns of arms but for their number, which is another in each store.
_ARM = "study, specification, name, strength, learning_rate, own_rate"
_MEMBERS = f"""
SELECT {_ARM}, data_seed, init_seed, hash FROM arms JOIN members USING (arm)
WHERE study = ? ORDER BY arms.arm, data_seed, init_seed
"""
#: Names of conflicts that a message tells.
_TOLD = 5


@dataclass(frozen=True)
class MergeSummary:
    """What `merge_stores` did.

    Attributes:
        trials: trials in the merged store.
        taken: by source, how many rows of trials came from it now.
        damaged: by source, damaged rows and studies with what is wrong with each; they are left out.
        studies: names of the studies in the merged store.
    """

    trials: int
    taken: dict[Path, int]
    damaged: dict[Path, dict[str, str]]
    studies: tuple[str, ...]


def merge_stores(sources: Sequence[Path], out: Path, prefer: Path | None = None) -> MergeSummary:
    """Puts the trials, studies, measurements and kept tables of stores into the store ``out``, all or nothing.

    A trial that several stores have is taken once: one that is done rather than one that failed, and one with weights and
    history rather than one without. What ``out`` has already stays, so the same call may be made again. Damaged rows are
    left out.

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
        try:
            taken = _write(target, opened, plan)
        except UnicodeEncodeError as error:
            raise StoreError(
                f"A store has text that is not UTF-8: {error.object!r:.80}; leave that store out."
            ) from None
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

    def trials(self) -> Iterator[TrialRow]:
        """The rows of trials that are whole."""
        with self.store.opened() as db:
            for row, digest in TrialTable(db).all():
                try:
                    check_whole(row, digest)
                except StoreError as error:
                    self.damaged[row.hash] = str(error)
                else:
                    yield row

    def measurements(self) -> Iterator[tuple[str, ...]]:
        """Measurements that are whole, as they are kept; in their order, as the latest counts."""
        for *row, digest in self.rows("SELECT hash, quantity, name, figures, digest FROM measurements ORDER BY rowid"):
            if of_measurement(*row) == digest:
                yield (*row, digest)
            else:
                self.damaged[row[0]] = f"{row[1]} of {row[2]} is not as it was written"

    def studies(self) -> Iterator[tuple[str, str]]:
        """Names and JSON of the studies that are whole, in their order."""
        for name, spec, digest in self.rows("SELECT name, spec, digest FROM studies ORDER BY position"):
            if of_study(name, spec) == digest:
                yield name, spec
            else:
                self.damaged[name] = "the study is not as it was written"

    def members(self, study: str) -> bytes:
        """A fingerprint of the trials of a study in their places; empty where it has none."""
        digest, is_any = hashlib.sha256(), False
        for row in self.rows(_MEMBERS, study):
            is_any = True
            digest.update(repr(row).encode())
        return digest.digest() if is_any else b""

    def rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """The rows that a query finds."""
        with self.store.opened() as db:
            yield from db.execute(query, values)


@dataclass(frozen=True)
class _Result:
    """What a source has under a hash.

    Attributes:
        source: its number.
        is_done: whether it is a result, not a failure.
        figures: fingerprint of final numbers.
        more: fingerprints of what only some studies keep, by name: history and weights.
    """

    source: int
    is_done: bool
    figures: bytes
    more: tuple[tuple[str, bytes], ...] = ()

    def differs(self, other: _Result) -> bool:
        """Whether both are results and something that both have is not the same."""
        mine, others = dict(self.more), dict(other.more)
        same = self.figures == other.figures and all(mine[name] == others[name] for name in mine.keys() & others)
        return self.is_done and other.is_done and not same

    def has_more(self, other: _Result) -> bool:
        """Whether this is a result and the other a failure, or it has all that the other one has and more."""
        if self.is_done != other.is_done:
            return self.is_done
        return {name for name, _ in self.more} > {name for name, _ in other.more}


@dataclass(frozen=True, eq=False)
class _Plan:
    """What to take from which source, by hash; studies by name."""

    trials: dict[str, _Result]
    measurements: dict[str, _Result]
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
    for number in order:
        for row in sources[number].trials():
            trials.add(row.hash, _result_of(number, row))
        for key, *values, _ in sources[number].measurements():
            measurements.add(key, _Result(number, True, _fingerprint(*values)))
    for what, choice in (("trial", trials), ("measurement", measurements)):
        choice.check(what, sources)
    return _Plan(trials.taken, measurements.taken, studies)


def _result_of(source: int, row: TrialRow) -> _Result:
    parts = ("history", row.names, row.history), ("weights", row.header, row.weights)
    more = tuple((name, _fingerprint(about, content)) for name, about, content in parts if content is not None)
    return _Result(source, row.error is None, _fingerprint(json.dumps(row.figures, sort_keys=True)), more)


class _Choice:
    """Chooses, of what several sources have under one hash, what to take.

    Args:
        preferred: number of the source that wins where two differ; it is seen first.
    """

    def __init__(self, preferred: int | None) -> None:
        self._preferred = preferred
        self.taken: dict[str, _Result] = {}
        self.differing: dict[str, tuple[int, int]] = {}

    def add(self, key: str, new: _Result) -> None:
        """Takes note of what a source has."""
        old = self.taken.get(key)
        if old is None:
            self.taken[key] = new
        elif new.differs(old):
            if old.source != self._preferred:
                self.differing[key] = old.source, new.source
        elif new.has_more(old):
            self.taken[key] = new

    def check(self, what: str, sources: Sequence[_OpenStore]) -> None:
        """Raises StoreError where two sources differ."""
        if not self.differing:
            return
        told = [f"{key} ({sources[a].path} and {sources[b].path})" for key, (a, b) in self.differing.items()]
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
        for name, spec in source.studies():
            asked = _without_places(spec)
            if name not in found:
                found[name] = number, asked
                continue
            before = sources[found[name][0]]
            if asked != found[name][1]:
                raise StoreError(
                    f"{before.path} and {source.path} have different studies {name}. Run one of them under another name, "
                    "or both from the same file and with the same options; `qmoe diff` says how they differ."
                )
            mine, other = before.members(name), source.members(name)
            if not mine:  # of a file of before version 3, whose study was not run since
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


def _fingerprint(*values: str | bytes | None) -> bytes:
    digest = hashlib.sha256()
    for value in values:
        part = value.encode(errors="surrogateescape") if isinstance(value, str) else value or b""
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()[:16]


def _write(target: Store, sources: Sequence[_OpenStore], plan: _Plan) -> dict[Path, int]:
    """Writes what is planned, all or nothing; what is there already is left."""
    taken = Counter[Path]()
    with target.opened() as db, db:
        table = TrialTable(db)
        for number, source in enumerate(sources):
            if source.store is target:
                continue
            for row in source.trials():
                if plan.trials[row.hash].source == number:
                    table.put(row)
                    taken[source.path] += 1
            for measured in source.measurements():
                if plan.measurements[measured[0]].source == number:
                    db.execute("REPLACE INTO measurements VALUES (?, ?, ?, ?, ?)", measured)
            with source.store.opened() as other:
                for key, content in packed_tables(other):
                    keep_packed(db, key, content)
            for name in (name for name, at in plan.studies.items() if at == number):
                _write_study(db, source, name)
        # In the order of the first store, then of the next ones.
        places = list(enumerate(plan.studies))
        db.executemany("UPDATE studies SET position = ? WHERE name = ?", places)
    return dict(taken)


def _write_study(db: sqlite3.Connection, source: _OpenStore, name: str) -> None:
    """Writes a study with its places, in place of one of that name."""
    db.execute("DELETE FROM members WHERE arm IN (SELECT arm FROM arms WHERE study = ?)", (name,))
    for table, column in (("studies", "name"), ("specifications", "study"), ("arms", "study")):
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))
    for table, column in (("studies", "name"), ("specifications", "study")):
        for row in source.rows(f"SELECT * FROM {table} WHERE {column} = ?", name):
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    for arm, *values in list(source.rows(f"SELECT arm, {_ARM} FROM arms WHERE study = ? ORDER BY arm", name)):
        made = db.execute(f"INSERT INTO arms ({_ARM}) VALUES (?, ?, ?, ?, ?, ?)", values).lastrowid
        members = source.rows("SELECT data_seed, init_seed, hash FROM members WHERE arm = ?", arm)
        db.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", ((made, *row) for row in members))
