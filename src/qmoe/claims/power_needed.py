"""How large an effect must be to show, and how many draws of the data a given one needs."""

from __future__ import annotations

import math

from scipy import optimize, stats

from qmoe.errors import ConfigError

#: Draws beyond which a study is not worth planning.
MOST_DRAWS = 1_000_000


def power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """The chance that a two-sided paired t test finds ``effect``, by the noncentral t distribution.

    Args:
        effect: true mean difference.
        sd: standard deviation of the differences of the n draws of the data.
        n: number of draws, at least 2.
        alpha: two-sided level.
    """
    _check(sd, alpha)
    if n < 2:
        return 0.0
    if sd == 0:
        return float(effect != 0)
    edge = float(stats.t.ppf(1 - alpha / 2, n - 1))
    shift = abs(effect) / sd * math.sqrt(n)
    if shift > 35:  # certain, and beyond what scipy computes
        return 1.0
    upper, lower = (float(stats.nct.cdf(at, n - 1, shift)) for at in (edge, -edge))
    return 1 - upper + (0.0 if math.isnan(lower) else lower)


def smallest_effect(sd: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The true mean difference that n draws of the data find with a chance of ``power``; infinite for fewer than two.

    Raises:
        ConfigError: for an sd that is negative or not finite, or power and alpha outside (0, 1).
    """
    _check(sd, alpha, power)
    if n < 2:
        return math.inf
    if sd == 0:
        return 0.0
    high = 1.0
    while _power(high, 1.0, n, alpha) < power:
        high *= 2
    return sd * float(optimize.brentq(lambda effect: _power(effect, 1.0, n, alpha) - power, 0.0, high, xtol=1e-10))


def draws_needed(sd: float, effect: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest draws of the data with which ``effect`` is found with a chance of ``power``, up to a million.

    Raises:
        ConfigError: for an effect that is not above 0, an sd that is negative or not finite, or power and alpha outside
            (0, 1).
    """
    _check(sd, alpha, power)
    if not effect > 0:
        raise ConfigError(f"effect is {effect!r}, expected a number above 0: the difference that is to be found.")
    if sd == 0:
        return 2
    low, high = 1, 2
    while _power(effect, sd, high, alpha) < power:
        low, high = high, 2 * high
        if high > MOST_DRAWS:
            return MOST_DRAWS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, sd, middle, alpha) >= power else (middle, high)
    return high


_power = power


def _check(sd: float, alpha: float, power: float = 0.8) -> None:
    if not 0 <= sd < math.inf:
        raise ConfigError(f"sd is {sd!r}, expected a finite number of at least 0.")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {value!r}, expected a number between 0 and 1.")
