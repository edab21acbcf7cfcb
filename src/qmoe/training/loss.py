"""What training minimises: the loss of a row, what its targets look like, and the score that models are judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from qmoe.errors import ShapeError


@dataclass(frozen=True)
class Loss(ABC):
    """A loss of rows, and a score of which more is better.

    A subclass trains by autograd; machine code has `CrossEntropy` and `SquaredError`.
    """

    @abstractmethod
    def check(self, x_name: str, x: Tensor, y_name: str, y: Tensor, n_outputs: int) -> None:
        """Raises `qmoe.ShapeError` unless the targets ``y`` fit the rows ``x`` ``(M, N, F)`` and ``n_outputs``."""

    @abstractmethod
    def of_rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        """``(M, B)`` losses of ``(M, B, C)`` outputs."""

    @abstractmethod
    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        """``(M,)`` scores in float64, summed over the rows."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of logits and class labels ``(M, N)`` from 0, int64; the score is the accuracy.

    Example:
        >>> logits, labels = torch.zeros(1, 2, 4), torch.tensor([[0, 3]])
        >>> CrossEntropy().of_rows(logits, labels).exp()
        tensor([[4., 4.]])
    """

    def check(self, x_name: str, x: Tensor, y_name: str, y: Tensor, n_outputs: int) -> None:
        """Raises `qmoe.ShapeError` for targets that are no labels of the ``n_outputs`` classes."""
        if y.shape != x.shape[:2] or y.dtype != torch.int64:
            raise ShapeError(
                f"{y_name} is {y.dtype} of shape {tuple(y.shape)}, expected torch.int64 of {tuple(x.shape[:2])}."
            )
        labels = y.cpu().numpy()
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= n_outputs:
            raise ShapeError(
                f"{y_name} runs from {low} to {high}, but the models have {n_outputs} output(s): labels run from 0 to "
                f"{n_outputs - 1}."
            )

    def of_rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        """``(M, B)`` cross-entropies."""
        return cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)

    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        """How many rows are classified right."""
        return (outputs.argmax(-1) == y).sum(1).double()


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error, averaged over the outputs, of targets ``(M, N, O)`` in the dtype of the features.

    The score of a row is 1 minus its squared error. For targets of mean 0 and variance 1 its mean is R2, the share of the
    variance that the model explains.
    """

    def check(self, x_name: str, x: Tensor, y_name: str, y: Tensor, n_outputs: int) -> None:
        """Raises `qmoe.ShapeError` for targets of another shape or dtype, or that are not finite."""
        expected = (*x.shape[:2], n_outputs)
        if y.shape != expected or y.dtype != x.dtype:
            raise ShapeError(
                f"{y_name} is {y.dtype} of shape {tuple(y.shape)}, expected {x.dtype} (that of {x_name}) of {expected}: a "
                "number for each output of the models."
            )
        if not bool(y.isfinite().all()):
            raise ShapeError(f"{y_name} holds values that are not finite; drop such rows first.")

    def of_rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        """``(M, B)`` squared errors."""
        return (outputs - y).square().mean(-1)

    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Number of rows minus their squared errors."""
        return (1 - (outputs - y).double().square().mean(-1)).sum(1)


CROSS_ENTROPY = CrossEntropy()
