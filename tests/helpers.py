"""What many test files need: a generator, code in a new interpreter, and the command line."""

import contextlib
import hashlib
import io
import json
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch

import qmoe.cli
from qmoe.studies import Store


def generator(seed: int = 0) -> torch.Generator:
    """A generator of torch with a seed."""
    return torch.Generator().manual_seed(seed)


def run_python(code: str, *arguments: str) -> str:
    """Runs code in a new interpreter and returns what it prints, without white space around it.

    A new interpreter imports torch anew, for seconds: ask one for all that a test wants to know of it.
    """
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


#: Forks for every statement, so that torch, which takes seconds, is imported once.
IMPORTS = """
import json, os, sys
import numpy, torch
for statement in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        exec(statement, {})
        print(json.dumps(sorted(sys.modules)), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, statement
"""


def modules_after(*statements: str) -> list[set[str]]:
    """Names of the modules that are imported after each statement, in an interpreter that has only torch and NumPy."""
    return [set(json.loads(line)) for line in run_python(IMPORTS, json.dumps(statements)).splitlines()]


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def qmoe_command(*arguments: object, cwd: Path | str = ".") -> Done:
    """Runs ``qmoe`` with arguments, as its entry point does, but in this process: without importing everything anew.

    That a process of its own answers in the same way is tested in cli/test_module.py.
    """
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, "argv", ["qmoe", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # as in a new process, where no warning is an error
        try:
            qmoe.cli.main()
        except SystemExit as end:
            code = end.code
    if isinstance(code, str):  # what `sys.exit` prints
        return Done(1, out.getvalue(), f"{err.getvalue()}{code}\n")
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


def bring_down(path: Path, version: int) -> None:
    """Makes a store of today one of version 1 to 4, with what that had: a row of JSON for each trial and each member."""
    with Store(path) as store:
        db = store._db
        studies = [store.load(name) for name in store.study_names()]
        places = db.execute(
            "SELECT study, specification, name, strength, learning_rate, own_rate, data_seed, init_seed, hash "
            "FROM arms JOIN members USING (arm)"
        ).fetchall()
        rows = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in ("specifications", "measurements")}
        plain = [(r.study.name, n, r.study.model_dump_json(exclude_defaults=True)) for n, r in enumerate(studies)]
        records = {record.trial.hash: record for results in studies for record in results.records.values()}
    path.unlink()
    with sqlite3.connect(path) as db:
        for statement in OLDER.split(";"):
            db.execute(statement)
        db.executemany("INSERT INTO studies VALUES (?, ?, ?)", plain)
        for r in records.values():
            e = r.execution
            metrics = {name: value for name, value in r.metrics.items() if name != "mean_loss"}
            row = (
                r.trial.hash, r.trial.canonical, "done" if r.error is None else "failed", r.error, json.dumps(metrics),
                json.dumps(r.history), r.state, e.seconds, e.stack_size, e.threads, r.trial.training.dtype, e.engine,
                e.version, e.commit, e.finished_at, r.failure, r.attempts,
            )  # fmt: skip
            digest = hashlib.sha256(json.dumps([*row[:6], *row[7:]]).encode() + r.state).hexdigest()
            db.execute(f"INSERT INTO trials VALUES ({', '.join('?' * 18)})", (*row, digest))
        db.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", places)
        db.executemany("INSERT INTO specifications VALUES (?, ?, ?, ?)", rows["specifications"])
        db.executemany("INSERT INTO measurements VALUES (?, ?, ?, ?)", [row[:4] for row in rows["measurements"]])
        for table in ("measurements", "specifications", "members") if version == 1 else ():
            db.execute(f"DROP TABLE {table}")
        for column in ("failure", "attempts", "digest") if version < 4 else ():
            db.execute(f"ALTER TABLE trials DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()


OLDER = """
CREATE TABLE studies (name TEXT PRIMARY KEY, position INTEGER NOT NULL, spec TEXT NOT NULL) STRICT;
CREATE TABLE trials (
  hash TEXT PRIMARY KEY, spec TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
  error TEXT, metrics TEXT NOT NULL, history TEXT NOT NULL, state BLOB NOT NULL,
  seconds REAL NOT NULL, stack_size INTEGER NOT NULL, threads INTEGER NOT NULL, dtype TEXT NOT NULL,
  engine TEXT NOT NULL, version TEXT NOT NULL, commit_id TEXT, finished_at TEXT NOT NULL,
  failure TEXT, attempts INTEGER NOT NULL DEFAULT 1, digest TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE measurements (hash TEXT PRIMARY KEY, quantity TEXT NOT NULL, name TEXT NOT NULL, figures TEXT NOT NULL) STRICT;
CREATE TABLE specifications (
  study TEXT NOT NULL, specification INTEGER NOT NULL, choices TEXT NOT NULL, selects TEXT NOT NULL,
  PRIMARY KEY (study, specification)
) STRICT, WITHOUT ROWID;
CREATE TABLE members (
  study TEXT NOT NULL, specification INTEGER NOT NULL, arm TEXT NOT NULL, strength REAL, learning_rate REAL,
  own_rate INTEGER NOT NULL, data_seed INTEGER NOT NULL, init_seed INTEGER NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX members_of ON members (study, specification, arm)
"""
