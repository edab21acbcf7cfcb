"""What is read of a study: its trials in their places, with their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from qmoe.studies.specifications import Specification, specifications
from qmoe.studies.specs.study import Study
from qmoe.studies.store.as_frames import frame_of
from qmoe.studies.store.trial_rows import Record
from qmoe.studies.trials import Member, TrialSpec, make_trials

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class StudyResults:
    """A study with the records of its trials, as far as they are done.

    Attributes:
        study: the study.
        members: its trials, each in its place.
        records: what is done, by the hash of the trial.
        read: reads records of trials of other specifications by hash; without, they are looked for in ``records``.
        unknown: keys of the study in its store that this version of qmoe does not know, and left out.
    """

    study: Study
    members: tuple[Member, ...]
    records: dict[str, Record]
    read: Callable[[Mapping[str, TrialSpec]], dict[str, Record]] | None = None
    unknown: tuple[str, ...] = ()

    def of(self, arm: str, strength: float | None = None, lr: float | None = None) -> list[Record]:
        """Records of one arm (and noise strength), in the order of the seeds; failed trials left out.

        Args:
            arm: name of the arm.
            strength: depolarizing probability, where the arm lists several.
            lr: one of the study's learning rates; by default the first.
        """
        lr = self.study.training.lr if lr is None else lr
        found = [self.records.get(digest) for digest in self._hashes.get((arm, strength, lr), ())]
        return [record for record in found if record is not None and record.error is None]

    @cached_property
    def _hashes(self) -> dict[tuple[str, float | None, float], list[str]]:
        """Hashes of the trials by arm, noise strength and learning rate."""
        found: dict[tuple[str, float | None, float], list[str]] = {}
        for m in self.members:
            found.setdefault((m.arm, m.strength, m.trial.training.lr), []).append(m.trial.hash)
        return found

    @cached_property
    def specifications(self) -> tuple[SpecificationResults, ...]:
        """Results at every specification of the study's multiverse, its own first, read when they are first asked for.

        Raises:
            StoreError: when the store is not there any more.
        """
        found = [(one, tuple(make_trials(one.study))) for one in specifications(self.study)]
        records = self.records
        missing = {m.trial.hash: m.trial for _, members in found for m in members if m.trial.hash not in records}
        if missing and self.read is not None:
            records = records | self.read(missing)
        return tuple(
            SpecificationResults(one.study, members, _of(members, records), specification=one) for one, members in found
        )

    def frame(self, history: bool = False) -> pandas.DataFrame:
        """The trials that have run as a pandas frame: a row for each, or for each of its epochs with ``history``."""
        return frame_of(self, history)

    @property
    def failed(self) -> list[tuple[Member, Record]]:
        """Members whose trial failed."""
        pairs = [(m, self.records.get(m.trial.hash)) for m in self.members]
        return [(m, r) for m, r in pairs if r is not None and r.error is not None]

    @property
    def n_missing(self) -> int:
        """How many trials have not run yet."""
        return sum(m.trial.hash not in self.records for m in self.members)


@dataclass(frozen=True)
class SpecificationResults(StudyResults):
    """The results of a study at one specification; ``study`` is the plain study with its choices.

    Attributes:
        specification: the choices, and which of the trials count.
    """

    specification: Specification = field(kw_only=True)


def _of(members: Iterable[Member], records: Mapping[str, Record]) -> dict[str, Record]:
    return {m.trial.hash: records[m.trial.hash] for m in members if m.trial.hash in records}


def later_keys(unknown: Iterable[str]) -> str:
    """Says that a study has keys that this version does not know."""
    return (
        f"it has keys that this qmoe does not know, as a later version writes: {', '.join(unknown)}. They are left out; "
        "trials that they decide about count as not run."
    )
