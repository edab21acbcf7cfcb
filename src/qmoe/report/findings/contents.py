"""What the page needs from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qmoe.claims import ArmRuns, Claim, ladder_claims
from qmoe.data.sources import only_from
from qmoe.errors import QMoEError, StoreError
from qmoe.report.findings.headline import HeadlineRow, headline
from qmoe.report.findings.judged import Judged, Measurements, judge_all
from qmoe.safe_files import open_regular
from qmoe.studies import Record, Store, StudyResults, preset_names


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
    asked = [claim for number, study in enumerate(own) for claim in ladder_claims(study, 1 + 4 * number)]
    return Contents(tuple(results), measurements, (*asked, *(claims or ())), tuple(unreadable), Path(path), digest)


def study_titles(results: Sequence[StudyResults]) -> dict[str, str]:
    """What readers call each study: its short title, or its name where two have one title."""
    short = {r.study.name: r.study.short_title for r in results}
    return {name: title if list(short.values()).count(title) == 1 else name for name, title in short.items()}


def provenance(results: Sequence[StudyResults]) -> Provenance:
    """Sums up the records of all studies, each trial once."""
    records = [r for r in _records(results).values() if r.error is None]
    return Provenance(
        versions=tuple(sorted({r.version for r in records})),
        commits=tuple(sorted({r.commit for r in records if r.commit})),
        engines=tuple(sorted({r.engine for r in records if r.engine != "none"})),
        threads=tuple(sorted({r.threads for r in records})),
        dtypes=tuple(sorted({r.trial.training.dtype for r in records})),
        n_trials=len(records),
        n_data_seeds=len({r.trial.draw for r in records}),
        n_init_seeds=len({(r.trial.root, r.trial.data_seed, r.trial.init_seed) for r in records}),
        seconds=sum(r.seconds / r.stack_size for r in records),
        first=min((r.finished_at for r in records), default=""),
        last=max((r.finished_at for r in records), default=""),
    )


class Times:
    """Seconds that training takes, from records of all studies.

    Args:
        results: studies of one store; a trial that was trained alone for one counts for all that have its shape.
    """

    def __init__(self, results: Sequence[StudyResults]) -> None:
        alone: dict[str, list[float]] = {}
        for record in _records(results).values():
            if record.stack_size == 1 and record.error is None:
                alone.setdefault(record.trial.shape_key, []).append(record.seconds)
        self._alone = {key: float(np.median(values)) for key, values in alone.items()}

    def alone(self, arm: ArmRuns) -> float | None:
        """Seconds of one model trained alone on one process, the median over those that were; None where none was."""
        return self._alone.get(arm.finished[0].trial.shape_key) if arm.finished else None

    def in_stack(self, arm: ArmRuns) -> float | None:
        """Seconds for each model where many were trained side by side, None where none were."""
        shares = [r.seconds / r.stack_size for r in arm.finished if r.stack_size > 1]
        return float(np.mean(shares)) if shares else None


def _records(results: Sequence[StudyResults]) -> dict[str, Record]:
    return {digest: record for result in results for digest, record in result.records.items()}
