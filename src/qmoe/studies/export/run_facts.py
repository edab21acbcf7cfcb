"""What programs that compare runs want to know of a trial: options by flat names, final numbers, courses, tags."""

from __future__ import annotations

import datetime
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qmoe.errors import QMoEError
from qmoe.studies.store import Record, StudyResults
from qmoe.studies.trials import Member


@dataclass(frozen=True)
class RunFacts:
    """A trial that has run.

    Attributes:
        name: arm, noise strength, learning rate and seeds; unlike that of any other trial of the study.
        params: all that decides its numbers, by dotted names such as ``model.router.n_layers``.
        metrics: final numbers that no course ends with.
        courses: by name numbers after each epoch.
        tags: its place in the study, and what ran it.
        error: why it failed; None where it did not.
        began: when the stack began that it was trained in.
        ended: when it was stored.
    """

    name: str
    params: dict[str, str | int | float | bool]
    metrics: dict[str, float]
    courses: dict[str, list[float]]
    tags: dict[str, str]
    error: str | None
    began: datetime.datetime
    ended: datetime.datetime


def facts_of(results: StudyResults) -> Iterator[RunFacts]:
    """The trials of a study that have run, in the order of arms, draws and initialisations, each once."""
    given = set[str]()
    for member in results.members:
        record = results.records.get(member.trial.hash)
        if record is not None and member.trial.hash not in given:
            given.add(member.trial.hash)
            yield _facts(member, record)


def _facts(member: Member, record: Record) -> RunFacts:
    trial = member.trial
    parts = {name: getattr(trial, name).model_dump(mode="json") for name in ("data", "model", "training")}
    seeds = {name: getattr(trial, name) for name in ("root", "data_seed", "init_seed", "fixed")}
    strength = "" if member.strength is None else f"-p{member.strength!r}"
    execution = record.execution
    ended = datetime.datetime.fromisoformat(execution.finished_at)
    tags = {
        "qmoe.hash": trial.hash, "qmoe.arm": member.arm, "qmoe.version": execution.version,
        "qmoe.commit": execution.commit, "qmoe.engine": execution.engine, "qmoe.failure": record.failure,
        "qmoe.error": record.error, "qmoe.stack_size": execution.stack_size, "qmoe.seconds": execution.seconds,
    }  # fmt: skip
    return RunFacts(
        name=f"{member.arm}{strength}-lr{trial.training.lr!r}-draw{trial.data_seed}-init{trial.init_seed}",
        params=dict(_flat(parts | seeds)),
        metrics={name: value for name, value in record.metrics.items() if name not in record.history},
        courses=record.history,
        tags={name: str(value) for name, value in tags.items() if value is not None},
        error=record.error,
        began=ended - datetime.timedelta(seconds=execution.seconds),
        ended=ended,
    )


def _flat(values: dict[str, Any], place: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    """Entries of nested tables by dotted names; lists as JSON, and what is None left out."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{name}.")
        elif value is not None:
            yield f"{place}{name}", value if isinstance(value, (str, int, float, bool)) else json.dumps(value)


def needed(module: str, package: str) -> Any:
    """Imports a module of a program that runs are exported to.

    Raises:
        QMoEError: naming the package to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise QMoEError(f"This export needs {package}: pip install {package} ({error}).") from None
