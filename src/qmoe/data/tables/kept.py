"""Tables that a store of results keeps, so that neither a report nor a worker needs the file they came from."""

from __future__ import annotations

import functools
import io
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qmoe.errors import ConfigError

MAGIC = b"SQLite format 3\0"

_MAKE = "CREATE TABLE IF NOT EXISTS kept_tables (key TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT"


@dataclass(frozen=True, eq=False)
class Content:
    """What is in a table.

    Attributes:
        x: ``(N, F)`` float64 features; not to be written to.
        y: ``(N,)`` int64 labels; not to be written to.
        columns: names of the features.
        classes: the class of each label.
        digest: the first 16 hexadecimal digits of the SHA-256 of the file.
    """

    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    digest: str

    def __post_init__(self) -> None:
        self.x.setflags(write=False)
        self.y.setflags(write=False)


def key_of(digest: str, target: str, keep: Sequence[str]) -> str:
    """What a store knows a table by: all that decides its content."""
    return json.dumps([digest, target, sorted(keep)], ensure_ascii=False)


def keep_table(db: sqlite3.Connection, key: str, content: Content) -> None:
    """Puts a table into a store, unless it is there; the caller commits."""
    db.execute(_MAKE)
    if db.execute("SELECT 1 FROM kept_tables WHERE key = ?", (key,)).fetchone() is None:
        db.execute("INSERT INTO kept_tables VALUES (?, ?)", (key, _packed(content)))


def keeps(db: sqlite3.Connection, key: str) -> bool:
    """Whether a store has that table."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept_tables'").fetchone() is None:
        return False
    return db.execute("SELECT 1 FROM kept_tables WHERE key = ?", (key,)).fetchone() is not None


def packed_tables(db: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """The tables that a store keeps, as they are kept, by their keys."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept_tables'").fetchone() is not None:
        yield from db.execute("SELECT key, content FROM kept_tables")


def keep_packed(db: sqlite3.Connection, key: str, content: bytes) -> None:
    """Puts a table of another store into a store, unless it is there; the caller commits."""
    db.execute(_MAKE)
    db.execute("INSERT OR IGNORE INTO kept_tables VALUES (?, ?)", (key, content))


@functools.lru_cache(maxsize=4)
def kept_table(path: str, key: str) -> Content:
    """The table that the store ``path`` keeps under ``key``.

    Raises:
        ConfigError: the store keeps no such table, or cannot be read.
    """
    try:
        db = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        try:
            row = db.execute("SELECT content FROM kept_tables WHERE key = ?", (key,)).fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise ConfigError(f"table: {path} cannot be read as a store: {error}; name the table's own file.") from None
    if row is None:
        raise ConfigError(f"table: the store {path} does not keep the table {key}; name the table's own file.")
    return _unpacked(row[0])


def _packed(content: Content) -> bytes:
    out = io.BytesIO()
    names = json.dumps([content.columns, content.classes, content.digest])
    np.savez_compressed(out, x=content.x, y=content.y, names=np.array(names))
    return out.getvalue()


def _unpacked(data: bytes) -> Content:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        columns, classes, digest = json.loads(str(arrays["names"]))
        return Content(arrays["x"], arrays["y"], tuple(columns), tuple(classes), digest)
