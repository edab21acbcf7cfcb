"""Shares with intervals: how often one arm wins, and how often a run succeeds.

As in `qmoe.statistics.bootstrap`, runs on the same data are averaged first, so the unit is a cluster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from qmoe.errors import ConfigError
from qmoe.statistics.bootstrap import Clusters, Values, cluster_means
from qmoe.statistics.conventions import LEVEL
from qmoe.statistics.paired_tests import paired_values


@dataclass(frozen=True)
class Proportion:
    """A share with its Wilson score interval.

    Attributes:
        value: the share.
        low: lower bound.
        high: upper bound.
        n_clusters: number of clusters it rests on.
    """

    value: float
    low: float
    high: float
    n_clusters: int


def probability_of_superiority(a: Values, b: Values, clusters: Clusters = None, level: float = LEVEL) -> Proportion:
    """``P(A > B) + P(A = B) / 2`` over pairs, with its Wilson interval; 1/2 where no arm wins more often.

    Ties have less variance than wins and losses, so with them the interval is wider than it need be.

    Args:
        a: ``(n,)`` finite numbers.
        b: ``(n,)`` finite numbers, from the same seeds.
        clusters: ``(n,)`` cluster of each pair; a cluster is won by its mean difference.
        level: coverage.

    Raises:
        ConfigError: for a level outside (0, 1).
        ShapeError: when the three do not have the same length, or values are not finite.

    Example:
        >>> from qmoe.statistics import probability_of_superiority
        >>> probability_of_superiority([0.9, 0.92, 0.94, 0.95], [0.8, 0.93, 0.85, 0.9]).value
        0.75
    """
    d = paired_values(a, b, clusters)
    return _wilson(float((np.sign(d) + 1).mean() / 2), len(d), level)


def success_rate(values: Values, threshold: float, clusters: Clusters = None, level: float = LEVEL) -> Proportion:
    """The share of runs at or above ``threshold``, with its Wilson interval; for outcomes that are good or bad.

    Args:
        values: ``(n,)`` finite numbers, such as accuracies.
        threshold: a run succeeds that reaches it.
        clusters: ``(n,)`` cluster of each run; a cluster counts by its share of successes, and the interval is that of
            clusters that succeed or fail as a whole, which is the widest case.
        level: coverage.

    Raises:
        ConfigError: for a level outside (0, 1), or a threshold that is no number.
        ShapeError: when the two do not have the same length, or values are not finite.

    Example:
        >>> from qmoe.statistics import success_rate
        >>> success_rate([0.99, 0.97, 0.8, 0.98], threshold=0.95).value
        0.75
    """
    if not math.isfinite(threshold):
        raise ConfigError(f"threshold is {threshold!r}, expected a finite number.")
    cluster_means(values, clusters)
    shares = cluster_means((np.asarray(values, dtype=np.float64) >= threshold).astype(np.float64), clusters)
    return _wilson(float(shares.mean()), len(shares), level)


def _wilson(share: float, n: int, level: float) -> Proportion:
    """Wilson's score interval; scipy has it for whole numbers of successes, ties and clusters have fractions."""
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}, expected a number between 0 and 1, such as {LEVEL:g}.")
    z2 = float(scipy.special.ndtri((1 + level) / 2)) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    # Around a share of 0 or 1 rounding could leave it outside of its own interval.
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Proportion(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)), n)
