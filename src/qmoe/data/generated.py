"""Generated problems in many dimensions: the hidden manifold model and scikit-learn's hypercube clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from qmoe.data.base import BinaryDataset, Points, SampledDataset, check_seed
from qmoe.data.options import Count, ProblemSeed, Real, Whole
from qmoe.errors import ConfigError
from qmoe.seeding import Seed, numpy_generator, random_state


@dataclass(frozen=True)
class HiddenManifold(BinaryDataset):
    """Labels that live on a curved surface of few dimensions inside the feature space.

    A latent point c ~ N(0, I_m) is seen as x = tanh(c A / sqrt(m) - b) with A ~ N(0, 1) of shape (m, F) and b uniform
    on [-1, 1]; its label is the sign of a random network v . tanh(W c). Goldt et al. (2020), Physical Review X 10,
    041044, in the variant of Bowles, Ahmed and Schuld (2024), arXiv:2403.07059. The threshold is 0, which halves the
    population because the network is odd, where the latter take the median of each sample.

    Where m <= F, x determines c and so the label: the Bayes error is 0, and the posterior inverts the map. Where
    m > F neither is known.

    Attributes:
        n_samples: the number of rows.
        n_features: the number of features F.
        manifold_dim: the dimension m of the manifold. The knob: more is harder.
        problem_seed: the seed of A, b, W and v. Samples of different seeds are of one problem.

    Example:
        >>> from qmoe.data import HiddenManifold
        >>> HiddenManifold(n_samples=100, n_features=6).sample(0).x.shape
        (100, 6)
    """

    name: ClassVar[str] = "hidden_manifold"
    difficulty: ClassVar[str] = "manifold_dim"

    n_features: Count = 8
    manifold_dim: Count = 4
    problem_seed: ProblemSeed = 0

    def sample(self, seed: Seed) -> Points:
        """Returns independent rows with features in (-1, 1)."""
        embedding, bias, hidden, readout = self._problem()
        c = numpy_generator(check_seed(seed)).normal(size=(self.n_samples, self.manifold_dim))
        return Points(np.tanh(c @ embedding - bias), _teacher(c, hidden, readout))

    def bayes_error(self) -> float | None:
        """Returns 0 where the manifold fits into the feature space, else None."""
        return 0.0 if self.manifold_dim <= self.n_features else None

    def posterior(self, x: np.ndarray) -> np.ndarray | None:
        """Returns ``(N, 2)`` probabilities of 0 and 1 at ``x`` ``(N, F)``, None where the manifold does not fit.

        A row off the manifold is given the label of the least-squares fit before the tanh.
        """
        rows = self._rows(x)
        if self.manifold_dim > self.n_features:
            return None
        embedding, bias, hidden, readout = self._problem()
        inside = math.nextafter(1.0, 0.0)
        before = np.arctanh(np.clip(rows, -inside, inside)) + bias
        c = np.linalg.lstsq(embedding.T, before.T, rcond=None)[0].T
        one = _teacher(c, hidden, readout).astype(np.float64)
        return np.stack([1.0 - one, one], axis=1)

    def _problem(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns A / sqrt(m) ``(m, F)``, b ``(F,)``, W ``(m, m)`` and v ``(m,)``."""
        generator = numpy_generator(self.problem_seed)
        m = self.manifold_dim
        embedding = generator.normal(size=(m, self.n_features)) / math.sqrt(m)
        bias = generator.uniform(-1.0, 1.0, size=self.n_features)
        return embedding, bias, generator.normal(size=(m, m)), generator.normal(size=m)


def _teacher(c: np.ndarray, hidden: np.ndarray, readout: np.ndarray) -> np.ndarray:
    return (np.tanh(c @ hidden.T) @ readout >= 0.0).astype(np.int64)


@dataclass(frozen=True)
class Synthetic(SampledDataset):
    """Gaussian clusters at corners of a hypercube, equal to ``sklearn.datasets.make_classification``.

    The defaults are those of the paper's first phase (arXiv:2512.22296). Its rows of norm 1 are the scaling
    ``"unit_norm"``, not part of the data. The clusters depend on the seed of the sample, so every seed is another
    problem and neither Bayes error nor posterior is known.

    Attributes:
        n_samples: the number of rows.
        n_features: the number of features F, noise features included.
        n_informative: the features that carry the clusters.
        n_redundant: the features that are linear combinations of these.
        n_classes: the number of classes.
        class_sep: half the side of the hypercube. The knob: less is harder.
        n_clusters_per_class: the clusters of each class.
        flip: the share of labels drawn at random (``flip_y`` there).

    Example:
        >>> from qmoe.data import Synthetic
        >>> Synthetic(n_samples=100).sample(0).x.shape
        (100, 16)
    """

    name: ClassVar[str] = "synthetic"
    limited: ClassVar[str] = "every seed draws other clusters"
    difficulty: ClassVar[str] = "class_sep"

    n_features: Count = 16
    n_informative: Count = 10
    n_redundant: Annotated[int, Whole(0)] = 0
    n_classes: Annotated[int, Whole(2)] = 2
    class_sep: Annotated[float, Real(0.0, 1e6)] = 1.0
    n_clusters_per_class: Count = 2
    flip: Annotated[float, Real(0.0, 1.0)] = 0.01

    def _check(self) -> None:
        if self.n_informative + self.n_redundant > self.n_features:
            raise ConfigError(
                f"synthetic: n_informative={self.n_informative} and n_redundant={self.n_redundant} are more than "
                f"n_features={self.n_features}; take n_features >= {self.n_informative + self.n_redundant}."
            )
        clusters = self.n_classes * self.n_clusters_per_class
        if clusters > 2**self.n_informative:
            raise ConfigError(
                f"synthetic: n_informative={self.n_informative} gives {2**self.n_informative} corners for {clusters} "
                f"clusters; take n_informative >= {math.ceil(math.log2(clusters))}."
            )

    def sample(self, seed: Seed) -> Points:
        """Returns ``make_classification(n_samples, ..., random_state=seed)``."""
        from sklearn.datasets import make_classification

        x, y = make_classification(
            self.n_samples,
            n_features=self.n_features,
            n_informative=self.n_informative,
            n_redundant=self.n_redundant,
            n_classes=self.n_classes,
            n_clusters_per_class=self.n_clusters_per_class,
            class_sep=self.class_sep,
            flip_y=self.flip,
            random_state=random_state(check_seed(seed)),
        )
        return Points(x, y.astype(np.int64))
