"""Paired equivalence: is there no difference that matters?"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import scipy

from qmoe.errors import ConfigError, StatisticalWarning
from qmoe.statistics.bootstrap import MIN_CLUSTERS, Clusters, Values
from qmoe.statistics.conventions import ALPHA
from qmoe.statistics.paired_tests import paired_values, rank_distribution, wilcoxon_test


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: is the difference within a margin?

    Attributes:
        p_value: the larger of the two one-sided p-values; below alpha, the arms are equivalent.
        estimate: mean difference; the Hodges-Lehmann pseudo-median for the robust variant.
        low: lower bound of the interval of coverage 1 - 2 alpha, which lies within the margin where the arms are equivalent.
        high: upper bound.
        margin: the margin.
        alpha: the level of each test.
        n_clusters: number of clusters.
        zero_spread: whether all differences are equal; p_value is then 0 or 1, as the common difference is within or not.
    """

    p_value: float
    estimate: float
    low: float
    high: float
    margin: float
    alpha: float
    n_clusters: int
    zero_spread: bool

    @property
    def equivalent(self) -> bool:
        """Whether the arms are equivalent, on clusters enough to tell."""
        return self.n_clusters >= MIN_CLUSTERS and self.p_value < self.alpha


def equivalence_test(
    a: Values, b: Values, margin: float, clusters: Clusters = None, alpha: float = ALPHA, *, robust: bool = False
) -> Equivalence:
    """Two one-sided tests (TOST; Schuirmann 1987) of ``-margin < a - b < margin``.

    Args:
        a: ``(n,)`` finite numbers.
        b: ``(n,)`` finite numbers, from the same seeds.
        margin: the largest difference that does not matter.
        clusters: ``(n,)`` cluster of each pair.
        alpha: level of each test.
        robust: signed-rank tests of the pseudo-median in place of t tests of the mean; for symmetric differences with
            heavy tails.

    Returns:
        The test. With one cluster there is no spread to judge by: p_value is 1 and the interval has no bounds.

    Raises:
        ConfigError: for a margin that is not positive, or alpha outside (0, 1/2).
        ShapeError: when the three do not have the same length, or values are not finite.
    """
    if not 0 < margin < math.inf:
        raise ConfigError(
            f"margin is {margin!r}, expected a positive number: the largest difference that does not matter."
        )
    if not 0 < alpha < 0.5:
        raise ConfigError(f"alpha is {alpha!r}, expected a number between 0 and 0.5, such as {ALPHA:g}.")
    d = paired_values(a, b, clusters)
    n, middle = len(d), float(d.mean())
    flat = bool((d == d[0]).all())
    if n < 2:
        warnings.warn("Equivalence needs at least 2 clusters, got 1; run more seeds.", StatisticalWarning, stacklevel=2)
        return Equivalence(1.0, middle, -math.inf, math.inf, margin, alpha, n, flat)
    if flat:
        return Equivalence(float(abs(d[0]) >= margin), float(d[0]), float(d[0]), float(d[0]), margin, alpha, n, True)
    if robust:
        shift = np.full(n, margin)
        tests = wilcoxon_test(d, -shift, None, "greater"), wilcoxon_test(d, shift, None, "less")
        middle, low, high = _hodges_lehmann(d, alpha)
        return Equivalence(max(t.p_value for t in tests), middle, low, high, margin, alpha, n, False)
    # Two t tests; the nearer bound has the larger p-value.
    error = float(d.std(ddof=1)) / math.sqrt(n)
    p = float(scipy.special.stdtr(n - 1, (abs(middle) - margin) / error))
    reach = float(scipy.special.stdtrit(n - 1, 1 - alpha)) * error
    return Equivalence(p, middle, middle - reach, middle + reach, margin, alpha, n, False)


def _hodges_lehmann(d: np.ndarray, alpha: float) -> tuple[float, float, float]:
    """The median of the Walsh averages, and the interval of coverage 1 - 2 alpha that inverts the signed-rank test."""
    rows, columns = np.triu_indices(len(d))
    walsh = np.sort((d[rows] + d[columns]) / 2)
    tail = np.cumsum(rank_distribution(np.arange(1, len(d) + 1))[::2])
    cut = int(np.count_nonzero(tail <= alpha))
    bounds = (float(walsh[cut - 1]), float(walsh[-cut])) if cut else (-math.inf, math.inf)
    return float(np.median(walsh)), *bounds
