"""Damage at random, as disks, copies and hands do it: to bytes of the file, and to its rows by SQL."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

#: Damages a store; says what was done.
Damage = Callable[[Path, random.Random], str]

_PAGE = 4096


@contextmanager
def editing(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a store, to be changed by somebody who knows no rules."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        with db:
            yield db


def _bytes(change: Callable[[bytearray, random.Random], str]) -> Damage:
    def _damage(path: Path, rng: random.Random) -> str:
        content = bytearray(path.read_bytes())
        said = change(content, rng)
        path.write_bytes(content)
        return said

    _damage.__name__ = change.__name__
    return _damage


@_bytes
def flip_a_bit(content: bytearray, rng: random.Random) -> str:
    """One bit, anywhere."""
    at, bit = rng.randrange(len(content)), rng.randrange(8)
    content[at] ^= 1 << bit
    return f"bit {bit} of byte {at}"


@_bytes
def flip_bits(content: bytearray, rng: random.Random) -> str:
    """Many bits, anywhere."""
    at = [rng.randrange(len(content)) for _ in range(rng.choice((4, 32, 256)))]
    for one in at:
        content[one] ^= 1 << rng.randrange(8)
    return f"{len(at)} bits"


@_bytes
def flip_a_bit_of_the_header(content: bytearray, rng: random.Random) -> str:
    """One bit of the first 100 bytes, which say what the file is."""
    at, bit = rng.randrange(100), rng.randrange(8)
    content[at] ^= 1 << bit
    return f"bit {bit} of byte {at}"


@_bytes
def zero_a_range(content: bytearray, rng: random.Random) -> str:
    """A range of zeros, as a disk leaves it."""
    size = rng.choice((16, 100, 512, _PAGE, 2 * _PAGE))
    at = rng.randrange(len(content) - size)
    at -= at % 512 if size >= 512 else 0
    content[at : at + size] = bytes(size)
    return f"{size} bytes from {at} are zero"


@_bytes
def overwrite_a_range(content: bytearray, rng: random.Random) -> str:
    """A range of something else."""
    size = rng.choice((16, 100, 512, _PAGE))
    at = rng.randrange(len(content) - size)
    content[at : at + size] = rng.randbytes(size)
    return f"{size} bytes from {at} are others"


@_bytes
def truncate(content: bytearray, rng: random.Random) -> str:
    """The end is gone, at a page or anywhere."""
    size = rng.randrange(len(content))
    size -= size % _PAGE if rng.random() < 0.5 else 0
    del content[size:]
    return f"{size} bytes are left"


@_bytes
def swap_pages(content: bytearray, rng: random.Random) -> str:
    """Two pages have changed places, or one was written over another."""
    one, other = rng.sample(range(len(content) // _PAGE), 2)
    a, b = slice(one * _PAGE, (one + 1) * _PAGE), slice(other * _PAGE, (other + 1) * _PAGE)
    if rng.random() < 0.5:
        content[a], content[b] = content[b], content[a]
        return f"pages {one} and {other} changed places"
    content[a] = content[b]
    return f"page {other} was written over {one}"


@_bytes
def append(content: bytearray, rng: random.Random) -> str:
    """Something follows the end."""
    size = rng.choice((1, 100, _PAGE))
    content += rng.randbytes(size)
    return f"{size} bytes more"


def _tables(db: sqlite3.Connection) -> list[str]:
    found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    return [row[0] for row in found]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _somewhere(db: sqlite3.Connection, rng: random.Random) -> tuple[str, str, str, list[Any]]:
    """A table with rows, one of its columns, a condition that holds for one of its rows, and what that compares with."""
    table = rng.choice([one for one in _tables(db) if db.execute(f"SELECT COUNT(*) FROM {one}").fetchone()[0]])
    columns = _columns(db, table)
    rows = db.execute(f"SELECT * FROM {table} ORDER BY {', '.join(map(str, range(1, len(columns) + 1)))}").fetchall()
    where = " AND ".join(f"{column} IS ?" for column in columns)
    return table, rng.choice(columns), where, list(rng.choice(rows))


def change_a_value(path: Path, rng: random.Random) -> str:
    """A value of a row is another, of the same type or not."""
    with editing(path) as db:
        table, column, where, row = _somewhere(db, rng)
        before = db.execute(f"SELECT {column} FROM {table} WHERE {where} LIMIT 1", row).fetchone()[0]
        value = rng.choice(_others(before, rng))
        # STRICT tables refuse other types, so the rule is taken away; readers see it as it was before.
        if rng.random() < 0.5:
            _loosely(db, table, lambda: db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", [value, *row]))
        else:
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}", [_fitting(before, value), *row])
    return f"{table}.{column}: {str(before)[:40]!r} -> {str(value)[:40]!r}"


def _loosely(db: sqlite3.Connection, table: str, change: Callable[[], object]) -> None:
    """Does something to a table whose columns hold anything meanwhile."""
    (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    version = db.execute("PRAGMA schema_version").fetchone()[0]
    loose = sql.replace(" NOT NULL", "").replace("STRICT, ", "").replace("STRICT", "")
    loose = loose.replace(" INTEGER", " BLOB").replace(" REAL", " BLOB").replace(" TEXT", " BLOB")

    def write(text: str, number: int) -> None:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (text, table))
        db.execute(f"PRAGMA schema_version = {number}")
        db.execute("PRAGMA writable_schema = RESET")

    write(loose, version + 1)
    try:
        change()
    except sqlite3.IntegrityError:
        pass
    finally:
        write(sql, version + 2)


def _others(value: Any, rng: random.Random) -> list[Any]:
    common = [None, 0, -1, 7, 2**62, 0.5, -3.5, 1e300, float("inf"), "", "x", "{}", "[]", "null", b"", b"\x00\xff"]
    if isinstance(value, str) and value:
        at = rng.randrange(len(value))
        near = value[:at] + chr(ord(value[at]) ^ (1 << rng.randrange(4))) + value[at + 1 :]
        return [near] * 12 + [value[:at], value + "0", value.upper(), value.replace("0.", "1."), *common]
    if isinstance(value, bytes) and value:
        at = rng.randrange(len(value))
        one_bit = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        return [one_bit, value[:at], value + b"0", rng.randbytes(len(value)), *common]
    if isinstance(value, (int, float)):
        return [value + 1, -value, value * 2, value / 3, value + 1000, *common]
    return common


def _fitting(before: Any, value: Any) -> Any:
    """A value of the type that a column takes."""
    if isinstance(before, str):
        return "x" if value is None else str(value)
    if isinstance(before, bytes):
        return value if isinstance(value, bytes) else str(value).encode()
    if isinstance(before, int):
        return int(value) if isinstance(value, (int, float)) and abs(value) < 2**60 else 3
    if isinstance(before, float):
        return float(value) if isinstance(value, (int, float)) else 0.25
    return value


def swap_values(path: Path, rng: random.Random) -> str:
    """Two rows have changed one value with each other."""
    with editing(path) as db:
        table, column, where, row = _somewhere(db, rng)
        columns = _columns(db, table)
        at = columns.index(column)
        others = [list(one) for one in db.execute(f"SELECT * FROM {table}") if one[at] != row[at]]
        if not others:
            return f"{table}.{column} has one value, which stays"
        other = rng.choice(others)
        for key, value in ((row, other[at]), (other, row[at])):
            free = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}"
            db.execute(free, [value, *key])
    return f"{table}.{column} of two rows"


def copy_a_value(path: Path, rng: random.Random) -> str:
    """A row has a value of another."""
    with editing(path) as db:
        table, column, where, row = _somewhere(db, rng)
        value = rng.choice(db.execute(f"SELECT {column} FROM {table}").fetchall())[0]
        db.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}", [value, *row])
    return f"{table}.{column} = {str(value)[:40]!r} from another row"


def delete_rows(path: Path, rng: random.Random) -> str:
    """Rows are gone."""
    with editing(path) as db:
        table, _, where, row = _somewhere(db, rng)
        if rng.random() < 0.8:
            db.execute(f"DELETE FROM {table} WHERE {where}", row)
            return f"a row of {table}"
        db.execute(f"DELETE FROM {table}")
    return f"all rows of {table}"


def double_a_row(path: Path, rng: random.Random) -> str:
    """A row stands twice, the second time under another key."""
    with editing(path) as db:
        table, column, _, row = _somewhere(db, rng)
        at = _columns(db, table).index(column)
        row[at] = _fitting(row[at], rng.choice(_others(row[at], rng)))
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
    return f"a row of {table} with another {column}"


def change_the_schema(path: Path, rng: random.Random) -> str:
    """Tables, columns and indices are others than they were."""
    with editing(path) as db:
        db.execute("PRAGMA legacy_alter_table = ON")
        table = rng.choice(_tables(db))
        column = rng.choice(_columns(db, table))
        indices = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")]
        statement = rng.choice(
            [
                f"DROP TABLE {table}",
                f"ALTER TABLE {table} RENAME TO {table}_old",
                f"ALTER TABLE {table} RENAME COLUMN {column} TO {column}_old",
                f"ALTER TABLE {table} ADD COLUMN extra TEXT",
                f"ALTER TABLE {table} DROP COLUMN {column}",
                f"DROP INDEX {rng.choice(indices)}" if indices else f"DROP TABLE {table}",
                "CREATE TABLE songs (title TEXT)",
                f"CREATE VIEW seen AS SELECT * FROM {table}",
                f"CREATE INDEX more ON {table} ({column})",
                f"CREATE TRIGGER loud AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
                f"CREATE TRIGGER quiet BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END",
                f"CREATE TRIGGER stop BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
            ]
        )
        try:
            db.execute(statement)
        except sqlite3.OperationalError as error:  # a key cannot be dropped
            return f"{statement}: {error}"
    return statement


def change_a_pragma(path: Path, rng: random.Random) -> str:
    """What the file says of itself."""
    choices: list[tuple[str, list[Any]]] = [
            ("user_version", [0, 1, 2, 3, 5, 99, -1, 2**31 - 1]), ("application_id", [0, 7, -1]),
            ("journal_mode", ["WAL", "DELETE", "PERSIST", "TRUNCATE"]), ("auto_vacuum", ["FULL"]),
            ("encoding", ["'UTF-16'"]),
    ]  # fmt: skip
    name, values = rng.choice(choices)
    value = rng.choice(values)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {name} = {value}")
        db.commit()
    return f"{name} = {value}"


def leave_beside(path: Path, rng: random.Random) -> str:
    """Something lies beside the store, under a name that SQLite or qmoe looks at."""
    suffix = rng.choice(["-journal", "-wal", "-shm", ".lock", ".holder"])
    content = rng.choice([b"", b"x", rng.randbytes(4096), rng.randbytes(40), path.read_bytes()[:8192]])
    Path(f"{path}{suffix}").write_bytes(content)
    return f"{len(content)} bytes in {suffix}"


#: Each with how often it is done in every 40.
RANDOM: dict[Damage, int] = {
    flip_a_bit: 6, flip_bits: 2, flip_a_bit_of_the_header: 2, zero_a_range: 3, overwrite_a_range: 2, truncate: 2,
    swap_pages: 2, append: 1, change_a_value: 8, swap_values: 3, copy_a_value: 2, delete_rows: 2, double_a_row: 1,
    change_the_schema: 2, change_a_pragma: 1, leave_beside: 1,
}  # fmt: skip
