"""Results in one SQLite file: each trial committed as it ends, never written twice."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from qmoe.data import UserTable
from qmoe.data.tables.kept import keep_table, keeps, key_of
from qmoe.errors import QMoEError, StoreError
from qmoe.studies.files import parse_study
from qmoe.studies.specifications import Specification, specifications
from qmoe.studies.specs.study import Study
from qmoe.studies.trials import Member, TrialSpec, make_trials

SCHEMA = 3

_TABLES = """
CREATE TABLE studies (name TEXT PRIMARY KEY, position INTEGER NOT NULL, spec TEXT NOT NULL) STRICT;
CREATE TABLE trials (
  hash TEXT PRIMARY KEY, spec TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
  error TEXT, metrics TEXT NOT NULL, history TEXT NOT NULL, state BLOB NOT NULL,
  seconds REAL NOT NULL, stack_size INTEGER NOT NULL, threads INTEGER NOT NULL, dtype TEXT NOT NULL,
  engine TEXT NOT NULL, version TEXT NOT NULL, commit_id TEXT, finished_at TEXT NOT NULL
) STRICT;
"""
#: New in version 2.
_MEASUREMENTS = """
CREATE TABLE measurements (hash TEXT PRIMARY KEY, quantity TEXT NOT NULL, name TEXT NOT NULL, figures TEXT NOT NULL) STRICT;
"""
#: New in version 3: which trials make up which arm, so that figures can be computed from the file alone.
_MEMBERS = """
CREATE TABLE specifications (
  study TEXT NOT NULL, specification INTEGER NOT NULL, choices TEXT NOT NULL, selects TEXT NOT NULL,
  PRIMARY KEY (study, specification)
) STRICT, WITHOUT ROWID;
CREATE TABLE members (
  study TEXT NOT NULL, specification INTEGER NOT NULL, arm TEXT NOT NULL, strength REAL, learning_rate REAL,
  own_rate INTEGER NOT NULL, data_seed INTEGER NOT NULL, init_seed INTEGER NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX members_of ON members (study, specification, arm);
"""


@dataclass(frozen=True)
class Record:
    """What a finished trial left.

    Attributes:
        trial: what was run.
        metrics: final values by name, such as ``test_accuracy``.
        history: values by epoch, such as ``loss``.
        state: trained parameters as safetensors bytes.
        seconds: wall time of the stack that the trial was trained in.
        stack_size: number of trials in that stack; 1 for a trial that was timed alone.
        threads: torch threads it ran on.
        engine: name of the engine that ran its circuits, or ``"none"``.
        version: version of qmoe.
        commit: commit of qmoe where it ran from a checkout, else None.
        finished_at: when it was saved, ISO 8601 in UTC; "" before that.
        error: why the trial failed, or None.
    """

    trial: TrialSpec
    metrics: dict[str, float]
    history: dict[str, list[float]]
    state: bytes
    seconds: float
    stack_size: int
    threads: int
    engine: str
    version: str
    commit: str | None
    error: str | None = None
    finished_at: str = ""


@dataclass(frozen=True)
class StudyResults:
    """A study with the records of its trials, as far as they are done.

    Attributes:
        study: the study.
        members: its trials, each in its place.
        records: what is done, by the hash of the trial.
        store: the file that trials of other specifications are read from; without, they are looked for in ``records``.
    """

    study: Study
    members: tuple[Member, ...]
    records: dict[str, Record]
    store: Path | None = None

    def of(self, arm: str, strength: float | None = None, lr: float | None = None) -> list[Record]:
        """Records of one arm (and noise strength), in the order of the seeds; failed trials left out.

        Args:
            arm: name of the arm.
            strength: depolarizing probability, where the arm lists several.
            lr: one of the study's learning rates; by default the first.
        """
        lr = self.study.training.lr if lr is None else lr
        found = [self.records.get(digest) for digest in self._hashes.get((arm, strength, lr), ())]
        return [record for record in found if record is not None and record.error is None]

    @cached_property
    def _hashes(self) -> dict[tuple[str, float | None, float], list[str]]:
        """Hashes of the trials by arm, noise strength and learning rate."""
        found: dict[tuple[str, float | None, float], list[str]] = {}
        for m in self.members:
            found.setdefault((m.arm, m.strength, m.trial.training.lr), []).append(m.trial.hash)
        return found

    @cached_property
    def specifications(self) -> tuple[SpecificationResults, ...]:
        """Results at every specification of the study's multiverse, its own first, read when they are first asked for.

        Raises:
            StoreError: when the store is not there any more.
        """
        found = [(one, tuple(make_trials(one.study))) for one in specifications(self.study)]
        records = self.records
        missing = {m.trial.hash: m.trial for _, members in found for m in members if m.trial.hash not in records}
        if missing and self.store is not None:
            with Store(self.store, create=False) as store:
                records = records | store.records(missing)
        return tuple(
            SpecificationResults(one.study, members, _of(members, records), specification=one) for one, members in found
        )

    @property
    def failed(self) -> list[tuple[Member, Record]]:
        """Members whose trial failed."""
        pairs = [(m, self.records.get(m.trial.hash)) for m in self.members]
        return [(m, r) for m, r in pairs if r is not None and r.error is not None]

    @property
    def n_missing(self) -> int:
        """How many trials have not run yet."""
        return sum(m.trial.hash not in self.records for m in self.members)


@dataclass(frozen=True)
class SpecificationResults(StudyResults):
    """The results of a study at one specification; ``study`` is the plain study with its choices.

    Attributes:
        specification: the choices, and which of the trials count.
    """

    specification: Specification = field(kw_only=True)


def _of(members: Iterable[Member], records: Mapping[str, Record]) -> dict[str, Record]:
    return {m.trial.hash: records[m.trial.hash] for m in members if m.trial.hash in records}


class Store:
    """Opens or makes the result file ``path``.

    One process writes at a time. A trial is stored under the hash of its spec, whichever study asked for it.

    Raises:
        StoreError: when the folder cannot be written, the file is damaged, no store, or of a newer version.
    """

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise StoreError(f"There is no store {self.path}; run `qmoe reproduce` or `qmoe run` with --out first.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The folder {self.path.parent} cannot be made: {error.strerror}; choose another."
            ) from None
        with self._explained():
            self._db = sqlite3.connect(self.path, timeout=30)
        try:
            with self._explained():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def save_study(self, study: Study) -> None:
        """Writes down a study, in place of an earlier version of the same name, and keeps the table it is about."""
        with self._explained(), self._db:
            row = self._db.execute("SELECT position FROM studies WHERE name = ?", (study.name,)).fetchone()
            count = self._db.execute("SELECT COUNT(*) FROM studies").fetchone()
            position = row[0] if row else count[0]
            self._db.execute(
                "REPLACE INTO studies VALUES (?, ?, ?)",
                (study.name, position, study.model_dump_json(exclude_defaults=True)),
            )
            self._save_places(study)
            if study.data.kind is UserTable:
                table = UserTable(**study.data.options)
                if not keeps(self._db, table.key):
                    keep_table(self._db, table.key, table.content)

    def _save_places(self, study: Study) -> None:
        """Writes down the specifications of a study and the place of every trial in it."""
        for table in ("specifications", "members"):
            self._db.execute(f"DELETE FROM {table} WHERE study = ?", (study.name,))
        # Its own one has all learning rates that it lists, of which `own_rate` marks the one that counts.
        plain = [(study, {}, "all"), *((s.study, s.choices, s.select) for s in specifications(study))]
        if len(plain) > 1:
            plain = [(study, plain[1][1], "all"), *plain[2:]]
        for number, (one, choices, selects) in enumerate(plain):
            has_rate = one.training.optimiser != "lbfgs"
            row = (study.name, number, json.dumps(dict(choices)), selects)
            self._db.execute("INSERT INTO specifications VALUES (?, ?, ?, ?)", row)
            rows = (
                (
                    study.name, number, m.arm, m.strength, m.trial.training.lr if has_rate else None,
                    m.trial.training.lr == one.training.lr, m.trial.data_seed, m.trial.init_seed, m.trial.hash,
                )
                for m in make_trials(one)
            )  # fmt: skip
            self._db.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def at_hand(self, study: Study) -> Study:
        """The same study with its table from this store, where that keeps it; its trials have the same hashes.

        So neither a worker nor a report goes back to the file, which may have moved or changed by then.
        """
        if study.data.kind is not UserTable:
            return study
        data = study.data.model_copy(update={"options": self._from_here(study.data.options)})
        return study.model_copy(update={"data": data})

    def asked(self, name: str) -> Study | None:
        """The study of that name as it was last run; None where there is none, or none that can be read."""
        with self._explained():
            row = self._db.execute("SELECT spec FROM studies WHERE name = ?", (name,)).fetchone()
        try:
            return None if row is None else self._study(name, row[0])
        except QMoEError:
            return None

    def _study(self, name: str, text: str) -> Study:
        """The study with this JSON, its table from this store.

        Raises:
            StoreError: when it is no JSON of a study.
            ConfigError: when it is no valid study.
        """
        try:
            values = json.loads(text)
            if values["data"]["name"] == UserTable.name:
                values["data"]["options"] = self._from_here(values["data"]["options"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{self.path}: the study {name} cannot be read: {error!r}; run it again.") from None
        return parse_study(values, f"{self.path}, study {name}")

    def _from_here(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of a table, with this store in place of its file where it keeps that table."""
        key = key_of(options.get("digest", ""), options["target"], options.get("keep", ()))
        with self._explained():
            return {**options, UserTable.located: str(self.path.resolve())} if keeps(self._db, key) else options

    def save(self, records: Iterable[Record]) -> None:
        """Commits finished trials, all or none."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        rows = [
            (
                r.trial.hash, r.trial.canonical, "done" if r.error is None else "failed", r.error, json.dumps(r.metrics),
                json.dumps(r.history), r.state, r.seconds, r.stack_size, r.threads, r.trial.training.dtype, r.engine,
                r.version, r.commit, now,
            )
            for r in records
        ]  # fmt: skip
        with self._explained(), self._db:
            self._db.executemany(f"REPLACE INTO trials VALUES ({', '.join('?' * 15)})", rows)

    def hashes(self) -> set[str]:
        """Hashes of the trials that are done; failed ones are run again."""
        with self._explained():
            return {row[0] for row in self._db.execute("SELECT hash FROM trials WHERE status = 'done'")}

    def save_measurement(self, digest: str, quantity: str, name: str, values: Sequence[float]) -> None:
        """Commits repeated measurements of a quantity, under a hash of what decides them."""
        with self._explained(), self._db:
            row = (digest, quantity, name, json.dumps(list(values)))
            self._db.execute("REPLACE INTO measurements VALUES (?, ?, ?, ?)", row)

    def has_measurement(self, digest: str) -> bool:
        """Whether there are measurements under that hash."""
        with self._explained():
            return bool(self._db.execute("SELECT 1 FROM measurements WHERE hash = ?", (digest,)).fetchone())

    def measurements(self) -> dict[str, dict[str, np.ndarray]]:
        """All measurements: quantity -> name -> ``(n,)`` numbers, the latest of each."""
        found: dict[str, dict[str, np.ndarray]] = {}
        with self._explained():
            rows = self._db.execute("SELECT quantity, name, figures FROM measurements ORDER BY rowid").fetchall()
        for quantity, name, figures in rows:
            found.setdefault(quantity, {})[name] = np.array(json.loads(figures))
        return found

    def study_names(self) -> list[str]:
        """Names of the studies, in the order they were first run."""
        with self._explained():
            return [row[0] for row in self._db.execute("SELECT name FROM studies ORDER BY position")]

    def load(self, name: str) -> StudyResults:
        """Reads a study with its records.

        Raises:
            StoreError: when there is no such study in the store.
            ConfigError: when it is not valid any more, such as one on a table that is neither kept nor where it was.
        """
        with self._explained():
            row = self._db.execute("SELECT spec FROM studies WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise StoreError(
                    f"{self.path} has no study {name!r}; it has {', '.join(self.study_names()) or 'none'}."
                )
            study = self._study(name, row[0])
            members = tuple(make_trials(study))
        wanted = {member.trial.hash: member.trial for member in members}
        return StudyResults(study, members, self.records(wanted), self.path.resolve())

    def records(self, wanted: Mapping[str, TrialSpec]) -> dict[str, Record]:
        """Reads the records of trials, given by their hashes, as far as they are done."""
        with self._explained():
            # A join on the primary key: other studies' trials, which may be most of the file, are not read.
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (hash TEXT PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("DELETE FROM wanted")
            self._db.executemany("INSERT INTO wanted VALUES (?)", ((key,) for key in wanted))
            rows = self._db.execute("SELECT trials.* FROM wanted JOIN trials USING (hash)").fetchall()
            self._db.rollback()
        return {row[0]: _record(wanted[row[0]], row) for row in rows}

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise StoreError(
                f"{self.path} was written by a newer qmoe (store version {version}, this one reads up to {SCHEMA}); "
                "upgrade qmoe, or choose another folder."
            )
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version == 0 and not tables:
            with self._db:
                self._db.executescript(
                    f"BEGIN; {_TABLES} {_MEASUREMENTS} {_MEMBERS} PRAGMA user_version = {SCHEMA}; COMMIT;"
                )
        elif version == 0 or not {"studies", "trials"} <= tables:
            raise StoreError(f"{self.path} is an SQLite file, but no qmoe store; choose another folder.")
        elif self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the file fails SQLite's own check")
        elif version < SCHEMA:
            later = (_MEASUREMENTS if version == 1 else "") + _MEMBERS
            with self._db:
                self._db.executescript(f"BEGIN; {later} PRAGMA user_version = {SCHEMA}; COMMIT;")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what SQLite says into an error that names the file and the way out."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{self.path} cannot be opened or written: {error}; check permissions, disk space and that no other "
                "qmoe is writing, or choose another folder."
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is damaged: {error}; move it away and run the same command again, or recover it with "
                "`sqlite3 FILE .recover`."
            ) from error


def _record(trial: TrialSpec, row: tuple[Any, ...]) -> Record:
    (_, _, _, error, metrics, history, state, seconds, stack_size, threads, _, engine, version, commit, ended) = row
    return Record(
        trial, from_json(metrics), from_json(history), state, seconds, stack_size, threads, engine,
        version, commit, error, ended,
    )  # fmt: skip
