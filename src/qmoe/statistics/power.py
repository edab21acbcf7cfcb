"""What a study of n draws can find, and how many draws it takes: power of paired t tests and of equivalence tests.

The unit is the draw of the data: the mean difference over its initialisations. ``sd`` is the standard deviation of these
means, from a pilot or an earlier study. All numbers are exact for normal differences. Several comparisons are allowed for
by Bonferroni's factor; Holm's procedure finds at least as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy

from qmoe.errors import ConfigError
from qmoe.statistics.conventions import ALPHA, POWER

#: A study of more draws than this is not planned.
MAX_DRAWS = 1_000_000
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)


def t_test_power(sd: float, n: int, effect: float, alpha: float = ALPHA, *, n_comparisons: int = 1) -> float:
    """The chance that a two-sided paired t test finds a mean difference of ``effect``.

    It is P(|T| > t), T of the noncentral t distribution with n - 1 degrees of freedom and shift effect sqrt(n) / sd.

    Args:
        sd: the standard deviation of the differences of a draw; 0 where they are all equal.
        n: the number of draws, at least 2.
        effect: the true mean difference.
        alpha: the two-sided level.
        n_comparisons: the number of comparisons that share alpha (Bonferroni).

    Raises:
        ConfigError: for a value out of its range.

    Example:
        >>> from qmoe.statistics import t_test_power
        >>> round(t_test_power(sd=0.02, n=30, effect=0.02), 2)
        1.0
    """
    level = _check(sd, alpha, n_comparisons=n_comparisons, n=n)
    if not math.isfinite(effect):
        raise ConfigError(f"effect is {effect!r}, expected a finite number.")
    if sd == 0:
        return 1.0 if effect else level
    return _power(abs(effect) * math.sqrt(n) / sd, n - 1, level)


def smallest_effect(sd: float, n: int, power: float = POWER, alpha: float = ALPHA, *, n_comparisons: int = 1) -> float:
    """The smallest mean difference that a two-sided paired t test on ``n`` draws finds with the given power.

    Args:
        sd: the standard deviation of the differences of a draw.
        n: the number of draws, at least 2.
        power: the chance to find it, above alpha.
        alpha: the two-sided level.
        n_comparisons: the number of comparisons that share alpha (Bonferroni).

    Returns:
        The difference, in the unit of ``sd``; 0 where ``sd`` is 0.

    Raises:
        ConfigError: for a value out of its range.
    """
    level = _check(sd, alpha, power, n_comparisons, n)
    high = 2.0 * scipy.stats.t.isf(level / 2, n - 1) + 1.0
    while _power(high, n - 1, level) < power:
        high *= 2.0
    shift = scipy.optimize.brentq(lambda d: _power(d, n - 1, level) - power, 0.0, high, xtol=1e-12, rtol=1e-12)
    return float(shift) * sd / math.sqrt(n)


def draws_needed(
    sd: float, effect: float, power: float = POWER, alpha: float = ALPHA, *, n_comparisons: int = 1
) -> int:
    """The draws that a two-sided paired t test needs to find a mean difference of ``effect`` with the given power.

    Args:
        sd: the standard deviation of the differences of a draw.
        effect: the mean difference to find; its sign does not matter.
        power: the chance to find it, above alpha.
        alpha: the two-sided level.
        n_comparisons: the number of comparisons that share alpha (Bonferroni).

    Raises:
        ConfigError: for a value out of its range, or where `MAX_DRAWS` draws are too few.
    """
    level = _check(sd, alpha, power, n_comparisons)
    if not math.isfinite(effect) or effect == 0:
        raise ConfigError(
            f"effect is {effect!r}, expected a number other than 0: the difference that is worth finding."
        )
    size = math.inf if sd == 0 else abs(effect) / sd
    return _fewest(lambda n: _power(size * math.sqrt(n), n - 1, level), power, f"an effect of {effect} with sd = {sd}")


def equivalence_power(
    sd: float, n: int, margin: float, effect: float = 0.0, alpha: float = ALPHA, *, n_comparisons: int = 1
) -> float:
    """The chance that two one-sided t tests (`equivalence_test`) find ``n`` draws to be equivalent.

    The mean and the standard deviation of the differences are independent, so with s^2 ~ chi^2_{n-1} / (n - 1) it is
    E[max(0, Phi((margin - effect) sqrt(n) / sd - t s) - Phi(t s - (margin + effect) sqrt(n) / sd))] (Owen 1965; Phillips
    1990), t the quantile of the one-sided level.

    Args:
        sd: the standard deviation of the differences of a draw.
        n: the number of draws, at least 2.
        margin: the largest difference that does not matter, positive.
        effect: the true mean difference.
        alpha: the level of each one-sided test.
        n_comparisons: the number of comparisons that share alpha (Bonferroni).

    Raises:
        ConfigError: for a value out of its range.

    Example:
        >>> from qmoe.statistics import equivalence_power
        >>> round(equivalence_power(sd=0.02, n=30, margin=0.02), 2)
        1.0
    """
    level = _check(sd, alpha, n_comparisons=n_comparisons, n=n)
    _check_margin(margin, effect)
    return _equivalence(sd, n, margin, effect, level)


def equivalence_draws(
    sd: float, margin: float, effect: float = 0.0, power: float = POWER, alpha: float = ALPHA, *, n_comparisons: int = 1
) -> int:
    """The draws that two one-sided t tests (`equivalence_test`) need to find equivalence with the given power.

    Args:
        sd: the standard deviation of the differences of a draw.
        margin: the largest difference that does not matter, positive.
        effect: the true mean difference, smaller than the margin.
        power: the chance to find equivalence.
        alpha: the level of each one-sided test.
        n_comparisons: the number of comparisons that share alpha (Bonferroni).

    Raises:
        ConfigError: for a value out of its range, or where `MAX_DRAWS` draws are too few.
    """
    level = _check(sd, alpha, power, n_comparisons)
    _check_margin(margin, effect)
    if abs(effect) >= margin:
        raise ConfigError(
            f"effect is {effect!r}, expected less than the margin {margin!r}: such arms are not equivalent."
        )
    what = f"equivalence within {margin} with sd = {sd}"
    return _fewest(lambda n: _equivalence(sd, n, margin, effect, level), power, what)


def _power(shift: float, degrees: int, level: float) -> float:
    """P(|T| > t) for a noncentral T of this shift; `scipy.stats.nct` gives NaN for few draws and small levels."""
    if math.isinf(shift):
        return 1.0
    critical = float(scipy.stats.t.isf(level / 2, degrees))
    return _over_spreads(
        lambda s: scipy.stats.norm.cdf(shift - critical * s) + scipy.stats.norm.cdf(-shift - critical * s),
        degrees,
        critical,
        [shift],
    )


def _equivalence(sd: float, n: int, margin: float, effect: float, level: float) -> float:
    if sd == 0:
        return float(abs(effect) < margin)
    critical, root = float(scipy.stats.t.isf(level, n - 1)), math.sqrt(n) / sd
    above, below = (margin - effect) * root, (margin + effect) * root

    def chance(s: np.ndarray) -> np.ndarray:
        return np.maximum(scipy.stats.norm.cdf(above - critical * s) - scipy.stats.norm.cdf(critical * s - below), 0.0)

    return _over_spreads(chance, n - 1, critical, [above, below, (above + below) / 2])


def _over_spreads(
    chance: Callable[[np.ndarray], np.ndarray], degrees: int, critical: float, steps: Sequence[float]
) -> float:
    """The mean of ``chance(s)`` over the spread s of a sample.

    ``chance`` has steps at ``steps / critical``, each as wide as ``1 / critical``.
    """
    spread = scipy.stats.chi(degrees, scale=1 / math.sqrt(degrees))
    low, high = float(spread.ppf(1e-15)), float(spread.isf(1e-15))
    breaks = [low, high, *((step + reach) / critical for step in steps for reach in (-9.0, 0.0, 9.0))]
    edges = np.unique(np.clip(breaks, low, high))
    widths = np.diff(edges)[:, None]
    s = edges[:-1, None] + widths * (_NODES + 1) / 2
    return float((widths / 2 * _WEIGHTS * chance(s) * spread.pdf(s)).sum())


def _fewest(chance: Callable[[int], float], power: float, what: str) -> int:
    """The smallest number of draws from 2 on whose chance reaches the power."""
    high = 2
    while chance(high) < power:
        if high >= MAX_DRAWS:
            raise ConfigError(
                f"More than {MAX_DRAWS:,} draws are needed for {what}; ask for less power or a larger effect."
            )
        high = min(2 * high, MAX_DRAWS)
    low = max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high


def _check(sd: float, alpha: float, power: float | None = None, n_comparisons: int = 1, n: int = 2) -> float:
    """Checks what all functions share; returns the level of one comparison."""
    if not 0 <= sd < math.inf:
        raise ConfigError(f"sd is {sd!r}, expected a standard deviation: a finite number of at least 0.")
    if not 0 < alpha < 0.5:
        raise ConfigError(f"alpha is {alpha!r}, expected a number between 0 and 0.5, such as {ALPHA:g}.")
    if n_comparisons < 1:
        raise ConfigError(f"n_comparisons is {n_comparisons!r}, expected at least 1.")
    if n < 2:
        raise ConfigError(f"n is {n!r}, expected at least 2 draws: one draw has no spread.")
    if power is not None and not alpha / n_comparisons < power < 1:
        raise ConfigError(f"power is {power!r}, expected a number between alpha and 1, such as {POWER:g}.")
    return alpha / n_comparisons


def _check_margin(margin: float, effect: float) -> None:
    if not 0 < margin < math.inf:
        raise ConfigError(
            f"margin is {margin!r}, expected a positive number: the largest difference that does not matter."
        )
    if not math.isfinite(effect):
        raise ConfigError(f"effect is {effect!r}, expected a finite number.")
