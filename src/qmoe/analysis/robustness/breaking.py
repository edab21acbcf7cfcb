"""Where a router stops being worth it: points of breakdown on a surface over noise and shots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qmoe.analysis.robustness.surface import NoiseSurface
from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import Crossing, crossing
from qmoe.statistics.conventions import MARGIN

#: Criterion -> what has happened from its point on.
CRITERIA = {
    "advantage": "no more accurate than the linear router",
    "margin": f"{100 * MARGIN:g} points below exact and noise-free",
    "half": "half of the gain over chance is lost",
}


@dataclass(frozen=True)
class Breakdown:
    """The noise strength from which on a criterion holds, at one number of shots.

    Attributes:
        criterion: one of `CRITERIA`.
        shots: number of shots; None for exact expectation values.
        strength: where, with its interval over draws; infinity is beyond the grid.
        first: the least strength of the grid: a breakdown there is there without more noise.
        last: the largest strength of the grid.
    """

    criterion: str
    shots: int | None
    strength: Crossing
    first: float
    last: float

    @property
    def words(self) -> str:
        """The strength with its interval, ``"not reached up to p = 0.3"`` beyond the grid."""
        found = self.strength
        if found.at <= self.first and found.high <= self.first:
            return f"already at p = {self.first:g}"
        bounds = "" if np.isnan(found.low) else f" [{self._bound(found.low)}, {self._bound(found.high)}]"
        if not found.reached:
            return f"not reached up to p = {self.last:g}" + (bounds if np.isfinite(found.low) else "")
        return f"p = {found.at:.3f}{bounds}"

    def _bound(self, value: float) -> str:
        return f"{value:.3f}" if np.isfinite(value) else f"beyond {self.last:g}"


def breakdowns(
    surface: NoiseSurface,
    chance: float | np.ndarray,
    linear: np.ndarray | None = None,
    margin: float = MARGIN,
    seed: int = 0,
) -> Mapping[tuple[str, int | None], Breakdown]:
    """Where each criterion holds from then on, for each number of shots.

    * ``"advantage"``: the mean accuracy is no more than that of the linear router on the same draws;
    * ``"margin"``: it is at least ``margin`` below that at the least strength and exact expectation values. Up to the lower
      bound of the interval it is not inferior by so much;
    * ``"half"``: it has at most half of the gain over chance that it has there.

    Args:
        surface: accuracies of M models.
        chance: accuracy of guessing, one number or ``(M,)``.
        linear: ``(M,)`` accuracies of the linear router on the draws of the models; None leaves ``"advantage"`` out.
        margin: largest loss that does not matter.
        seed: seed of the resampling.

    Raises:
        ConfigError: for a surface without exact expectation values, from which the others are told.
        ShapeError: for accuracies of another number of models.
    """
    if None not in surface.shots:
        raise ConfigError(
            "The surface has no exact expectation values, from which losses are told; add None to its shots."
        )
    accuracy, m = surface.accuracy, len(surface.accuracy)
    guessing = np.broadcast_to(np.asarray(chance, dtype=np.float64), (m,))
    if linear is not None and np.shape(linear) != (m,):
        raise ShapeError(f"linear has shape {np.shape(linear)} for {m} models, expected ({m},), paired with them.")
    clean = accuracy[:, 0, surface.shots.index(None)]
    found = {}
    for place, shots in enumerate(surface.shots):
        at = accuracy[:, :, place]
        left: dict[str, np.ndarray] = {} if linear is None else {"advantage": at - linear[:, None]}
        left["margin"] = at - clean[:, None] + margin
        left["half"] = at - guessing[:, None] - (clean - guessing)[:, None] / 2
        for criterion, curves in left.items():
            where = crossing(curves, surface.strengths, surface.clusters, seed=seed)
            ends = surface.strengths[0], surface.strengths[-1]
            found[criterion, shots] = Breakdown(criterion, shots, where, *ends)
    return found
