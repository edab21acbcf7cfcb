"""What can still be read of a damaged store, moved into a new one."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from qmoe.data.tables.kept import MAKE as MAKE_KEPT
from qmoe.errors import StoreError
from qmoe.studies.store.schema import VERSION, as_text, make_tables

#: Rows that are looked for where neither a table nor its index says how many there are.
_MOST = 1_000_000
#: Readings that fail before a table is given up: where its first page is gone, all do, for as many rows as it may have.
_FAILED = 20_000
#: Tables that are copied; places of trials are written anew from their studies.
_COPIED = ("studies", "parts", "executions", "trials", "measurements", "kept_tables")


def salvage(path: Path) -> tuple[Path, int]:
    """Puts a new store in place of a damaged one, with all rows that can be read; the damaged one is kept beside it.

    A row that was read wrongly does not fit its digest, and is left out by whoever reads it.

    Args:
        path: the damaged file, which nobody else may be writing.

    Returns:
        Where the damaged file is now, and how many trials the new one has.

    Raises:
        StoreError: when nothing of it can be read.
    """
    fresh = Path(f"{path}.new")
    fresh.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(fresh)) as new,
    ):
        old.text_factory = as_text
        old.execute("PRAGMA trusted_schema = OFF")
        try:
            if old.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                raise sqlite3.DatabaseError("it is of another version")
            tables = dict(old.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            fresh.unlink(missing_ok=True)
            raise StoreError(
                f"{path} is damaged beyond repair: {error}; move it away and run the same command again."
            ) from None
        with new:
            make_tables(new)
            new.execute(MAKE_KEPT)
            for table in _COPIED:
                if table in tables:
                    _copy(old, new, table)
            n = new.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
    if not n:
        fresh.unlink()
        raise StoreError(f"{path} is damaged, and none of its trials can be read; move it away and run it again.")
    aside = next(p for k in itertools.count(1) if not (p := Path(f"{path}.damaged-{k}")).exists())
    os.replace(path, aside)
    os.replace(fresh, path)
    return aside, n


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    there = [row[1] for row in old.execute(f"PRAGMA table_info({table})") if row[1].isidentifier()]
    for name in there:
        if name not in columns:  # a figure that is not everywhere
            new.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" REAL')
    marks = ", ".join("?" * len(there))
    for row in _rows(old, table, there):
        try:
            new.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(there)}) VALUES ({marks})", row)
        except (sqlite3.Error, UnicodeEncodeError):  # a cell that its column cannot have, or that is no text
            continue


def _rows(db: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """Rows of a table that can be read, around those that cannot."""
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE rowid BETWEEN ? AND ?"
    waiting, failed = [_bounds(db, table)], 0
    while waiting and failed < _FAILED:
        low, high = waiting.pop()
        try:
            found = db.execute(query, (low, high)).fetchall()
        except (sqlite3.Error, UnicodeDecodeError, MemoryError, OverflowError):
            failed += 1
            if low < high:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]
            continue
        yield from found


def _bounds(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """The first and the last row of a table, from its index where the page of one of them is damaged."""
    for source in ("", f"INDEXED BY sqlite_autoindex_{table}_1"):
        try:
            first, last = db.execute(f"SELECT MIN(rowid), MAX(rowid) FROM {table} {source}").fetchone()
        except (sqlite3.Error, UnicodeDecodeError):
            continue
        return (0, -1) if first is None else (first, last)
    return 1, _MOST
