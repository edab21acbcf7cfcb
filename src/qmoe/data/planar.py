"""Noisy curves in the plane: two moons, two circles, spirals."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from qmoe.data.base import BinaryDataset, Points, SampledDataset, check_seed, shuffled
from qmoe.data.curves import Curve, NoisyCurves
from qmoe.data.options import Noise, Real, Whole
from qmoe.errors import ConfigError
from qmoe.seeding import Seed, numpy_generator, random_state


@dataclass(frozen=True)
class PlanarCurves(SampledDataset):
    """A data set of two features whose classes are curves blurred by Gaussian noise.

    The truth is that of the population: equal priors, and the position on a curve uniform in its parameter.
    """

    @property
    def n_features(self) -> int:
        """The two coordinates."""
        return 2

    @abstractmethod
    def curves(self) -> NoisyCurves:
        """Returns the curves and their noise."""

    def bayes_error(self) -> float | None:
        """Returns the Bayes error, to about 2e-5; see `NoisyCurves.bayes_error`."""
        return self.curves().bayes_error()

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """Returns the ``(N, C)`` class probabilities at ``x`` ``(N, 2)``."""
        return self.curves().posterior(self._rows(x))


@dataclass(frozen=True)
class Moons(PlanarCurves, BinaryDataset):
    """Two interleaving half circles of radius 1, equal to ``sklearn.datasets.make_moons``.

    Attributes:
        n_samples: the number of rows.
        noise: the standard deviation of each coordinate. The knob: more is harder.
    """

    name: ClassVar[str] = "moons"
    difficulty: ClassVar[str] = "noise"

    noise: Noise = 0.1

    def sample(self, seed: Seed) -> Points:
        """Returns ``make_moons(n_samples, noise=noise, random_state=seed)``."""
        from sklearn.datasets import make_moons

        state = random_state(check_seed(seed))
        x, y = make_moons(self.n_samples, noise=self.noise, random_state=state)
        return Points(x, y.astype(np.int64))

    def curves(self) -> NoisyCurves:
        """Returns the upper and the lower half circle."""
        return NoisyCurves((_upper_moon, _lower_moon), self.noise)


@dataclass(frozen=True)
class Circles(PlanarCurves, BinaryDataset):
    """A circle of radius ``factor`` inside a circle of radius 1, equal to ``sklearn.datasets.make_circles``.

    Attributes:
        n_samples: the number of rows.
        noise: the standard deviation of each coordinate. The knob: more is harder.
        factor: the radius of the inner circle, class 1.

    Example:
        >>> from qmoe.data import Circles
        >>> Circles(n_samples=100).sample(0).x.shape
        (100, 2)
    """

    name: ClassVar[str] = "circles"
    difficulty: ClassVar[str] = "noise"

    noise: Noise = 0.1
    factor: Annotated[float, Real(0.0, 1.0, open_high=True)] = 0.5

    def sample(self, seed: Seed) -> Points:
        """Returns ``make_circles(n_samples, noise=noise, factor=factor, random_state=seed)``."""
        from sklearn.datasets import make_circles

        state = random_state(check_seed(seed))
        x, y = make_circles(self.n_samples, noise=self.noise, factor=self.factor, random_state=state)
        return Points(x, y.astype(np.int64))

    def curves(self) -> NoisyCurves:
        """Returns the outer and the inner circle."""
        return NoisyCurves((_unit_circle, lambda t: self.factor * _unit_circle(t)), self.noise)


@dataclass(frozen=True)
class Spirals(PlanarCurves):
    """Archimedean spirals around one centre, turned against each other by 2 pi / C.

    The radius is uniform from 0.1 to 1 and the angle grows with it by ``turns`` full turns.

    Attributes:
        n_samples: the number of rows.
        noise: the standard deviation of each coordinate.
        turns: the number of full turns from centre to rim. The knob: more is harder, the arms get longer and closer.
        n_classes: the number of arms C.

    Example:
        >>> from qmoe.data import Spirals
        >>> sorted({*Spirals(n_samples=90, n_classes=3).sample(0).y.tolist()})
        [0, 1, 2]
    """

    name: ClassVar[str] = "spirals"
    difficulty: ClassVar[str] = "turns"

    noise: Noise = 0.05
    turns: Annotated[float, Real(0.0, 20.0)] = 1.5
    n_classes: Annotated[int, Whole(2, 20)] = 2

    def _check(self) -> None:
        if self.n_samples < self.n_classes:
            raise ConfigError(
                f"spirals: n_samples={self.n_samples} leaves some of the {self.n_classes} classes empty; "
                f"take n_samples >= {self.n_classes}."
            )

    def sample(self, seed: Seed) -> Points:
        """Returns rows in random order, as many of each class as of another (give or take one)."""
        generator = numpy_generator(check_seed(seed))
        y = np.arange(self.n_samples) % self.n_classes
        t = generator.uniform(size=self.n_samples)
        x = _spiral(t, self.turns, y / self.n_classes) + self.noise * generator.normal(size=(self.n_samples, 2))
        return shuffled(x, y, generator)

    def curves(self) -> NoisyCurves:
        """Returns the arms."""
        return NoisyCurves(tuple(self._arm(c) for c in range(self.n_classes)), self.noise)

    def _arm(self, c: int) -> Curve:
        return lambda t: _spiral(t, self.turns, np.asarray(c / self.n_classes))


def _unit_circle(t: np.ndarray) -> np.ndarray:
    angle = 2.0 * np.pi * t
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _upper_moon(t: np.ndarray) -> np.ndarray:
    return _unit_circle(t / 2.0)


def _lower_moon(t: np.ndarray) -> np.ndarray:
    return np.array([1.0, 0.5]) - _unit_circle(t / 2.0)


def _spiral(t: np.ndarray, turns: float, phase: np.ndarray) -> np.ndarray:
    return (0.1 + 0.9 * t)[:, None] * _unit_circle(turns * t + phase)
