"""What an audited model is trained for, and how it is scored on held-out data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from qmoe.errors import ConfigError, ShapeError, unknown

TaskName = Literal["auto", "classification", "regression"]
#: Gives the loss of outputs ``(B, ...)`` and targets ``(B, ...)``, a mean over samples.
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """Loss and score.

    Attributes:
        classifies: whether targets are classes.
        loss: what training lowers.
        loss_words: what readers call it.
        binary: whether a single output is the logit of class 1.
    """

    classifies: bool
    loss: Loss
    loss_words: str
    binary: bool = False

    @property
    def metric(self) -> str:
        """The score's name, as claims know it; more is better."""
        return "test_accuracy" if self.classifies else "test_r2"

    def score(self, out: Tensor, y: Tensor) -> float:
        """Accuracy, or R²: the share of the variance that is explained, 0 for the mean of y at best."""
        if self.classifies:
            said = (out.flatten() > 0).long() if self.binary else out.argmax(-1)
            return float((said == y).double().mean())
        spread = ((y - y.mean(0)) ** 2).sum()
        return float(1 - ((out - y) ** 2).sum() / spread)

    def guess(self, y: Tensor) -> float:
        """The score of the best constant guess: the share of the commonest class, or 0."""
        return float(torch.bincount(y).max()) / len(y) if self.classifies else 0.0


def objective_for(task: TaskName, loss: Loss | None, out: Tensor, y: Tensor) -> tuple[Objective, Tensor]:
    """The objective of a model, and the targets in the form that its loss takes.

    Args:
        task: ``"auto"`` is classification for whole numbers or booleans, regression for others.
        loss: None for cross-entropy or the mean squared error.
        out: ``(B, ...)`` what the model returned for some rows.
        y: ``(N,)`` or ``(N, O)`` targets.

    Raises:
        ConfigError: for an unknown task, classes that are not numbered from 0, or that the model has no output for.
        ShapeError: for targets of another shape than the outputs.
    """
    known = ("auto", "classification", "regression")
    if task not in known:
        raise unknown("task", task, known)
    whole = not y.is_floating_point()
    if task == "regression" or (task == "auto" and not whole):
        return _regression(loss, out, y)
    if not whole and not bool((y == y.round()).all()):
        raise ConfigError("task is 'classification', but y holds numbers that are not whole; use task='regression'.")
    y = y.long()
    if y.dim() != 1:
        raise ShapeError(f"y has shape {tuple(y.shape)}, expected (N,) class numbers.")
    single = out.dim() == 1 or (out.dim() == 2 and out.shape[1] == 1)
    n_classes = 2 if single else out.shape[-1]
    if not single and out.dim() != 2:
        raise ShapeError(f"The model returned {tuple(out.shape)} for {out.shape[0]} rows, expected (rows, classes).")
    if int(y.min()) < 0 or int(y.max()) >= n_classes:
        raise ConfigError(
            f"y holds classes from {int(y.min())} to {int(y.max())}, but the model has outputs for 0 to {n_classes - 1}; "
            "number the classes from 0, as numpy.unique(y, return_inverse=True) does, and give the model an output for each."
        )
    if len(y.unique()) < 2:
        raise ConfigError("y holds a single class, so there is nothing to learn; give rows of at least two classes.")
    if loss is not None:
        return Objective(True, loss, "loss", single), y
    if single:
        return Objective(True, _binary_cross_entropy, "cross-entropy", True), y
    return Objective(True, torch.nn.functional.cross_entropy, "cross-entropy"), y


def _regression(loss: Loss | None, out: Tensor, y: Tensor) -> tuple[Objective, Tensor]:
    y = y.to(out.dtype)
    if y.dim() == 1 and out.dim() == 2 and out.shape[1] == 1:
        y = y.unsqueeze(-1)
    if y.shape[1:] != out.shape[1:]:
        raise ShapeError(
            f"y has shape {tuple(y.shape)}, but the model returned {tuple(out.shape)} for {out.shape[0]} rows; make them "
            "equal beyond the first axis."
        )
    if bool((y == y[:1]).all()):
        raise ConfigError("y is the same for every row, so there is nothing to learn; give targets that differ.")
    named = "loss" if loss is not None else "mean squared error"
    return Objective(False, loss or torch.nn.functional.mse_loss, named), y


def _binary_cross_entropy(out: Tensor, y: Tensor) -> Tensor:
    flat = out.flatten()
    return torch.nn.functional.binary_cross_entropy_with_logits(flat, y.to(flat.dtype))


def as_tensor(name: str, values: object) -> Tensor:
    """Rows as a tensor; numbers that are not finite are refused.

    Raises:
        ConfigError: for what is no array of numbers.
        ShapeError: for no rows, or numbers that are not finite.
    """
    try:
        found = values if isinstance(values, Tensor) else torch.as_tensor(np.require(values, requirements="W"))
    except TypeError as error:
        raise ConfigError(f"{name} is a {type(values).__name__}, expected a tensor or an array of numbers.") from error
    if found.dim() < 1 or len(found) < 4:
        raise ShapeError(f"{name} has shape {tuple(found.shape)}, expected at least 4 rows.")
    if found.is_floating_point() and not bool(found.isfinite().all()):
        raise ShapeError(f"{name} holds numbers that are not finite; remove those rows or fill them in.")
    return found.detach()
