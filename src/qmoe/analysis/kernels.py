"""Kernels of encodings, and how they compare: with labels, and with each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qmoe.circuits import AmplitudeEncoding, AngleEncoding, Encoding, as_encoding
from qmoe.errors import ConfigError, ShapeError, UnsupportedError

#: Relative difference from symmetry, or negative eigenvalue, that passes as rounding.
_ROUNDING = 1e-8


@dataclass(frozen=True)
class GeometricDifference:
    """How much better than K1's the geometry of K2 could serve some labels.

    Attributes:
        value: g(K1 || K2), at least 1 without regularisation. With the labels that suit K2 best, a learner with K1 may need
            up to ``value**2`` times the data that one with K2 needs; where it is small, no labels on these inputs make K2
            much better. It matters up to sqrt(N).
        training_error: what regularisation costs K1 on its own training labels, ``lambda |sqrt(K2) (K1 + lambda I)^-1|``, 0
            without it; ``value`` tells something where this is well below 1.
        regularisation: lambda, for kernels of trace N.
    """

    value: float
    training_error: float
    regularisation: float


def fidelity_kernel(
    encoding: str | Encoding, x: Tensor | np.ndarray, other: Tensor | np.ndarray | None = None
) -> np.ndarray:
    """The kernel of an encoding, ``k(x, x') = |<psi(x)|psi(x')>|^2``, in closed form (Schuld 2021, arXiv:2101.11020).

    ``prod_i cos^2((x_i - x'_i) / 2)`` for angle encoding with any rotation, ``(x.x')^2 / (|x|^2 |x'|^2)`` for amplitude
    encoding. Layers after the encoding do not change it: a unitary keeps fidelities.

    Args:
        encoding: an encoding, or its name.
        x: ``(N, F)`` features, in radians for angle encoding.
        other: ``(N', F)`` features; by default ``x``.

    Returns:
        ``(N, N')`` float64, between 0 and 1.

    Raises:
        UnsupportedError: for re-uploading, whose states depend on the weights between the uploads.
        ShapeError: for features of the wrong shape, not finite, or a row that amplitude encoding cannot normalise.
    """
    encoding = as_encoding(encoding)
    left = _features(x, "x")
    right = left if other is None else _features(other, "other")
    if left.shape[1] != right.shape[1]:
        raise ShapeError(f"x has {left.shape[1]} features and other has {right.shape[1]}; they must be of one space.")
    if isinstance(encoding, AngleEncoding) and encoding.uploads == 1:
        kernel = np.ones((len(left), len(right)))
        for a, b in zip(left.T, right.T, strict=True):
            kernel *= np.cos(np.subtract.outer(a, b) / 2) ** 2
        return kernel
    if isinstance(encoding, AmplitudeEncoding):
        return np.minimum((_unit(left) @ _unit(right).T) ** 2, 1.0)
    raise UnsupportedError(
        f"{encoding} has no kernel of its own: with several uploads the states depend on the weights between them; use an "
        "encoding with uploads=1."
    )


def target_kernel(labels: Tensor | np.ndarray) -> np.ndarray:
    """The ideal kernel of labels ``(N,)``: 1 for rows of one class, else 0, ``(N, N)``.

    For two classes it equals ``y y^T`` with y = +-1 once both are centred and scaled.

    Example:
        >>> from qmoe.analysis import target_kernel
        >>> target_kernel([0, 1, 1])
        array([[1., 0., 0.],
               [0., 1., 1.],
               [0., 1., 1.]])
    """
    y = np.asarray(labels)
    if y.ndim != 1 or len(y) == 0:
        raise ShapeError(f"labels has shape {y.shape}, expected (N,) with N of at least 1.")
    return (y[:, None] == y[None, :]).astype(np.float64)


def centred(kernel: np.ndarray) -> np.ndarray:
    """``H K H`` with ``H = I - 1 1^T / N``: the kernel ``(N, N)`` of the features less their mean.

    Example:
        >>> from qmoe.analysis import centred, target_kernel
        >>> centred(target_kernel([0, 1, 1])).sum().round(6)
        np.float64(0.0)
    """
    matrix = _kernel(kernel, "kernel")
    return matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()


def centred_alignment(one: np.ndarray, other: np.ndarray) -> float:
    """``<K, K'>_F / (|K|_F |K'|_F)`` of the centred kernels ``(N, N)`` (Cortes, Mohri, Rostamizadeh 2012, JMLR 13).

    Between 0 and 1 for kernels; 1 where the centred kernels are proportional. Scales and constants do not matter.

    Raises:
        ConfigError: for a kernel that is constant, which centring makes 0.
        ShapeError: for matrices that are not symmetric, finite and of one shape.

    Example:
        >>> from qmoe.analysis import centred_alignment, target_kernel
        >>> round(centred_alignment(target_kernel([0, 1, 1]), target_kernel([0, 1, 1])), 6)
        1.0
    """
    first, second = _kernel(one, "one"), _kernel(other, "other")
    _check_same(first, second)
    a, b = centred(first), centred(second)
    for name, raw, matrix in (("one", first, a), ("other", second, b)):
        if np.linalg.norm(matrix) <= 1e-12 * np.linalg.norm(raw):
            raise ConfigError(
                f"The kernel {name!r} tells no two samples apart (it is constant), so it has no alignment; check that the "
                "features, or the labels, take more than one value."
            )
    return float(np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def kernel_target_alignment(kernel: np.ndarray, labels: Tensor | np.ndarray) -> float:
    """`centred_alignment` of a kernel ``(N, N)`` with the ideal kernel of labels ``(N,)``: 1 for the ideal kernel."""
    return centred_alignment(kernel, target_kernel(labels))


def geometric_difference(k1: np.ndarray, k2: np.ndarray, regularisation: float = 0.0) -> GeometricDifference:
    """The geometric difference g(K1 || K2) (Huang et al. 2021, Nat. Commun. 12, 2631).

    ``g = | sqrt(K2) sqrt(K1) (K1 + lambda I)^-1 |``, the spectral norm, with both kernels scaled to trace N; without
    regularisation that is ``sqrt(| sqrt(K2) K1^-1 sqrt(K2) |)``. g(K || K) = 1. For the question of the paper K1 is the best
    classical kernel and K2 the quantum one: where g is small, no labels exist on these data for which K2 does much better.

    Args:
        k1: ``(N, N)`` the kernel to be beaten.
        k2: ``(N, N)`` the kernel that may beat it.
        regularisation: lambda, at least 0.

    Raises:
        ConfigError: for a negative regularisation, or none where K1 is singular and cannot be inverted.
        ShapeError: for matrices that are not symmetric, positive semi-definite, finite and of one shape.
    """
    if not 0 <= regularisation < np.inf:
        raise ConfigError(f"regularisation is {regularisation!r}, expected a finite number of at least 0.")
    first, second = _kernel(k1, "k1"), _kernel(k2, "k2")
    _check_same(first, second)
    values1, vectors1 = _spectrum(first, "k1")
    values2, vectors2 = _spectrum(second, "k2")
    if regularisation == 0 and values1[0] <= len(first) * np.finfo(np.float64).eps * values1[-1]:
        raise ConfigError(
            f"k1 is singular: its eigenvalues run from {values1[0]:.3g} to {values1[-1]:.3g}; pass a regularisation such as "
            "1e-3 (and look at training_error), or drop rows that are equal."
        )
    root2 = np.sqrt(values2) * vectors2
    shrunk = 1 / (values1 + regularisation)
    # |sqrt(K2) A| = |V2^T sqrt(K2) A V1|: rotations do not change the norm, so A may stay diagonal.
    mixing = root2.T @ vectors1
    return GeometricDifference(
        value=float(np.linalg.norm(mixing * (np.sqrt(values1) * shrunk), 2)),
        training_error=float(regularisation * np.linalg.norm(mixing * shrunk, 2)),
        regularisation=float(regularisation),
    )


def _spectrum(matrix: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues ``(N,)``, rising, and vectors of the kernel scaled to trace N."""
    trace = np.trace(matrix)
    if trace <= 0:
        raise ShapeError(f"{name} has trace {trace:.3g}, expected a positive one; a kernel's diagonal is |phi(x)|^2.")
    values, vectors = np.linalg.eigh(matrix * (len(matrix) / trace))
    if values[0] < -_ROUNDING * values[-1]:
        raise ShapeError(f"{name} has the eigenvalue {values[0]:.3g}, expected none below 0; it is no kernel.")
    return np.maximum(values, 0.0), vectors


def _kernel(kernel: np.ndarray, name: str) -> np.ndarray:
    matrix = np.asarray(kernel, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ShapeError(f"{name} has shape {matrix.shape}, expected (N, N).")
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > _ROUNDING * np.abs(matrix).max():
        raise ShapeError(f"{name} is not finite and symmetric; a kernel matrix is k(x_i, x_j) over one set of rows.")
    return (matrix + matrix.T) / 2


def _check_same(one: np.ndarray, other: np.ndarray) -> None:
    if one.shape != other.shape:
        raise ShapeError(f"The kernels have shapes {one.shape} and {other.shape}; compute both on the same rows.")


def _features(x: Tensor | np.ndarray, name: str) -> np.ndarray:
    rows = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
        raise ShapeError(f"{name} has shape {rows.shape}, expected (N, F) of finite numbers, neither of them 0.")
    return rows


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norms.all():
        raise ShapeError(
            f"Row {int(np.argmin(norms))} is all zeros, which amplitude encoding cannot normalise; drop such rows."
        )
    return rows / norms
