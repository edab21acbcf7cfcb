"""Scores that are hard on a judge: two groups, ties, a ceiling, rare failures. Their true means are known exactly."""

from __future__ import annotations

import numpy as np

from calibration.scores import BAD, GOOD, LOSS, LOST
from calibration.trying import SEEDS, Draw


def bimodal(share: float, gap: float = 0.0, per_data: int = 2, seeds: int = SEEDS) -> Draw:
    """Runs end near 0.98 or 0.86: those of ``b`` well in ``share`` of cases, of ``a`` so much oftener as makes ``gap``."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shares = np.array([share + gap / (GOOD - BAD), share])[:, None, None]
        well = generator.random((2, seeds, per_data)) < shares
        a, b = np.where(well, GOOD, BAD) + generator.normal(0, 0.01, well.shape)
        return a, b

    return draw


def tied(per_data: int = 2, seeds: int = SEEDS) -> Draw:
    """Scores on a test part of ten points: a handful of values, most differences 0 or a tenth."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        a, b = generator.binomial(10, 0.9, (2, seeds, per_data)) / 10
        return a, b

    return draw


def ceiling(per_data: int = 2, seeds: int = SEEDS) -> Draw:
    """Nine runs of ten are perfect, the tenth lies anywhere between 0.8 and 1."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shape = (2, seeds, per_data)
        a, b = np.where(generator.random(shape) < 0.9, 1.0, generator.uniform(0.8, 1.0, shape))
        return a, b

    return draw


def shifted(gap: float, spread: float = 0.03, per_data: int = 2, seeds: int = SEEDS) -> Draw:
    """Normal scores on draws of data that differ in difficulty; the mean of ``a`` is higher by ``gap``."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        level = generator.normal(0.9, 0.02, (seeds, 1))
        a, b = level + generator.normal(0, spread, (2, seeds, per_data))
        return a + gap, b

    return draw


def failing(gap: float, loss: float, per_data: int = 2, seeds: int = SEEDS) -> Draw:
    """Normal scores, but a run of ``b`` fails now and then and loses ``loss``: as often as makes ``gap`` on average."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        a, b = shifted(0.0, 0.02, per_data, seeds)(generator)
        return a, b - loss * (generator.random(b.shape) < gap / loss)

    return draw


def lossy(gap: float, per_data: int = 2, seeds: int = SEEDS, *, only_b: bool = False) -> Draw:
    """Normal scores, but one run in fifty is lost by 0.5: of either arm, or of ``b`` alone, which makes a gap of 0.01."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        rest = gap - LOST * LOSS if only_b else gap
        a, b = shifted(rest, 0.02, per_data, seeds)(generator)
        lost = generator.random((2, *a.shape)) < LOST
        return a - (0.0 if only_b else LOSS) * lost[0], b - LOSS * lost[1]

    return draw


def swapped(draw: Draw) -> Draw:
    """The same with a for b."""

    def other(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        a, b = draw(generator)
        return b, a

    return other
