"""Scalings of the features, fitted on the training part only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from qmoe.data.base import check_rows
from qmoe.errors import ConfigError, ShapeError, unknown


@dataclass(frozen=True, eq=False)
class Scaler(ABC):
    """A map of ``(N, F)`` features to ``(N, F)`` float64 features, with what it learned from the training part."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, x_train: np.ndarray) -> Self:
        """Returns the scaler for the training features ``(N, F)``, of at least one row."""

    @abstractmethod
    def _width(self) -> int:
        """The number of features F it was fitted on."""

    @abstractmethod
    def _apply(self, x: np.ndarray) -> np.ndarray:
        """Maps checked rows."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns the scaled rows of ``x`` ``(N, F)``; ``x`` itself is left as it is.

        Raises:
            ShapeError: ``x`` has another shape, or entries that are not finite, or so large that the result is not.
        """
        rows = check_rows(self.name, x, self._width())
        with np.errstate(over="ignore", invalid="ignore"):
            return _within_range(self.name, self._apply(rows))


@dataclass(frozen=True, eq=False)
class _NothingLearned(Scaler):
    """A map that needs nothing from the training part but its number of features.

    Attributes:
        n_features: the number of features F.
    """

    n_features: int

    @classmethod
    def fit(cls, x_train: np.ndarray) -> Self:
        """Returns the scaler, if it can scale the training rows."""
        rows = _training_rows(cls.name, x_train)
        scaler = cls(rows.shape[1])
        scaler(rows)
        return scaler

    def _width(self) -> int:
        return self.n_features


@dataclass(frozen=True, eq=False)
class Identity(_NothingLearned):
    """The features as they are.

    Example:
        >>> from qmoe.data import Identity
        >>> Identity.fit([[0.0, 1.0]])([[2.0, 3.0]])
        array([[2., 3.]])
    """

    name: ClassVar[str] = "none"

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return x.copy()


@dataclass(frozen=True, eq=False)
class _MinMax(Scaler):
    """Maps the range of each feature to one of length pi."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def fit(cls, x_train: np.ndarray) -> Self:
        """Takes the range of each feature."""
        rows = _training_rows(cls.name, x_train)
        return cls(rows.min(axis=0), rows.max(axis=0))

    def _width(self) -> int:
        return len(self.low)

    def _angles(self, x: np.ndarray, lowest: float) -> np.ndarray:
        """Angles from ``lowest`` to ``lowest + pi``, and 0 for what is constant."""
        span = self.high - self.low
        varies = span > 0.0
        return np.where(varies, (x - self.low) / np.where(varies, span, 1.0) * np.pi + lowest, 0.0)


@dataclass(frozen=True, eq=False)
class MinMaxPi(_MinMax):
    """Maps the smallest training value of each feature to 0 and the largest to pi, as angles in radians.

    Rows that were not trained on may fall outside. A feature that is constant in the training part maps to 0.

    Attributes:
        low: ``(F,)`` smallest training values.
        high: ``(F,)`` largest training values.
    """

    name: ClassVar[str] = "minmax_pi"

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return self._angles(x, 0.0)


@dataclass(frozen=True, eq=False)
class MinMaxCentred(_MinMax):
    """Maps the smallest training value of each feature to -pi/2 and the largest to pi/2, as angles in radians.

    The sine then rises over the whole range and the cosine is largest in its middle; from 0 to pi, the cosine falls and the
    sine is largest in the middle. Rows that were not trained on may fall outside. A feature that is constant in the training
    part maps to 0.

    Attributes:
        low: ``(F,)`` smallest training values.
        high: ``(F,)`` largest training values.

    Example:
        >>> from qmoe.data import MinMaxCentred
        >>> MinMaxCentred.fit([[0.0], [1.0]])([[0.0], [0.5]])
        array([[-1.57079633],
               [ 0.        ]])
    """

    name: ClassVar[str] = "minmax_centred"

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return self._angles(x, -np.pi / 2)


@dataclass(frozen=True, eq=False)
class Standard(Scaler):
    """Subtracts the training mean of each feature and divides by its standard deviation (with 1/N).

    A feature that is constant in the training part maps to 0.

    Attributes:
        mean: ``(F,)`` training means.
        deviation: ``(F,)`` training standard deviations; 0 where a feature is constant.

    Example:
        >>> from qmoe.data import Standard
        >>> Standard.fit([[1.0], [3.0]])([[2.0], [4.0]])
        array([[0.],
               [2.]])
    """

    name: ClassVar[str] = "standard"

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fit(cls, x_train: np.ndarray) -> Self:
        """Takes mean and standard deviation of each feature."""
        rows = _training_rows(cls.name, x_train)
        # Rounding in the mean gives a constant column a tiny deviation, which must not blow it up.
        varies = rows.min(axis=0) < rows.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = rows.mean(axis=0), np.where(varies, rows.std(axis=0), 0.0)
        return cls(_within_range(cls.name, mean[None])[0], _within_range(cls.name, deviation[None])[0])

    @classmethod
    def fit_weighted(cls, x_train: np.ndarray, weights: np.ndarray) -> Self:
        """Takes mean and standard deviation of each feature over rows that count ``weights`` ``(N,)``, above 0."""
        scaler, shares = cls.fit(x_train), weights / weights.sum()
        mean = shares @ x_train
        deviation = np.sqrt(shares @ (x_train - mean) ** 2)
        return cls(mean, np.where(scaler.deviation > 0.0, deviation, 0.0))

    def _width(self) -> int:
        return len(self.mean)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        varies = self.deviation > 0.0
        return np.where(varies, (x - self.mean) / np.where(varies, self.deviation, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class UnitNorm(_NothingLearned):
    """Divides each row by its Euclidean norm, as amplitude encoding asks for; nothing is learned."""

    name: ClassVar[str] = "unit_norm"

    def _apply(self, x: np.ndarray) -> np.ndarray:
        # Dividing by the largest entry first keeps the squares of very small and very large rows in range.
        largest = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
        zero = np.flatnonzero(largest[:, 0] == 0.0)
        if zero.size:
            raise ShapeError(
                f"unit_norm: row {zero[0]} is all zeros and has no direction ({zero.size} such rows); "
                "drop such rows or use another scaling."
            )
        rows = x / largest
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class PrincipalComponents(Scaler):
    """Rotates rows onto the directions in which the training part varies most, keeps the first few, and scales those.

    Attributes:
        first: the scaling of the F features before anything else: `Standard`, or `Identity`.
        mean: ``(F,)`` training means of the features so scaled.
        axes: ``(K, F)`` orthonormal directions, of falling variance; the largest entry of each is positive.
        then: the scaling of the K components.

    Example:
        >>> from qmoe.data import PrincipalComponents, fit_scaling
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(20, 5))
        >>> isinstance(fit_scaling("minmax_pi", rows, components=2), PrincipalComponents)
        True
        >>> fit_scaling("minmax_pi", rows, components=2)(rows).shape
        (20, 2)
    """

    name: ClassVar[str] = "principal_components"

    first: Scaler
    mean: np.ndarray
    axes: np.ndarray
    then: Scaler

    @classmethod
    def fit(
        cls, x_train: np.ndarray, n_components: int = 2, then: type[Scaler] = Identity, standardise: bool = False
    ) -> Self:
        """Takes the first directions, and fits the scaling on the components.

        Args:
            x_train: ``(N, F)`` training features.
            n_components: how many to keep, K.
            then: the scaling of the components.
            standardise: whether each feature first gets mean 0 and standard deviation 1, as features of different units
                ask for: otherwise the feature of the largest numbers is the first component.

        Raises:
            ConfigError: there are fewer features or rows than components.
        """
        raw = _training_rows(cls.name, x_train)
        first = (Standard if standardise else Identity).fit(raw)
        rows = first(raw)
        if n_components > min(rows.shape):
            raise ConfigError(
                f"{n_components} components of {rows.shape[0]} training rows with {rows.shape[1]} features, expected "
                f"at most {min(rows.shape)}."
            )
        from sklearn.decomposition import PCA

        with np.errstate(invalid="ignore"):  # where nothing varies, no component has a share of the variance
            found = PCA(n_components, svd_solver="full").fit(rows)
        largest = np.abs(found.components_).argmax(axis=1, keepdims=True)
        axes = found.components_ * np.sign(np.take_along_axis(found.components_, largest, axis=1))
        return cls(first, found.mean_, axes, then.fit((rows - found.mean_) @ axes.T))

    def _width(self) -> int:
        return len(self.mean)

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return self.then((self.first(x) - self.mean) @ self.axes.T)


#: Scalings by the names that study files and `fit_scaling` take.
SCALINGS: dict[str, type[Scaler]] = {cls.name: cls for cls in (Identity, MinMaxPi, MinMaxCentred, Standard, UnitNorm)}


def fit_scaling(
    name: str,
    x_train: np.ndarray,
    components: int | None = None,
    weights: np.ndarray | None = None,
    standardise: bool = False,
) -> Scaler:
    """Returns the scaling ``name``, fitted on the training features ``(N, F)``.

    Args:
        name: a key of `SCALINGS`.
        x_train: the training features.
        components: how many principal components to keep first; None scales the features themselves.
        weights: ``(N,)`` how much each row counts, above 0; None for equal weights. Components do not take them.
        standardise: whether components are of standardised features; for features of different units.

    Raises:
        ConfigError: there is no such scaling, or there are fewer features than components.
        ShapeError: the features have the wrong shape or entries that are not finite.

    Example:
        >>> from qmoe.data import SCALINGS, fit_scaling
        >>> import numpy as np
        >>> sorted(SCALINGS), fit_scaling("minmax_pi", np.array([[0.0], [1.0]]))(np.array([[0.5]]))
        (['minmax_centred', 'minmax_pi', 'none', 'standard', 'unit_norm'], array([[1.57079633]]))
    """
    if name not in SCALINGS:
        raise unknown("scaling", name, SCALINGS)
    scaling = SCALINGS[name]
    if weights is not None and components is None and issubclass(scaling, Standard):
        return scaling.fit_weighted(x_train, weights)
    if components is None:
        return scaling.fit(x_train)
    return PrincipalComponents.fit(x_train, components, scaling, standardise)


def _training_rows(name: str, x: np.ndarray) -> np.ndarray:
    rows = check_rows(name, x)
    if len(rows) == 0:
        raise ShapeError(f"{name}: x_train has no rows, expected at least one to fit on; lower test_fraction.")
    return rows


def _within_range(name: str, x: np.ndarray) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(x).all(axis=0))
    if bad.size:
        raise ShapeError(
            f"{name}: feature {bad[0]} leaves the range of float64 when it is scaled; rescale or drop that feature."
        )
    return x
