"""What a store keeps of trials beside their final figures."""

from __future__ import annotations

from collections.abc import Iterable

from qmoe.studies.specifications import all_members
from qmoe.studies.specs.study import Study
from qmoe.studies.store.trial_rows import Record, TrialRow
from qmoe.studies.trials import Member, TrialSpec, make_trials


class Keeping:
    """Weights and histories that some studies keep: those of each trial that any of them wants.

    A study with ``keep = "figures"`` wants the weights of the arms whose boundaries or accuracy under noise it asks
    for, and no history.

    Args:
        studies: the studies.
    """

    def __init__(self, studies: Iterable[Study]) -> None:
        bare: set[str] = set()
        weights: set[str] = set()
        wanted: list[Study] = []
        for study in studies:
            if study.keep == "all":
                wanted.append(study)
                continue
            for member in all_members(study):
                bare.add(member.trial.hash)
            weights.update(
                member.trial.hash
                for member in make_trials(study)
                if _is_measured(study, member) and member.trial.training == study.training
            )
        if bare:
            for study in wanted:
                bare.difference_update(member.trial.hash for member in all_members(study))
        self._no_history, self._no_weights = bare, bare - weights

    def cut(self, record: Record) -> Record:
        """The record without what is not kept of it."""
        key = record.trial.hash
        return record.without(weights=key in self._no_weights, history=key in self._no_history)

    def has(self, row: TrialRow, trial: TrialSpec) -> bool:
        """Whether the row of a finished trial has what is kept of it."""
        by_epochs = trial.training.optimiser != "lbfgs"
        has_history = row.history is not None or not by_epochs or row.hash in self._no_history
        return has_history and (row.weights is not None or row.hash in self._no_weights)


def _is_measured(study: Study, member: Member) -> bool:
    """Whether something is measured of the trained model."""
    return member.arm in study.boundaries or (study.noise is not None and member.strength is not None)
