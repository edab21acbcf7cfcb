"""What is read of a study: its trials in their places, with what they left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from qmoe.studies.specifications import Specification, specifications
from qmoe.studies.specs.study import Study
from qmoe.studies.store.columns import Columns, columns_of
from qmoe.studies.store.trial_rows import Record
from qmoe.studies.trials import NUMERICS, Member, TrialSpec, make_trials

if TYPE_CHECKING:
    import pandas


class Reader(Protocol):
    """Reads more of trials than their final figures."""

    def records(self, wanted: Mapping[str, TrialSpec]) -> dict[str, Record]:
        """The records of trials, given and found by their hashes, as far as they have run."""

    def columns(self, trials: Sequence[TrialSpec]) -> Columns:
        """What trials left, in their order."""

    def histories(self, trials: Sequence[TrialSpec], quantity: str) -> np.ndarray:
        """``(m, epochs)`` values by epoch of those of the trials that keep them, in their order."""


@dataclass(frozen=True)
class StudyResults:
    """A study with what its trials left, as far as they have run.

    Attributes:
        study: the study.
        members: its trials, each in its place.
        columns: what they left, in the same order.
        reader: reads whole records, histories, and trials of other specifications.
        unknown: keys of the study in its store that this version of qmoe does not know, and left out.
        numerics: of the version of qmoe that planned the trials in its store, where these are others than today's.
    """

    study: Study
    members: tuple[Member, ...]
    columns: Columns
    reader: Reader
    unknown: tuple[str, ...] = ()
    numerics: int | None = None

    @classmethod
    def of_records(cls, study: Study, members: Sequence[Member], records: Mapping[str, Record]) -> Self:
        """The results of a study whose records are at hand, by the hash of the trial."""
        reader = _Given(dict(records))
        return cls(study, tuple(members), reader.columns([m.trial for m in members]), reader)

    @cached_property
    def records(self) -> dict[str, Record]:
        """Whole records by the hash of the trial, with histories and weights, read when they are first asked for."""
        return self.reader.records({m.trial.hash: m.trial for m in self.members})

    def of(self, arm: str, strength: float | None = None, lr: float | None = None) -> list[Record]:
        """Records of one arm (and noise strength), in the order of the seeds; failed trials left out.

        Args:
            arm: name of the arm.
            strength: depolarizing probability, where the arm lists several.
            lr: one of the study's learning rates; by default the first.
        """
        lr = self.study.training.lr if lr is None else lr
        trials = [m.trial for m in self.members if (m.arm, m.strength, m.trial.training.lr) == (arm, strength, lr)]
        found = self.reader.records({trial.hash: trial for trial in trials})
        return [found[t.hash] for t in trials if t.hash in found and found[t.hash].done]

    @cached_property
    def specifications(self) -> tuple[SpecificationResults, ...]:
        """Results at every specification of the study's multiverse, its own first, read when they are first asked for.

        Raises:
            StoreError: when the store is not there any more.
        """
        found = [(one, tuple(make_trials(one.study))) for one in specifications(self.study)]
        trials = {m.trial.hash: m.trial for _, members in found for m in members}
        columns = self.reader.columns(list(trials.values()))
        place = {key: at for at, key in enumerate(trials)}
        return tuple(
            SpecificationResults(
                one.study, members, columns.take(np.array([place[m.trial.hash] for m in members])), self.reader,
                specification=one,
            )
            for one, members in found
        )  # fmt: skip

    def frame(self, history: bool = False) -> pandas.DataFrame:
        """The trials that have run as a pandas frame: a row for each, or for each of its epochs with ``history``."""
        from qmoe.studies.export.as_frames import frame_of  # which knows this class

        return frame_of(self, history)

    @property
    def failed(self) -> list[tuple[Member, Record]]:
        """Members whose trial failed, with their records."""
        members = [self.members[at] for at in np.flatnonzero(self.columns.failed)]
        records = self.reader.records({m.trial.hash: m.trial for m in members})
        return [(m, records[m.trial.hash]) for m in members]

    @property
    def n_failed(self) -> int:
        """How many trials failed."""
        return int(self.columns.failed.sum())

    @property
    def n_missing(self) -> int:
        """How many trials have not run yet."""
        return int((~self.columns.done & ~self.columns.failed).sum())


@dataclass(frozen=True)
class SpecificationResults(StudyResults):
    """The results of a study at one specification; ``study`` is the plain study with its choices.

    Attributes:
        specification: the choices, and which of the trials count.
    """

    specification: Specification = field(kw_only=True)


class _Given:
    """Reads from records that are at hand."""

    def __init__(self, records: dict[str, Record]) -> None:
        self._records = records

    def records(self, wanted: Iterable[str]) -> dict[str, Record]:
        return {key: self._records[key] for key in wanted if key in self._records}

    def columns(self, trials: Sequence[TrialSpec]) -> Columns:
        return columns_of(trials, self._records)

    def histories(self, trials: Sequence[TrialSpec], quantity: str) -> np.ndarray:
        found = [self._records[t.hash].history for t in trials if t.hash in self._records]
        lines = [history[quantity] for history in found if quantity in history]
        return np.array(lines) if lines else np.zeros((0, 0))


def other_numerics(numerics: int) -> str:
    """Says that a study was planned by a version of qmoe that trains to other numbers."""
    whose = "an earlier" if numerics < NUMERICS else "a later"
    return (
        f"its trials in the store are of {whose} qmoe (numerics {numerics}, here {NUMERICS}), which trains to other "
        "numbers. They stay there, and count as not run."
    )


def later_keys(unknown: Iterable[str]) -> str:
    """Says that a study has keys that this version does not know."""
    return (
        f"it has keys that this qmoe does not know, as a later version writes: {', '.join(unknown)}. They are left out; "
        "trials that they decide about count as not run."
    )
