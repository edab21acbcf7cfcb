"""From the records of a store to arrays that are judged."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from qmoe.claims.runs import ArmKey, ArmRuns, StudyRuns
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.studies.store import StudyResults
from qmoe.studies.store.columns import Columns, joined
from qmoe.studies.store.results import Reader
from qmoe.studies.trials import Member


def runs_of(results: StudyResults, *others: StudyResults, name: str | None = None) -> StudyRuns:
    """Turns the results of a study into arrays.

    Args:
        results: a study with what its trials left.
        others: the same question at other learning rates, taken in as further trials of the same arms.
        name: what claims call the study; by default the name of the first.
    """
    rows: dict[ArmKey, list[int]] = {}
    labels: dict[str, str] = {}
    members: list[Member] = []
    for each in (results, *others):
        labels |= {arm.name: arm.label for arm in each.study.arms if arm.name not in labels}
        for at, member in enumerate(each.members, len(members)):
            rows.setdefault(ArmKey(member.arm, member.strength), []).append(at)
        members += each.members
    title, metric = name or results.study.name, metric_of(results)
    columns = joined(each.columns for each in (results, *others))
    # The trials of others may stand in another store.
    reader = results.reader if not others else None
    arms = {
        key: _runs(
            title, key, labels[key.name], metric, [members[at] for at in found], columns.take(np.array(found)), reader
        )
        for key, found in rows.items()
    }
    data = results.study.data
    balanced = 1 / make_dataset(data.name, **data.options).n_classes
    return StudyRuns(title, arms, _chance(arms.values(), balanced), balanced)


def metric_of(results: StudyResults) -> str:
    """The accuracy a study is judged by: on held-out data where there are any, else on the training set."""
    columns = results.columns
    held_out = columns.values.get("test_accuracy", np.full(len(columns), math.nan))[columns.done]
    return "test_accuracy" if len(held_out) and np.isfinite(held_out).all() else "train_accuracy"


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


def _runs(
    study: str, key: ArmKey, label: str, metric: str, members: list[Member], columns: Columns, reader: Reader | None
) -> ArmRuns:
    training = [m.trial.training for m in members]
    return ArmRuns(
        label,
        np.array([m.trial.data_seed for m in members]),
        np.array([m.trial.init_seed for m in members]),
        {name: values for name, values in columns.values.items() if np.isfinite(values[columns.done]).any()},
        columns.done,
        columns.failed,
        np.array([t.lr for t in training]),
        np.array([t.epochs for t in training]),
        np.array([t.batch_size for t in training]),
        columns.recent,
        study=study,
        name=key.name,
        strength=key.strength,
        columns=columns,
        reader=reader,
        metric=metric,
    )
