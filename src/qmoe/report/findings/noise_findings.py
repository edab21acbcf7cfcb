"""How trained models bear noise and few shots: surfaces of accuracy by protocol, and where each breaks down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.analysis.robustness import CRITERIA, NOISE_PROTOCOLS, Breakdown, NoiseSurface, breakdowns
from qmoe.analysis.robustness.surface import shots_words
from qmoe.claims import ArmRuns, runs_of
from qmoe.claims.analyses.choices import alternative_words
from qmoe.claims.runs import ArmKey
from qmoe.report.words import capital
from qmoe.studies import StudyResults
from qmoe.studies.noise_measures import noise_surfaces, surface_trials

#: As `qmoe.studies.Store.measurements` gives them.
Measured = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class NoiseFinding:
    """What one protocol shows of one arm.

    Attributes:
        arm: name of the arm.
        label: what readers call it.
        surface: accuracies over noise and shots.
        rival: what readers call the arm to beat; "" where there is none.
        linear: ``(M,)`` its accuracies on the draws of the models; None where there is none.
        points: where each criterion holds from then on, for each number of shots.
    """

    arm: str
    label: str
    surface: NoiseSurface
    rival: str
    linear: np.ndarray | None
    points: Mapping[tuple[str, int | None], Breakdown]

    @property
    def title(self) -> str:
        """The protocol in words."""
        return capital(NOISE_PROTOCOLS[self.surface.protocol])

    @property
    def criteria(self) -> list[str]:
        """Those that could be told, in their order."""
        return [name for name in CRITERIA if (name, None) in self.points]

    @property
    def few(self) -> int | None:
        """A number of shots for sentences and curves: 1,024, or the middle one; None where only exact values are there."""
        found = [shots for shots in self.surface.shots if shots is not None]
        return 1024 if 1024 in found else found[len(found) // 2] if found else None

    @property
    def sentence(self) -> str:
        """Where it breaks down with exact expectation values, in one sentence."""
        order = [name for name in ("margin", "advantage", "half") if name in self.criteria]
        told = "; ".join(self._lost(name) for name in order)
        return f"{self.title}: {told}."

    def _lost(self, criterion: str) -> str:
        what = {
            "margin": "2 points of accuracy are",
            "advantage": f"the lead over the {self.rival} is",
            "half": "half of the gain over chance is",
        }[criterion]
        point = self.points[criterion, None]
        if not point.strength.reached:
            return f"{what} not lost up to p = {point.last:g}"
        return f"{what} lost {point.words if point.words.startswith('already') else f'from {point.words} on'}"


@dataclass(frozen=True)
class NoiseTable:
    """Points of breakdown in words, for the card of a claim.

    Attributes:
        heads: headings of the columns.
        rows: cells of each row.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def card_table(found: Sequence[NoiseFinding]) -> NoiseTable | None:
    """The points of all protocols with exact values and with a usual number of shots; None where there are none."""
    if not found:
        return None
    criteria = found[0].criteria
    rows = [
        (alternative_words("noise_protocol", finding.surface.protocol, short=True), shots_words(shots),
         *(finding.points[name, shots].words for name in criteria))
        for finding in found
        for shots in dict.fromkeys((None, finding.few))
    ]  # fmt: skip
    return NoiseTable(
        ("noise protocol", "read-out", *(criterion_head(name, found[0].rival) for name in criteria)), tuple(rows)
    )


def criterion_head(criterion: str, rival: str) -> str:
    """What heads a column of points."""
    return {
        "advantage": f"no better than the {rival}",
        "margin": "2 points lost",
        "half": "half of the gain lost",
    }[criterion]


def noise_findings(results: StudyResults, measurements: Measured) -> list[NoiseFinding]:
    """The findings of a study with `[noise]`, one for each arm and protocol that was measured."""
    surfaces = noise_surfaces(results, measurements)
    if not surfaces or results.study.noise is None:
        return []
    runs = runs_of(results).at(results.study.training.lr)
    labels = {arm.name: arm.label for arm in results.study.arms}
    against = results.study.noise.against
    found = []
    for (arm, _), surface in surfaces.items():
        seeds = [(t.data_seed, t.init_seed) for t in surface_trials(results, arm)]
        chance = _values(runs.arms[ArmKey(arm, 0.0)], "chance", seeds)
        linear = None if against is None else _values(runs.arms[ArmKey(against)], "test_accuracy", seeds)
        if chance is None:
            continue
        points = breakdowns(surface, chance, linear)
        rival = labels[against] if against is not None and linear is not None else ""
        found.append(NoiseFinding(arm, labels[arm], surface, rival, linear, points))
    return found


def _values(runs: ArmRuns, metric: str, seeds: list[tuple[int, int]]) -> np.ndarray | None:
    """Values of a metric of the runs of some seeds; None where one has none."""
    keys = zip(runs.data_seeds.tolist(), runs.init_seeds.tolist(), strict=True)
    at = {pair: place for place, pair in enumerate(keys)}
    values = runs.values.get(metric)
    if values is None or any(pair not in at for pair in seeds):
        return None
    found = values[[at[pair] for pair in seeds]]
    return found if np.isfinite(found).all() else None
