"""How fast variances fall with size: a straight line through their logarithm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics.conventions import LEVEL

#: A gradient whose variance is below this is 0 but for rounding: the weight does nothing.
DEAD = 1e-25


@dataclass(frozen=True)
class LogSlope:
    """A straight line through the logarithm of variances.

    Attributes:
        slope: change of ``ln variance`` for each step in size; ``exp(slope)`` is the factor.
        low: lower bound of its interval (Student's t on the residuals of the fit).
        high: upper bound.
        intercept: ``ln variance`` of the line at size 0.
        r_squared: share of the variation that the line explains; 1 where there is none.
    """

    slope: float
    low: float
    high: float
    intercept: float
    r_squared: float


def fit_log_slope(sizes: Sequence[float], variances: Sequence[float], level: float = LEVEL) -> LogSlope:
    """Fits ``ln variance = intercept + slope * size`` by least squares.

    Args:
        sizes: ``(n,)`` numbers of qubits, or of layers; at least three different ones.
        variances: ``(n,)`` positive variances.
        level: coverage of the slope's interval.

    Raises:
        ConfigError: for a level outside (0, 1), or a variance that is 0: a dead weight has no slope.
        ShapeError: for fewer than three sizes, or lengths that differ.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}, expected a number between 0 and 1, such as {LEVEL:g}.")
    at, values = np.asarray(sizes, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if at.ndim != 1 or at.shape != values.shape or len(np.unique(at)) < 3:
        raise ShapeError(
            f"Got {at.shape} sizes and {values.shape} variances; pass one each for at least 3 different sizes."
        )
    usable = (values >= DEAD) & (values < math.inf)
    if not usable.all():
        raise ConfigError(
            f"The variances hold {values[~usable][0]:.3g}: these weights do nothing at that size, so there is no "
            "slope; choose a block that is not dead."
        )
    logs = np.log(values)
    if np.ptp(logs) == 0:
        return LogSlope(0.0, 0.0, 0.0, float(logs[0]), 1.0)
    fit = scipy.stats.linregress(at, logs)
    reach = float(scipy.stats.t.ppf((1 + level) / 2, len(at) - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    return LogSlope(slope, slope - reach, slope + reach, float(fit.intercept), float(fit.rvalue) ** 2)
