"""Tables of a store."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing

VERSION = 5

#: How text is read: a byte that was changed must not keep all others from being read.
as_text = functools.partial(str, encoding="utf-8", errors="surrogateescape")

#: Figures that trials have; others get a column when the first trial has one.
FIGURES = (
    "train_accuracy", "loss", "test_accuracy", "chance", "test_balanced_accuracy", "mean_loss", "gradient", "n_iterations",
    "converged", "router_parameters", "parameters",
)  # fmt: skip

#: What stands in thousands of rows stands once, in ``parts`` and ``executions``.
TABLES = f"""
CREATE TABLE studies (name TEXT PRIMARY KEY, position INTEGER NOT NULL, spec TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TABLE specifications (
  study TEXT NOT NULL, specification INTEGER NOT NULL, choices TEXT NOT NULL, selects TEXT NOT NULL,
  PRIMARY KEY (study, specification)
) STRICT, WITHOUT ROWID;
CREATE TABLE arms (
  arm INTEGER PRIMARY KEY, study TEXT NOT NULL, specification INTEGER NOT NULL, name TEXT NOT NULL, strength REAL,
  learning_rate REAL, own_rate INTEGER NOT NULL
) STRICT;
CREATE INDEX arms_of ON arms (study, specification);
CREATE TABLE members (
  arm INTEGER NOT NULL, data_seed INTEGER NOT NULL, init_seed INTEGER NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (arm, data_seed, init_seed)
) STRICT, WITHOUT ROWID;
CREATE TABLE parts (part INTEGER PRIMARY KEY, content TEXT NOT NULL) STRICT;
CREATE TABLE executions (
  execution INTEGER PRIMARY KEY, seconds REAL NOT NULL, stack_size INTEGER NOT NULL, threads INTEGER NOT NULL,
  engine TEXT NOT NULL, version TEXT NOT NULL, commit_id TEXT, finished_at TEXT NOT NULL
) STRICT;
CREATE TABLE trials (
  hash TEXT PRIMARY KEY, spec INTEGER NOT NULL, data_seed INTEGER NOT NULL, init_seed INTEGER NOT NULL,
  status TEXT NOT NULL, error TEXT, failure TEXT, attempts INTEGER NOT NULL, execution INTEGER NOT NULL,
  recent BLOB, names INTEGER NOT NULL, history BLOB, header INTEGER NOT NULL, weights BLOB, digest BLOB NOT NULL,
  {", ".join(f"{name} REAL" for name in FIGURES)}
) STRICT;
CREATE TABLE measurements (
  hash TEXT PRIMARY KEY, quantity TEXT NOT NULL, name TEXT NOT NULL, figures TEXT NOT NULL, digest TEXT NOT NULL
) STRICT
"""
#: Columns of ``trials`` before the figures.
N_FIXED = 15


def make_tables(db: sqlite3.Connection) -> None:
    """Makes the tables of today; the caller commits."""
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")


def check_tables(db: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError unless the tables of a store have the columns that `make_tables` gives them.

    Each is strict, so that numbers are numbers: whoever computes from them need not ask again. Trials may have more figures.
    """
    with closing(sqlite3.connect(":memory:")) as fresh:
        make_tables(fresh)
        wanted = _columns(fresh)
    found = _columns(db)
    for table, (strict, columns) in wanted.items():
        has_strict, there = found.get(table, (None, []))
        more = there[len(columns) :] if table == "trials" else []
        figures = [(name, "REAL", 0, 0, 0) for name, *_ in more]
        if (has_strict, there) != (strict, columns + figures):
            raise sqlite3.DatabaseError(f"its table {table!r} is not one that qmoe made")


def _columns(db: sqlite3.Connection) -> dict[str, tuple[int, list[tuple[object, ...]]]]:
    """For each table whether it is strict, and its columns: names, types, limits, and whether they are computed."""
    tables = db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    query = 'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)'
    return {name: (strict, db.execute(query, (name,)).fetchall()) for name, strict in tables}
