"""Statistics over seeds. Resampling is by cluster: runs on the same data are averaged before anything else."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy

from qmoe.errors import ConfigError, ShapeError, StatisticalWarning
from qmoe.statistics.conventions import LEVEL

Values: TypeAlias = Sequence[float] | np.ndarray
Clusters: TypeAlias = Sequence[int] | np.ndarray | None

#: Bootstrap resamples; the bounds of an interval then move by about 1% of its width with the seed.
RESAMPLES = 9999
#: Fewer clusters than this decide nothing: five differences of one sign come by chance in more than 5% of cases.
MIN_CLUSTERS = 6
#: Resamples of so many values or fewer are remembered.
_FEW = 100
#: Values beyond which an interval is not remembered, since its key alone takes as much memory.
_MANY = 2000
#: Values beyond which resampling is replaced by its limit, which is then closer than the noise of resampling.
_LARGE = 5000
#: Values times resamples that are drawn at once, 256 MB of them with their counts.
_AT_ONCE = 1 << 24


class OverClusters:
    """A result that rests on clusters, such as the draws of the data."""

    n_clusters: int

    @property
    def enough(self) -> bool:
        """Whether there are enough clusters to decide anything."""
        return self.n_clusters >= MIN_CLUSTERS


@dataclass(frozen=True)
class Summary:
    """A sample in eight numbers.

    Attributes:
        n: number of values.
        mean: their mean.
        sd: standard deviation with 1/(n - 1); 0 for a single value.
        median: the middle value.
        q1: lower quartile.
        q3: upper quartile.
        minimum: the smallest.
        maximum: the largest.
    """

    n: int
    mean: float
    sd: float
    median: float
    q1: float
    q3: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class PairedDifference(OverClusters):
    """The mean of ``a - b`` over paired runs, with its interval.

    Attributes:
        mean: mean difference; every cluster counts once.
        low: lower bound of the interval, NaN for fewer than two clusters.
        high: upper bound.
        n_clusters: number of clusters it rests on.
    """

    mean: float
    low: float
    high: float
    n_clusters: int

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0, with enough clusters."""
        return self.enough and self.low > 0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0, with enough clusters."""
        return self.enough and self.high < 0


def summarize(values: Values) -> Summary:
    """Describes a sample.

    Args:
        values: ``(n,)`` finite numbers, at least one.

    Raises:
        ShapeError: for no values, more than one axis, or values that are not finite.

    Example:
        >>> from qmoe.statistics import summarize
        >>> summarize([0.9, 0.92, 0.94]).median
        0.92
    """
    x = _vector("values", values)
    q1, median, q3 = np.quantile(x, (0.25, 0.5, 0.75)).tolist()
    sd = 0.0 if _all_equal(x) else float(x.std(ddof=1))
    return Summary(len(x), float(x.mean()), sd, median, q1, q3, float(x.min()), float(x.max()))


def mean_interval(
    values: Values, clusters: Clusters = None, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Bounds the mean by a bias-corrected and accelerated bootstrap (BCa; Efron 1987) over clusters.

    Args:
        values: ``(n,)`` finite numbers.
        clusters: ``(n,)`` label of the cluster of each value, such as its data seed; values of a cluster are averaged
            first. None makes every value a cluster of its own.
        level: coverage, between 0 and 1.
        seed: seed of the resampling; equal seeds give equal bounds.

    Returns:
        Lower and upper bound. Both are the common value where all cluster means are equal, and NaN (with a
        `StatisticalWarning`) for fewer than two clusters.

    Raises:
        ConfigError: for a level outside (0, 1).
        ShapeError: when values and clusters do not fit together, or values are not finite.

    Example:
        >>> from qmoe.statistics import mean_interval
        >>> low, high = mean_interval([0.91, 0.93, 0.92, 0.95, 0.9, 0.94])
        >>> 0.9 < low < 0.925 < high < 0.95
        True
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}, expected a number between 0 and 1, such as {LEVEL:g}.")
    means = cluster_means(values, clusters)
    if len(means) < 2:
        warnings.warn(
            f"An interval needs at least 2 clusters, got {len(means)}; its bounds are NaN. Run more seeds.",
            StatisticalWarning,
            stacklevel=2,
        )
        return float("nan"), float("nan")
    if _all_equal(means):
        return float(means[0]), float(means[0])
    if len(means) > _LARGE:
        return _in_closed_form(means, level)
    interval = _bootstrapped if len(means) <= _MANY else _bootstrapped.__wrapped__
    return interval(tuple(means.tolist()), level, seed)


@functools.lru_cache(maxsize=4096)
def _bootstrapped(means: tuple[float, ...], level: float, seed: int) -> tuple[float, float]:
    """The interval of `mean_interval`, remembered: a report shows the same arms in several places."""
    x = np.array(means)
    middle = float(x.mean())
    drawn = resampled_means(x, seed)
    # Sums of the same values in another order are ties.
    slack = 1e-12 * float(np.abs(x).max())
    share = (np.count_nonzero(drawn < middle - slack) + np.count_nonzero(drawn <= middle + slack)) / (2 * RESAMPLES)
    z = scipy.special.ndtri([(1 - level) / 2, (1 + level) / 2])
    if 0 < share < 1:
        apart, bias = x - middle, scipy.special.ndtri(share)
        skew = float((apart**3).sum()) / (6 * float((apart**2).sum()) ** 1.5)
        z = bias + (bias + z) / (1 - skew * (bias + z))
    # Without a bias to correct, the mean lies at an end of its bootstrap distribution: the percentile interval.
    at = (RESAMPLES - 1) * scipy.special.ndtr(z)
    below, above = np.floor(at).astype(int), np.ceil(at).astype(int)
    drawn.partition(np.concatenate([below, above]))
    low, high = drawn[below] + (at - below) * (drawn[above] - drawn[below])
    return float(low), float(high)


def _in_closed_form(x: np.ndarray, level: float) -> tuple[float, float]:
    """The BCa interval of the mean of ``(n,)`` values, with the quantiles of resampled means by their skewness.

    Those are a Cornish-Fisher expansion, whose next term is of the order of 1 / n (Hall 1992, The Bootstrap and Edgeworth
    Expansion, section 2.5). Bias and acceleration are both a sixth of the skewness over the root of n.
    """
    middle = float(x.mean())
    apart = x - middle
    squares = float((apart**2).sum())
    skew = float((apart**3).sum()) / (6 * squares**1.5)
    z = scipy.special.ndtri([(1 - level) / 2, (1 + level) / 2])
    z = skew + (skew + z) / (1 - skew * (skew + z))
    low, high = middle + np.sqrt(squares) / len(x) * (z + skew * (z**2 - 1))
    return float(low), float(high)


def resampled_means(x: np.ndarray, seed: int) -> np.ndarray:
    """``(RESAMPLES, ...)``: the mean of each resample of ``(n, ...)`` values of n clusters."""
    n, rng = len(x), np.random.default_rng(seed)
    if n <= _FEW:
        return _few_counts(n, seed) @ x / n
    # Some resamples at a time: counts of all would take 16 bytes times n times RESAMPLES.
    rows = max(1, _AT_ONCE // n)
    sizes = [min(rows, RESAMPLES - first) for first in range(0, RESAMPLES, rows)]
    return np.concatenate([_drawn_counts(n, size, rng) @ x / n for size in sizes])


@functools.lru_cache(maxsize=16)
def _few_counts(n: int, seed: int) -> np.ndarray:
    """Remembered, since a judge asks for the same resamples in all of its tests; 128 MB of them at most."""
    return _drawn_counts(n, RESAMPLES, np.random.default_rng(seed))


def _drawn_counts(n: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """``(n_resamples, n)`` how often each of n values is in each resample."""
    index = rng.integers(0, n, (n_resamples, n))
    index += n * np.arange(n_resamples)[:, None]
    return np.bincount(index.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)


def paired_difference(
    a: Values, b: Values, clusters: Clusters = None, level: float = LEVEL, seed: int = 0
) -> PairedDifference:
    """The mean of ``a - b`` with its BCa interval; ``a[i]`` and ``b[i]`` come from the same seeds.

    Args:
        a: ``(n,)`` finite numbers.
        b: ``(n,)`` finite numbers.
        clusters: ``(n,)`` cluster of each pair, as for `mean_interval`.
        level: coverage.
        seed: seed of the resampling.

    Raises:
        ShapeError: when the three do not have the same length.
    """
    x, y = _vector("a", a), _vector("b", b)
    if len(x) != len(y):
        raise ShapeError(f"a has {len(x)} values and b has {len(y)}; pass pairs, leaving out what has no partner.")
    means = cluster_means(x - y, clusters)
    low, high = mean_interval(means, None, level, seed)
    return PairedDifference(float(means.mean()), low, high, len(means))


def percentile_of(value: float, sample: Values) -> float:
    """The percentage of ``sample`` below ``value``, ties counted half: 0 to 100.

    Raises:
        ShapeError: for a sample that is empty or not finite.

    Example:
        >>> from qmoe.statistics import percentile_of
        >>> percentile_of(0.93, [0.9, 0.92, 0.94, 0.96])
        50.0
    """
    return float(scipy.stats.percentileofscore(_vector("sample", sample), value, kind="mean"))


def cluster_means(values: Values, clusters: Clusters = None) -> np.ndarray:
    """Mean of the values ``(n,)`` of each cluster, in the order of the labels."""
    x = _vector("values", values)
    if clusters is None:
        return x
    labels = np.asarray(clusters)
    if labels.shape != x.shape:
        raise ShapeError(f"clusters has shape {labels.shape} for {len(x)} values; pass one label for each value.")
    _, index = np.unique(labels, return_inverse=True)
    return np.bincount(index, weights=x) / np.bincount(index)


def _vector(name: str, values: Values) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ShapeError(f"{name} has shape {x.shape}, expected (n,) with n of at least 1.")
    if not np.isfinite(x).all():
        raise ShapeError(f"{name} holds {x[~np.isfinite(x)][0]}, expected finite numbers; leave failed runs out.")
    return x


def _all_equal(x: np.ndarray) -> bool:
    """Whether the values differ by no more than rounding."""
    return bool(np.ptp(x) <= 1e-12 * np.abs(x).max())
