"""Accuracy in which every class counts alike, however many samples it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.training.autograd_trainer import EVALUATION_ROWS
from qmoe.training.stack import ModelStack


@torch.no_grad()
def balanced_accuracy(models: Sequence[nn.Module], x: Tensor, y: Tensor) -> np.ndarray:
    """The mean over classes of the share of each that a model classifies right.

    Guessing gives 1 / C whatever the classes' sizes are, where it may give much more in accuracy.

    Args:
        models: M modules of one shape, ``(B, F)`` to ``(B, C)`` logits.
        x: ``(M, N, F)`` features.
        y: ``(M, N)`` class labels from 0, int64. A class that does not occur does not count.

    Returns:
        ``(M,)`` balanced accuracies; NaN for a model with an output that is not finite.

    Example:
        >>> from qmoe.training import balanced_accuracy
        >>> model = torch.nn.Linear(2, 2)
        >>> balanced_accuracy([model], torch.rand(1, 4, 2), torch.tensor([[0, 1, 1, 0]])).shape
        (1,)
    """
    stack = ModelStack(models)
    parts = [stack(x[:, i : i + EVALUATION_ROWS]) for i in range(0, x.shape[1], EVALUATION_ROWS)]
    predicted = torch.cat([part.argmax(-1) for part in parts], 1).cpu().numpy()
    finite = torch.stack([part.isfinite().flatten(1).all(1) for part in parts]).all(0).cpu().numpy()
    found = [_mean_recall(own, labels) for own, labels in zip(predicted, y.cpu().numpy(), strict=True)]
    return np.where(finite, found, np.nan)


def _mean_recall(predicted: np.ndarray, y: np.ndarray) -> float:
    sizes = np.bincount(y)
    right = np.bincount(y[predicted == y], minlength=len(sizes))
    return float((right[sizes > 0] / sizes[sizes > 0]).mean())
