"""The judge: claims and results in, verdicts out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from qmoe.claims.analyses.over_analyses import Multiverse, Point, Pool, SpecificationRow, join
from qmoe.claims.deciding.assay import Assays
from qmoe.claims.deciding.combining import combined
from qmoe.claims.deciding.correction import over, step_up
from qmoe.claims.deciding.decisions import Unit, leaning, settle
from qmoe.claims.from_records import by_name
from qmoe.claims.questions import Measurements, Poser, at_specifications
from qmoe.claims.runs import StudyRuns, Universe, pooled
from qmoe.claims.spec import Claim
from qmoe.claims.verdicts import Comparison, TestVerdict, Verdict
from qmoe.claims.vocabulary import Outcome
from qmoe.statistics.conventions import ALPHA
from qmoe.studies.store import StudyResults

#: A unit as it is settled at one specification.
_Settled = tuple[Outcome, tuple[TestVerdict, ...], float | None, float | None]
_Key = frozenset[tuple[str, str]]


def judge(
    claims: Sequence[Claim],
    results: Mapping[str, StudyRuns] | Iterable[StudyResults | StudyRuns],
    measurements: Measurements | None = None,
    *,
    multiverse: Mapping[str, Sequence[Universe]] | None = None,
    alpha: float = ALPHA,
    seed: int = 0,
    facts: bool = True,
) -> list[Verdict]:
    """Gives every claim a verdict.

    Claims of one family are corrected for multiple comparisons together (Holm's method, on one p-value a claim), separately
    for those that could support and those that could refute: the chance of any false "supported" in a family is at most
    alpha, and of any false "refuted" too. Claims of other families do not affect the correction.

    Args:
        claims: the claims.
        results: studies, as a store gives them or as arrays; restrict them with `StudyRuns.at` to one learning rate, or with
            `StudyRuns.tuned` to the best of each arm.
        measurements: for each quantity and name ``(n,)`` repeated measurements, paired by position.
        multiverse: for each study its specifications, its own first (of which ``results`` has the runs). If several studies
            share one (the same choices), it is judged once, on all of them; a study that lacks it stays at its own.
        alpha: level of the tests.
        seed: seed of the resampling; equal seeds give equal verdicts.
        facts: whether comparisons of accuracies are also given by the estimands that are not judged; no verdict changes.

    Returns:
        A verdict for each claim, in their order.

    Raises:
        ConfigError: for two results of one name, or alpha outside (0, 1/2).
        ShapeError: for measurements that do not pair.
    """
    studies = dict(results) if isinstance(results, Mapping) else by_name(results)
    poser = Poser(Assays(studies, alpha, seed), alpha, seed, facts=facts)
    units = [unit for claim in claims for unit in _units(claim, studies, measurements or {}, poser)]
    own = _settled(units, alpha)
    found = _multiverses(units, own, multiverse or {}, at_specifications(poser), alpha)
    verdicts = [_verdict(unit, *at, many) for unit, at, many in zip(units, own, found, strict=True)]
    return [_of_claim(claim, [v for u, v in zip(units, verdicts, strict=True) if u.claim is claim]) for claim in claims]


def _units(claim: Claim, studies: Mapping[str, StudyRuns], measured: Measurements, poser: Poser) -> list[Unit]:
    names = claim.studies if claim.per_study else ("",)
    return [Unit(claim, name, poser.all(claim, studies, measured, name)) for name in names]


def _settled(units: Sequence[Unit], alpha: float) -> list[_Settled]:
    """All units at one specification, corrected within their families."""
    found: list[_Settled | None] = [None] * len(units)
    for family in dict.fromkeys(unit.claim.family for unit in units):
        at = [i for i, unit in enumerate(units) if unit.claim.family == family]
        p_values = [units[i].p_values for i in at]
        supports, refutes = over([p for p, _ in p_values]), over([p for _, p in p_values])
        for i, (p, q), yes, no in zip(at, p_values, supports, refutes, strict=True):
            outcome, tests = settle(units[i], yes, no, alpha)
            found[i] = outcome, tests, None if p is None else yes(p), None if q is None else no(q)
    return [each for each in found if each is not None]


def _verdict(
    unit: Unit,
    outcome: Outcome,
    tests: tuple[TestVerdict, ...],
    p_support: float | None,
    p_refute: float | None,
    multiverse: Multiverse | None,
) -> Verdict:
    final = outcome if multiverse is None else multiverse.outcome
    return Verdict(unit.claim, final, tests, outcome, p_support, p_refute, unit.study, (), multiverse)


def _of_claim(claim: Claim, verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a claim from those of its units."""
    if not claim.per_study:
        return verdicts[0]
    outcome = combined([v.outcome for v in verdicts], claim.combine)
    own = combined([v.own for v in verdicts], claim.combine)
    tests = tuple(test for v in verdicts for test in v.tests)
    return Verdict(claim, outcome, tests, own, per_study=tuple(verdicts))


def _multiverses(
    units: Sequence[Unit],
    own: Sequence[_Settled],
    multiverse: Mapping[str, Sequence[Universe]],
    poser: Poser,
    alpha: float,
) -> list[Multiverse | None]:
    """Every unit over the specifications that any of its studies has, its own (the first) as it was judged already."""
    by_study = {name: {u.key: u for u in universes} for name, universes in multiverse.items()}
    choices = {key: u.choices for universes in by_study.values() for key, u in universes.items()}
    wanted = [_keys_of(unit, by_study) for unit in units]
    rows = [[(choices[keys[0]], unit, at)] if keys else [] for unit, at, keys in zip(units, own, wanted, strict=True)]
    for key in choices:
        runs = {name: universes[key].runs for name, universes in by_study.items() if key in universes}
        there = [
            Unit(unit.claim, unit.study, poser.again(unit.claim, unit.posed, runs)) if key in keys[1:] else unit
            for unit, keys in zip(units, wanted, strict=True)
        ]
        if all(a is b for a, b in zip(units, there, strict=True)):
            continue
        for row, keys, unit, at in zip(rows, wanted, there, _settled(there, alpha), strict=True):
            if key in keys[1:]:
                row.append((choices[key], unit, at))
    shared = _shared(multiverse)
    pools = [{name: pooled(found) for name, found in by_name.items()} for _, _, _, by_name in shared]
    named = [each[:3] for each in shared]
    found: list[Multiverse | None] = []
    for unit, row in zip(units, rows, strict=True):
        together = [
            (*name, Unit(unit.claim, unit.study, poser.again(unit.claim, unit.posed, runs)))
            for name, runs in zip(named, pools, strict=True)
            if row and _can_be_pooled(unit) and not runs.keys().isdisjoint(p.study for p in unit.posed)
        ]
        found.append(_over(row, together, alpha) if row else None)
    return found


#: An alternative that several specifications share: choice, alternative, their number, and the runs of each study.
_Shared = tuple[str, str, int, dict[str, list[StudyRuns]]]


def _shared(multiverse: Mapping[str, Sequence[Universe]]) -> list[_Shared]:
    """Every alternative that some specifications share and others do not."""
    found: dict[tuple[str, str], dict[str, list[StudyRuns]]] = {}
    for name, universes in multiverse.items():
        for choice in dict.fromkeys(c for u in universes for c in u.choices):
            groups: dict[str, list[StudyRuns]] = {}
            for u in universes:
                groups.setdefault(u.choices.get(choice, ""), []).append(u.runs)
            for alternative, runs in groups.items():
                if 1 < len(runs) < len(universes):
                    found.setdefault((choice, alternative), {})[name] = runs
    return [(*key, max(map(len, by_name.values())), by_name) for key, by_name in found.items()]


def _can_be_pooled(unit: Unit) -> bool:
    """Whether the mean over specifications is on a side only if one of them is.

    That holds for bounds on one side, and for means and shares of runs; a mean of +1 and -1 is equivalent to 0 though
    neither is, and the best of all runs is none of a mean.
    """
    tests = [posed.test for posed in unit.posed]
    return all(
        getattr(test, "direction", "greater") != "equivalent" and getattr(test, "estimand", "mean") != "best"
        for test in tests
    )


def _over(
    found: Sequence[tuple[Mapping[str, str], Unit, _Settled]],
    together: Sequence[tuple[str, str, int, Unit]],
    alpha: float,
) -> Multiverse:
    """One unit over its specifications, corrected for the number of them and of pools to find what is firm."""
    units = [*(unit for _, unit, _ in found), *(unit for *_, unit in together)]
    p_values = [unit.p_values for unit in units]
    corrections = zip(step_up([p for p, _ in p_values]), step_up([p for _, p in p_values]), strict=True)
    firm = [settle(unit, yes, no, alpha) for unit, (yes, no) in zip(units, corrections, strict=True)]
    rows = [
        SpecificationRow(choices, place == 0, outcome, leaning(unit), firm[place][0], _points(tests))
        for place, (choices, unit, (outcome, tests, _, _)) in enumerate(found)
    ]
    pools = [
        Pool(choice, alternative, n, outcome, _points(tests))
        for (choice, alternative, n, _), (outcome, tests) in zip(together, firm[len(found) :], strict=True)
    ]
    return join(rows, pools)


def _keys_of(unit: Unit, by_study: Mapping[str, Mapping[_Key, Universe]]) -> list[_Key]:
    """The specifications of a unit: those of its studies, the first study's own before all others."""
    names = dict.fromkeys(posed.study for posed in unit.posed)
    return list(dict.fromkeys(key for name in names for key in by_study.get(name, {})))


def _points(tests: Iterable[TestVerdict]) -> tuple[Point, ...]:
    return tuple(_point(c) for test in tests for c in test.comparisons)


def _point(c: Comparison) -> Point:
    known = c.test, c.study, c.a_key, c.b_key, c.metric, c.effect, c.low, c.high, c.outcome
    if (e := c.evidence) is None:
        return Point(*known)
    return Point(*known, e.sd / math.sqrt(e.n_clusters), e.n_clusters, e.contrast.scale)
