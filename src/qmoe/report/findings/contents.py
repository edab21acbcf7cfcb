"""What the page needs from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qmoe.claims import ArmRuns, Claim, further_claims, ladder_claims
from qmoe.data.sources import only_from
from qmoe.errors import QMoEError, StoreError
from qmoe.report.findings.headline import HeadlineRow, headline
from qmoe.report.findings.judged import Judged, Measurements, judge_all
from qmoe.report.published.over_sets import accuracies_over_sets
from qmoe.safe_files import open_regular
from qmoe.studies import Store, StudyResults, preset_names
from qmoe.studies.store import Execution
from qmoe.studies.store.columns import Columns


@dataclass(frozen=True)
class Provenance:
    """Where the figures come from.

    Attributes:
        versions: versions of qmoe that ran the trials.
        commits: commits, empty for an installed package.
        engines: engines that ran circuits.
        threads: torch threads of each process.
        dtypes: numbers that were computed with.
        n_trials: distinct finished trials.
        n_data_seeds: distinct draws of data.
        n_init_seeds: distinct initialisations.
        seconds: training time of all stacks together.
        first: when the first trial ended, ISO 8601 in UTC; "" where there is none.
        last: when the last trial ended.
    """

    versions: tuple[str, ...]
    commits: tuple[str, ...]
    engines: tuple[str, ...]
    threads: tuple[int, ...]
    dtypes: tuple[str, ...]
    n_trials: int
    n_data_seeds: int
    n_init_seeds: int
    seconds: float
    first: str
    last: str


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a report is made from; what takes time is made once, when it is first asked for.

    Attributes:
        results: the studies of the store.
        measurements: for each quantity and name measured values that are no metric of a trial.
        claims: claims of the user's own, judged with those that ship with qmoe.
        unreadable: studies that are left out since they cannot be read, each with the reason.
        path: the store, which alone the report reads; None for results that come from elsewhere.
        digest: the SHA-256 of that file, "" without one.
    """

    results: tuple[StudyResults, ...]
    measurements: Measurements
    claims: tuple[Claim, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    path: Path | None = None
    digest: str = ""

    @cached_property
    def rows(self) -> list[HeadlineRow]:
        """Published figures beside ours, and arms that have none."""
        return headline(self.results)

    @cached_property
    def times(self) -> Times:
        """Seconds that training takes."""
        return Times(self.results)

    @cached_property
    def judged(self) -> Judged:
        """The verdicts on all claims."""
        return judge_all(self.results, self.claims, self.measurements)


def read_store(path: str | Path, claims: Sequence[Claim] | None = None) -> Contents:
    """Reads all studies of a store, and what was measured beside them.

    A study that cannot be read, such as one whose data are gone, does not take the others along.

    Args:
        path: the SQLite file that studies ran into.
        claims: claims of the user's own; a ladder that is not a preset's brings its questions with it.

    Raises:
        StoreError: when there is no store, it is damaged, or none of its studies can be read.
    """
    results: list[StudyResults] = []
    unreadable: list[tuple[str, str]] = []
    with Store(path, create=False) as store, only_from(store.path), open_regular(path) as file:
        for name in store.study_names():
            try:
                results.append(store.load(name))
            except QMoEError as error:
                unreadable.append((name, str(error)))
        measurements = store.measurements()
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if unreadable and not results:
        raise StoreError(f"{path} has no study that can be read. {unreadable[0][1]}")
    own = [study.study for study in results if study.study.name not in preset_names()]
    several = sum(bool(study.ladder) for study in own) > 1
    asked = [claim for number, study in enumerate(own) for claim in ladder_claims(study, 1 + 4 * number, named=several)]
    over_sets = accuracies_over_sets(results, measurements)
    asked += [claim for claim in further_claims() if not claim.quantities.isdisjoint(over_sets)]
    measured = {**measurements, **over_sets}
    return Contents(tuple(results), measured, (*asked, *(claims or ())), tuple(unreadable), Path(path), digest)


def study_titles(results: Sequence[StudyResults]) -> dict[str, str]:
    """What readers call each study: its short title, or its name where two have one title."""
    short = {r.study.name: r.study.short_title for r in results}
    return {name: title if list(short.values()).count(title) == 1 else name for name, title in short.items()}


def provenance(results: Sequence[StudyResults]) -> Provenance:
    """Sums up what the trials of all studies left, each trial once."""
    seen: set[str] = set()
    executions: dict[int, Execution] = {}
    draws: set[tuple[str, int, int, int | None]] = set()
    rows_of: dict[str, str] = {}
    dtypes: set[str] = set()
    inits: set[tuple[int, int, int]] = set()
    total = 0.0
    for each in results:
        done = each.columns.take(each.columns.done)
        for trial, execution in zip(done.trials, done.executions, strict=True):
            if trial.hash in seen:
                continue
            seen.add(trial.hash)
            executions[id(execution)] = execution
            total += execution.seconds / execution.stack_size
            if (data := trial.data.canonical) not in rows_of:  # a draw with random labels is the same draw
                rows_of[data] = trial.data.model_copy(update={"labels": "true"}).canonical
            draws.add((rows_of[data], trial.root, trial.data_seed, trial.fixed))
            inits.add((trial.root, trial.data_seed, trial.init_seed))
            dtypes.add(trial.training.dtype)
    found = executions.values()
    return Provenance(
        versions=tuple(sorted({e.version for e in found})),
        commits=tuple(sorted({e.commit for e in found if e.commit})),
        engines=tuple(sorted({e.engine for e in found if e.engine != "none"})),
        threads=tuple(sorted({e.threads for e in found})),
        dtypes=tuple(sorted(dtypes)),
        n_trials=len(seen),
        n_data_seeds=len(draws),
        n_init_seeds=len(inits),
        seconds=total,
        first=min((e.finished_at for e in found), default=""),
        last=max((e.finished_at for e in found), default=""),
    )


class Times:
    """Seconds that training takes, from the trials of all studies.

    Args:
        results: studies of one store; a trial that was trained alone for one counts for all that have its shape.
    """

    def __init__(self, results: Sequence[StudyResults]) -> None:
        alone: dict[str, dict[str, float]] = {}
        for each in results:
            times = each.columns.values.get("seconds", np.zeros(0))
            for at in np.flatnonzero(np.isfinite(times)):
                trial = each.columns.trials[at]
                alone.setdefault(trial.shape_key, {})[trial.hash] = float(times[at])
        self._alone = {key: float(np.median(list(values.values()))) for key, values in alone.items()}

    def alone(self, arm: ArmRuns) -> float | None:
        """Seconds of one model trained alone on one process, the median over those that were; None where none was."""
        return self._alone.get(arm.first.shape_key) if arm.trials else None

    def in_stack(self, arm: ArmRuns) -> float | None:
        """Seconds for each model where many were trained side by side, None where none were."""
        if arm.columns is None:
            return None
        done = arm.columns.take(arm.done)
        shares = done.shares[done.stack_sizes > 1]
        return float(np.mean(shares)) if len(shares) else None


def engines_of(columns: Columns) -> str:
    """Names of the engines that ran the circuits of finished trials."""
    return ", ".join(sorted({execution.engine for execution in columns.executions} - {"none"}))
