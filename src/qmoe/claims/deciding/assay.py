"""Assay sensitivity: a data set tells nothing about routers where switching the router off costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qmoe.claims.deciding.evidence import Contrast, Evidence, conclude, weigh
from qmoe.claims.pairs import pair
from qmoe.claims.runs import ArmKey, StudyRuns
from qmoe.statistics.conventions import ALPHA
from qmoe.studies.metrics import metric_facts

#: The arm whose router is switched off: every sample gets the mean of the routing weights.
SWITCHED_OFF = ArmKey("mean")


@dataclass(frozen=True, eq=False)
class Assays:
    """Whether routing matters, found once for each arm of each study.

    Attributes:
        home: the studies at their own specification, which have the arm `mean` where another specification does not.
        alpha: level of the test.
        seed: seed of the resampling.
    """

    home: Mapping[str, StudyRuns]
    alpha: float = ALPHA
    seed: int = 0
    _known: dict[tuple[int, ArmKey, str, float], bool | None] = field(default_factory=dict)

    def sensitive(self, study: StudyRuns, a: ArmKey, b: ArmKey, metric: str, evidence: Evidence) -> bool | None:
        """Whether a is shown to be above the switched-off arm by more than the margin.

        None where that is not asked (no accuracies, the switched-off arm itself, figures that say "different" anyway) or
        cannot be known (no such arm in the study, or none of its runs).
        """
        return self._shown(study, a, b, metric, evidence) if _could_say_none(evidence, self.alpha) else None

    def is_idle(self, study: StudyRuns, a: ArmKey, b: ArmKey, metric: str, evidence: Evidence) -> bool:
        """Whether a may be shown to be ahead of b although it is not shown to be above the switched-off arm."""
        could = evidence.contrast.direction == "greater" and evidence.p_support < self.alpha
        return could and self._shown(study, a, b, metric, evidence) is False

    def _shown(self, study: StudyRuns, a: ArmKey, b: ArmKey, metric: str, evidence: Evidence) -> bool | None:
        contrast = evidence.contrast
        margin = max(contrast.margin, contrast.at_least or 0.0)
        asked = metric_facts(metric).is_accuracy and contrast.scale == "difference" and margin > 0
        if not asked or SWITCHED_OFF in (a, b):
            return None
        if SWITCHED_OFF not in study.arms:
            study = self.home.get(study.name, study)
        key = id(study), a, metric, margin
        if key not in self._known:
            self._known[key] = self._found(study, a, metric, margin)
        return self._known[key]

    def _found(self, study: StudyRuns, a: ArmKey, metric: str, margin: float) -> bool | None:
        if a not in study.arms or SWITCHED_OFF not in study.arms:
            return None
        pairs = pair(study, study.arms[a], study.arms[SWITCHED_OFF], metric)
        if isinstance(pairs, str) or len(pairs.a) == 0:
            return None
        asked = Contrast("greater", margin, at_least=margin)
        found = weigh(pairs.a, pairs.b, asked, pairs.clusters, alpha=self.alpha, seed=self.seed)
        return conclude(found, found.p_support, found.p_refute, self.alpha).outcome == "supported"


def not_shown_to_matter(part: str, margin: float) -> str:
    """That a study does not show its router, or another part, to matter; in words."""
    what = "routing" if part == "router" else f"the {part}"
    return f"{what} is not shown to matter: switching the {part} off is not shown to cost more than {margin:g}"


def _could_say_none(evidence: Evidence, alpha: float) -> bool:
    """Whether the figures could give a verdict that says "no difference that matters"."""
    lead = evidence.contrast.direction in ("greater", "less")
    return (evidence.p_refute if lead else evidence.p_support) < alpha
