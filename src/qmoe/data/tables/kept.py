"""Tables that a store of results keeps, so that neither a report nor a worker needs the file they came from."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qmoe.errors import ConfigError
from qmoe.safe_files import open_to_read

#: Bytes of a table at most.
MAX_BYTES = 2**30
#: What reading a damaged table may raise.
_UNREADABLE = (
    ValueError, TypeError, KeyError, EOFError, OSError, RecursionError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
MAGIC = b"SQLite format 3\0"

MAKE = "CREATE TABLE IF NOT EXISTS kept_tables (key TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT"


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
    """Puts a table into a store, in place of what is there under that key; the caller commits."""
    db.execute(MAKE)
    db.execute("REPLACE INTO kept_tables VALUES (?, ?)", (key, _packed(content)))


def keeps(db: sqlite3.Connection, key: str) -> bool:
    """Whether a store has that table."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept_tables'").fetchone() is None:
        return False
    return db.execute("SELECT 1 FROM kept_tables WHERE key = ?", (key,)).fetchone() is not None


def keeps_whole(db: sqlite3.Connection, key: str) -> bool:
    """Whether a store has that table as it was written; reads all of it."""
    row = db.execute("SELECT content FROM kept_tables WHERE key = ?", (key,)).fetchone() if keeps(db, key) else None
    if row is None:
        return False
    try:
        _unpacked(row[0])
    except _UNREADABLE:
        return False
    return True


def packed_tables(db: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """The tables that a store keeps, as they are kept, by their keys."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept_tables'").fetchone() is not None:
        yield from db.execute("SELECT key, content FROM kept_tables")


def keep_packed(db: sqlite3.Connection, key: str, content: bytes) -> None:
    """Puts a table of another store into a store, unless it is there; the caller commits."""
    db.execute(MAKE)
    db.execute("INSERT OR IGNORE INTO kept_tables VALUES (?, ?)", (key, content))


@functools.lru_cache(maxsize=4)
def kept_table(path: str, key: str) -> Content:
    """The table that the store ``path`` keeps under ``key``.

    Raises:
        ConfigError: the store keeps no such table, or cannot be read.
    """
    try:
        with closing(open_to_read(Path(path), MAX_BYTES)) as db:
            row = db.execute("SELECT content FROM kept_tables WHERE key = ?", (key,)).fetchone()
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"table: {path} cannot be read as a store: {error}; name the table's own file.") from None
    if row is None:
        raise ConfigError(f"table: the store {path} does not keep the table {key}; name the table's own file.")
    try:
        return _unpacked(row[0])
    except _UNREADABLE as error:
        raise ConfigError(
            f"table: the table {key} in the store {path} is damaged: {error}; run the study again from the table's own file."
        ) from None


def _packed(content: Content) -> bytes:
    out = io.BytesIO()
    names = json.dumps([content.columns, content.classes, content.digest, _digest(content)])
    np.savez_compressed(out, x=content.x, y=content.y, names=np.array(names))
    return out.getvalue()


def _unpacked(data: bytes) -> Content:
    """The table in a blob, which a stranger may have written: no more memory than `MAX_BYTES`, and nothing but a table.

    Raises:
        ValueError: or one of several others, for anything else.
    """
    _check_sizes(data)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        x, y, names = arrays["x"], arrays["y"], json.loads(str(arrays["names"]))
    columns, classes, digest, *own = names  # of an older version, without a digest of its own
    kinds = x.dtype == np.float64 and y.dtype == np.int64 and isinstance(digest, str)
    if not kinds or x.ndim != 2 or y.shape != x.shape[:1] or not len(y) or not np.isfinite(x).all():
        raise ValueError(f"features are {x.dtype} of shape {x.shape} and labels {y.dtype} of shape {y.shape}")
    words = [columns, classes]
    if any(not isinstance(each, list) or not all(isinstance(word, str) for word in each) for each in words):
        raise ValueError("its names are no words")
    if len(columns) != x.shape[1] or not 0 <= y.min() <= y.max() < len(classes):
        raise ValueError(f"{len(columns)} columns and {len(classes)} classes are named")
    content = Content(x, y, tuple(columns), tuple(classes), digest)
    if own and own != [_digest(content)]:
        raise ValueError("it is not as it was written")
    return content


def _digest(content: Content) -> str:
    """Guards what is in a table: the digest of its file says nothing of what is kept of it."""
    found = hashlib.sha256(json.dumps([content.columns, content.classes, content.digest, content.x.shape]).encode())
    for array in (content.x, content.y):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:32]


def _check_sizes(data: bytes) -> None:
    """Refuses what would be larger than it may be once it is unpacked, by its headers alone."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != ["names.npy", "x.npy", "y.npy"]:
            raise ValueError("it does not hold x, y and names")
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes when it is unpacked")
        for member in members:
            with archive.open(member) as file:
                if np.lib.format.read_magic(file) != (1, 0):
                    raise ValueError(f"{member.filename} is of another version")
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if dtype.itemsize * math.prod(shape) > member.file_size:
                raise ValueError(f"{member.filename} says that it has the shape {shape}, which it is too small for")
