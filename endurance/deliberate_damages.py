"""Damage done on purpose: rows with a right digest that say what cannot be, and a store that is not one of ours any more."""

from __future__ import annotations

import io
import json
import random
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from endurance.random_damages import Damage, editing
from qmoe.studies.store.trial_rows import TrialRow, history_of, packed
from qmoe.studies.store.trial_table import TrialTable

DELIBERATE: list[Damage] = []


def _add(name: str, damage: Callable[[Path], object]) -> None:
    def run(path: Path, rng: random.Random) -> str:
        del rng
        damage(path)
        return name

    run.__name__ = name
    DELIBERATE.append(run)


def _signed(path: Path, change: Callable[[TrialRow, TrialRow], TrialRow]) -> None:
    """Changes a row of a trial and gives it the digest that fits; the change is told a row of another arm as well."""
    with editing(path) as db:
        table = TrialTable(db)
        hashes = [key for (key,) in db.execute("SELECT hash FROM trials ORDER BY hash")]
        first, *others = sorted((row for row, _ in table.rows(hashes)), key=lambda row: row.hash)
        other = next(row for row in others if _router(row) != _router(first))
        table.put(change(first, other))


def _router(row: TrialRow) -> str:
    return str(json.loads(row.frame)["model"]["router"]["kind"])


def _row(name: str, **values: Any) -> None:
    _add(name, lambda path: _signed(path, lambda row, _: replace(row, **values)))


def _figures(name: str, **values: float) -> None:
    _add(name, lambda path: _signed(path, lambda row, _: replace(row, figures=row.figures | values)))


def _without(name: str, *figures: str) -> None:
    def less(row: TrialRow, _: TrialRow) -> TrialRow:
        return replace(row, figures={key: value for key, value in row.figures.items() if key not in figures})

    _add(name, lambda path: _signed(path, less))


def _history(name: str, change: Callable[[dict[str, list[float]]], object]) -> None:
    def other(row: TrialRow, _: TrialRow) -> TrialRow:
        names, values = history_of(row)
        found = dict(zip(names, values.tolist(), strict=True))
        change(found)
        text, content = packed(found)
        return replace(row, names=text, history=content)

    _add(name, lambda path: _signed(path, other))


def _ran(name: str, **values: Any) -> None:
    _add(name, lambda path: _signed(path, lambda row, _: replace(row, execution=replace(row.execution, **values))))


def _from_another(name: str, *fields: str) -> None:
    _add(name, lambda path: _signed(path, lambda row, other: replace(row, **{f: getattr(other, f) for f in fields})))


def _sql(name: str, *statements: str) -> None:
    def run(path: Path) -> None:
        with editing(path) as db:
            for statement in statements:
                db.execute(statement)

    _add(name, run)


# What a trial measured.
_figures("an accuracy of 5", test_accuracy=5.0)
_figures("an accuracy below 0", train_accuracy=-0.5)
_figures("a balanced accuracy of 2", test_balanced_accuracy=2.0)
_figures("an infinite loss", loss=float("inf"))
_figures("a chance of 2", chance=2.0)
_figures("parameters below 0", parameters=-4.0)
_figures("half a parameter", router_parameters=2.5)
_without("no accuracy", "test_accuracy")
_without("no loss", "loss")
_row("no figures at all", figures={})
_history("a history too long", lambda found: found.update({name: [*values, 0.1] for name, values in found.items()}))
_history("a history too short", lambda found: [values.pop() for values in found.values()])
_history("a history that is no number", lambda found: found["loss"].__setitem__(0, float("nan")))
_history("a history of accuracies of 7", lambda found: found["running_accuracy"].__setitem__(0, 7.0))
_history("a history of other quantities", lambda found: found.update(beauty=found.pop("loss")))
_row("no history", names="[]", history=None)
_row("a history that is no data", history=b"none")
_row("a history whose names are no JSON", names="loss")
_row("a history of 10 GB", names='["loss"]', history=zlib.compress(bytes(1 << 27), 9))
_row("last losses of three bytes", recent=b"abc")
_row("last losses that are no number", recent=np.full(4, np.nan, dtype="<f4").tobytes())

# What a trial is.
_from_another("the specification of another trial", "frame")
_row("a specification that is no JSON", frame="moons")
_row("an empty specification", frame="{}")
_row("a specification nested 100,000 deep", frame="[" * 100_000)
_row("another seed", data_seed=77)
_from_another("all of another trial but its hash", *(field.name for field in fields(TrialRow) if field.name != "hash"))
_row("the hash of a trial that nobody asked for", hash="0123456789abcdef")

# What was trained.
_from_another("the weights of another arm", "header", "weights")
_row("no weights", header="", weights=None)
_row("weights that are none", header="\x10" * 8, weights=b"\x10" * 64)
_row("weights of half their length", weights=b"\x10" * 8)
_add(
    "weights that are no number",
    lambda path: _signed(path, lambda row, _: replace(row, weights=b"\xff" * len(row.weights or b""))),
)

# How it ran.
_ran("seconds below 0", seconds=-1.0)
_ran("infinite seconds", seconds=float("inf"))
_ran("a stack of no trials", stack_size=0)
_ran("a stack of -3 trials", stack_size=-3)
_ran("threads below 0", threads=-1)
_ran("an end that is no time", finished_at="yesterday")
_row("failed, with all its numbers", error="it failed", failure="error")
_row("done, for a reason", failure="error")
_row("failed for no known reason", error="x", failure="magic", figures={})
_row("tried -5 times", attempts=-5)
_sql("all digests empty", "UPDATE trials SET digest = x''")
_sql("done is failed", "UPDATE trials SET status = 'failed'")


def _twice(path: Path) -> None:
    with editing(path) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(trials)")]
        db.execute(f"INSERT INTO trials SELECT upper(hash), {', '.join(columns[1:])} FROM trials LIMIT 1")


_add("a row twice, its hash in capitals", _twice)

# Which trials make up what.
_sql("arms have changed names", "UPDATE arms SET name = CASE name WHEN 'quantum' THEN 'linear' ELSE 'quantum' END")
_sql("members point to trials that are not there", "UPDATE members SET hash = substr(hash, 1, 15) || 'x'")
_sql("no members", "DELETE FROM members")
_sql("no arms", "DELETE FROM arms")
_sql("specifications of other choices", "UPDATE specifications SET choices = replace(choices, 'minmax_pi', 'standard')")
_sql("no specifications", "DELETE FROM specifications")
_sql("no texts that rows share", "DELETE FROM parts")
_sql("texts that rows share in another order", "UPDATE parts SET part = -part", "UPDATE parts SET part = 1000 + part")
_sql("nothing about how trials ran", "DELETE FROM executions")
_sql("one second for all", "UPDATE executions SET seconds = 1.0")


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
_ONE_LESS = (
    "DELETE FROM trials WHERE hash = (SELECT min(hash) FROM members JOIN arms USING (arm) WHERE study = 'my-table')"
)


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
    "CREATE TRIGGER better AFTER INSERT ON trials BEGIN UPDATE trials SET test_accuracy = 1 WHERE hash = new.hash; END",
    "DELETE FROM trials WHERE hash = (SELECT min(hash) FROM trials)",
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
_sql("no index", "DROP INDEX arms_of")
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
