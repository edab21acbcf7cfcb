"""Damage done on purpose: rows with a right digest that say what cannot be, and a store that is not one of ours any more."""

from __future__ import annotations

import io
import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from endurance.random_damages import Damage, editing
from qmoe.studies.store.trial_rows import digest_of

_COLUMNS = (
    "hash", "spec", "status", "error", "metrics", "history", "state", "seconds", "stack_size", "threads", "dtype", "engine",
    "version", "commit_id", "finished_at", "failure", "attempts",
)  # fmt: skip
_ROWS = f"SELECT {', '.join(_COLUMNS)} FROM trials WHERE status = 'done' ORDER BY hash"
DELIBERATE: list[Damage] = []


def _add(name: str, damage: Callable[[Path], object]) -> None:
    def run(path: Path, rng: random.Random) -> str:
        del rng
        damage(path)
        return name

    run.__name__ = name
    DELIBERATE.append(run)


def _signed(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Changes a row of a trial and gives it the digest that fits; the change is told another row as well."""
    with editing(path) as db:
        first, *others = (dict(zip(_COLUMNS, row, strict=True)) for row in db.execute(_ROWS).fetchall())
        kind = json.loads(first["spec"])["model"]["router"]["kind"]
        other = next(row for row in others if json.loads(row["spec"])["model"]["router"]["kind"] != kind)
        digest = first["hash"]
        change(first, other)
        row = tuple(first.values())
        changes = ", ".join(f"{column} = ?" for column in (*_COLUMNS, "digest"))
        db.execute(f"UPDATE OR REPLACE trials SET {changes} WHERE hash = ?", [*row, digest_of(row), digest])


def _row(name: str, **values: Any) -> None:
    _add(name, lambda path: _signed(path, lambda row, _: row.update(values)))


def _json(name: str, column: str, change: Callable[[dict[str, Any]], object]) -> None:
    def rewrite(row: dict[str, Any], other: dict[str, Any]) -> None:
        del other
        values = json.loads(row[column])
        found = change(values)
        row[column] = json.dumps(values if found is None else found)

    _add(name, lambda path: _signed(path, rewrite))


def _from_another(name: str, *columns: str) -> None:
    _add(name, lambda path: _signed(path, lambda row, other: row.update({c: other[c] for c in columns})))


def _sql(name: str, *statements: str) -> None:
    def run(path: Path) -> None:
        with editing(path) as db:
            for statement in statements:
                db.execute(statement)

    _add(name, run)


def _set(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda found: found.update(values)


# What a trial measured.
_json("an accuracy of 5", "metrics", _set(test_accuracy=5.0))
_json("an accuracy below 0", "metrics", _set(train_accuracy=-0.5))
_json("a balanced accuracy of 2", "metrics", _set(test_balanced_accuracy=2))
_json("a loss that is no number", "metrics", _set(loss=float("nan")))
_json("an infinite loss", "metrics", _set(loss=float("inf")))
_json("a chance of 2", "metrics", _set(chance=2.0))
_json("an accuracy in words", "metrics", _set(test_accuracy="high"))
_json("an accuracy of null", "metrics", _set(test_accuracy=None))
_json("an accuracy of true", "metrics", _set(test_accuracy=True))
_json("no accuracy", "metrics", lambda found: found.pop("test_accuracy") and None)
_json("no metrics at all", "metrics", lambda found: found.clear())
_json("metrics in a list", "metrics", lambda found: [found])
_json("parameters below 0", "metrics", _set(parameters=-4.0))
_json("a history too long", "history", lambda found: found["loss"].append(0.1))
_json("a history too short", "history", lambda found: found["loss"].pop() and None)
_json("a history that is no number", "history", lambda found: found["loss"].__setitem__(0, float("nan")))
_json("a history in words", "history", lambda found: found["loss"].__setitem__(0, "low"))
_json("a history of accuracies of 7", "history", lambda found: found["running_accuracy"].__setitem__(0, 7.0))
_json("no history", "history", lambda found: found.clear())
_json("a history in a list", "history", lambda found: [found])
_row("metrics that are no JSON", metrics="{'loss': 1}")
_row("metrics nested 100,000 deep", metrics="[" * 100_000)

# What a trial is.
_from_another("the specification of another trial", "spec")
_row("a specification that is no JSON", spec="moons")
_row("an empty specification", spec="{}")
_from_another("all of another trial but its hash", *_COLUMNS[1:])
_row("the hash of a trial that nobody asked for", hash="0123456789abcdef")

# What was trained.
_from_another("the weights of another arm", "state")
_row("no weights", state=b"")
_row("weights that are none", state=b"\x10" * 64)
_add(
    "weights that are no number",
    lambda path: _signed(
        path,
        lambda row, _: row.update(
            state=safetensors.numpy.save(
                {name: np.full_like(value, np.nan) for name, value in safetensors.numpy.load(row["state"]).items()}
            )
        ),
    ),
)

# How it ran.
_row("seconds below 0", seconds=-1.0)
_row("infinite seconds", seconds=float("inf"))
_row("a stack of no trials", stack_size=0)
_row("a stack of -3 trials", stack_size=-3)
_row("threads below 0", threads=-1)
_row("another precision than asked for", dtype="float16")
_row("an end that is no time", finished_at="yesterday")
_row("failed, with all its numbers", status="failed")
_row("done, with an error", error="it failed")
_row("failed for no known reason", status="failed", error="x", failure="magic", metrics="{}", history="{}")
_row("tried -5 times", attempts=-5)
_sql("all digests empty", "UPDATE trials SET digest = ''")
_sql(
    "a row twice, its hash in capitals",
    f"INSERT INTO trials SELECT upper(hash), {', '.join(_COLUMNS[1:])}, digest FROM trials LIMIT 1",
)

# Which trials make up what.
_sql(
    "members of one arm point to the other",
    "UPDATE members SET arm = CASE arm WHEN 'quantum' THEN 'linear' ELSE 'quantum' END",
)
_sql("members point to trials that are not there", "UPDATE members SET hash = substr(hash, 1, 15) || 'x'")
_sql("no members", "DELETE FROM members")
_sql("specifications of other choices", "UPDATE specifications SET choices = replace(choices, 'minmax_pi', 'standard')")
_sql("no specifications", "DELETE FROM specifications")


def _study(name: str, change: Callable[[dict[str, Any]], object], study: str = "my-moons") -> None:
    def rewrite(path: Path) -> None:
        with editing(path) as db:
            spec = json.loads(db.execute("SELECT spec FROM studies WHERE name = ?", (study,)).fetchone()[0])
            change(spec)
            db.execute("UPDATE studies SET spec = ? WHERE name = ?", (json.dumps(spec), study))

    _add(name, rewrite)


def _swap_labels(spec: dict[str, Any]) -> None:
    one, other = spec["arms"]
    one["label"], other["label"] = other["label"], one["label"]


def _swap_arms(spec: dict[str, Any]) -> None:
    one, other = spec["arms"]
    one["name"], other["name"] = other["name"], one["name"]


_study("a study of fewer draws", lambda spec: spec["seeds"].update(data=5))
_study("a study whose arms have changed labels", _swap_labels)
_study("a study whose arms have changed names", _swap_arms)
_study("a study of another title", lambda spec: spec.update(title="Proof"))
_study("a study of another protocol", lambda spec: spec.update(protocol="published"))
_study("a study of more epochs", lambda spec: spec["training"].update(epochs=4))
_study("a study with a key of tomorrow", lambda spec: spec.update(tomorrow=1))
_study("a study that says it has another name", lambda spec: spec.update(name="phase2-heldout"))
_study("a study of a file of secrets", lambda spec: spec["data"]["options"].update(path="/etc/hostname"), "my-table")
_sql("a study that is no JSON", "UPDATE studies SET spec = substr(spec, 1, 100)")
_sql("a study nested 100,000 deep", "UPDATE studies SET spec = replace(printf('%.100000c', '['), '', '')")
_sql("a study that is a number", "UPDATE studies SET spec = '7'")
_sql("a study under another name", "UPDATE studies SET name = 'mine' WHERE name = 'my-moons'")
_sql("a study less", "DELETE FROM studies WHERE name = 'my-table'")
_sql("studies in another order", "UPDATE studies SET position = 1 - position")


# What was measured beside trials.
def _measured(name: str, change: Callable[[list[Any]], object]) -> None:
    def rewrite(path: Path) -> None:
        with editing(path) as db:
            found = db.execute("SELECT hash, figures FROM measurements ORDER BY quantity, name LIMIT 1").fetchone()
            values = json.loads(found[1])
            other = change(values)
            text = json.dumps(values if other is None else other)
            db.execute("UPDATE measurements SET figures = ? WHERE hash = ?", (text, found[0]))

    _add(name, rewrite)


_measured("a measurement of another value", lambda values: values.__setitem__(0, 0.5))
_measured("a measurement that is no number", lambda values: values.__setitem__(0, float("nan")))
_measured("a measurement in words", lambda values: values.__setitem__(0, "large"))
_measured("a measurement of fewer draws", lambda values: values.pop() and None)
_measured("a measurement of nothing", lambda values: values.clear())
_measured("a measurement that is no list", lambda values: {"values": values})
_sql("measurements of other quantities", "UPDATE measurements SET quantity = replace(quantity, 'my-moons', 'my-table')")
_sql("no measurements", "DELETE FROM measurements")


# The table that a store keeps.
_ONE_LESS = "DELETE FROM trials WHERE hash = (SELECT min(hash) FROM members WHERE study = 'my-table')"


def _kept(name: str, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    def rewrite(path: Path) -> None:
        with editing(path) as db:
            key, content = db.execute("SELECT key, content FROM kept_tables").fetchone()
            with np.load(io.BytesIO(content)) as found:
                arrays = dict(found)
            change(arrays)
            out = io.BytesIO()
            np.savez_compressed(out, **arrays)
            db.execute("UPDATE kept_tables SET content = ? WHERE key = ?", (out.getvalue(), key))
            db.execute(_ONE_LESS)  # so that the table is read again

    _add(name, rewrite)


_kept("a table of other labels", lambda arrays: arrays.update(y=1 - arrays["y"]))
_kept("a table of other features", lambda arrays: arrays.update(x=arrays["x"] + 1))
_kept("a table of fewer labels", lambda arrays: arrays.update(y=arrays["y"][:-3]))
_kept("a table that is no number", lambda arrays: arrays.update(x=arrays["x"] * np.nan))
_kept("a table of objects", lambda arrays: arrays.update(x=np.array([None, {}], dtype=object)))
_kept("a table without names", lambda arrays: arrays.pop("names") and None)
_sql("a table that is none", "UPDATE kept_tables SET content = x'00ff'", _ONE_LESS)
_sql("no table", "DELETE FROM kept_tables", _ONE_LESS)
_sql("a table under another key", "UPDATE kept_tables SET key = replace(key, 'side', 'edge')", _ONE_LESS)

# The file, and what lies beside it.
_sql(
    "a trigger that changes accuracies",
    """CREATE TRIGGER better AFTER INSERT ON trials BEGIN
    UPDATE trials SET metrics = replace(metrics, '"test_accuracy": 0', '"test_accuracy": 1') WHERE hash = new.hash; END""",
)
_sql(
    "a trigger that drops what is written",
    "DELETE FROM trials WHERE hash = (SELECT min(hash) FROM trials)",
    "CREATE TRIGGER quiet BEFORE INSERT ON trials BEGIN SELECT RAISE(IGNORE); END",
)
_sql(
    "a view in place of the trials",
    "ALTER TABLE trials RENAME TO kept",
    "CREATE VIEW trials AS SELECT * FROM kept WHERE hash > '8'",
)
_sql(
    "a view in place of the studies", "ALTER TABLE studies RENAME TO kept", "CREATE VIEW studies AS SELECT * FROM kept"
)
_sql("a column more", "ALTER TABLE trials ADD COLUMN mood TEXT")
_sql("no index", "DROP INDEX members_of")
_sql("no table of measurements", "DROP TABLE measurements")
_sql("a version of tomorrow", "PRAGMA user_version = 99")
_sql("a version of yesterday", "PRAGMA user_version = 2")
_sql("a version of never", "PRAGMA user_version = -4")


def _other(path: Path, mode: str) -> sqlite3.Connection:
    """A database that is being written, with what SQLite keeps beside it meanwhile."""
    db = sqlite3.connect(path.with_name("other.sqlite"), isolation_level=None)
    db.execute(f"PRAGMA journal_mode = {mode}")
    db.execute("CREATE TABLE trials (hash TEXT)")
    db.execute("INSERT INTO trials VALUES ('a')")
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO trials VALUES (?)", ((str(i) * 500,) for i in range(100)))
    if mode == "WAL":
        db.execute("COMMIT")
    return db


def _beside_of_another(path: Path, mode: str, suffix: str) -> None:
    with closing(_other(path, mode)):
        Path(f"{path}{suffix}").write_bytes(path.with_name(f"other.sqlite{suffix}").read_bytes())
    path.with_name("other.sqlite").unlink()


def _in_wal(path: Path, suffix: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    _beside_of_another(path, "WAL", suffix)


_add("the WAL of another store", lambda path: _beside_of_another(path, "WAL", "-wal"))
_add("the WAL of another store, beside one that has a WAL", lambda path: _in_wal(path, "-wal"))
_add("the journal of another store", lambda path: _beside_of_another(path, "DELETE", "-journal"))
_add("a lock that is a folder", lambda path: Path(f"{path}.lock").mkdir())
_add("a holder that is no text", lambda path: Path(f"{path}.holder").write_bytes(b"\xff\xfe\x00"))
_add("a holder that is a folder", lambda path: Path(f"{path}.holder").mkdir())
_add("a store of no bytes", lambda path: path.write_bytes(b""))
_add("a store that is text", lambda path: path.write_text("accuracy,0.99\n" * 500))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


_add("a store that is a folder", _folder)
