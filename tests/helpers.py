"""What many test files need: a generator, code in a new interpreter, and the command line."""

import contextlib
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


def bring_down(store: Path, version: int) -> None:
    """Makes a store of today one of an older version, without what came later."""
    with sqlite3.connect(store) as db:
        for table in ("measurements", "specifications", "members") if version == 1 else ():
            db.execute(f"DROP TABLE {table}")
        for column in ("failure", "attempts", "digest"):
            db.execute(f"ALTER TABLE trials DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
