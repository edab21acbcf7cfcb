"""The file itself: each trial committed as it ends, never written twice."""

from __future__ import annotations

import datetime
import functools
import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

import qmoe
from qmoe.data import UserTable
from qmoe.data.tables.kept import keep_table, keeps, key_of
from qmoe.errors import QMoEError, StateWarning, StoreError, warn_caller
from qmoe.studies.files import parse_study
from qmoe.studies.specifications import all_members, specifications
from qmoe.studies.specs.study import Study
from qmoe.studies.store.leftovers import remove_leftovers
from qmoe.studies.store.results import StudyResults
from qmoe.studies.store.schema import SCHEMA, bring_up
from qmoe.studies.store.status import writer_of
from qmoe.studies.store.trial_rows import N_COLUMNS, Record, check_digest, from_row, to_row
from qmoe.studies.trials import TrialSpec, make_trials

if TYPE_CHECKING:
    import pandas

#: How often a trial is tried whose process died or ran out of memory.
MAX_ATTEMPTS = 3


class Store:
    """Opens or makes the result file ``path``.

    One process writes at a time. A trial is stored under the hash of its spec, whichever study asked for it.

    Args:
        path: the file.
        create: whether to make it where it is not there, and to write to it; if not, nothing is ever written, not even to
            bring an older file up to date.

    Raises:
        StoreError: when the folder cannot be written, the file is damaged, no store, or of a newer version.
    """

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path, self._writes = Path(path), create
        self._lock = FileLock(f"{path}.lock")
        if create:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"The folder {self.path.parent} cannot be made: {error.strerror}; choose another."
                ) from None
        elif not self.path.is_file():
            raise StoreError(f"There is no store {self.path}; run `qmoe reproduce` or `qmoe run` with --out first.")
        with self._explained():
            # Whoever reads may have it from a stranger, or from a medium that cannot be written to.
            target = self.path if create else f"{self.path.resolve().as_uri()}?mode=ro"
            self._db = sqlite3.connect(target, timeout=30, uri=not create)
        try:
            with self._explained():
                self._db.execute("PRAGMA trusted_schema = OFF")
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

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file, for modules of this folder."""
        return self._db

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others from running studies into the same file; a lock that ends with this process.

        Whoever holds it may take it again.

        Raises:
            StoreError: naming the process that holds it.
        """
        holder = Path(f"{self.path}.holder")
        try:
            self._lock.acquire(timeout=0)
        except (NotImplementedError, PermissionError) as error:
            raise StoreError(
                f"{self.path} cannot be locked: {error}; choose a folder on another file system with --out."
            ) from None
        except Timeout:
            raise StoreError(
                f"{self.path} is being written by {writer_of(self.path)}; wait for it or end it, or choose another folder "
                "with --out."
            ) from None
        try:
            remove_leftovers(holder)
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            if self._lock.lock_counter == 1:
                holder.unlink(missing_ok=True)
            self._lock.release()

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
                options = self._from_here(values["data"]["options"])
                if not self._writes and options == values["data"]["options"]:
                    raise StoreError(f"{self.path} does not keep the table of the study {name}; run it again.")
                values["data"]["options"] = options
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
        with self._explained(), self._db:
            before = "SELECT attempts FROM trials WHERE hash = ?"
            for record in records:
                tried = self._db.execute(before, (record.trial.hash,)).fetchone()
                row = to_row(record, now, 1 if tried is None else tried[0] + 1)
                self._db.execute(f"REPLACE INTO trials VALUES ({', '.join('?' * N_COLUMNS)})", row)

    def settled(self, wanted: Mapping[str, TrialSpec], retry: bool = False) -> set[str]:
        """Hashes of the trials that are not to be run again: those that are done, and those that would fail again.

        A trial that diverged or raised an error does so again under the same version of qmoe. One whose process died, or
        that ran out of memory, is tried `MAX_ATTEMPTS` times in all. A damaged row is no result.

        Args:
            wanted: trials by their hashes.
            retry: whether those that failed are to be run again as well.
        """
        return {
            record.trial.hash
            for record in self._read(wanted, {})
            if record.error is None or not (retry or _may_end_otherwise(record))
        }

    def damaged(self) -> dict[str, str]:
        """Trials whose row is not as it was written, each with what is wrong; `run_studies` runs them again."""
        studies = [study for name in self.study_names() if (study := self.asked(name)) is not None]
        trials = {member.trial.hash: member.trial for study in studies for member in all_members(study)}
        found: dict[str, str] = {}
        for _ in self._read(trials, found):
            pass
        with self._explained():
            for row in self._db.execute("SELECT * FROM trials WHERE hash NOT IN (SELECT hash FROM wanted)"):
                try:
                    check_digest(row)
                except StoreError as error:
                    found[row[0]] = str(error)
        return found

    def hashes(self) -> set[str]:
        """Hashes of the trials that are done."""
        with self._explained():
            return {row[0] for row in self._db.execute("SELECT hash FROM trials WHERE status = 'done'")}

    def failures(self) -> set[str]:
        """Hashes of the trials that failed."""
        with self._explained():
            return {row[0] for row in self._db.execute("SELECT hash FROM trials WHERE status = 'failed'")}

    def trained_together(self) -> set[str]:
        """Hashes of the trials that are done and were trained beside others, so that their time is not that of one."""
        with self._explained():
            rows = self._db.execute("SELECT hash FROM trials WHERE status = 'done' AND stack_size > 1")
            return {row[0] for row in rows}

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
        return StudyResults(study, members, self.records(wanted), functools.partial(read_records, self.path.resolve()))

    def frame(self, study: str | None = None, history: bool = False) -> pandas.DataFrame:
        """The trials of a study, or of all that can be read, as a pandas frame; see `StudyResults.frame`."""
        import pandas

        names = self.study_names() if study is None else [study]
        loaded = [self.load(name) for name in names if study is not None or self.asked(name) is not None]
        frames = [one for results in loaded if not (one := results.frame(history)).empty]
        return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()

    def records(self, wanted: Mapping[str, TrialSpec]) -> dict[str, Record]:
        """Reads the records of trials, given by their hashes, as far as they are done.

        A row that is not as it was written is left out, with a warning: it counts as not run, and `run_studies` runs it.
        """
        wrong: dict[str, str] = {}
        found = {record.trial.hash: record for record in self._read(wanted, wrong)}
        if wrong:
            first = "; ".join(f"trial {digest}: {reason}" for digest, reason in list(wrong.items())[:3])
            warn_caller(
                f"{self.path}: {len(wrong)} rows are damaged and left out; `qmoe run` trains them again. {first}",
                StateWarning,
            )
        return found

    def _read(self, wanted: Mapping[str, TrialSpec], wrong: dict[str, str]) -> Iterator[Record]:
        """The records of trials, one at a time; what is wrong with damaged rows goes to ``wrong``, by hash."""
        with self._explained():
            # A join on the primary key: other studies' trials, which may be most of the file, are not read.
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (hash TEXT PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("DELETE FROM wanted")
            self._db.executemany("INSERT INTO wanted VALUES (?)", ((key,) for key in wanted))
            self._db.commit()
            for row in self._db.execute("SELECT trials.* FROM wanted JOIN trials USING (hash)"):
                try:
                    yield from_row(wanted[row[0]], row)
                except StoreError as error:
                    wrong[row[0]] = str(error)

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise StoreError(
                f"{self.path} was written by a newer qmoe (store version {version}, this one reads up to {SCHEMA}); "
                "upgrade qmoe, or choose another folder."
            )
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if (
            (version == 0 and not self._writes)
            or (version == 0) == bool(tables)
            or (version and not {"studies", "trials"} <= tables)
        ):
            raise StoreError(f"{self.path} is an SQLite file, but no qmoe store; choose another folder.")
        if version and self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the file fails SQLite's own check")
        if version < SCHEMA:
            if not self._writes:
                copy = sqlite3.connect(":memory:")
                self._db.backup(copy)
                self._db.close()
                self._db = copy
            bring_up(self._db, version)

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self.path)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite says into an error that names the file and the way out."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"{path} cannot be opened or written: {error}; check permissions, disk space and that no other qmoe is "
            "writing, or choose another folder."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is damaged: {error}; move it away and run the same command again, or recover it with `sqlite3 FILE "
            ".recover`."
        ) from error


def _may_end_otherwise(record: Record) -> bool:
    """Whether a trial that failed may come to another end when it is run again."""
    by_chance = record.failure in ("memory", "died") and record.attempts < MAX_ATTEMPTS
    return by_chance or record.version != qmoe.__version__


def read_records(path: Path, wanted: Mapping[str, TrialSpec]) -> dict[str, Record]:
    """The records of trials in the store at ``path``.

    Raises:
        StoreError: when the store is not there any more.
    """
    with Store(path, create=False) as store:
        return store.records(wanted)
