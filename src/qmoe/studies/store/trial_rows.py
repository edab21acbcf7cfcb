"""A finished trial, and its row in the file, which a digest guards."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic_core import from_json

from qmoe.errors import StoreError
from qmoe.studies.trials import TrialSpec

Failure = Literal["diverged", "error", "memory", "died"]

#: Columns of a row, of which the last is the digest of the others.
N_COLUMNS = 18
_STATE = 6
#: Characters of a text at most: beside all numbers, and for each epoch, of which each history has one number.
_WORDS, _A_NUMBER = 100_000, 8 * 30
#: What a whole number can be; beyond it floats cannot hold it.
_LARGEST = 2**63
#: What every trial that is done has.
_ALWAYS = {"loss", "train_accuracy", "parameters", "router_parameters"}


@dataclass(frozen=True)
class Record:
    """What a finished trial left.

    Attributes:
        trial: what was run.
        metrics: final values by name, such as ``test_accuracy``.
        history: values by epoch, such as ``loss``.
        state: trained parameters as safetensors bytes.
        seconds: wall time of the stack that the trial was trained in.
        stack_size: number of trials in that stack; 1 for a trial that was timed alone.
        threads: torch threads it ran on.
        engine: name of the engine that ran its circuits, or ``"none"``.
        version: version of qmoe.
        commit: commit of qmoe where it ran from a checkout, else None.
        finished_at: when it was saved, ISO 8601 in UTC; "" before that.
        error: why the trial failed, or None.
        failure: how it failed: its loss was no number any more, an error was raised, memory ran out, or its process died.
        attempts: how often it was tried; 0 before it is saved.
    """

    trial: TrialSpec
    metrics: dict[str, float]
    history: dict[str, list[float]]
    state: bytes
    seconds: float
    stack_size: int
    threads: int
    engine: str
    version: str
    commit: str | None
    error: str | None = None
    finished_at: str = ""
    failure: Failure | None = None
    attempts: int = 0


def to_row(record: Record, finished_at: str, attempts: int) -> tuple[Any, ...]:
    """The row of a trial, in the order of the columns."""
    r = record
    row = (
        r.trial.hash, r.trial.canonical, "done" if r.error is None else "failed", r.error, json.dumps(r.metrics),
        json.dumps(r.history), r.state, r.seconds, r.stack_size, r.threads, r.trial.training.dtype, r.engine,
        r.version, r.commit, finished_at, r.failure, attempts,
    )  # fmt: skip
    return (*row, digest_of(row))


def from_row(trial: TrialSpec, row: tuple[Any, ...]) -> Record:
    """The record in a row.

    Raises:
        StoreError: when the row is not as it was written, or not of ``trial``, or its figures cannot be.
    """
    check_digest(row)
    if row[1] != trial.canonical and _without_place(row[1], trial) != _without_place(trial.canonical, trial):
        raise StoreError("it is of another trial than its hash says")
    (_, _, _, error, metrics, history, state, seconds, stack_size, threads, _, engine, version, commit, ended) = row[
        :15
    ]
    failure, attempts, _ = row[15:]
    _check_sizes(trial, row)
    try:
        found, course = from_json(metrics), from_json(history)
    except ValueError as wrong:
        raise StoreError(f"its numbers cannot be read: {wrong}") from None
    if not isinstance(found, dict) or not isinstance(course, dict):
        raise StoreError("its numbers are not named")
    for name, value in found.items():
        if not _can_be(name, value):
            raise StoreError(f"{name!r} = {value!r} cannot be")
    if error is None and _ALWAYS - found.keys():
        raise StoreError(f"it lacks {', '.join(sorted(_ALWAYS - found.keys()))}")
    for name, values in course.items():
        epochs = trial.training.epochs
        if not isinstance(values, list) or len(values) != epochs or not all(type(v) in (int, float) for v in values):
            raise StoreError(f"the history {name!r} cannot be")
    return Record(
        trial,
        found,
        course,
        state,
        seconds,
        stack_size,
        threads,
        engine,
        version,
        commit,
        error,
        ended,
        failure,
        attempts,
    )


def _without_place(spec: str, trial: TrialSpec) -> Any:
    """The JSON of a trial but for the place of its data file, which may have moved since."""
    try:
        values = from_json(spec)
        values["data"].get("options", {}).pop(trial.data.kind.located, None)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreError("what it says of its trial cannot be read") from None
    return values


def check_digest(row: tuple[Any, ...]) -> None:
    """Raises StoreError unless a row is as it was written."""
    try:
        fits = digest_of(row[:-1]) == row[-1]
    except TypeError:  # a blob where text should be, or the other way round
        fits = False
    if not fits:
        raise StoreError("it is not as it was written: its digest differs")


def _check_sizes(trial: TrialSpec, row: tuple[Any, ...]) -> None:
    """Refuses texts longer than can be, before they are read, and counts that are none."""
    for place, most in ((1, 2 * len(trial.canonical)), (3, 0), (4, 0), (5, _A_NUMBER * trial.training.epochs)):
        if len(row[place] or "") > most + _WORDS:
            raise StoreError(f"it has {len(row[place]):,} characters in one column")
    if not 0 <= row[7] < math.inf or row[8] < 1:
        raise StoreError(f"{row[7]} seconds in a stack of {row[8]} cannot be")


def _can_be(name: str, value: object) -> bool:
    """Whether a figure is a number, and a share between 0 and 1."""
    if not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) > _LARGEST):
        return False
    return 0.0 <= value <= 1.0 if name == "chance" or name.endswith("accuracy") else True


def digest_of(row: tuple[Any, ...]) -> str:
    """The SHA-256 of a row without its digest."""
    found = hashlib.sha256(json.dumps([*row[:_STATE], *row[_STATE + 1 :]]).encode())
    found.update(row[_STATE])
    return found.hexdigest()


def measured(figures: str, what: str) -> np.ndarray:
    """Repeated measurements of a quantity as ``(n,)`` numbers, from their JSON.

    Raises:
        StoreError: for anything else.
    """
    try:
        values = from_json(figures)
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            raise ValueError("it is no list of numbers")
        return np.array(values, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise StoreError(f"{what} cannot be read: {error}; run the studies again.") from None
