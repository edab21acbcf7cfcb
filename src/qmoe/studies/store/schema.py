"""Tables of a store, and how an older file becomes one of today."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from qmoe.studies.store.trial_rows import N_COLUMNS, digest_of

SCHEMA = 4

TABLES = """
CREATE TABLE studies (name TEXT PRIMARY KEY, position INTEGER NOT NULL, spec TEXT NOT NULL) STRICT;
CREATE TABLE trials (
  hash TEXT PRIMARY KEY, spec TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
  error TEXT, metrics TEXT NOT NULL, history TEXT NOT NULL, state BLOB NOT NULL,
  seconds REAL NOT NULL, stack_size INTEGER NOT NULL, threads INTEGER NOT NULL, dtype TEXT NOT NULL,
  engine TEXT NOT NULL, version TEXT NOT NULL, commit_id TEXT, finished_at TEXT NOT NULL
) STRICT;
"""
#: New in version 2.
MEASUREMENTS = """
CREATE TABLE measurements (hash TEXT PRIMARY KEY, quantity TEXT NOT NULL, name TEXT NOT NULL, figures TEXT NOT NULL) STRICT;
"""
#: New in version 3: which trials make up which arm, so that figures can be computed from the file alone.
MEMBERS = """
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
#: New in version 4: how a trial failed, how often it was tried, and a digest of its row.
FAILURES = """
ALTER TABLE trials ADD COLUMN failure TEXT;
ALTER TABLE trials ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE trials ADD COLUMN digest TEXT NOT NULL DEFAULT '';
UPDATE trials SET failure = 'diverged' WHERE status = 'failed';
"""
#: What each version brought.
_NEW = {1: TABLES, 2: MEASUREMENTS, 3: MEMBERS, 4: FAILURES}


def bring_up(db: sqlite3.Connection, version: int) -> None:
    """Makes an empty file (version 0) or one of an older version one of today, all or nothing."""
    later = ";".join(_NEW[v] for v in range(version + 1, SCHEMA + 1))
    db.execute("BEGIN IMMEDIATE")
    with db:
        for statement in later.split(";"):
            db.execute(statement)
        if version < 4:  # rows of before have no digest
            rows = db.execute("SELECT * FROM trials").fetchall()
            digests = ((digest_of(row[: N_COLUMNS - 1]), row[0]) for row in rows)
            db.executemany("UPDATE trials SET digest = ? WHERE hash = ?", digests)
        db.execute(f"PRAGMA user_version = {SCHEMA}")


def check_tables(db: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError unless the tables of a store have the columns that `bring_up` makes.

    Each is strict, so that numbers are numbers: whoever computes from them need not ask again.
    """
    with closing(sqlite3.connect(":memory:")) as fresh:
        bring_up(fresh, 0)
        wanted = _columns(fresh)
    found = _columns(db)
    for table, columns in wanted.items():
        if found.get(table) != columns:
            raise sqlite3.DatabaseError(f"its table {table!r} is not one that qmoe made")


def _columns(db: sqlite3.Connection) -> dict[str, object]:
    """For each table whether it is strict, and its columns: names, types, limits, and whether they are computed."""
    tables = db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    query = 'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)'
    return {name: (strict, db.execute(query, (name,)).fetchall()) for name, strict in tables}
