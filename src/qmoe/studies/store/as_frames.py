"""Results as pandas frames: a row for each trial, or for each epoch of each trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qmoe.studies.store.trial_rows import Record
from qmoe.studies.trials import Member

if TYPE_CHECKING:
    import pandas

    from qmoe.studies.store.results import StudyResults


def frame_of(results: StudyResults, history: bool = False) -> pandas.DataFrame:
    """The trials of a study, in the order of arms, draws and initialisations; those that have not run are left out.

    Args:
        results: what was read of the study.
        history: a row for each epoch with the values of that epoch, in place of one for each trial.
    """
    import pandas  # takes half a second

    found = [(member, results.records.get(member.trial.hash)) for member in results.members]
    ran = [(member, record) for member, record in found if record is not None]
    rows = [row for one in ran for row in _epochs(*one)] if history else [_trial(*one) for one in ran]
    frame = pandas.DataFrame([{"study": results.study.name, **row} for row in rows])
    if frame.empty:
        return pandas.DataFrame(columns=["study", *_SEEDS])
    return frame


#: What says which trial a row is of.
_SEEDS = ("arm", "strength", "learning_rate", "data_seed", "init_seed", "hash")


def _place(member: Member) -> dict[str, Any]:
    trial = member.trial
    values = member.arm, member.strength, trial.training.lr, trial.data_seed, trial.init_seed, trial.hash
    return dict(zip(_SEEDS, values, strict=True))


def _trial(member: Member, record: Record) -> dict[str, Any]:
    return {
        **_place(member),
        "status": "done" if record.error is None else "failed",
        "failure": record.failure,
        **record.metrics,
        "seconds": record.seconds,
        "stack_size": record.stack_size,
        "threads": record.threads,
        "engine": record.engine,
        "version": record.version,
        "finished_at": record.finished_at,
        "error": record.error,
    }


def _epochs(member: Member, record: Record) -> list[dict[str, Any]]:
    place = _place(member)
    n_epochs = max(map(len, record.history.values()), default=0)
    return [
        {**place, "epoch": epoch + 1, **{name: values[epoch] for name, values in record.history.items()}}
        for epoch in range(n_epochs)
    ]
