"""Results as pandas frames: a row for each trial, or for each epoch of each trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qmoe.studies.store.trial_rows import Record
from qmoe.studies.trials import Member

if TYPE_CHECKING:
    import pandas

    from qmoe.studies.store.results import StudyResults

#: What says which trial a row is of.
_SEEDS = ("arm", "strength", "learning_rate", "data_seed", "init_seed", "hash")
_EXECUTION = ("seconds", "stack_size", "threads", "engine", "version", "commit", "finished_at")


def frame_of(results: StudyResults, history: bool = False) -> pandas.DataFrame:
    """The trials of a study, in the order of arms, draws and initialisations; those that have not run are left out.

    Args:
        results: what was read of the study.
        history: a row for each epoch with the values of that epoch, in place of one for each trial.
    """
    import pandas  # takes half a second

    frame = pandas.DataFrame(_epochs(results)) if history else _trials(results)
    if frame.empty:
        return pandas.DataFrame(columns=["study", *_SEEDS])
    frame.insert(0, "study", results.study.name)
    return frame


def _trials(results: StudyResults) -> pandas.DataFrame:
    import pandas

    columns = results.columns
    ran = np.flatnonzero(columns.done | columns.failed)
    places = [_place(results.members[at]) for at in ran]
    failures = {r.trial.hash: r for _, r in results.failed} if columns.failed.any() else {}
    why = [failures.get(place["hash"]) for place in places]
    found: dict[str, Any] = {name: [place[name] for place in places] for name in _SEEDS}
    found["status"] = np.where(columns.done[ran], "done", "failed")
    found["failure"] = [None if record is None else record.failure for record in why]
    # A stack's seconds stand with the stack.
    found |= {name: values[ran] for name, values in columns.values.items() if name != "seconds"}
    for name in _EXECUTION:
        found[name] = [getattr(columns.executions[at], name) for at in ran]
    found["error"] = [None if record is None else record.error for record in why]
    return pandas.DataFrame(found)


def _place(member: Member) -> dict[str, Any]:
    trial = member.trial
    values = member.arm, member.strength, trial.training.lr, trial.data_seed, trial.init_seed, trial.hash
    return dict(zip(_SEEDS, values, strict=True))


def _epochs(results: StudyResults) -> list[dict[str, Any]]:
    found = [(member, results.records.get(member.trial.hash)) for member in results.members]
    return [row for member, record in found if record is not None for row in _of_trial(member, record)]


def _of_trial(member: Member, record: Record) -> list[dict[str, Any]]:
    place = _place(member)
    n_epochs = max(map(len, record.history.values()), default=0)
    return [
        {**place, "epoch": epoch + 1, **{name: values[epoch] for name, values in record.history.items()}}
        for epoch in range(n_epochs)
    ]
