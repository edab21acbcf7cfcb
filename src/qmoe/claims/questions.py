"""From a claim's tests to pairs of arms and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qmoe.claims.evidence import Contrast, Evidence, weigh
from qmoe.claims.objections import Pairs, accusations, objections, obstacles, pair, still_falling
from qmoe.claims.runs import ArmKey, Runs, StudyRuns
from qmoe.claims.spec import (
    BreakdownTest,
    Claim,
    ClaimTest,
    DifferenceTest,
    MeasurementTest,
    ParametersTest,
)
from qmoe.errors import ShapeError

Measurements = Mapping[str, Mapping[str, Sequence[float] | np.ndarray]]

#: Metrics that are counts: the same for every run of an arm, and without error.
COUNTS = ("parameters", "router_parameters")


@dataclass(eq=False)
class Question:
    """Two sides, what is asked of them, and the evidence or what forbids it.

    Attributes:
        a: label of a.
        b: label of b.
        metric: what is compared.
        study: name of the study, or "".
        contrast: what is asked.
        unit: what a cluster is, in words.
        strength: noise strength of a, for breakdowns.
        obstacles: what forbids a verdict before anything is tested.
        evidence: statistics, where nothing does.
        never: what forbids any verdict in view of the scores.
        no_sameness: what forbids the verdict that there is no difference that matters.
        accusations: what goes beside the verdict.
        falling: labels of the arms whose loss was still falling at the end of training.
    """

    a: str
    b: str
    metric: str
    study: str
    contrast: Contrast
    unit: str = "pairs"
    strength: float | None = None
    obstacles: list[str] = field(default_factory=list)
    evidence: Evidence | None = None
    never: list[str] = field(default_factory=list)
    no_sameness: list[str] = field(default_factory=list)
    accusations: list[str] = field(default_factory=list)
    falling: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Posed:
    """A test on one study, as questions.

    Attributes:
        test: the test.
        study: name of the study, or "".
        questions: what decides it.
        remarks: accusations that belong to the test as a whole.
        broken: what keeps the test from being posed at all; "" where nothing does.
        absent: whether that is that there are no results of the study.
    """

    test: ClaimTest
    study: str
    questions: list[Question]
    remarks: list[str] = field(default_factory=list)
    broken: str = ""
    absent: bool = False


def pose(
    claim: Claim, studies: Mapping[str, StudyRuns], measured: Measurements, alpha: float, seed: int
) -> list[Posed]:
    """All tests of a claim, each once for every study it names, with the evidence weighed."""
    posed = []
    for test in claim.tests:
        least = test.min_seeds or claim.min_seeds
        if isinstance(test, MeasurementTest):
            posed.append(_measurement(test, measured, least, alpha, seed))
            continue
        for name in claim.studies_of(test):
            study = studies.get(name)
            if study is None:
                posed.append(Posed(test, name, [], broken=f"there are no results of the study {name}", absent=True))
            elif isinstance(test, DifferenceTest):
                contrast = Contrast(test.direction, test.margin, test.at_least, test.scale)
                asked = _ask(study, test.a.key, test.b.key, test.metric, contrast, least, test.success, alpha, seed)
                posed.append(Posed(test, name, [asked]))
            elif isinstance(test, ParametersTest):
                posed.append(_parameters(test, study, least, alpha, seed))
            else:
                posed.append(_breakdown(test, study, least, alpha, seed))
    return posed


def _ask(
    study: StudyRuns,
    a: ArmKey,
    b: ArmKey,
    metric: str,
    contrast: Contrast,
    min_seeds: int,
    success: float | None,
    alpha: float,
    seed: int,
) -> Question:
    left, right = study.arms.get(a), study.arms.get(b)
    names = [runs.label if runs is not None else _named(key) for runs, key in ((left, a), (right, b))]
    asked = Question(names[0], names[1], metric, study.name, contrast, strength=a[1])
    if left is None or right is None:
        missing = [_named(key) for runs, key in ((left, a), (right, b)) if runs is None]
        asked.obstacles = [f"there is no arm {' and no arm '.join(missing)}"]
        return asked
    pairs = pair(study, left, right, metric)
    if isinstance(pairs, str):
        asked.obstacles = [pairs]
        return asked
    asked.unit = pairs.unit
    exact = metric in COUNTS
    asked.obstacles = obstacles(pairs, left, right, 1 if exact else min_seeds)
    if not asked.obstacles:
        _weigh(asked, pairs.a, pairs.b, pairs.clusters, success, exact, alpha, seed)
        _object(asked, pairs, left, right, study)
    return asked


def _weigh(
    asked: Question,
    a: np.ndarray,
    b: np.ndarray,
    clusters: np.ndarray | None,
    success: float | None,
    exact: bool,
    alpha: float,
    seed: int,
) -> None:
    if asked.contrast.scale == "ratio" and not ((a > 0).all() and (b > 0).all()):
        asked.obstacles = ["a ratio needs positive values"]
        return
    asked.evidence = weigh(a, b, asked.contrast, clusters, alpha=alpha, success=success, exact=exact, seed=seed)


def _object(asked: Question, pairs: Pairs, left: Runs, right: Runs, study: StudyRuns) -> None:
    if asked.evidence is not None:
        asked.never, asked.no_sameness = objections(asked.evidence, study, asked.metric)
        asked.accusations = accusations(pairs, left, right, asked.evidence, study, asked.metric)
        asked.falling = [runs.label for runs in (left, right) if asked.metric not in COUNTS and still_falling(runs)]


def _parameters(test: ParametersTest, study: StudyRuns, least: int, alpha: float, seed: int) -> Posed:
    """Each rival below ``factor`` times a's size is a question; larger ones tell whether size is what they lack."""
    contrast = Contrast("greater", test.margin)
    arm = study.arms.get(test.a.key)
    size = None if arm is None else _size(arm, test.size)
    if arm is None or size is None:
        return Posed(test, study.name, [], broken=f"{study.name} has no finished run of the arm {_named(test.a.key)}")
    posed = Posed(test, study.name, [])
    larger = []
    for rival in test.rivals:
        runs = study.arms.get(rival.key)
        theirs = None if runs is None else _size(runs, test.size)
        if runs is None or theirs is None or theirs < test.factor * size:
            posed.questions.append(
                _ask(study, test.a.key, rival.key, test.metric, contrast, least, test.success, alpha, seed)
            )
            continue
        pairs = pair(study, arm, runs, test.metric)
        if not isinstance(pairs, str) and len(pairs.a):
            larger.append((theirs, runs.label, float(pairs.b.mean() - pairs.a.mean())))
    if not posed.questions:
        posed.broken = f"no rival with fewer than {test.factor * size:.0f} parameters was tried"
    reached = min((rival for rival in larger if rival[2] > -test.margin), default=None)
    if reached is not None:
        posed.remarks.append(
            f"{study.name}: the smallest larger rival within {test.margin:g} of the {arm.label} ({size:.0f} parameters) has "
            f"{reached[0]:.0f} ({reached[1]})."
        )
    elif larger:
        posed.remarks.append(
            f"{study.name}: no larger rival reaches the {arm.label} either, up to {max(larger)[0]:.0f} parameters; "
            "what they lack may be training, not size."
        )
    return posed


def _breakdown(test: BreakdownTest, study: StudyRuns, least: int, alpha: float, seed: int) -> Posed:
    contrast = Contrast("not_less", test.margin)
    strengths = sorted(v for name, v in study.arms if name == test.arm and v is not None and 0 < v <= test.breaks_by)
    posed = Posed(test, study.name, [])
    if (test.arm, 0.0) not in study.arms:
        posed.broken = f"{study.name} has no arm {test.arm!r} at noise 0 to compare with"
    elif not any(v <= test.robust_to for v in strengths) or not any(v > test.robust_to for v in strengths):
        posed.broken = (
            f"{study.name} lacks noise strengths up to {test.robust_to:g}, or between there and {test.breaks_by:g}"
        )
    else:
        posed.questions = [
            _ask(study, (test.arm, v), (test.arm, 0.0), test.metric, contrast, least, test.success, alpha, seed)
            for v in strengths
        ]
    return posed


def _measurement(test: MeasurementTest, measured: Measurements, least: int, alpha: float, seed: int) -> Posed:
    values = measured.get(test.quantity, {})
    missing = [name for name in (test.a, test.b) if name not in values]
    if missing:
        return Posed(test, "", [], broken=f"{test.quantity} was not measured for {' and '.join(missing)}")
    contrast = Contrast(test.direction, test.margin, test.at_least, test.scale)
    asked = Question(test.a, test.b, test.quantity, "", contrast, "repeated measurements")
    a, b = (np.asarray(values[name], dtype=np.float64) for name in (test.a, test.b))
    if a.shape != b.shape or a.ndim != 1 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ShapeError(
            f"measurements[{test.quantity!r}] has shapes {a.shape} for {test.a!r} and {b.shape} for {test.b!r}; expected "
            "(n,) finite numbers each, paired by position."
        )
    if len(a) < least:
        asked.obstacles = [f"it rests on {len(a)} repeated measurements, and the claim asks for {least}"]
    else:
        _weigh(asked, a, b, None, None, False, alpha, seed)
        if asked.evidence is not None:
            asked.never, _ = objections(asked.evidence, None, test.quantity)
    return Posed(test, "", [asked])


def _size(runs: Runs, metric: str) -> float | None:
    values = runs.values.get(metric)
    return None if values is None or not np.isfinite(values).any() else float(np.nanmean(values))


def _named(key: ArmKey) -> str:
    return repr(key[0]) if key[1] is None else f"{key[0]!r} at p = {key[1]:g}"
