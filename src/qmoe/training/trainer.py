"""What the training loop asks of whatever trains a stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

from qmoe.errors import ConfigError, check_sizes
from qmoe.moe.routing_options import check_number
from qmoe.training.loss import CROSS_ENTROPY, Loss
from qmoe.training.orders import Orders


@dataclass(frozen=True)
class TrainingConfig:
    """How models are trained; the defaults are the paper's phase 2.

    Args:
        epochs: passes over the training data.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        lr: Adam's learning rate.
        patience: a model stops once its accuracy on the test part, which then is a validation part, has not risen for more
            than so many epochs, and goes back to its best epoch; None trains for all epochs.
        tolerance: by how much the accuracy must rise to count.
        evaluate: when the accuracy on the test part is found: after every ``"epoch"``, or at the ``"end"`` alone.
        loss: what is minimised: `CrossEntropy` of class labels, or `SquaredError` of numbers. What stands for an accuracy,
            here and in the results, is then the score of the loss.
        balance_loss: factor of `qmoe.moe.balance_loss` of each batch, which is added to the mean loss and in no result. It
            needs mixtures of qmoe, and trains by autograd.

    Raises:
        ConfigError: for sizes below 1, a learning rate that is not positive, a tolerance that is negative, or patience
            without an accuracy after every epoch.
    """

    epochs: int = 50
    batch_size: int = 32
    lr: float = 0.1
    patience: int | None = None
    tolerance: float = 1e-4
    evaluate: Literal["epoch", "end"] = "epoch"
    loss: Loss = CROSS_ENTROPY
    balance_loss: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(epochs=self.epochs, batch_size=self.batch_size)
        if self.patience is not None:
            check_sizes(patience=self.patience)
        if not isinstance(self.loss, Loss):
            raise ConfigError(
                f"loss is {self.loss!r}, expected one of qmoe.training: CrossEntropy() or SquaredError()."
            )
        check_number("balance_loss", self.balance_loss)
        if self.evaluate not in ("epoch", "end"):
            raise ConfigError(f"evaluate is {self.evaluate!r}, expected 'epoch' or 'end'.")
        if self.patience is not None and self.evaluate == "end":
            raise ConfigError(
                f"patience is {self.patience}, which looks at the accuracy after every epoch; drop evaluate='end'."
            )
        is_number = isinstance(self.tolerance, (int, float)) and not isinstance(self.tolerance, bool)
        if not is_number or not 0 <= self.tolerance < 1:
            raise ConfigError(f"tolerance is {self.tolerance!r}, expected a number from 0 to 1, such as 1e-4.")
        if isinstance(self.lr, bool) or not isinstance(self.lr, (int, float)) or not 0 < self.lr <= 1e30:
            raise ConfigError(f"lr is {self.lr!r}, expected a positive number; 0.01 to 0.1 is usual here.")


@dataclass(frozen=True)
class Part:
    """One part of the data of a stack.

    Attributes:
        x: ``(M, N, F)`` features.
        y: targets as the loss takes them: ``(M, N)`` class labels from 0, int64; or ``(M, N, O)`` numbers.
        weight: ``(M, N)`` factors of the rows' losses; None where all are 1.
    """

    x: Tensor
    y: Tensor
    weight: Tensor | None = None


@dataclass(kw_only=True)
class StackResult:
    """What any training of a stack of M models gives.

    Attributes:
        train_accuracy: ``(M,)`` accuracies on the training part at the end; NaN for a model that failed.
        failures: reason for each model (by its place in the stack) that failed: its loss or outputs are not finite.
        seconds: wall time of training and evaluation of the whole stack.
    """

    train_accuracy: np.ndarray
    failures: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Histories:
    """What some epochs gave; all ``(M, epochs)``.

    Attributes:
        loss: cross-entropy summed over the batches of the epoch.
        running: share of training samples classified right as they were trained on.
        test: held-out accuracy after the epoch; NaN where nothing is held out, or an output is not finite.
    """

    loss: np.ndarray
    running: np.ndarray
    test: np.ndarray


class Trainer(ABC):
    """Trains the models of a stack side by side, each on rows and in an order of its own."""

    @abstractmethod
    def run(self, orders: Orders, n_epochs: int) -> Histories:
        """Trains for some epochs.

        Args:
            orders: in which order each model sees its rows; moved on by so many epochs.
            n_epochs: how many.
        """

    @abstractmethod
    def train_accuracy(self) -> np.ndarray:
        """``(M,)``: accuracies on the training part; NaN where an output is not finite."""

    @abstractmethod
    def test_accuracy(self) -> np.ndarray:
        """``(M,)``: accuracies on the test part, as `train_accuracy`; NaN where there is none."""

    @abstractmethod
    def write_back(self) -> None:
        """Brings what was trained into the stack's parameters."""

    def epochs_at_once(self, left: int) -> int:
        """How many of the epochs that are left `run` should be given next, so that somebody can watch."""
        del left
        return 1
