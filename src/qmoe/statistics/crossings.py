"""Where the mean of a curve over draws crosses 0 for good, with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics.bootstrap import Clusters, OverClusters, cluster_means, resampled_means
from qmoe.statistics.conventions import LEVEL


@dataclass(frozen=True)
class Crossing(OverClusters):
    """Where a mean curve that begins above 0 comes down to it and stays there.

    Attributes:
        at: the place, between two points of the grid by linear interpolation; the first point where the curve is never
            above 0, infinity where it is above 0 at the last point.
        low: lower bound of its interval.
        high: upper bound; infinity where so many resamples are above 0 at the last point.
        share: share of the resamples in which the curve comes down within the grid.
        n_clusters: number of clusters it rests on.
    """

    at: float
    low: float
    high: float
    share: float
    n_clusters: int

    @property
    def reached(self) -> bool:
        """Whether the curve comes down within the grid."""
        return math.isfinite(self.at)


def crossing(
    values: np.ndarray,
    grid: Sequence[float] | np.ndarray,
    clusters: Clusters = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Crossing:
    """Where the mean over draws of curves on a grid falls to 0 for good.

    The interval is that of percentiles: where the curve of the mean crosses in resamples of the clusters. What follows from
    one draw stays together, so curves that are differences of two models on one draw are paired.

    Args:
        values: ``(n, P)`` finite numbers: curves over the grid.
        grid: ``(P,)`` rising points.
        clusters: ``(n,)`` cluster of each curve, as for `qmoe.statistics.mean_interval`.
        level: coverage, between 0 and 1.
        seed: seed of the resampling.

    Raises:
        ConfigError: for a level outside (0, 1).
        ShapeError: when the arguments do not fit together, or the grid does not rise.

    Example:
        >>> from qmoe.statistics import crossing
        >>> import numpy as np
        >>> curves = np.linspace(0.1, -0.2, 7) + np.random.default_rng(0).normal(0, 0.01, (20, 7))
        >>> round(crossing(curves, np.linspace(0, 0.6, 7)).at, 1)
        0.2
    """
    curves, points = np.asarray(values, dtype=np.float64), np.asarray(grid, dtype=np.float64)
    if curves.ndim != 2 or curves.shape[1] != len(points) or points.ndim != 1 or not len(points):
        raise ShapeError(f"values has shape {curves.shape} for a grid of {points.shape}, expected (n, P) and (P,).")
    if not (np.diff(points) > 0).all():
        raise ShapeError(f"grid is {points.tolist()}, expected rising numbers.")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}, expected a number between 0 and 1, such as {LEVEL:g}.")
    means = np.stack([cluster_means(curves[:, p], clusters) for p in range(len(points))], axis=1)
    at = float(_fallen(means.mean(axis=0)[None], points)[0])
    if len(means) < 2:
        return Crossing(at, math.nan, math.nan, float(math.isfinite(at)), len(means))
    drawn = _fallen(resampled_means(means, seed), points)
    # Of infinite places none may be averaged with another.
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Crossing(at, float(low), float(high), float(np.isfinite(drawn).mean()), len(means))


def _fallen(curves: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """``(R,)``: where each of ``(R, P)`` curves falls to 0 for good."""
    above = curves > 0
    last = above.shape[1] - 1 - above[:, ::-1].argmax(axis=1)  # the last point above 0, where there is one
    following = np.minimum(last + 1, len(grid) - 1)
    rows = np.arange(len(curves))
    high, low = curves[rows, last], curves[rows, following]
    apart = np.where(high > low, high - low, 1.0)
    between = grid[last] + (grid[following] - grid[last]) * high / apart
    found = np.where(last == len(grid) - 1, math.inf, between)
    return np.asarray(np.where(above.any(axis=1), found, grid[0]))
