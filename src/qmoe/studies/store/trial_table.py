"""The rows of trials in an SQLite file: written as they come, read as records or as columns."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from qmoe.errors import StoreError
from qmoe.studies.store.columns import Columns, Filling
from qmoe.studies.store.digests import check_history
from qmoe.studies.store.schema import N_FIXED
from qmoe.studies.store.trial_rows import (
    Execution,
    Record,
    TrialRow,
    check_row,
    from_row,
    history_of,
    recent_of,
    to_row,
)
from qmoe.studies.trials import TrialSpec

#: Called with the hash of a trial and what is wrong with its row.
OnDamage = Callable[[str, str], None]


class TrialTable:
    """Trials with the parts that many of them share.

    Args:
        db: the file; the caller turns SQLite's errors into ones of qmoe, and commits.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._parts: dict[str, int] = {}
        self._executions: dict[Execution, int] = {}

    def save(self, records: Iterable[Record], now: str) -> None:
        """Writes rows, in place of earlier ones of the same trials."""
        before = "SELECT attempts FROM trials WHERE hash = ?"
        try:
            for record in records:
                tried = self._db.execute(before, (record.trial.hash,)).fetchone()
                self.put(to_row(record, now, 1 if tried is None else max(tried[0], 0) + 1))
        except BaseException:  # what was written is taken back
            self._parts.clear()
            self._executions.clear()
            raise

    def put(self, row: TrialRow) -> None:
        """Writes a row, in place of an earlier one of the same trial."""
        known = self._figures()
        for name in row.figures.keys() - set(known):
            self._db.execute(f"ALTER TABLE trials ADD COLUMN {_column(name)} REAL")
            known = self._figures()
        status = "done" if row.error is None else "failed"
        values = (
            row.hash, self._part(row.frame), row.data_seed, row.init_seed, status, row.error, row.failure, row.attempts,
            self._execution(row.execution), row.recent, self._part(row.names), row.history, self._part(row.header),
            row.weights, row.digest(), *(row.figures.get(name) for name in known),
        )  # fmt: skip
        self._db.execute(f"REPLACE INTO trials VALUES ({', '.join('?' * len(values))})", values)

    def rows(self, wanted: Iterable[str], where: str = "") -> Iterator[tuple[TrialRow, object]]:
        """Rows of trials with these hashes, with their digests, as far as they are there.

        Args:
            wanted: the hashes.
            where: a condition in SQL, such as ``"WHERE history IS NOT NULL"``.
        """
        # A join on the primary key: other studies' trials, which may be most of the file, are not read.
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (hash TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("DELETE FROM wanted")
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((key,) for key in wanted))
        self._db.commit()
        return self._decoded(self._db.execute(f"SELECT trials.* FROM wanted JOIN trials USING (hash) {where}"))

    def all(self) -> Iterator[tuple[TrialRow, object]]:
        """All rows, with their digests."""
        return self._decoded(self._db.execute("SELECT * FROM trials"))

    def others(self) -> Iterator[tuple[TrialRow, object]]:
        """Rows that the last call of `rows` did not ask for."""
        return self._decoded(self._db.execute("SELECT * FROM trials WHERE hash NOT IN (SELECT hash FROM wanted)"))

    def records(self, wanted: Mapping[str, TrialSpec], on_damage: OnDamage) -> Iterator[Record]:
        """The records of trials, in no order."""
        for row, digest in self.rows(wanted):
            try:
                check_row(row, digest, wanted[row.hash])
                check_history(*history_of(row), wanted[row.hash])
                yield from_row(wanted[row.hash], row)
            except StoreError as error:
                on_damage(row.hash, str(error))

    def columns(self, trials: Sequence[TrialSpec], on_damage: OnDamage) -> Columns:
        """What trials left, in their order."""
        place: dict[str, int] = {}
        first = np.array([place.setdefault(trial.hash, at) for at, trial in enumerate(trials)], dtype=np.int64)
        filling = Filling(trials)
        for row, digest in self.rows(place):
            at = place[row.hash]
            try:
                check_row(row, digest, trials[at])
                filling.put(at, row.error is not None, row.figures, recent_of(row), row.execution)
            except StoreError as error:
                on_damage(row.hash, str(error))
        found = filling.columns()
        # Arms of one model share their trials.
        return found if len(place) == len(trials) else found.take(first)

    def histories(self, trials: Sequence[TrialSpec], quantity: str, on_damage: OnDamage) -> np.ndarray:
        """``(m, epochs)`` float32 values of those of the trials that have them, in their order."""
        wanted = {trial.hash: trial for trial in trials}
        found: dict[str, np.ndarray] = {}
        for row, digest in self.rows(wanted, "WHERE history IS NOT NULL"):
            try:
                check_row(row, digest, wanted[row.hash])
                names, values = history_of(row)
                check_history(names, values, wanted[row.hash])
            except StoreError as error:
                on_damage(row.hash, str(error))
                continue
            if quantity in names:
                found[row.hash] = values[names.index(quantity)]
        lines = [found[trial.hash] for trial in trials if trial.hash in found]
        return np.array(lines) if lines else np.zeros((0, 0), dtype=np.float32)

    def _decoded(self, cursor: sqlite3.Cursor) -> Iterator[tuple[TrialRow, object]]:
        parts = dict(self._db.execute("SELECT part, content FROM parts"))
        executions = {
            row[0]: Execution(*row[1:])
            for row in self._db.execute(
                "SELECT execution, seconds, stack_size, threads, engine, version, commit_id, finished_at FROM executions"
            )
        }
        figures = [description[0] for description in cursor.description[N_FIXED:]]
        nothing = Execution(0.0, 0, 0, "", "", None)
        for values in cursor:
            (
                key, spec, data_seed, init_seed, status, error, failure, attempts, execution, recent, names, history,
                header, weights, digest,
            ) = values[:N_FIXED]  # fmt: skip
            if status != ("done" if error is None else "failed"):
                digest = None
            # What is missing stands as nothing, so that the digest does not fit.
            row = TrialRow(
                key, parts.get(spec, ""), data_seed, init_seed, error, failure, attempts,
                {n: v for n, v in zip(figures, values[N_FIXED:], strict=True) if v is not None}, recent,
                parts.get(names, ""), history, parts.get(header, ""), weights, executions.get(execution, nothing),
            )  # fmt: skip
            yield row, digest

    def _figures(self) -> list[str]:
        """Names of the columns of figures, in their order."""
        return [row[1] for row in self._db.execute("PRAGMA table_info(trials)")][N_FIXED:]

    def _part(self, content: str) -> int:
        """The number of a text that many rows share."""
        if not self._parts:
            self._parts = {text: number for number, text in self._db.execute("SELECT part, content FROM parts")}
        if content not in self._parts:
            number = self._db.execute("INSERT INTO parts (content) VALUES (?)", (content,)).lastrowid
            assert number is not None
            self._parts[content] = number
        return self._parts[content]

    def _execution(self, execution: Execution) -> int:
        if execution not in self._executions:
            self._executions.clear()  # those of one call are alike, and no later one is
            values = dataclasses.astuple(execution)
            number = self._db.execute(
                "INSERT INTO executions (seconds, stack_size, threads, engine, version, commit_id, finished_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            assert number is not None
            self._executions[execution] = number
        return self._executions[execution]


def _column(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        raise StoreError(f"A figure is named {name!r}; names of figures are letters, digits and underscores.")
    return f'"{name}"'
