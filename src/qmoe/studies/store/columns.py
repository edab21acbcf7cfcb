"""What trials left as arrays, one row for each trial: what a million of them are read and judged as."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qmoe.studies.store.trial_rows import RECENT, Execution, Record
from qmoe.studies.trials import TrialSpec


@dataclass(frozen=True, eq=False)
class Columns:
    """What n trials left, in some order, as far as they have run.

    Attributes:
        trials: ``(n,)`` objects, what was run.
        done: ``(n,)`` whether it finished.
        failed: ``(n,)`` whether it failed.
        values: for each metric ``(n,)`` numbers, NaN where there is none.
        recent: ``(n, 4)`` loss of the last four epochs, NaN where not recorded.
        executions: ``(n,)`` objects, what each has in common with those of its stack; None where it has not run.
    """

    trials: np.ndarray
    done: np.ndarray
    failed: np.ndarray
    values: Mapping[str, np.ndarray]
    recent: np.ndarray
    executions: np.ndarray

    def __len__(self) -> int:
        return len(self.trials)

    def take(self, rows: np.ndarray) -> Columns:
        """Some of the rows: a mask, or their places."""
        parts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "values"}
        values = {name: column[rows] for name, column in self.values.items()}
        return Columns(values=values, **{name: column[rows] for name, column in parts.items()})

    @cached_property
    def seconds(self) -> np.ndarray:
        """``(n,)`` wall time of the stack that it was trained in; NaN where it has not run."""
        return self._of("seconds")

    @cached_property
    def stack_sizes(self) -> np.ndarray:
        """``(n,)`` how many were trained in that stack; NaN where it has not run."""
        return self._of("stack_size")

    @property
    def shares(self) -> np.ndarray:
        """``(n,)`` its share of the wall time of its stack."""
        return self.seconds / self.stack_sizes

    def _of(self, name: str) -> np.ndarray:
        return np.array([math.nan if e is None else getattr(e, name) for e in self.executions], dtype=np.float64)


def objects(items: Sequence[object]) -> np.ndarray:
    """``(n,)`` an array of objects, each left as it is."""
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


class Filling:
    """Columns that are filled row by row.

    Args:
        trials: what the rows are of.
    """

    def __init__(self, trials: Sequence[TrialSpec]) -> None:
        n = len(trials)
        self._trials = objects(trials)
        self._done, self._failed = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        self._values: dict[str, np.ndarray] = {}
        self._recent = np.full((n, RECENT), math.nan)
        self._executions = np.empty(n, dtype=object)

    def put(
        self, row: int, failed: bool, figures: Mapping[str, float], recent: Sequence[float] | np.ndarray,
        execution: Execution,
    ) -> None:  # fmt: skip
        """Fills one row."""
        self._done[row], self._failed[row] = not failed, failed
        self._executions[row] = execution
        if failed:
            return
        for name, value in figures.items():
            if name not in self._values:
                self._values[name] = np.full(len(self._done), math.nan)
            self._values[name][row] = value
        if len(recent):
            self._recent[row] = recent

    def columns(self) -> Columns:
        """What was filled in, and when each trained alone its ``seconds``."""
        found = Columns(self._trials, self._done, self._failed, self._values, self._recent, self._executions)
        # Only what trained alone has a time of its own.
        alone = np.where((found.stack_sizes == 1) & self._done, found.seconds, math.nan)
        return (
            dataclasses.replace(found, values=self._values | {"seconds": alone}) if np.isfinite(alone).any() else found
        )


def columns_of(trials: Sequence[TrialSpec], records: Mapping[str, Record]) -> Columns:
    """Columns of records, by the hash of their trial."""
    filling = Filling(trials)
    for row, trial in enumerate(trials):
        if (record := records.get(trial.hash)) is not None:
            filling.put(row, not record.done, record.metrics, record.recent, record.execution)
    return filling.columns()


def joined(columns: Iterable[Columns]) -> Columns:
    """The rows of several, one after another."""
    parts = list(columns)
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.values)
    values = {
        name: np.concatenate([part.values.get(name, np.full(len(part), math.nan)) for part in parts]) for name in names
    }
    fields = [f.name for f in dataclasses.fields(Columns) if f.name != "values"]
    return Columns(values=values, **{name: np.concatenate([getattr(p, name) for p in parts]) for name in fields})
