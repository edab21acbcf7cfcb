"""Paired tests for a difference between two arms.

As in `qmoe.statistics.bootstrap`, runs on the same data are averaged first, so the unit is a cluster. Differences are
rounded to 12 digits of the values they come from: 0.9 - 0.8 and 0.8 - 0.7 are one difference, and tests of ranks must
see it so.

Zero spread, where all differences are equal, is marked in every result: most often the seed did not reach the model. Its
meaning is fixed: equal arms have a p-value of 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from qmoe.errors import ShapeError, check_sizes, unknown
from qmoe.seeding import Seed, numpy_generator
from qmoe.statistics.bootstrap import Clusters, OverClusters, Values, cluster_means

Alternative = Literal["two-sided", "greater", "less"]

#: All 2^n sign flips are counted up to this many differences that are not 0 (8 MB of sums).
MAX_EXACT_FLIPS = 20
#: The null distribution of tied ranks is counted up to this many differences.
MAX_EXACT_RANKS = 200
#: Random signs that are drawn at once.
_SIGNS_AT_ONCE = 1 << 22
#: So many of them, or fewer, are remembered.
_FEW_SIGNS = 1 << 20
#: Values whose sums with all signs are tabulated together, and those signs ``(_BITS, 2^_BITS)``.
_BITS = 10
_EVERY = 2.0 * (np.arange(1 << _BITS) >> np.arange(_BITS)[:, None] & 1) - 1


@dataclass(frozen=True)
class PairedTest(OverClusters):
    """A test for a difference between two arms.

    Attributes:
        p_value: probability, if the arms were exchangeable within each pair, of a statistic at least as extreme.
        statistic: the test's own, see the function.
        n_clusters: number of clusters.
        n_zero: how many of them have a difference of 0.
        exact: whether the p-value counts the whole null distribution; otherwise it is approximate or drawn.
        zero_spread: whether all differences are equal.
    """

    p_value: float
    statistic: float
    n_clusters: int
    n_zero: int
    exact: bool
    zero_spread: bool


def wilcoxon_test(
    a: Values, b: Values, clusters: Clusters = None, alternative: Alternative = "two-sided"
) -> PairedTest:
    """The signed-rank test of ``a - b`` (Wilcoxon 1945); differences of 0 are left out, as Wilcoxon did.

    Exact, by counting the distribution of the ranks, tied or not. Beyond 200 differences by scipy's exact distribution
    without ties, and by the normal approximation with them.

    Args:
        a: ``(n,)`` finite numbers.
        b: ``(n,)`` finite numbers, from the same seeds.
        clusters: ``(n,)`` cluster of each pair, such as its data seed.
        alternative: ``"greater"`` asks whether a lies above b.

    Returns:
        The test; its statistic is the sum of the ranks of the positive differences.

    Raises:
        ConfigError: for an unknown alternative.
        ShapeError: when the three do not have the same length, or values are not finite.

    Example:
        >>> from qmoe.statistics import wilcoxon_test
        >>> wilcoxon_test([0.9, 0.92, 0.94, 0.95, 0.93], [0.8, 0.9, 0.85, 0.9, 0.9]).p_value
        0.0625
    """
    _check_alternative(alternative)
    d = paired_values(a, b, clusters)
    live = d[d != 0]
    if len(live) == 0:
        return _no_difference(d)
    _, place, counts = np.unique(np.abs(live), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    statistic = float(ranks[live > 0].sum())
    tied = len(counts) < len(live)
    exact = not tied or len(live) <= MAX_EXACT_RANKS
    if exact and len(live) <= MAX_EXACT_RANKS:
        mass = rank_distribution(ranks) if tied else _untied_ranks(len(live))
        p = _tail(mass, statistic, alternative)
    else:
        p = float(scipy.stats.wilcoxon(live, alternative=alternative, method="exact" if exact else "asymptotic").pvalue)
    return PairedTest(p, statistic, len(d), len(d) - len(live), exact, bool((d == d[0]).all()))


def sign_flip_test(
    a: Values,
    b: Values,
    clusters: Clusters = None,
    alternative: Alternative = "two-sided",
    *,
    n_resamples: int = 99_999,
    seed: Seed = 0,
) -> PairedTest:
    """The permutation test of the mean of ``a - b``: under exchange of the arms each difference has either sign.

    Exact where at most 20 differences are not 0; otherwise from random flips, the observed one counted among them (Phipson,
    Smyth 2010), so a p-value is at least ``1 / (n_resamples + 1)``.

    Args:
        a: ``(n,)`` finite numbers.
        b: ``(n,)`` finite numbers, from the same seeds.
        clusters: ``(n,)`` cluster of each pair.
        alternative: ``"greater"`` asks whether a lies above b.
        n_resamples: number of random flips.
        seed: seed of the random flips.

    Returns:
        The test; its statistic is the mean difference.

    Raises:
        ConfigError: for an unknown alternative, or no resamples.
        ShapeError: when the three do not have the same length, or values are not finite.
    """
    _check_alternative(alternative)
    check_sizes(n_resamples=n_resamples)
    d = paired_values(a, b, clusters)
    live = d[d != 0]
    if len(live) == 0:
        return _no_difference(d)
    # In this order and one precision, so that equal sums compare as equal.
    slack = 1e-9 * float(np.abs(live).sum())
    sign = {"greater": 1.0, "less": -1.0, "two-sided": 1.0}[alternative]
    observed = sign * float(live.sum())
    exact = len(live) <= MAX_EXACT_FLIPS
    if exact:
        every = np.zeros(1)
        for value in live:
            every = np.concatenate([every + value, every - value])
        p = _as_extreme(sign * every, observed, slack, alternative) / len(every)
    else:
        sums = _random_sums(live, seed, n_resamples)
        count = sum(_as_extreme(sign * part, observed, slack, alternative) for part in sums)
        p = (1 + count) / (1 + n_resamples)
    return PairedTest(p, float(d.mean()), len(d), len(d) - len(live), exact, bool((d == d[0]).all()))


def paired_values(a: Values, b: Values, clusters: Clusters = None) -> np.ndarray:
    """The differences ``a - b`` ``(k,)`` of k clusters, rounded to 12 digits of the values.

    Raises:
        ShapeError: when the three do not have the same length, or values are not finite.
    """
    x, y = cluster_means(a), cluster_means(b)
    if len(x) != len(y):
        raise ShapeError(f"a has {len(x)} values and b has {len(y)}; pass pairs, leaving out what has no partner.")
    scale = float(max(np.abs(x).max(), np.abs(y).max())) or 1.0
    # Decimal places, so that a difference of tenths is the number one would write.
    places = min(12 - math.ceil(math.log10(scale)), 300)
    return np.round(cluster_means(x - y, clusters), places) + 0.0  # no -0.0


def rank_distribution(ranks: np.ndarray) -> np.ndarray:
    """Probabilities of twice the sum of the positive ranks (halves occur in ties), each rank with either sign."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    mass = np.zeros(int(doubled.sum()) + 1)
    mass[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(mass)
        shifted[rank:] = mass[:-rank]
        mass = (mass + shifted) / 2
    return mass


def _no_difference(d: np.ndarray) -> PairedTest:
    return PairedTest(1.0, 0.0, len(d), len(d), True, True)


def _random_sums(values: np.ndarray, seed: Seed, n_resamples: int) -> Iterator[np.ndarray]:
    """``n_resamples`` sums of the values ``(n,)`` with random signs, by parts."""
    n = len(values)
    if n_resamples * n <= _FEW_SIGNS:
        codes = _few_signs(seed, n_resamples, n)
        padded = np.concatenate([values, np.zeros(-n % _BITS)]).reshape(-1, _BITS)
        # All sums of a few values each are counted once, and looked up.
        yield sum(table[code] for table, code in zip(padded @ _EVERY, codes, strict=True))
        return
    generator, at_once = numpy_generator(seed), max(1, _SIGNS_AT_ONCE // n)
    for start in range(0, n_resamples, at_once):
        yield _drawn_signs(generator, min(at_once, n_resamples - start), n) @ values


@functools.lru_cache(maxsize=64)
def _few_signs(seed: Seed, n_resamples: int, n: int) -> np.ndarray:
    """Signs as ``(parts, n_resamples)`` binary numbers; remembered, as a judge asks for the same in most of its tests."""
    signs = _drawn_signs(numpy_generator(seed), n_resamples, n)
    bits = np.concatenate([signs > 0, np.zeros((n_resamples, -n % _BITS), dtype=bool)], axis=1)
    return (bits.reshape(n_resamples, -1, _BITS) @ (1 << np.arange(_BITS))).T.copy()


def _drawn_signs(generator: np.random.Generator, n_rows: int, n: int) -> np.ndarray:
    return (2 * generator.integers(0, 2, size=(n_rows, n)) - 1).astype(np.float64)


def _as_extreme(sums: np.ndarray, observed: float, slack: float, alternative: str) -> int:
    if alternative == "two-sided":
        return int(np.count_nonzero(np.abs(sums) >= abs(observed) - slack))
    return int(np.count_nonzero(sums >= observed - slack))


@functools.lru_cache(maxsize=64)
def _untied_ranks(n: int) -> np.ndarray:
    return rank_distribution(np.arange(1, n + 1))


def _tail(mass: np.ndarray, statistic: float, alternative: str) -> float:
    at = round(2 * statistic)
    below, above = float(mass[: at + 1].sum()), float(mass[at:].sum())
    if alternative == "two-sided":
        return min(1.0, 2 * min(below, above))
    return above if alternative == "greater" else below


def _check_alternative(alternative: str) -> None:
    if alternative not in ("two-sided", "greater", "less"):
        raise unknown("alternative", alternative, ("two-sided", "greater", "less"))
