"""How a store of an earlier version becomes one of today."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

import numpy as np

from qmoe.errors import StateWarning, warn_caller
from qmoe.studies.store.digests import of_measurement, of_study
from qmoe.studies.store.schema import make_tables
from qmoe.studies.store.trial_rows import RECENT, Execution, TrialRow, packed, split
from qmoe.studies.store.trial_table import TrialTable

#: Tables that became others in version 5.
_REPLACED = ("studies", "trials", "specifications", "members", "measurements")


def bring_up(db: sqlite3.Connection, version: int) -> None:
    """Moves what a store of version 1 to 4 has into the tables of today; the caller commits.

    Places of trials in studies are new in version 3, and filled when a study is run again.
    """
    there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for index in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall():
        db.execute(f'DROP INDEX "{index[0]}"')
    old = [name for name in _REPLACED if name in there]
    for name in old:
        db.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    make_tables(db)
    for name, position, spec in db.execute("SELECT name, position, spec FROM old_studies").fetchall():
        db.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", (name, position, spec, of_study(name, spec)))
    if "measurements" in old:
        query = "SELECT hash, quantity, name, figures FROM old_measurements ORDER BY rowid"
        for row in db.execute(query).fetchall():
            db.execute("INSERT INTO measurements VALUES (?, ?, ?, ?, ?)", (*row, of_measurement(*row)))
    if "specifications" in old:
        db.execute("INSERT INTO specifications SELECT study, specification, choices, selects FROM old_specifications")
        _move_members(db)
    table = TrialTable(db)
    reader = db.cursor()
    reader.row_factory = sqlite3.Row
    lost = 0
    for values in reader.execute("SELECT * FROM old_trials"):
        try:
            if version == 4 and _digest(tuple(values)) != values["digest"]:
                raise ValueError("not as it was written")
            row = _row(dict(values))
        except (ValueError, KeyError, TypeError, AttributeError):
            lost += 1
            continue
        table.put(row)
    if lost:
        warn_caller(f"{lost} rows are damaged and left out; `qmoe run` trains them again.", StateWarning)
    for name in old:
        db.execute(f"DROP TABLE old_{name}")


def _move_members(db: sqlite3.Connection) -> None:
    what = "study, specification, arm, strength, learning_rate, own_rate"
    db.execute(
        "INSERT INTO arms (study, specification, name, strength, learning_rate, own_rate) "
        f"SELECT {what} FROM old_members GROUP BY {what} ORDER BY MIN(rowid)"
    )
    db.execute(
        "INSERT OR IGNORE INTO members SELECT arms.arm, data_seed, init_seed, hash FROM old_members AS o JOIN arms ON "
        "arms.study = o.study AND arms.specification = o.specification AND arms.name = o.arm "
        "AND arms.strength IS o.strength AND arms.learning_rate IS o.learning_rate AND arms.own_rate = o.own_rate"
    )


def _row(old: dict[str, Any]) -> TrialRow:
    """A row of version 1 to 4."""
    spec, history = json.loads(old["spec"]), json.loads(old["history"])
    seeds = spec.pop("data_seed"), spec.pop("init_seed")
    loss = history.get("loss", [])
    figures = {name: value for name, value in json.loads(old["metrics"]).items() if value == value}
    if loss:
        figures["mean_loss"] = float(np.mean(loss))
    names, content = packed(history)
    header, weights = split(old["state"])
    error = old["error"]
    failure = old.get("failure") or (None if error is None else "diverged")
    return TrialRow(
        old["hash"], json.dumps(spec, sort_keys=True, separators=(",", ":")), *seeds, error, failure,
        old.get("attempts", 1), figures, _recent(loss), names, content, header, weights,
        Execution(
            old["seconds"], old["stack_size"], old["threads"], old["engine"], old["version"], old["commit_id"],
            old["finished_at"],
        ),
    )  # fmt: skip


def _digest(row: tuple[Any, ...]) -> str:
    """The SHA-256 of a row of version 4 without its digest, its weights last."""
    state = 6
    found = hashlib.sha256(json.dumps([*row[:state], *row[state + 1 : -1]]).encode())
    found.update(row[state])
    return found.hexdigest()


def _recent(loss: list[float]) -> bytes | None:
    return np.array(loss[-RECENT:], dtype="<f4").tobytes() if len(loss) >= RECENT else None
