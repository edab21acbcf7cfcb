"""Whether an arm does with fewer parameters than its rivals."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from qmoe.claims.deciding.evidence import Contrast
from qmoe.claims.kinds.base import Side, StudyTest
from qmoe.claims.pairs import pair
from qmoe.claims.questions import Posed, Poser, arm_words
from qmoe.claims.runs import ArmRuns, StudyRuns


class ParametersTest(StudyTest):
    """No rival of fewer than ``factor`` times a's parameters does as well as a."""

    kind: Literal["parameters"]
    a: Side
    rivals: Annotated[tuple[Side, ...], Field(min_length=1)]
    factor: Annotated[float, Field(ge=1)] = 1.0
    size: str = "router_parameters"

    def pose(self, poser: Poser, study: StudyRuns, least: int) -> Posed:
        """A question for each rival below ``factor`` times a's size; larger ones tell whether size is what they lack."""
        contrast = Contrast("greater", self.margin)
        arm = study.arms.get(self.a.key)
        size = None if arm is None else _size(arm, self.size)
        posed = Posed(self, study.name, [])
        if arm is None or size is None:
            posed.broken = f"{study.name} has no finished run of the arm {arm_words(self.a.key)}"
            return posed
        larger = []
        for rival in self.rivals:
            runs = study.arms.get(rival.key)
            theirs = None if runs is None else _size(runs, self.size)
            if runs is None or theirs is None or theirs < self.factor * size:
                posed.questions.append(poser.ask(self, study, self.a.key, rival.key, contrast, least))
                continue
            pairs = pair(study, arm, runs, self.metric)
            if not isinstance(pairs, str) and len(pairs.a):
                larger.append((theirs, runs.title, float(pairs.b.mean() - pairs.a.mean())))
        if not posed.questions:
            posed.broken = f"no rival with fewer than {self.factor * size:.0f} parameters was tried"
        posed.caveats += self._of_larger(study.name, arm, size, larger)
        return posed

    def _of_larger(self, study: str, arm: ArmRuns, size: float, larger: list[tuple[float, str, float]]) -> list[str]:
        """What larger rivals, given by size, title and lead over a, say of the smaller ones; a caveat, or none."""
        reached = min((rival for rival in larger if rival[2] > -self.margin), default=None)
        if reached is not None:
            return [
                f"{study}: the smallest larger rival within {self.margin:g} of the {arm.title} ({size:.0f} parameters) "
                f"has {reached[0]:.0f} ({reached[1]})."
            ]
        if larger:
            return [
                f"{study}: no larger rival reaches the {arm.title} either, up to {max(larger)[0]:.0f} parameters; "
                "what they lack may be training, not size."
            ]
        return []


def _size(runs: ArmRuns, metric: str) -> float | None:
    values = runs.values.get(metric)
    return None if values is None or not np.isfinite(values).any() else float(np.nanmean(values))
