"""Decision boundaries of trained models on data with two features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from qmoe.errors import ShapeError
from qmoe.training import ModelStack

#: Points times models that one pass handles at once; bounds its memory.
_CHUNK = 200_000
# Logistic regression in `off_a_line`: weak ridge, so that straight boundaries (which are separable) have a finite fit.
_RIDGE, _NEWTON_STEPS, _LONGEST_STEP = 1e-6, 60, 4.0


@dataclass(frozen=True, eq=False)
class Grid:
    """A rectangular grid over the plane.

    Attributes:
        x: ``(n,)`` coordinates along the first feature.
        y: ``(n,)`` coordinates along the second feature.
        points: ``(n * n, 2)`` all nodes, the first feature running fastest.
    """

    x: np.ndarray
    y: np.ndarray
    points: np.ndarray

    def image(self, values: np.ndarray) -> np.ndarray:
        """Brings values ``(..., n * n)`` at the nodes to ``(..., n, n)``, rows along y, as contour plots take them."""
        return values.reshape(*values.shape[:-1], len(self.y), len(self.x))


@dataclass(frozen=True, eq=False)
class MeanBoundary:
    """What M models of one kind predict at N points.

    Attributes:
        mean: ``(N,)`` mean probability of class 1; the mean boundary is where it is 1/2.
        share: ``(N,)`` share of the models that predict class 1.
        n: number of models M.
    """

    mean: np.ndarray
    share: np.ndarray
    n: int


def make_grid(points: np.ndarray, n: int = 80, margin: float = 0.1) -> Grid:
    """A grid of ``n`` by ``n`` nodes around points ``(N, 2)``, wider than they are by ``margin`` on each side.

    Raises:
        ShapeError: when the points do not have two features.
    """
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"points has shape {points.shape}, expected (N, 2); a boundary is drawn over two features.")
    low, high = points.min(axis=0), points.max(axis=0)
    pad = margin * np.where(high > low, high - low, 1.0)
    x, y = (np.linspace(low[i] - pad[i], high[i] + pad[i], n) for i in range(2))
    return Grid(x, y, np.stack([part.ravel() for part in np.meshgrid(x, y)], axis=1))


@torch.no_grad()
def probabilities(models: Sequence[nn.Module], x_grid: Tensor | np.ndarray) -> np.ndarray:
    """The probability of class 1 that each of M models gives at N points.

    Args:
        models: M modules of one shape, ``(B, F)`` to ``(B, C)`` logits.
        x_grid: ``(N, F)`` points for all models, or ``(M, N, F)`` for each its own (its own scaling).

    Returns:
        ``(M, N)`` probabilities, float64.

    Raises:
        ShapeError: when the points do not fit the models, or the models have one class.
    """
    stack = ModelStack(models)
    first = next(iter(stack.parameters.values()))
    x = torch.as_tensor(x_grid).to(first.device, first.dtype)
    if x.dim() == 2:
        x = x.expand(len(stack), *x.shape)
    if x.dim() != 3 or len(x) != len(stack):
        raise ShapeError(f"x_grid has shape {tuple(x.shape)}, expected (N, F) or ({len(stack)}, N, F).")
    # Some models at a time, each on all points at once: controls that route a sample by its company see the whole grid.
    step = max(1, _CHUNK // max(1, x.shape[1]))
    starts = range(0, len(models), step)
    parts = [stack] if step >= len(models) else [ModelStack(models[i : i + step]) for i in starts]
    logits = torch.cat([part(x[i : i + step]) for i, part in zip(starts, parts, strict=True)])
    if logits.shape[-1] < 2:
        raise ShapeError(f"The models have {logits.shape[-1]} output, expected the logits of at least two classes.")
    return logits.double().softmax(-1)[..., 1].cpu().numpy()


def mean_boundary(probability: np.ndarray) -> MeanBoundary:
    """Averages the probabilities ``(M, N)`` of M models, and counts how many predict class 1.

    Example:
        >>> from qmoe.analysis import mean_boundary
        >>> import numpy as np
        >>> surface = mean_boundary(np.random.default_rng(0).random((8, 5, 5)))
        >>> surface.n
        8
    """
    return MeanBoundary(probability.mean(axis=0), (probability > 0.5).mean(axis=0), len(probability))


def off_a_line(probability: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How far each boundary is from a straight line: the share of the points that a line predicts otherwise.

    The line is that of a logistic regression on the model's own predictions, so 0 (to the fit's accuracy) means that the
    boundary is straight.

    Args:
        probability: ``(M, N)`` probability of class 1.
        points: ``(N, F)`` where.

    Returns:
        ``(M,)`` shares; 0 for a model that predicts one class everywhere.

    Example:
        >>> from qmoe.analysis import off_a_line
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> off_a_line(1 / (1 + np.exp(-x[None, :, 0])), x)
        array([0.])
    """
    x = (points - points.mean(axis=0)) / points.std(axis=0)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    target = probability > 0.5
    weights = np.zeros((len(target), x.shape[1]))
    ridge = _RIDGE * len(x) * np.eye(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        fitted = scipy.special.expit(weights @ x.T)
        gradient = (fitted - target) @ x + weights @ ridge
        hessian = np.einsum("mn,ni,nj->mij", fitted * (1 - fitted), x, x, optimize=True) + ridge
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        weights -= step * np.minimum(1.0, _LONGEST_STEP / np.maximum(length, 1e-300))
    return np.asarray(((weights @ x.T > 0) != target).mean(axis=1))
