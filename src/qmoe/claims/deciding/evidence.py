"""The statistical core of a verdict: paired scores by cluster in, supported, refuted or inconclusive out.

The rules, for "a is greater than b" with a margin (the smallest difference that matters):

* refuted: the mean difference is shown to be below the margin (or ``at_least``, if that is larger). That holds where b is
  better, where the two are equivalent within the margin, and where a is ahead by too little to matter;
* supported: it is shown to be above ``at_least`` (0 unless stated), its estimate is at least the margin, and its 95%
  interval does not lie wholly inside the margin;
* inconclusive: everything else. A lead that is shown but whose interval lies inside the margin is a lead too small to
  matter; one whose estimate alone is below the margin may or may not matter. That a difference was not found never refutes
  anything.

"Shown" means three things at once: a two-sided sign-flip test of the mean against that bound, significant after the
correction for multiple comparisons; the 95% BCa interval of the mean on the same side of it; and a signed-rank test that
does not significantly say the opposite. Equivalence is shown by two one-sided t tests (TOST), significant after that
correction, and the interval within the margin.

Every piece of evidence also says what it could have found: the smallest effect that its number of draws finds with a chance
of 80% (two-sided t test at 5%), and the draws of the data that the margin needs for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from qmoe.claims.deciding.alone import shown_alone
from qmoe.claims.vocabulary import Direction, Outcome, Scale
from qmoe.errors import ConfigError, ShapeError, unknown
from qmoe.statistics.bootstrap import MIN_CLUSTERS, Clusters, Values, cluster_means, mean_interval
from qmoe.statistics.conventions import ALPHA, POWER
from qmoe.statistics.equivalence import equivalence_test
from qmoe.statistics.paired_tests import sign_flip_test, wilcoxon_test
from qmoe.statistics.power import draws_needed, smallest_effect
from qmoe.statistics.proportions import Proportion, probability_of_superiority, success_rate

#: Random sign flips where all cannot be counted: p-values go down to 1/20,000, enough for hundreds of tests.
FLIPS = 19_999


@dataclass(frozen=True)
class Contrast:
    """What is asked of two arms; the fields are those of a claim's test.

    Attributes:
        direction: ``"greater"``, ``"less"``, ``"equivalent"``, ``"not_less"`` or ``"not_more"``: a against b.
        margin: smallest difference that matters (a factor on the ratio scale).
        at_least: for ``"greater"`` and ``"less"``, what the difference must exceed; None for 0 (1 on the ratio scale).
        scale: whether differences or ratios of a and b are taken; ratios are of geometric means.
    """

    direction: Direction = "greater"
    margin: float = 0.0
    at_least: float | None = None
    scale: Scale = "difference"

    @property
    def sign(self) -> float:
        """1 where a is claimed to lie above b, -1 below."""
        return -1.0 if self.direction in ("less", "not_more") else 1.0

    def distance(self, value: float) -> float:
        """A difference, or the logarithm of a ratio: what tests compute with."""
        return math.log(value) if self.scale == "ratio" else value

    def back(self, distance: float) -> float:
        """The difference or ratio that a distance stands for."""
        return math.exp(distance) if self.scale == "ratio" else distance

    @property
    def bounds(self) -> tuple[float, float]:
        """What the oriented difference must exceed to support, and stay below to refute."""
        margin = self.distance(self.margin)
        if self.direction in ("greater", "less"):
            least = 0.0 if self.at_least is None else self.distance(self.at_least)
            return least, max(least, margin)
        return -margin, -margin


@dataclass(frozen=True)
class PairedFigures:
    """Two arms side by side.

    Attributes:
        effect: mean of ``a - b``, or geometric mean of ``a / b`` on the ratio scale; every cluster counts once.
        low: lower bound of its 95% BCa interval.
        high: upper bound.
        mean_a: mean of a over clusters (geometric on the ratio scale).
        mean_b: mean of b.
        n_clusters: number of clusters, such as draws of the data.
    """

    effect: float
    low: float
    high: float
    mean_a: float
    mean_b: float
    n_clusters: int


@dataclass(frozen=True)
class Evidence(PairedFigures):
    """What paired scores say about a contrast, before the correction for multiple comparisons.

    Attributes:
        contrast: what was asked.
        n_pairs: number of pairs.
        p_support: p-value of the test that could support.
        p_refute: p-value of the test that could refute.
        beyond_support: whether the interval lies where support needs it.
        beyond_refute: whether the interval lies where refutation needs it.
        ranks_against_support: whether the signed-rank test significantly says the opposite of support.
        ranks_against_refute: the same for refutation.
        matters: whether the estimate reaches the margin on the side that is claimed (``"greater"`` and ``"less"`` alone).
        inside_margin: whether the interval lies wholly inside the margin.
        sd: standard deviation of the differences of the clusters (of log ratios on the ratio scale).
        rank_p: two-sided p-value of the signed-rank test for any difference.
        tost_p: p-value of equivalence within the margin; 1 without a margin.
        wins: share of clusters in which a is above b, ties counted half.
        success_a: share of runs of a at or above the stated threshold, or None.
        success_b: the same of b.
        zero_spread: whether all differences are equal.
        exact: whether the scores are counts, not samples, such as numbers of parameters.
    """

    contrast: Contrast
    n_pairs: int
    p_support: float
    p_refute: float
    beyond_support: bool
    beyond_refute: bool
    ranks_against_support: bool
    ranks_against_refute: bool
    matters: bool
    inside_margin: bool
    sd: float
    rank_p: float
    tost_p: float
    wins: Proportion
    success_a: Proportion | None
    success_b: Proportion | None
    zero_spread: bool
    exact: bool

    @property
    def leans(self) -> bool:
        """Whether the estimate alone is on the side that supports: a lead that matters, or none that does."""
        effect, margin = self.contrast.distance(self.effect), self.contrast.distance(self.contrast.margin)
        if self.contrast.direction == "equivalent":
            return abs(effect) <= margin
        return self.contrast.sign * effect >= self.contrast.bounds[1]

    @property
    def smallest_effect(self) -> float | None:
        """The difference (or factor) that so many clusters find with a power of 80%; None for counts."""
        if self.exact:
            return None
        return self.contrast.back(math.inf if self.n_clusters < 2 else smallest_effect(self.sd, self.n_clusters))

    @property
    def draws_needed(self) -> int | None:
        """Clusters that find a difference of the margin with a power of 80%.

        None without a margin, for counts, and where it is more than anybody could run.
        """
        margin = self.contrast.distance(self.contrast.margin)
        return draws_for(self.sd, margin) if margin > 0 and not self.exact else None


def draws_for(sd: float, margin: float, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """As `qmoe.statistics.power.draws_needed` for a positive margin; None where that is more than anybody could run."""
    try:
        return draws_needed(sd, margin, power, alpha)
    except ConfigError:
        # Other values out of their range are refused by whoever asked for them.
        return None


@dataclass(frozen=True)
class Decision:
    """An outcome with the evidence and the corrected p-values it rests on.

    Attributes:
        outcome: ``"supported"``, ``"refuted"`` or ``"inconclusive"``.
        evidence: the evidence.
        p_support: corrected p-value of the test that could support.
        p_refute: corrected p-value of the test that could refute.
        alpha: the level they were held against.
        why_open: for an inconclusive outcome, what stood in the way, in plain words; else "".
    """

    outcome: Outcome
    evidence: Evidence
    p_support: float
    p_refute: float
    alpha: float
    why_open: str = ""

    @property
    def equivalent(self) -> bool:
        """Whether the two are equivalent within the margin, by TOST at the level without correction; for wording only."""
        return self.evidence.tost_p < self.alpha and self.evidence.n_clusters >= MIN_CLUSTERS


def decide(
    a: Values,
    b: Values,
    contrast: Contrast,
    clusters: Clusters = None,
    *,
    alpha: float = ALPHA,
    success: float | None = None,
    exact: bool = False,
    seed: int = 0,
) -> Decision:
    """Decides one contrast by itself; `qmoe.claims.judge` decides many together, with Holm's correction.

    Args:
        a: ``(n,)`` finite scores.
        b: ``(n,)`` finite scores of the same seeds.
        contrast: what is asked.
        clusters: ``(n,)`` seed of the data of each pair; None makes each pair a cluster.
        alpha: level of the tests.
        success: threshold at or above which a run succeeds, for scores that are good or bad and not in between.
        exact: whether scores are counts without error.
        seed: seed of the resampling.

    Raises:
        ConfigError: for a ratio of values that are not positive, an unknown direction, or alpha outside (0, 1/2).
        ShapeError: when a, b and clusters do not fit together, or are not finite.
    """
    evidence = weigh(a, b, contrast, clusters, alpha=alpha, success=success, exact=exact, seed=seed)
    return conclude(evidence, evidence.p_support, evidence.p_refute, alpha)


def weigh(
    a: Values,
    b: Values,
    contrast: Contrast,
    clusters: Clusters = None,
    *,
    alpha: float = ALPHA,
    success: float | None = None,
    exact: bool = False,
    seed: int = 0,
) -> Evidence:
    """The evidence of paired scores for and against a contrast; arguments as for `decide`."""
    if not 0 < alpha < 0.5:
        raise ConfigError(f"alpha is {alpha!r}, expected a number between 0 and 0.5, such as {ALPHA:g}.")
    x, y = _paired(a, b, contrast)
    sign, (support, refute) = contrast.sign, contrast.bounds
    # One number for each cluster, from here on with a on the side where it is claimed to be.
    differences = cluster_means(x - y, clusters)
    d, n = sign * differences, len(differences)
    low, high = mean_interval(differences, seed=seed) if n > 1 else (-math.inf, math.inf)
    towards = (low, high) if sign > 0 else (-high, -low)
    flat = bool(np.ptp(d) <= 1e-12 * max(1.0, float(np.abs(d).max())))
    tost, tost_p = None, 1.0
    margin = contrast.distance(contrast.margin)
    if margin > 0 and n > 1:
        tost = equivalence_test(d, np.zeros(n), margin, alpha=alpha)
        tost_p = tost.p_value
    if exact:
        p_support, p_refute, beyond = _counted(d, contrast.direction, support, refute, margin)
        against = (False, False)
    elif contrast.direction == "equivalent":
        p_support = tost_p
        p_refute = min(_flip(d, margin, "greater", seed), _flip(d, -margin, "less", seed))
        # TOST alone, whose t tests know nothing of skewness, says "equivalent" in 8 to 12% of studies in which rare failures
        # cost exactly the margin (see calibration); with the BCa interval too it is below 5%.
        within = tost is not None and -margin < min(tost.low, low) and max(tost.high, high) < margin
        beyond = (within, low > margin or high < -margin)
        against = (min(_ranks(d, margin, "greater"), _ranks(d, -margin, "less")) < alpha / 2, False)
    else:
        p_support, p_refute = _flip(d, support, "greater", seed), _flip(d, refute, "less", seed)
        beyond = (towards[0] > support, towards[1] < refute)
        against = (_ranks(d, support, "less") < alpha, _ranks(d, refute, "greater") < alpha)
    towards_mean = float(np.mean(d))
    matters = contrast.direction not in ("greater", "less") or towards_mean >= refute
    effect, mean_a, mean_b = (
        float(np.mean(v)) for v in (differences, cluster_means(x, clusters), cluster_means(y, clusters))
    )
    return Evidence(
        contrast=contrast,
        effect=contrast.back(effect),
        low=contrast.back(low),
        high=contrast.back(high),
        mean_a=contrast.back(mean_a),
        mean_b=contrast.back(mean_b),
        n_clusters=n,
        n_pairs=len(x),
        p_support=p_support,
        p_refute=p_refute,
        beyond_support=beyond[0],
        beyond_refute=beyond[1],
        ranks_against_support=against[0],
        ranks_against_refute=against[1],
        matters=matters,
        inside_margin=bool(margin > 0 and -margin < low and high < margin),
        sd=0.0 if flat or n < 2 else float(d.std(ddof=1)),
        rank_p=wilcoxon_test(d, np.zeros(n)).p_value,
        tost_p=tost_p,
        wins=probability_of_superiority(x, y, clusters),
        success_a=None if success is None else success_rate(a, success, clusters),
        success_b=None if success is None else success_rate(b, success, clusters),
        zero_spread=flat,
        exact=exact,
    )


def _paired(a: Values, b: Values, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """The scores ``(n,)`` as a contrast takes their differences: themselves, or on the ratio scale their logarithms."""
    if contrast.direction not in get_args(Direction):
        raise unknown("direction", contrast.direction, get_args(Direction))
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(f"a and b have shapes {x.shape} and {y.shape}, expected (n,) twice; pass pairs.")
    if contrast.scale == "difference":
        return x, y
    if not (np.all(x > 0) and np.all(y > 0)):
        raise ConfigError("A ratio needs positive values, got some that are not; use scale = 'difference'.")
    return np.log(x), np.log(y)


def conclude(evidence: Evidence, p_support: float, p_refute: float, alpha: float = ALPHA) -> Decision:
    """The outcome, given p-values after the correction for multiple comparisons.

    Where a lead and its being below the margin are both shown, that refutes: the margin says what matters.
    """
    e = evidence
    enough = e.exact or e.n_clusters >= MIN_CLUSTERS
    refuted = enough and p_refute < alpha and e.beyond_refute and not e.ranks_against_refute
    shown = enough and p_support < alpha and e.beyond_support and not e.ranks_against_support
    lead = e.contrast.direction in ("greater", "less")
    if refuted:
        return Decision("refuted", e, p_support, p_refute, alpha)
    if shown and not (lead and (e.inside_margin or not e.matters)):
        return Decision("supported", e, p_support, p_refute, alpha)
    if shown and e.inside_margin:
        why = "the lead is too small to matter: its confidence interval lies inside the margin"
    elif shown:
        why = "a lead is significant, but its estimate is below the smallest difference that matters"
    elif not enough:
        why = f"there are only {e.n_clusters} independent seeds, and a verdict needs at least {MIN_CLUSTERS}"
    elif (p_support < alpha and e.beyond_support) or (p_refute < alpha and e.beyond_refute):
        why = "the test of the mean and the signed-rank test contradict each other"
    elif (supports := _alone(e, alpha)) is not None:
        alone = shown_alone(e.contrast, supports)
        why = f"taken by itself, this comparison {alone}, but not after the correction for multiple comparisons"
    else:
        why = "the numbers are compatible with a difference that matters and with one that does not"
    return Decision("inconclusive", e, p_support, p_refute, alpha, why)


def _alone(e: Evidence, alpha: float) -> bool | None:
    """Whether support (or else refutation) is shown before the correction; None where neither is."""
    if e.p_refute < alpha and e.beyond_refute and not e.ranks_against_refute:
        return False
    if e.p_support < alpha and e.beyond_support and not e.ranks_against_support:
        return True
    return None


def _flip(d: np.ndarray, bound: float, alternative: Literal["greater", "less"], seed: int) -> float:
    """Twice the one-sided p-value: a claim names a direction, but may not spend the whole level on one side."""
    shifted = np.full(len(d), bound)
    return min(1.0, 2 * sign_flip_test(d, shifted, alternative=alternative, n_resamples=FLIPS, seed=seed).p_value)


def _ranks(d: np.ndarray, bound: float, alternative: Literal["greater", "less"]) -> float:
    return wilcoxon_test(d, np.full(len(d), bound), alternative=alternative).p_value


def _counted(
    d: np.ndarray, direction: str, support: float, refute: float, margin: float
) -> tuple[float, float, tuple[bool, bool]]:
    """Counts have no error: either side of the bound is certain, and a count on a bound of 0 does not exceed it."""
    mean = float(d.mean())
    holds = abs(mean) <= margin if direction == "equivalent" else mean > support
    holds = holds or (direction in ("not_less", "not_more") and mean >= support)
    fails = not holds or (direction in ("greater", "less") and mean < refute)
    return float(not holds), float(fails is False), (holds, fails)
