"""Parity problems: the label counts, modulo two, on how many sides of something a point lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from qmoe.data.base import BinaryDataset, Points, check_seed, shuffled
from qmoe.data.options import Count, Flip, Noise, ProblemSeed, Whole
from qmoe.errors import ConfigError
from qmoe.seeding import Seed, numpy_generator


@dataclass(frozen=True)
class Xor(BinaryDataset):
    """Gaussian blobs at the corners {-1, 1}^d; the label is the parity of the number of +1 coordinates.

    With s_i = tanh(x_i / noise**2), the mean sign of coordinate i given x, P(y = 0 | x) = (1 + prod_i(-s_i)) / 2. The
    best rule takes the sign of every coordinate; each is wrong with p = Phi(-1 / noise), so the Bayes error is
    (1 - (1 - 2 p)**d) / 2.

    Attributes:
        n_samples: the number of rows.
        noise: the standard deviation of each coordinate. The knob: more is harder.
        n_dims: the dimension d; more is harder too.

    Example:
        >>> from qmoe.data import Xor
        >>> Xor(n_samples=100, n_dims=3).sample(0).x.shape
        (100, 3)
    """

    name: ClassVar[str] = "xor"
    difficulty: ClassVar[str] = "noise"

    noise: Noise = 0.3
    n_dims: Count = 2

    @property
    def n_features(self) -> int:
        """The dimension d."""
        return self.n_dims

    def sample(self, seed: Seed) -> Points:
        """Returns independent rows, each around a corner drawn uniformly."""
        generator = numpy_generator(check_seed(seed))
        bits = generator.integers(0, 2, size=(self.n_samples, self.n_dims))
        x = 2.0 * bits - 1.0 + self.noise * generator.normal(size=bits.shape)
        return Points(x, bits.sum(axis=1) % 2)

    def bayes_error(self) -> float:
        """Returns (1 - (1 - 2 Phi(-1 / noise))**d) / 2."""
        if self.noise == 0.0:
            return 0.0
        return -0.5 * math.expm1(self.n_dims * math.log1p(-math.erfc(1.0 / (self.noise * math.sqrt(2.0)))))

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """Returns the ``(N, 2)`` class probabilities at ``x`` ``(N, d)``."""
        rows = self._rows(x)
        if self.noise == 0.0:
            mean_sign = np.sign(rows)
        else:
            with np.errstate(over="ignore"):
                mean_sign = np.tanh(rows / self.noise / self.noise)
        even = 0.5 * (1.0 + np.prod(-mean_sign, axis=1))
        return np.stack([even, 1.0 - even], axis=1)


@dataclass(frozen=True)
class Checkerboard(BinaryDataset):
    """Uniform points on the unit square; the label is the colour of the cell, flipped with probability ``flip``.

    Class 0 is the colour of the cell at the origin.

    Attributes:
        n_samples: the number of rows.
        cells: the number of cells along a side. The knob: more is harder.
        flip: the probability of a wrong label, which is the Bayes error.

    Example:
        >>> from qmoe.data import Checkerboard
        >>> Checkerboard(n_samples=100, cells=3).sample(0).x.shape
        (100, 2)
    """

    name: ClassVar[str] = "checkerboard"
    difficulty: ClassVar[str] = "cells"

    cells: Annotated[int, Whole(2)] = 4
    flip: Flip = 0.0

    @property
    def n_features(self) -> int:
        """The two coordinates."""
        return 2

    def sample(self, seed: Seed) -> Points:
        """Returns independent rows."""
        generator = numpy_generator(check_seed(seed))
        x = generator.uniform(size=(self.n_samples, 2))
        return Points(x, flip_labels(self._colour(x), self.flip, generator))

    def bayes_error(self) -> float:
        """Returns ``flip``."""
        return self.flip

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """Returns the ``(N, 2)`` class probabilities at ``x`` ``(N, 2)``; beyond the square the board goes on."""
        return flipped_posterior(self._colour(self._rows(x)), self.flip)

    def _colour(self, x: np.ndarray) -> np.ndarray:
        return np.mod(np.floor(self.cells * x).sum(axis=1), 2.0).astype(np.int64)


@dataclass(frozen=True)
class Hyperplanes(BinaryDataset):
    """Hyperplanes and parity: on the positive side of how many hyperplanes, modulo two, does a point lie?

    A point z ~ N(0, I_m) lies on the positive side of a hyperplane where w . z + b > 0, and is seen as x = z E. The entries
    of w, b and E are uniform on [0, 1]. Both classes are equally frequent: points are drawn until each has its half. Bowles,
    Ahmed and Schuld (2024), "Better than classical?", arXiv:2403.07059. They then standardise the features of each sample,
    which is the scaling ``"standard"`` and no part of the data here.

    Attributes:
        n_samples: the number of rows.
        n_features: the number of features F.
        n_hyperplanes: the number of hyperplanes. The knob: more is harder.
        plane_dim: the dimension m of the space of the hyperplanes, at most F.
        flip: the probability of a wrong label, which is the Bayes error.
        problem_seed: the seed of the hyperplanes and of E. Samples of different seeds are of one problem.
    """

    name: ClassVar[str] = "hyperplanes"
    difficulty: ClassVar[str] = "n_hyperplanes"

    n_features: Count = 4
    n_hyperplanes: Count = 3
    plane_dim: Count = 3
    flip: Flip = 0.0
    problem_seed: ProblemSeed = 0

    def _check(self) -> None:
        if self.plane_dim > self.n_features:
            raise ConfigError(
                f"hyperplanes: plane_dim={self.plane_dim} does not fit into n_features={self.n_features}; "
                f"take plane_dim <= {self.n_features}."
            )

    def sample(self, seed: Seed) -> Points:
        """Returns rows in random order, half of each parity (before labels are flipped)."""
        generator = numpy_generator(check_seed(seed))
        normals, offsets, embedding = self._problem()
        wanted = (self.n_samples - self.n_samples // 2, self.n_samples // 2)
        kept: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for _ in range(200):
            z = generator.normal(size=(4 * self.n_samples + 64, self.plane_dim))
            parity = _parity(z, normals, offsets)
            for label in (0, 1):
                kept[label].extend(z[parity == label][: wanted[label] - len(kept[label])])
            if all(len(rows) == count for rows, count in zip(kept, wanted, strict=True)):
                x = np.array(kept[0] + kept[1]) @ embedding
                points = shuffled(x, np.repeat([0, 1], wanted), generator)
                return Points(points.x, flip_labels(points.y, self.flip, generator))
        raise ConfigError(
            f"hyperplanes: with problem_seed={self.problem_seed} one parity holds almost no points; "
            "take another problem_seed."
        )

    def bayes_error(self) -> float:
        """Returns ``flip``: without it the label is a function of the point."""
        return self.flip

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """Returns the ``(N, 2)`` class probabilities at ``x`` ``(N, F)``, of the least-squares z."""
        normals, offsets, embedding = self._problem()
        z = np.linalg.lstsq(embedding.T, self._rows(x).T, rcond=None)[0].T
        return flipped_posterior(_parity(z, normals, offsets), self.flip)

    def _problem(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns normals w ``(H, m)``, offsets b ``(H,)`` and the embedding E ``(m, F)``."""
        generator = numpy_generator(self.problem_seed)
        normals = generator.uniform(size=(self.n_hyperplanes, self.plane_dim))
        offsets = generator.uniform(size=self.n_hyperplanes)
        return normals, offsets, generator.uniform(size=(self.plane_dim, self.n_features))


def _parity(z: np.ndarray, normals: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return (z @ normals.T + offsets > 0.0).sum(axis=1) % 2


def flip_labels(y: np.ndarray, flip: float, generator: np.random.Generator) -> np.ndarray:
    """Returns the binary labels ``y`` ``(N,)``, each exchanged with probability ``flip``."""
    return np.where(generator.uniform(size=len(y)) < flip, 1 - y, y).astype(np.int64)


def flipped_posterior(y: np.ndarray, flip: float) -> np.ndarray:
    """Returns the ``(N, 2)`` probabilities of the flipped labels where ``y`` ``(N,)`` are the clean ones."""
    one = np.where(y == 1, 1.0 - flip, flip)
    return np.stack([1.0 - one, one], axis=1)
