"""One claim over all 18 analyses of a study that ships, with results whose truth is known at each of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from calibration.scores import SHAPES, as_runs, luck
from calibration.trying import Played
from qmoe.claims import Claim, StudyRuns, Universe, judge, shipped_claims
from qmoe.claims.deciding.assay import SWITCHED_OFF
from qmoe.claims.runs import ArmKey
from qmoe.seeding import child, numpy_generator
from qmoe.statistics.conventions import MARGIN
from qmoe.studies import Specification, load_preset, specifications

#: The study whose specifications are taken; L-BFGS has few draws of the data there.
STUDY = "ladder-circles"
#: The claim, of one comparison that all specifications have.
CLAIM = "C6b"
A = ArmKey("quantum")
B = ArmKey("no-entangler")
#: Mean of the arm with its router switched off, beside the best arm's.
OFF = -0.08

#: The true difference of the two arms at a specification.
Effect = Callable[[Mapping[str, str]], float]


@dataclass(frozen=True)
class Analyses:
    """How the results at the specifications are simulated.

    Attributes:
        effect: the true difference at each.
        correlation: of a run's luck at two specifications, which share the draws of the data.
        shapes: kinds of scores, in turn.
        family: whether the claim is one of as many as the paper's family has, none of the others being decided.
    """

    effect: Effect
    correlation: float
    shapes: tuple[str, ...] = tuple(SHAPES)
    family: bool = False

    def __call__(self, number: int, seed: int = 0) -> Played:
        """Judges one simulated study; the outcome over the specifications, and the mean estimate."""
        generator = numpy_generator(child(seed, number))
        universes = self._simulated(generator, SHAPES[self.shapes[number % len(self.shapes)]])
        claim, others = _claims()
        asked = [claim, *others] if self.family else [claim]
        values = generator.normal(0, 1, (6, 1 + len(others)))
        measured = {"nothing": {other.id: values[:, i] for i, other in enumerate(others)}} if self.family else {}
        found = judge(asked, {STUDY: universes[0].runs}, measured, multiverse={STUDY: universes})[0]
        verdict = next(v for v in found.per_study if v.study == STUDY)
        assert verdict.multiverse is not None
        effects = [p.effect for row in verdict.multiverse.rows for p in row.points if p.effect is not None]
        return frozenset([verdict.outcome]), float(np.mean(effects))

    def _simulated(self, generator: np.random.Generator, shape: Callable[..., np.ndarray]) -> list[Universe]:
        specs = _specifications()
        draws, starts = specs[0].study.seeds.data, specs[0].study.seeds.per_data
        c = self.correlation
        both = [
            np.sqrt(c) * luck(generator, 3, draws, starts)
            + np.sqrt(1 - c) * luck(generator, 3, draws, starts, (len(specs),))
            for _ in range(2)
        ]
        found = []
        for i, spec in enumerate(specs):
            kept = spec.study.seeds.data, 1 if spec.select == "best_start" else starts
            offsets = {A: 0.0, B: -self.effect(spec.choices)} | ({SWITCHED_OFF: OFF} if i == 0 else {})
            arms = {
                key: as_runs(key, {"test_accuracy": shape(*(z[i, j, : kept[0], : kept[1]] for z in both), offset)})
                for j, (key, offset) in enumerate(offsets.items())
            }
            found.append(Universe(spec.choices, StudyRuns(STUDY, arms, 0.5)))
        return found


@dataclass(frozen=True)
class Everywhere:
    """The same true difference at all specifications."""

    difference: float

    def __call__(self, choices: Mapping[str, str]) -> float:
        """The difference."""
        del choices
        return self.difference


@dataclass(frozen=True)
class ByAxis:
    """A true difference that changes with the encoding axis: along Z, and along X."""

    z: float
    x: float

    def __call__(self, choices: Mapping[str, str]) -> float:
        """The difference with these choices."""
        return {"Z": self.z, "X": self.x}[choices["rotation"]]


@functools.cache
def _specifications() -> tuple[Specification, ...]:
    return specifications(load_preset(STUDY))


@functools.cache
def _claims() -> tuple[Claim, list[Claim]]:
    """The claim, and stand-ins for all others of its family: what matters of them is their number."""
    paper = [claim for claim in shipped_claims() if claim.family == "paper"]
    units = sum(len(claim.studies) if claim.per_study else 1 for claim in paper)
    others = [
        Claim.model_validate({
            "id": f"other{i}", "statement": "another", "source": "simulated", "family": "paper", "min_seeds": 6,
            "tests": [{"kind": "measurement", "name": "t", "quantity": "nothing", "a": f"other{i}", "b": 0.0,
                       "margin": MARGIN}],
        })
        for i in range(units - 1)
    ]  # fmt: skip
    return next(claim for claim in paper if claim.id == CLAIM), others
