"""Tables of a store."""

from __future__ import annotations

import functools
import sqlite3

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
