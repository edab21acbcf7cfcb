"""The families of Bowles, Ahmed and Schuld (2024), "Better than classical?", arXiv:2403.07059, number for number.

The order in which numbers are drawn is that of the authors' scripts (``paper/benchmarks`` of
github.com/XanaduAI/qml-benchmarks at commit 0bbf848), so that rows and splits are those of their experiments; the code is
our own. Their labels -1 and 1 are 0 and 1 here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from qmoe.data.base import Split
from qmoe.data.options import OneOf, Whole
from qmoe.data.qml_benchmarks.scripted_sets import N_SAMPLES, ScriptedSet, TooFewRowsError

_SIZES = range(2, 21)  # what every family but bars and stripes runs over

Size = Annotated[int, Whole(_SIZES[0], _SIZES[-1])]
"""What the sets of a family differ in: from 2 to 20."""


def _standardised(x: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 over all rows, test rows included."""
    from sklearn.preprocessing import StandardScaler

    return np.asarray(StandardScaler().fit_transform(x))


def _halves() -> np.ndarray:
    return np.repeat([0, 1], N_SAMPLES // 2)


@dataclass(frozen=True)
class QmlLinearlySeparable(ScriptedSet):
    """Uniform points in the cube [-1, 1]^d, on the two sides of a margin around the plane through 0 across (1, ..., 1).

    Points with abs(sum_i x_i) of at most 0.02 d are left out. Class 0 has the positive sums. LINEARLY SEPARABLE of
    arXiv:2403.07059.

    Attributes:
        n_features: the dimension d.
    """

    name: ClassVar[str] = "qml_benchmarks_linearly_separable"
    difficulty: ClassVar[str] = ""
    published_seed: ClassVar[int] = 42

    n_features: Size = 2

    def _script(self) -> Iterator[ScriptedSet]:
        yield from (QmlLinearlySeparable(d) for d in _SIZES if d <= self.n_features)

    def _rows_and_labels(self, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        x = 2.0 * random.random_sample((2 * N_SAMPLES, self.n_features)) - 1.0
        sums = x.sum(axis=1)
        kept = np.flatnonzero(np.abs(sums) > 0.02 * self.n_features)[:N_SAMPLES]
        if len(kept) < N_SAMPLES:
            raise TooFewRowsError
        return x[kept], (sums[kept] <= 0.0).astype(np.int64)


@dataclass(frozen=True)
class _HiddenManifolds(ScriptedSet):
    """A hidden manifold of ``_shape`` (m, F), cut at the median of a random network's outputs.

    A latent point c ~ N(0, I_m) is seen as x = tanh(c A / sqrt(m) - b), with A normal and b uniform on [-1, 1]; the network
    is v . tanh(W c), with W and v normal.
    """

    published_seed: ClassVar[int] = 3

    @property
    @abstractmethod
    def _shape(self) -> tuple[int, int]:
        """The dimension m of the manifold and the number of features F."""

    def _rows_and_labels(self, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        m, n_features = self._shape
        embedding = random.normal(size=(m, n_features))
        latent = random.normal(size=(N_SAMPLES, m))
        bias = 2.0 * random.random_sample(n_features) - 1.0
        hidden, readout = random.normal(size=(m, m)), random.normal(size=m)
        outputs = np.tanh(latent @ hidden.T) @ readout
        y = outputs >= np.median(outputs)
        return np.tanh(latent @ embedding / np.sqrt(m) - bias), y.astype(np.int64)


@dataclass(frozen=True)
class QmlHiddenManifold(_HiddenManifolds):
    """A manifold of 6 dimensions behind F features; labels halve the rows at the median of a random network's outputs.

    HIDDEN MANIFOLD of arXiv:2403.07059; the model is that of `qmoe.data.HiddenManifold`.

    Attributes:
        n_features: the number of features F.
    """

    name: ClassVar[str] = "qml_benchmarks_hidden_manifold"
    difficulty: ClassVar[str] = ""

    n_features: Size = 2

    @property
    def _shape(self) -> tuple[int, int]:
        return 6, self.n_features

    def _script(self) -> Iterator[ScriptedSet]:
        yield from (QmlHiddenManifold(n) for n in _SIZES if n <= self.n_features)


@dataclass(frozen=True)
class QmlHiddenManifoldDiff(_HiddenManifolds):
    """A manifold of m dimensions behind 10 features; labels halve the rows at the median of a random network's outputs.

    HIDDEN MANIFOLD DIFF of arXiv:2403.07059; the model is that of `qmoe.data.HiddenManifold`.

    Attributes:
        manifold_dim: the dimension m. The knob: more is harder.
    """

    name: ClassVar[str] = "qml_benchmarks_hidden_manifold_diff"
    difficulty: ClassVar[str] = "manifold_dim"

    manifold_dim: Size = 4

    @property
    def n_features(self) -> int:
        """Ten."""
        return 10

    @property
    def _shape(self) -> tuple[int, int]:
        return self.manifold_dim, 10

    def _script(self) -> Iterator[ScriptedSet]:
        yield from (QmlHiddenManifold(n) for n in _SIZES)
        yield from (QmlHiddenManifoldDiff(m) for m in _SIZES if m <= self.manifold_dim)


@dataclass(frozen=True)
class QmlHyperplanesDiff(ScriptedSet):
    """Parity of the hyperplanes of a 3-dimensional space that a point is on the positive side of, seen in 10 features.

    HYPERPLANES DIFF of arXiv:2403.07059; the model is that of `qmoe.data.Hyperplanes`. Features are standardised over all
    rows. An even number is class 0.

    Attributes:
        n_hyperplanes: the number of hyperplanes. The knob: more is harder.
    """

    name: ClassVar[str] = "qml_benchmarks_hyperplanes_diff"
    difficulty: ClassVar[str] = "n_hyperplanes"
    published_seed: ClassVar[int] = 1

    n_hyperplanes: Size = 2

    @property
    def n_features(self) -> int:
        """Ten."""
        return 10

    def _script(self) -> Iterator[ScriptedSet]:
        yield from (QmlHyperplanesDiff(n) for n in _SIZES if n <= self.n_hyperplanes)

    def _rows_and_labels(self, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        normals = random.random_sample((self.n_hyperplanes, 3))
        offsets = random.random_sample(self.n_hyperplanes)
        points = random.normal(size=(4 * N_SAMPLES, 3))
        embedding = random.random_sample((3, self.n_features))
        odd = (points @ normals.T + offsets > 0.0).sum(axis=1) % 2 == 1
        halves = [points[side][: N_SAMPLES // 2] for side in (~odd, odd)]
        if min(map(len, halves)) < N_SAMPLES // 2:
            raise TooFewRowsError
        return _standardised(np.concatenate(halves) @ embedding), _halves()


@dataclass(frozen=True)
class _CurvePairs(ScriptedSet):
    """Two curves of ``_shape`` (F, degree, offset): Fourier series with noise 0.01, standardised over all rows."""

    published_seed: ClassVar[int] = 3

    @property
    @abstractmethod
    def _shape(self) -> tuple[int, int, float]:
        """The number of features, the degree of the series and the shift of class 1."""

    def _rows_and_labels(self, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        n_features, degree, offset = self._shape
        coefficients = random.random_sample((n_features, degree + 1, 2))
        coefficients = coefficients / np.linalg.norm(coefficients)
        t, noise = np.empty(N_SAMPLES), np.empty((N_SAMPLES, n_features))
        for row in range(N_SAMPLES):  # the stream has each row's place on the curve, then its noise
            t[row] = random.random_sample()
            noise[row] = random.normal(0.0, 0.01, n_features)
        angles = np.pi * np.arange(degree + 1) * t[:, None]
        x = np.cos(angles) @ coefficients[:, :, 0].T + np.sin(angles) @ coefficients[:, :, 1].T
        # Frequency 0 counts with both of its coefficients.
        x += coefficients[:, 0, 1] + noise
        x[N_SAMPLES // 2 :] += offset
        return _standardised(x), _halves()


@dataclass(frozen=True)
class QmlTwoCurves(_CurvePairs):
    """Two curves of degree 5 in F features, one the other moved by 0.1 along every axis.

    TWO CURVES of arXiv:2403.07059; the model is that of `qmoe.data.TwoCurves`.

    Attributes:
        n_features: the number of features F.
    """

    name: ClassVar[str] = "qml_benchmarks_two_curves"
    difficulty: ClassVar[str] = ""

    n_features: Size = 2

    @property
    def _shape(self) -> tuple[int, int, float]:
        return self.n_features, 5, 0.1

    def _script(self) -> Iterator[ScriptedSet]:
        yield from (QmlTwoCurves(n) for n in _SIZES if n <= self.n_features)


@dataclass(frozen=True)
class QmlTwoCurvesDiff(_CurvePairs):
    """Two curves of degree D in 10 features, one the other moved by 1 / (2 D) along every axis.

    TWO CURVES DIFF of arXiv:2403.07059; the model is that of `qmoe.data.TwoCurves`.

    Attributes:
        degree: the degree D. The knob: more is harder.
    """

    name: ClassVar[str] = "qml_benchmarks_two_curves_diff"
    difficulty: ClassVar[str] = "degree"

    degree: Size = 2

    @property
    def n_features(self) -> int:
        """Ten."""
        return 10

    @property
    def _shape(self) -> tuple[int, int, float]:
        return 10, self.degree, 1.0 / (2 * self.degree)

    def _script(self) -> Iterator[ScriptedSet]:
        yield from (QmlTwoCurves(n) for n in _SIZES)
        yield from (QmlTwoCurvesDiff(n) for n in _SIZES if n <= self.degree)


@dataclass(frozen=True)
class QmlBarsAndStripes(ScriptedSet):
    """Images of bars (class 0) or stripes (class 1), pixels -1 and 1 with Gaussian noise of 0.5; 1,000 train, 200 test.

    Each column of a bar image, or row of a stripe image, is on with probability 1/2. BARS AND STRIPES of arXiv:2403.07059.

    Attributes:
        size: pixels along a side.
    """

    name: ClassVar[str] = "qml_benchmarks_bars_and_stripes"
    difficulty: ClassVar[str] = ""
    published_seed: ClassVar[int] = 42

    size: Annotated[int, OneOf((4, 8, 16, 32))] = 4

    @property
    def n_features(self) -> int:
        """The pixels, row by row."""
        return self.size**2

    def part_sizes(self, test_fraction: float = 0.2) -> tuple[int, int]:
        """1,000 and 200."""
        return 1000, 200

    def _script(self) -> Iterator[ScriptedSet]:
        yield self  # the script seeds anew for every size

    def _draw(self, random: np.random.RandomState) -> Split:
        (x_train, y_train), (x_test, y_test) = (self._images(random, n) for n in self.part_sizes())
        return Split(x_train, y_train, x_test, y_test)

    def _rows_and_labels(self, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        return self._images(random, self.n_rows)

    def _images(self, random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        images, y = np.empty((n, self.size, self.size)), np.empty(n, dtype=np.int64)
        for image, label in zip(images, range(n), strict=True):
            y[label] = random.random_sample() > 0.5
            line = np.where(random.random_sample(self.size) > 0.5, 1.0, -1.0)
            image[:] = line[:, None] if y[label] else line[None, :]
            image += random.normal(0.0, 0.5, image.shape)
        return images.reshape(n, -1), y
