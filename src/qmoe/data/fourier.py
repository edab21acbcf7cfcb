"""Two noisy curves in many dimensions, each coordinate of which is a Fourier series."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np

from qmoe.data.base import BinaryDataset, Points, check_seed, shuffled
from qmoe.data.curves import NoisyCurves
from qmoe.data.options import Count, Noise, ProblemSeed, Real, Whole
from qmoe.seeding import Seed, numpy_generator


@dataclass(frozen=True)
class TwoCurves(BinaryDataset):
    """A curve in the feature space, and the same curve moved by ``offset`` along every axis, both blurred by noise.

    Coordinate i of the curve at t, uniform on [0, 1], is the Fourier series

        a_i0 + b_i0 + sum_{k=1}^{D} (a_ik cos(pi k t) + b_ik sin(pi k t)).

    The coefficients are uniform on [0, 1] and then divided by the norm of all of them together. Bowles, Ahmed and Schuld
    (2024), "Better than classical?", arXiv:2403.07059, with their degree, offset and noise as defaults. They then
    standardise the features of each sample, which is the scaling ``"standard"`` and no part of the data here.

    Attributes:
        n_samples: the number of rows.
        n_features: the number of features F.
        degree: the degree D of the series. The knob: more is harder, the curves wind more.
        offset: the shift of class 1 along every axis; less is harder too.
        noise: the standard deviation of each coordinate; more is harder too.
        problem_seed: the seed of the coefficients. Samples of different seeds are of one problem.

    Example:
        >>> from qmoe.data import TwoCurves
        >>> TwoCurves(n_samples=100).sample(0).x.shape
        (100, 4)
    """

    name: ClassVar[str] = "two_curves"
    difficulty: ClassVar[str] = "degree"

    n_features: Count = 4
    degree: Annotated[int, Whole(1, 100)] = 5
    offset: Annotated[float, Real(0.0, 1e6)] = 0.1
    noise: Noise = 0.01
    problem_seed: ProblemSeed = 0

    def sample(self, seed: Seed) -> Points:
        """Returns rows in random order, as many of each class as of the other (give or take one)."""
        generator = numpy_generator(check_seed(seed))
        y = np.arange(self.n_samples) % 2
        curve = self._curve(generator.uniform(size=self.n_samples)) + self.offset * y[:, None]
        return shuffled(curve + self.noise * generator.normal(size=curve.shape), y, generator)

    def curves(self) -> NoisyCurves:
        """Returns the curve and the moved curve with their noise."""
        return NoisyCurves((self._curve, lambda t: self._curve(t) + self.offset), self.noise)

    def bayes_error(self) -> float | None:
        """Returns the Bayes error; see `NoisyCurves.bayes_error`. With other than two features it takes seconds, once."""
        return _bayes_error(replace(self, n_samples=2))

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """Returns the ``(N, 2)`` class probabilities at ``x`` ``(N, F)``."""
        return self.curves().posterior(self._rows(x))

    def _curve(self, t: np.ndarray) -> np.ndarray:
        """Returns the points ``(T, F)`` of class 0 at ``t`` ``(T,)``."""
        cosines, sines = self._coefficients()
        angles = np.pi * np.arange(self.degree + 1) * t[:, None]
        return np.cos(angles) @ cosines.T + np.sin(angles) @ sines.T + sines[:, 0]

    def _coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns a and b, each ``(F, D + 1)``."""
        both = numpy_generator(self.problem_seed).uniform(size=(self.n_features, self.degree + 1, 2))
        both /= np.linalg.norm(both)
        return both[:, :, 0], both[:, :, 1]


@functools.lru_cache(maxsize=64)
def _bayes_error(dataset: TwoCurves) -> float | None:
    return dataset.curves().bayes_error()
