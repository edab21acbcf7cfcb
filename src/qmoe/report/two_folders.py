"""What differs between the results of two folders: verdicts, and all that may be the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qmoe.claims import Claim, Comparison, Verdict
from qmoe.report.findings.contents import Contents, read_store
from qmoe.report.findings.judged import telling
from qmoe.studies import Store, Study, StudyResults
from qmoe.studies.store.columns import Columns


@dataclass(frozen=True)
class OptionDifference:
    """An option of a study that differs; None where a side does not have it.

    Attributes:
        key: dotted, with an arm by its name, as in ``arms.quantum.model.router.n_layers``.
        a: its value in A.
        b: its value in B.
    """

    key: str
    a: object
    b: object


@dataclass(frozen=True)
class StudyFacts:
    """How far a study is in one folder, and what ran it.

    Attributes:
        draws: draws of the data with a finished trial.
        done: finished trials, at all learning rates of the study.
        failed: trials that failed.
        missing: trials that have not run.
        versions: versions of qmoe that ran them.
        commits: its commits, empty for an installed package.
        numerics: `NUMERICS` by which it was planned; None where that is not known.
    """

    draws: int
    done: int
    failed: int
    missing: int
    versions: tuple[str, ...]
    commits: tuple[str, ...]
    numerics: int | None


@dataclass(frozen=True)
class StudyDifference:
    """A study in both folders.

    Attributes:
        name: its name.
        a: its facts in A; None where it is not there, or cannot be read.
        b: its facts in B.
        options: the options that differ, where both have it.
        differing: trials that both have finished with different numbers.
    """

    name: str
    a: StudyFacts | None
    b: StudyFacts | None
    options: tuple[OptionDifference, ...] = ()
    differing: int = 0

    @property
    def is_alike(self) -> bool:
        """Whether nothing differs."""
        return self.a == self.b and not self.options and not self.differing


@dataclass(frozen=True)
class Deciding:
    """The comparison that decides a verdict.

    Attributes:
        test: name of the test.
        study: name of the study; "" for measurements.
        a: label of one arm.
        b: label of the other.
        metric: what is compared.
        scale: ``"difference"`` or ``"ratio"``.
        effect: the estimate.
        low: lower bound of its 95% interval.
        high: upper bound.
        margin: the smallest difference that matters.
        draws: independent draws that it rests on.
        p_support: p-value with which the test is supported.
        p_refute: the same for its refutation.
    """

    test: str
    study: str
    a: str
    b: str
    metric: str
    scale: str
    effect: float
    low: float
    high: float
    margin: float
    draws: int
    p_support: float
    p_refute: float


@dataclass(frozen=True)
class VerdictDifference:
    """A verdict in both folders.

    Attributes:
        claim: id of the claim.
        statement: what it says.
        family: family within which its p-values are corrected.
        study: the study, for the verdict of a claim on one of its studies; else "".
        a: outcome in A; None where it is not judged there.
        b: outcome in B.
        by_a: what decides it in A; None where nothing could be compared.
        by_b: what decides it in B.
        why_a: reasons in A, in sentences; those that decided come first.
        why_b: reasons in B.
        studies: names of the studies that it rests on and that differ.
    """

    claim: str
    statement: str
    family: str
    study: str
    a: str | None
    b: str | None
    by_a: Deciding | None
    by_b: Deciding | None
    why_a: tuple[str, ...]
    why_b: tuple[str, ...]
    studies: tuple[str, ...]

    @property
    def is_changed(self) -> bool:
        """Whether the outcomes differ."""
        return self.a != self.b


@dataclass(frozen=True)
class ResultsDifference:
    """All that differs between two folders.

    Attributes:
        verdicts: of every claim that is judged in one of them, on all of its studies and on each.
        studies: every study of one of them, those that are alike too.
        unreadable: for A and for B, studies that cannot be read, each with the reason.
    """

    verdicts: tuple[VerdictDifference, ...]
    studies: tuple[StudyDifference, ...]
    unreadable: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]

    @property
    def changed(self) -> list[VerdictDifference]:
        """Verdicts whose outcomes differ."""
        return [verdict for verdict in self.verdicts if verdict.is_changed]

    @property
    def differing(self) -> list[StudyDifference]:
        """Studies of which anything differs."""
        return [study for study in self.studies if not study.is_alike]

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; studies that are alike are left out."""
        return {
            "verdicts": [{"is_changed": verdict.is_changed} | asdict(verdict) for verdict in self.verdicts],
            "studies": [asdict(study) for study in self.differing],
            "unreadable": {side: dict(found) for side, found in zip("ab", self.unreadable, strict=True)},
        }


def compare_results(a: Path, b: Path, claims: Sequence[Claim] | None = None) -> ResultsDifference:
    """Compares the results in two stores; both are judged by the claims and the judge of today.

    Args:
        a: a store.
        b: another one.
        claims: claims of the user's own.

    Raises:
        StoreError: when one of them is no store, or has no study that can be read.
    """
    sides = _Side.read(a, claims), _Side.read(b, claims)
    names = dict.fromkeys(name for side in sides for name in side.results)
    studies = tuple(_study(name, *sides) for name in names)
    differing = {study.name for study in studies if not study.is_alike}
    mine, other = (dict(_verdicts(side.contents)) for side in sides)
    verdicts = tuple(_verdict(key, mine.get(key), other.get(key), differing) for key in dict.fromkeys([*mine, *other]))
    return ResultsDifference(verdicts, studies, (sides[0].contents.unreadable, sides[1].contents.unreadable))


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the folders: its contents, its studies by name, and the numerics of each."""

    contents: Contents
    results: Mapping[str, StudyResults]
    numerics: Mapping[str, int | None]

    @classmethod
    def read(cls, path: Path, claims: Sequence[Claim] | None) -> _Side:
        contents = read_store(path, claims)
        results = {r.study.name: r for r in contents.results}
        with Store(path, create=False) as store:
            numerics = {name: r.members[0].trial.numerics_of(store.first_hash(name)) for name, r in results.items()}
        return cls(contents, results, numerics)

    def facts(self, name: str) -> StudyFacts | None:
        results = self.results.get(name)
        if results is None:
            return None
        columns = results.columns
        ran = columns.take(columns.done | columns.failed)
        return StudyFacts(
            draws=len({trial.data_seed for trial in columns.trials[columns.done]}),
            done=int(columns.done.sum()),
            failed=results.n_failed,
            missing=results.n_missing,
            versions=tuple(sorted({execution.version for execution in ran.executions})),
            commits=tuple(sorted({execution.commit for execution in ran.executions if execution.commit})),
            numerics=self.numerics[name],
        )


def _study(name: str, a: _Side, b: _Side) -> StudyDifference:
    mine, other = a.results.get(name), b.results.get(name)
    if mine is None or other is None:
        return StudyDifference(name, a.facts(name), b.facts(name))
    options = tuple(_options(mine.study, other.study))
    return StudyDifference(name, a.facts(name), b.facts(name), options, _n_differing(mine.columns, other.columns))


def _n_differing(a: Columns, b: Columns) -> int:
    """Trials that both have finished, with different numbers."""
    place = {trial.hash: at for at, trial in enumerate(b.trials)}
    pairs = [(at, place[trial.hash]) for at, trial in enumerate(a.trials) if trial.hash in place]
    shared = np.array([(i, j) for i, j in pairs if a.done[i] and b.done[j]], dtype=np.int64).reshape(-1, 2)
    mine, other = a.take(shared[:, 0]), b.take(shared[:, 1])
    differs = np.zeros(len(shared), dtype=bool)
    for name in (a.values.keys() | b.values.keys()) - {"seconds"}:
        nothing = np.full(len(shared), np.nan)
        x, y = mine.values.get(name, nothing), other.values.get(name, nothing)
        differs |= ~((x == y) | (np.isnan(x) & np.isnan(y)))
    return int(differs.sum())


def _options(a: Study, b: Study) -> Iterator[OptionDifference]:
    mine, other = _by_name(a), _by_name(b)
    for arm in dict.fromkeys([*mine["arms"], *other["arms"]]):
        if (arm in mine["arms"]) != (arm in other["arms"]):  # not each of its options
            yield OptionDifference(
                f"arms.{arm}", *("present" if arm in side["arms"] else None for side in (mine, other))
            )
            for side in (mine, other):
                side["arms"].pop(arm, None)
    flat_a, flat_b = dict(_flat(mine)), dict(_flat(other))
    for key in dict.fromkeys([*flat_a, *flat_b]):
        if flat_a.get(key) != flat_b.get(key):
            yield OptionDifference(key, flat_a.get(key), flat_b.get(key))


def _by_name(study: Study) -> dict[str, Any]:
    """The tables of a study with its arms by name, and without the place of a file whose content it names."""
    values = study.model_dump(mode="json")
    values["arms"] = {arm["name"]: arm for arm in values["arms"]}
    values["data"]["options"].pop(study.data.kind.located, None)
    return values


def _flat(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", json.dumps(value) if isinstance(value, list) else value


def _verdicts(contents: Contents) -> Iterator[tuple[tuple[str, str], Verdict]]:
    """The verdicts of a folder: of a claim on all of its studies, then on each that is there."""
    for verdict in contents.judged.verdicts:
        yield (verdict.claim.id, ""), verdict
        for part in verdict.per_study:
            if not all(test.absent for test in part.tests):
                yield (verdict.claim.id, part.study), part


def _verdict(key: tuple[str, str], a: Verdict | None, b: Verdict | None, differing: set[str]) -> VerdictDifference:
    claim, study = key
    found = [verdict for verdict in (a, b) if verdict is not None]
    studies = dict.fromkeys(test.study for verdict in found for test in verdict.tests)
    return VerdictDifference(
        claim,
        found[0].claim.statement,
        found[0].claim.family,
        study,
        None if a is None else a.outcome,
        None if b is None else b.outcome,
        None if a is None else _deciding(telling(a)),
        None if b is None else _deciding(telling(b)),
        () if a is None else a.reasons,
        () if b is None else b.reasons,
        tuple(name for name in studies if name in differing),
    )


def _deciding(comparison: Comparison | None) -> Deciding | None:
    if comparison is None or comparison.decision is None:
        return None
    decision, evidence = comparison.decision, comparison.decision.evidence
    return Deciding(
        comparison.test, comparison.study, comparison.a, comparison.b, comparison.metric, evidence.contrast.scale,
        evidence.effect, evidence.low, evidence.high, evidence.contrast.margin, evidence.n_clusters,
        decision.p_support, decision.p_refute,
    )  # fmt: skip
