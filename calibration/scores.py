"""Scores of simulated arms, crossed as in the studies that ship: draws of the data by initialisations of their own.

Arms share the difficulty of a draw and the experts of an initialisation, so pairing is real; each arm has luck of its own on
both. An arm's true mean is that of the best arm plus its ``offset``, exactly, whatever the kind of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special, stats

from qmoe.claims import ArmRuns
from qmoe.claims.runs import ArmKey

#: Shares of the variance of luck: of a draw, of an arm on a draw, of an initialisation, and of a run by itself.
DRAW, ARM, START, RUN = 0.2, 0.2, 0.2, 0.4
#: Where good and bad runs end, as on two moons.
GOOD, BAD = 0.98, 0.86
#: A run that is lost, and how often.
LOSS, LOST = 0.5, 0.02

#: From luck and accidents, standard normal ``(..., draws, starts)``, and the offset of the mean to scores.
Shape = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def normal(luck: np.ndarray, accident: np.ndarray, offset: float) -> np.ndarray:
    """Normal scores."""
    del accident
    return 0.9 + offset + 0.03 * luck


def groups(luck: np.ndarray, accident: np.ndarray, offset: float) -> np.ndarray:
    """Runs end near 0.98 or 0.86; those of a worse arm more often near 0.86."""
    return np.where(special.ndtr(luck) < 0.7 + offset / (GOOD - BAD), GOOD, BAD) + 0.01 * accident


def tenths(luck: np.ndarray, accident: np.ndarray, offset: float) -> np.ndarray:
    """Accuracies on ten points: many ties."""
    del accident
    below = stats.binom.cdf(np.arange(10), 10, 0.9 + offset)
    return np.searchsorted(below, special.ndtr(luck)) / 10


def ceiling(luck: np.ndarray, accident: np.ndarray, offset: float) -> np.ndarray:
    """Nine runs of ten are perfect, the tenth lies anywhere between 0.8 and 1; in a worse arm fewer are perfect."""
    return np.where(special.ndtr(luck) < 0.9 + offset / 0.1, 1.0, 0.8 + 0.2 * special.ndtr(accident))


def losses(luck: np.ndarray, accident: np.ndarray, offset: float) -> np.ndarray:
    """Normal scores, but any run of any arm may be lost: one in fifty, by 0.5."""
    return 0.9 + offset + 0.02 * luck - LOSS * (special.ndtr(accident) < LOST)


SHAPES: Mapping[str, Shape] = {
    "normal": normal, "two groups": groups, "ties": tenths, "ceiling": ceiling, "losses of 0.5": losses,
}  # fmt: skip


def luck(generator: np.random.Generator, arms: int, draws: int, starts: int, many: tuple[int, ...] = ()) -> np.ndarray:
    """Standard normal ``(*many, arms, draws, starts)``, correlated over arms and initialisations as real runs are.

    Where the data never vary, what an arm makes of them is no luck but an effect, and there is none.
    """
    arm, run = (ARM, RUN) if draws > 1 else (0.0, ARM + RUN)
    parts = ((DRAW, (1, draws, 1)), (arm, (arms, draws, 1)), (START, (1, draws, starts)), (run, (arms, draws, starts)))
    found = np.zeros((*many, arms, draws, starts))
    for share, shape in parts:
        found += np.sqrt(share) * generator.standard_normal((*many, *shape))
    return found


def arms_of(
    generator: np.random.Generator, shape: Shape, offsets: Mapping[ArmKey, float], draws: int, starts: int
) -> dict[ArmKey, ArmRuns]:
    """The arms of a study, each at its offset."""
    both = [luck(generator, len(offsets), draws, starts) for _ in range(2)]
    return {
        key: as_runs(key, {"test_accuracy": shape(both[0][i], both[1][i], offset)})
        for i, (key, offset) in enumerate(offsets.items())
    }


def as_runs(key: ArmKey, values: Mapping[str, np.ndarray]) -> ArmRuns:
    """Figures ``(draws, starts)`` of an arm as runs."""
    draws, starts = next(iter(values.values())).shape
    seeds = np.divmod(np.arange(draws * starts), starts)
    figures = {metric: np.ravel(found) for metric, found in values.items()}
    return ArmRuns(key.name, *seeds, figures, name=key.name, strength=key.strength)
