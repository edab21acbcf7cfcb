"""From the records of a store to arrays that are judged."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable

import numpy as np

from qmoe.claims.runs import RECENT, ArmKey, ArmRuns, StudyRuns
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.studies.store import Record, StudyResults
from qmoe.studies.trials import Member

#: Figures that are not in a trial's metrics, from its record; NaN where the record does not have them.
DERIVED: dict[str, Callable[[Record], float]] = {
    # Only what trained alone: a trial in a stack has no time of its own.
    "seconds": lambda record: record.seconds if record.stack_size == 1 else math.nan,
    # The mean over all epochs: of two models with one final loss, the lower has converged sooner.
    "mean_loss": lambda record: float(np.mean(record.history["loss"])) if record.history.get("loss") else math.nan,
}


def runs_of(results: StudyResults, *others: StudyResults, name: str | None = None) -> StudyRuns:
    """Turns the results of a study into arrays.

    Args:
        results: a study with the records it has.
        others: the same question at other learning rates, taken in as further trials of the same arms.
        name: what claims call the study; by default the name of the first.
    """
    rows: dict[ArmKey, list[tuple[Member, Record | None]]] = {}
    labels: dict[str, str] = {}
    for each in (results, *others):
        labels |= {arm.name: arm.label for arm in each.study.arms if arm.name not in labels}
        for member in each.members:
            key = ArmKey(member.arm, member.strength)
            rows.setdefault(key, []).append((member, each.records.get(member.trial.hash)))
    title, metric = name or results.study.name, metric_of(results)
    arms = {key: _runs(title, key, labels[key.name], metric, found) for key, found in rows.items()}
    data = results.study.data
    balanced = 1 / make_dataset(data.name, **data.options).n_classes
    return StudyRuns(title, arms, _chance(arms.values(), balanced), balanced)


def metric_of(results: StudyResults) -> str:
    """The accuracy a study is judged by: on held-out data where there are any, else on the training set."""
    done = [r for r in results.records.values() if r.error is None]
    return "test_accuracy" if done and all("test_accuracy" in r.metrics for r in done) else "train_accuracy"


def _chance(arms: Iterable[ArmRuns], balanced: float) -> float:
    """The mean share of the commonest class, over all runs; that of equal classes where no run says."""
    shares = [runs.values["chance"] for runs in arms if "chance" in runs.values]
    known = np.concatenate(shares) if shares else np.zeros(0)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else balanced


def by_name(results: Iterable[StudyResults | StudyRuns]) -> dict[str, StudyRuns]:
    """Studies as arrays under their names; those from a store at their own learning rate.

    Raises:
        ConfigError: for two of one name.
    """
    found: dict[str, StudyRuns] = {}
    for each in results:
        study = runs_of(each).at(each.study.training.lr) if isinstance(each, StudyResults) else each
        if study.name in found:
            raise ConfigError(f"Two results are named {study.name!r}; join them with runs_of(first, second).")
        found[study.name] = study
    return found


def _runs(study: str, key: ArmKey, label: str, metric: str, found: list[tuple[Member, Record | None]]) -> ArmRuns:
    members, records = [m for m, _ in found], [r if r is not None and r.error is None else None for _, r in found]
    metrics = dict.fromkeys(name for r in records if r is not None for name in r.metrics)
    values = {name: _column(records, functools.partial(_metric, name)) for name in metrics}
    values |= {name: column for name, get in DERIVED.items() if np.isfinite(column := _column(records, get)).any()}
    recent = np.full((len(found), RECENT), math.nan)
    for row, record in zip(recent, records, strict=True):
        tail = record.history.get("loss", [])[-RECENT:] if record is not None else []
        if len(tail) == RECENT:
            row[:] = tail
    training = [m.trial.training for m in members]
    return ArmRuns(
        label,
        np.array([m.trial.data_seed for m in members]),
        np.array([m.trial.init_seed for m in members]),
        values,
        np.array([r is not None for r in records]),
        np.array([r is not None and r.error is not None for _, r in found]),
        np.array([t.lr for t in training]),
        np.array([t.epochs for t in training]),
        np.array([t.batch_size for t in training]),
        recent,
        study=study,
        name=key.name,
        strength=key.strength,
        records=tuple(r for _, r in found),
        metric=metric,
    )


def _metric(name: str, record: Record) -> float:
    return record.metrics.get(name, math.nan)


def _column(records: list[Record | None], get: Callable[[Record], float]) -> np.ndarray:
    return np.array([math.nan if record is None else get(record) for record in records], dtype=np.float64)
