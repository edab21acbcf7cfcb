"""Effects on several data sets as one: a random-effects meta-analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics.bootstrap import Values
from qmoe.statistics.conventions import LEVEL


@dataclass(frozen=True)
class RandomEffects:
    """An effect over data sets, each of which has a true effect of its own.

    Attributes:
        mean: the mean of the true effects.
        low: lower bound of its interval.
        high: upper bound.
        standard_error: its standard error.
        p_value: two-sided, of no effect on average.
        tau: the standard deviation of the true effects; 0 where the spread is no larger than the standard errors give.
        tau_low: lower bound of its interval.
        tau_high: upper bound.
        q: Cochran's Q.
        q_p_value: the p-value of Q, of one true effect on all data sets.
        i_squared: the share of the spread of the effects that is not from their standard errors.
        i_squared_low: lower bound of its interval.
        i_squared_high: upper bound.
        prediction_low: lower bound of the interval for the true effect on a new data set; -inf for two data sets.
        prediction_high: upper bound.
        weights: ``(k,)`` weights of the data sets in the mean; they sum to 1.
        n_effects: the number k of data sets.
        level: the coverage of all intervals.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    p_value: float
    tau: float
    tau_low: float
    tau_high: float
    q: float
    q_p_value: float
    i_squared: float
    i_squared_low: float
    i_squared_high: float
    prediction_low: float
    prediction_high: float
    weights: tuple[float, ...]
    n_effects: int
    level: float


def random_effects(effects: Values, standard_errors: Values, level: float = LEVEL) -> RandomEffects:
    """Pools effects y_i of standard errors s_i on k data sets: y_i ~ N(theta_i, s_i^2), theta_i ~ N(mean, tau^2).

    * tau^2 solves sum_i (y_i - mean)^2 / (s_i^2 + tau^2) = k - 1, or is 0 where the sum at 0 is no larger (Paule and Mandel
      1982). Its interval is where the sum lies within the quantiles of chi-squared with k - 1 degrees of freedom (Q-profile;
      Viechtbauer 2007, Statistics in Medicine 26, 37).
    * The interval of the mean is that of Hartung and Knapp (2001) and Sidik and Jonkman (2002), with t quantiles of k - 1
      degrees of freedom. As Roever, Knapp and Friede (2015, BMC Medical Research Methodology 15, 99) advise for few effects
      of unequal precision, it is never narrower than the standard errors allow: the factor of the variance, which is 1
      where tau > 0, is not taken below 1 where tau = 0.
    * I^2 = tau^2 / (tau^2 + s^2), s^2 the typical variance of Higgins and Thompson (2002, Statistics in Medicine 21, 1539).
    * The prediction interval is mean +- t_{k-2} sqrt(tau^2 + SE^2) (Higgins, Thompson and Spiegelhalter 2009, Journal of the
      Royal Statistical Society A 172, 137). It takes tau as known, so with ten data sets, tau near the standard errors and a
      level of 0.95 it covers about 92% (Partlett and Riley 2017, Statistics in Medicine 36, 301).

    Args:
        effects: ``(k,)`` finite effects, k at least 2.
        standard_errors: ``(k,)`` their standard errors, positive.
        level: coverage of the intervals.

    Raises:
        ConfigError: for a level outside (0, 1), or a standard error that is not positive.
        ShapeError: for fewer than two effects, lengths that differ, or effects that are not finite.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}, expected a number between 0 and 1, such as {LEVEL:g}.")
    y, errors = np.asarray(effects, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    _check(y, errors)
    scale = float(errors.max())  # keeps tau^2 near 1 for the solver, whatever the unit
    y, v, k = y / scale, np.square(errors / scale), len(y)
    tail = (1 - level) / 2
    tau2, tau2_low, tau2_high = (
        _solve(y, v, target) for target in (k - 1, scipy.stats.chi2.isf(tail, k - 1), scipy.stats.chi2.ppf(tail, k - 1))
    )
    weights = 1 / (v + tau2)
    mean = float(weights @ y / weights.sum())
    error = math.sqrt(max(1.0, _spread(y, v, tau2) / (k - 1)) / weights.sum())
    reach = scipy.stats.t.isf(tail, k - 1) * error
    beyond = scipy.stats.t.isf(tail, k - 2) * math.hypot(math.sqrt(tau2), error) if k > 2 else math.inf
    q, fixed = _spread(y, v, 0.0), 1 / v
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - np.square(fixed).sum())
    return RandomEffects(
        mean=mean * scale,
        low=float(mean - reach) * scale,
        high=float(mean + reach) * scale,
        standard_error=error * scale,
        p_value=float(2 * scipy.stats.t.sf(abs(mean) / error, k - 1)),
        tau=math.sqrt(tau2) * scale,
        tau_low=math.sqrt(tau2_low) * scale,
        tau_high=math.sqrt(tau2_high) * scale,
        q=q,
        q_p_value=float(scipy.stats.chi2.sf(q, k - 1)),
        i_squared=float(tau2 / (tau2 + typical)),
        i_squared_low=float(tau2_low / (tau2_low + typical)),
        i_squared_high=float(tau2_high / (tau2_high + typical)),
        prediction_low=float(mean - beyond) * scale,
        prediction_high=float(mean + beyond) * scale,
        weights=tuple(float(weight) for weight in weights / weights.sum()),
        n_effects=k,
        level=level,
    )


def _check(y: np.ndarray, errors: np.ndarray) -> None:
    if y.ndim != 1 or y.shape != errors.shape or len(y) < 2:
        raise ShapeError(
            f"Got effects of shape {y.shape} and standard errors of shape {errors.shape}; pass one of each for at least 2 "
            "data sets."
        )
    if not np.isfinite(y).all():
        raise ShapeError(f"Effect {int(np.argmin(np.isfinite(y)))} is not finite; leave that data set out.")
    good = np.isfinite(errors) & (errors > 0)
    if not good.all():
        where = int(np.argmin(good))
        raise ConfigError(
            f"The standard error of effect {where} is {errors[where]}, expected a positive number; where all runs of a "
            "data set agree, take the resolution of the score, such as 1 / (number of test rows)."
        )


def _spread(y: np.ndarray, v: np.ndarray, tau2: float) -> float:
    """Sum of squared deviations from the weighted mean, in units of ``v + tau2``."""
    weights = 1 / (v + tau2)
    return float(weights @ np.square(y - weights @ y / weights.sum()))


def _solve(y: np.ndarray, v: np.ndarray, target: float) -> float:
    """The variance ``tau2`` at which the spread falls to ``target``, 0 where it starts below."""
    if _spread(y, v, 0.0) <= target:
        return 0.0
    high = float(np.square(y - y.mean()).sum()) / target  # the spread at tau2 is at most the sum of squares by tau2
    return float(
        scipy.optimize.brentq(lambda tau2: _spread(y, v, tau2) - target, 0.0, high, xtol=1e-15 * high, rtol=1e-13)
    )
