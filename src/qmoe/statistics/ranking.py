"""Several comparisons at once: over claims, and of many arms over many data sets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics.conventions import ALPHA
from qmoe.statistics.paired_tests import wilcoxon_test


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """What a critical-difference diagram shows: A arms over N data sets.

    Attributes:
        names: the arms, best mean rank first.
        mean_ranks: ``(A,)`` mean rank over the data sets, 1 the best, in that order.
        friedman_statistic: Friedman's chi-squared.
        friedman_p: its p-value; 1 where all arms are equal on all data sets.
        p_values: ``(A, A)`` pairwise Wilcoxon p-values after Holm's correction; 1 on the diagonal.
        cliques: groups of arms next to each other, as large as can be, none of whose pairs differ; bars of the diagram. An
            arm that differs from its neighbours is in none. All arms are one clique where Friedman's test finds nothing.
        alpha: the level.
        n_datasets: number of data sets N.
    """

    names: tuple[str, ...]
    mean_ranks: np.ndarray
    friedman_statistic: float
    friedman_p: float
    p_values: np.ndarray
    cliques: tuple[tuple[str, ...], ...]
    alpha: float
    n_datasets: int


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's (1979) step-down adjustment of p-values ``(m,)``: reject every hypothesis whose adjusted value is below alpha.

    Controls the chance of any false rejection, whatever the tests' dependence.

    Raises:
        ShapeError: for values that are not probabilities.

    Example:
        >>> from qmoe.statistics import holm
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
        raise ShapeError(
            f"p_values is {p_values!r}, expected (m,) numbers from 0 to 1; a test that failed has no p-value."
        )
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def critical_difference(
    scores: np.ndarray, names: Sequence[str], *, higher_is_better: bool = True, alpha: float = ALPHA
) -> CriticalDifference:
    """Ranks A arms over N data sets: Friedman's test, then Wilcoxon tests of all pairs with Holm's correction.

    The pairwise tests are those that Benavoli, Corani, Mangili (2016, JMLR 17) advise in place of tests of mean ranks, whose
    verdict on a pair depends on the other arms; after Demsar (2006, JMLR 7).

    Args:
        scores: ``(N, A)`` one number for each data set and arm, such as the mean accuracy over seeds; no data set twice.
        names: A names.
        higher_is_better: whether rank 1 is the largest score.
        alpha: the level.

    Raises:
        ShapeError: for fewer than 2 data sets or 3 arms, scores that are not finite, or names that do not fit.
        ConfigError: for alpha outside (0, 1).

    Example:
        >>> from qmoe.statistics import critical_difference
        >>> import numpy as np
        >>> scores = np.array([[0.9, 0.8, 0.7]] * 9 + [[0.8, 0.9, 0.7]])
        >>> critical_difference(scores, ["a", "b", "c"]).mean_ranks
        array([1.1, 1.9, 3. ])
    """
    table, arms = np.asarray(scores, dtype=np.float64), tuple(names)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise ShapeError(
            f"scores has shape {table.shape}, expected (N, A) with at least 2 data sets and 3 arms; compare two arms by "
            "wilcoxon_test."
        )
    if not np.isfinite(table).all():
        raise ShapeError("scores are not all finite; leave out data sets on which an arm failed.")
    if len(arms) != table.shape[1] or len(set(arms)) != len(arms):
        raise ShapeError(f"Got {len(set(arms))} different names for {table.shape[1]} arms; pass one each.")
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is {alpha!r}, expected a number between 0 and 1, such as {ALPHA:g}.")
    # Scores that differ by rounding alone are ties.
    table = np.round(table / (float(np.abs(table).max()) or 1.0), 12)
    ranks = scipy.stats.rankdata(-table if higher_is_better else table, axis=1)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    table, ranks, arms = table[:, order], ranks[:, order], tuple(arms[i] for i in order)
    if np.ptp(table, axis=1).any():
        friedman = scipy.stats.friedmanchisquare(*table.T)
        statistic, p = float(friedman.statistic), float(friedman.pvalue)
    else:
        statistic, p = 0.0, 1.0
    pairs = list(itertools.combinations(range(len(arms)), 2))
    adjusted = holm([wilcoxon_test(table[:, i], table[:, j]).p_value for i, j in pairs])
    p_values = np.eye(len(arms))
    for (i, j), value in zip(pairs, adjusted, strict=True):
        p_values[i, j] = p_values[j, i] = value
    alike = p_values >= alpha if p < alpha else np.ones_like(p_values, dtype=bool)
    return CriticalDifference(
        arms, ranks.mean(axis=0), statistic, p, p_values, _cliques(alike, arms), alpha, len(table)
    )


def _cliques(alike: np.ndarray, arms: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Runs of at least two neighbouring arms, all alike, that no longer run holds."""
    found: list[tuple[str, ...]] = []
    reached = 0
    for start in range(len(arms)):
        end = start + 1
        while end < len(arms) and alike[start : end + 1, start : end + 1].all():
            end += 1
        if end - start > 1 and end > reached:
            found.append(arms[start:end])
            reached = end
    return tuple(found)
