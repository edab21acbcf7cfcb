"""The paper's claims as they ship, all at once, on simulated studies of the sizes that ship.

Two truths are simulated. In one no claim is to be supported: of each claim one comparison lies on the edge and all others
hold clearly, which is the hardest case for a claim whose tests must all hold. In the other no claim is to be refuted: all
its comparisons lie on the edge, so that any one could refute it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from calibration.scores import SHAPES, arms_of, as_runs, luck
from calibration.trying import Played
from qmoe.claims import ArmRuns, Claim, StudyRuns, judge, shipped_claims
from qmoe.claims.deciding.assay import SWITCHED_OFF
from qmoe.claims.kinds.base import ClaimTest, StudyTest
from qmoe.claims.runs import ArmKey
from qmoe.claims.spec import BreakdownTest, DifferenceTest, MeasurementTest, ParametersTest
from qmoe.seeding import child, numpy_generator
from qmoe.studies import Study, load_preset, preset_names
from qmoe.studies.boundary_measures import straightness_on
from qmoe.studies.measurements import effective_dimension_on

#: Offset of an arm that is clearly worse.
WORSE = -0.08
#: Models that train alone, and are timed.
TIMED = 12
#: Router parameters of the quantum router, and of the rivals whose number is not in their name.
PARAMETERS = 18

Side = Literal["supported", "refuted"]


@dataclass
class _Truth:
    """What is true of each study: offsets of accuracies, logarithms of ratios, and mean measured values."""

    offsets: dict[str, dict[ArmKey, float]] = field(default_factory=dict)
    ratios: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    measured: dict[str, dict[str, float]] = field(default_factory=dict)

    def at(self, study: str, arm: ArmKey, offset: float) -> None:
        """Sets an arm's offset; of two the one nearer to the best arm, since no claim on it may then hold."""
        known = self.offsets.setdefault(study, {})
        known[arm] = max(offset, known.get(arm, offset))


@dataclass(frozen=True)
class Family:
    """All claims of the paper, judged together.

    Attributes:
        side: the outcome that no claim should have.
        edge: whether anything lies on the edge; else all comparisons hold clearly, and claims should be supported.
    """

    side: Side
    edge: bool = True

    def __call__(self, number: int, seed: int = 0) -> Played:
        """Judges one simulated set of studies; the outcomes are those on ``side`` that came out anyhow."""
        generator = numpy_generator(child(seed, number))
        truth = _Truth()
        for claim in paper():
            self._claim(claim, number, truth)
        shapes = list(SHAPES.values())
        studies = {}
        for i, name in enumerate(sorted({*truth.offsets, *truth.ratios})):
            shape = shapes[(number + i) % len(shapes)]
            studies[name] = _simulated(name, truth, shape, generator)
        verdicts = judge(paper(), studies, _measured(truth, generator), facts=False)
        units = [unit for v in verdicts for unit in (v.per_study or (v,))]
        wrong = {f"{self.side} {u.claim.id}" for u in units if u.outcome == self.side}
        return frozenset(wrong | ({self.side} if wrong else set())), None

    def _claim(self, claim: Claim, number: int, truth: _Truth) -> None:
        for place, study in enumerate(claim.studies if claim.per_study else ("",)):
            tests = [(t, s) for t in claim.tests for s in ([study] if study else _studies(claim, t))]
            # Of the comparisons of a claim, the one that lies on the edge.
            turn = (number + place) % len(tests) if self.edge else None
            for i, (test, name) in enumerate(tests):
                self._test(test, name, i == turn, number, truth)

    def _test(self, test: ClaimTest, study: str, turn: bool, number: int, truth: _Truth) -> None:
        support = self.side == "supported"
        if isinstance(test, MeasurementTest):
            _measurement(test, support, turn, truth)
        elif isinstance(test, BreakdownTest):
            self._breakdown(test, study, number, truth)
        elif isinstance(test, ParametersTest):
            truth.at(study, test.a.key, 0.0)
            most = test.factor * _size(study, test.a.key)
            small = [r.key for r in test.rivals if _size(study, r.key) < most]
            chosen = small[number // 2 % len(small)] if turn else None
            for rival in test.rivals:
                offset = 0.0 if rival.key == chosen else WORSE
                truth.at(study, rival.key, offset if support else -test.margin)
        elif isinstance(test, DifferenceTest) and test.scale == "ratio":
            assert test.direction == "less"
            factor = (1.0 if turn else 2.0) if support else test.margin
            truth.ratios.setdefault(study, {})[test.metric, test.b.arm] = float(np.log(factor))
            truth.ratios[study][test.metric, test.a.arm] = 0.0
        else:
            assert isinstance(test, DifferenceTest)
            assert test.direction == "greater"
            truth.at(study, test.a.key, 0.0)
            truth.at(study, test.b.key, (0.0 if turn else WORSE) if support else -test.margin)

    def _breakdown(self, test: BreakdownTest, study: str, number: int, truth: _Truth) -> None:
        noise = next(arm.noise for arm in _preset(study).arms if arm.name == test.arm)
        tried = [p for p in noise or () if p <= test.breaks_by]
        weak = number % 2 == 0
        for p in tried:
            if p == 0:
                offset = 0.0
            elif p <= test.robust_to:
                edge = weak and self.edge and (self.side == "refuted" or p == test.robust_to)
                offset = -test.margin if edge else 0.0
            elif weak or not self.edge:
                offset = WORSE
            elif self.side == "supported":
                offset = -test.margin if p == tried[-1] else WORSE
            else:
                offset = -test.margin if p == tried[-1] else 0.0
            truth.at(study, ArmKey(test.arm, p), offset)


@functools.cache
def paper() -> list[Claim]:
    """The paper's claims."""
    return [claim for claim in shipped_claims() if claim.family == "paper"]


def _studies(claim: Claim, test: ClaimTest) -> tuple[str, ...]:
    return claim.studies_of(test) if isinstance(test, StudyTest) else ("",)


def _measurement(test: MeasurementTest, support: bool, turn: bool, truth: _Truth) -> None:
    known = truth.measured.setdefault(test.quantity, {})
    if isinstance(test.b, float):
        assert test.direction == "not_less"
        known[test.a] = test.b - test.margin * (1.0 if turn or not support else 0.02)
    else:
        assert test.direction == "greater"
        known[test.a] = 0.0
        known[test.b] = (0.0 if turn else -4 * test.margin) if support else -test.margin


@functools.cache
def _preset(name: str) -> Study:
    return load_preset(name)


@functools.cache
def _quantities(named: Callable[[Study], str]) -> frozenset[str]:
    """A quantity of every study that ships, under its names."""
    return frozenset(named(_preset(name)) for name in preset_names())


def _simulated(name: str, truth: _Truth, shape: object, generator: np.random.Generator) -> StudyRuns:
    seeds = _preset(name).seeds
    size = seeds.data, seeds.per_data
    offsets = dict(truth.offsets.get(name, {}))
    if any(arm.name == "mean" for arm in _preset(name).arms):
        offsets[SWITCHED_OFF] = WORSE
    arms = arms_of(generator, shape, offsets, *size) if offsets else {}  # type: ignore[arg-type]
    for key, runs in arms.items():
        arms[key] = _sized(name, key, runs)
    arms |= _timed(truth.ratios.get(name, {}), size, generator)
    return StudyRuns(name, arms, 0.5)


def _sized(study: str, key: ArmKey, runs: ArmRuns) -> ArmRuns:
    values = {**runs.values, "router_parameters": np.full(len(runs.data_seeds), _size(study, key))}
    return replace(runs, values=values)


def _size(study: str, key: ArmKey) -> float:
    """Router parameters of an arm: of a hidden layer five a unit and two biases, else as many as the quantum router has."""
    router = next(arm.model.router for arm in _preset(study).arms if arm.name == key.name)
    return float(5 * router.model_dump()["hidden"] + 2 if router.kind == "mlp" else PARAMETERS)


def _timed(
    ratios: dict[tuple[str, str], float], size: tuple[int, int], generator: np.random.Generator
) -> dict[ArmKey, ArmRuns]:
    """Seconds of a few models that trained alone and mean losses of all: log-normal, with the geometric means given."""
    names = list(dict.fromkeys(arm for _, arm in ratios))
    metrics = dict.fromkeys(metric for metric, _ in ratios)
    values: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for metric in metrics:
        field_of = luck(generator, len(names), *size)
        for i, name in enumerate(names):
            figures = np.exp(0.3 * field_of[i] + ratios[metric, name])
            if metric == "seconds":
                figures = np.where(np.arange(figures.size).reshape(size) < TIMED, figures, np.nan)
            values[name][metric] = figures
    return {key: as_runs(key, values[key.name]) for key in map(ArmKey, names)}


def _measured(truth: _Truth, generator: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """30 values of each quantity; shares are of two runs on each draw of the data."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for quantity, means in truth.measured.items():
        if quantity in _quantities(straightness_on):
            found[quantity] = {name: generator.binomial(2, mean, 30) / 2 for name, mean in means.items()}
            continue
        sd = 1.5 if quantity in _quantities(effective_dimension_on) else 0.03
        level = generator.normal(0, sd, 30)
        found[quantity] = {name: level + generator.normal(mean, sd, 30) for name, mean in means.items()}
    return found
