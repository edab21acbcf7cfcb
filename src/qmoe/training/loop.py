"""One training loop for a whole stack of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError
from qmoe.layers import check_sizes
from qmoe.seeding import Seed, torch_generator
from qmoe.training.stack import ModelStack

#: Samples times models that one evaluation handles at once; bounds its memory.
EVALUATION_CHUNK = 200_000


@dataclass(frozen=True)
class TrainingConfig:
    """How models are trained; the defaults are the paper's phase 2.

    Args:
        epochs: passes over the training data.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        lr: Adam's learning rate.

    Raises:
        ConfigError: for sizes below 1 or a learning rate that is not positive.
    """

    epochs: int = 50
    batch_size: int = 32
    lr: float = 0.1

    def __post_init__(self) -> None:
        check_sizes(epochs=self.epochs, batch_size=self.batch_size)
        if not 0 < self.lr < float("inf"):
            raise ConfigError(f"lr is {self.lr!r}, expected a positive number; 0.01 to 0.1 is usual here.")


@dataclass
class TrainingResult:
    """What training a stack of M models gave. Arrays have a row per model and a column per epoch.

    Attributes:
        loss: ``(M, epochs)`` cross-entropy summed over the batches of the epoch, as the paper prints it.
        running_accuracy: ``(M, epochs)`` share of training samples classified right as they were trained on.
        test_accuracy: ``(M, epochs)`` held-out accuracy after the epoch; NaN where there is no test part.
        train_accuracy: ``(M,)`` accuracy on the training part at the end.
        failures: reason for each model (by its place in the stack) whose loss stopped being finite.
        seconds: wall time of training and evaluation of the whole stack.
    """

    loss: np.ndarray
    running_accuracy: np.ndarray
    test_accuracy: np.ndarray
    train_accuracy: np.ndarray
    failures: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0


def train_stack(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    config: TrainingConfig,
    order_seeds: Sequence[Seed],
    x_test: Tensor | None = None,
    y_test: Tensor | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> TrainingResult:
    """Trains M models side by side with Adam on cross-entropy, each on data and batches of its own.

    Every operation acts on each model separately, so a model ends with the same numbers alone and in any stack. A model
    whose loss stops being finite is reported and set aside; the others go on.

    Args:
        models: M modules of one shape, ``(B, F)`` to ``(B, C)`` logits; trained in place.
        x: ``(M, N, F)`` training features.
        y: ``(M, N)`` class labels from 0, int64.
        config: epochs, batch size, learning rate.
        order_seeds: M seeds of the batch orders.
        x_test: ``(M, T, F)`` test features, or None.
        y_test: ``(M, T)`` test labels, or None.
        on_epoch: called with the number of finished epochs.

    Returns:
        Histories and final accuracies.

    Raises:
        ShapeError: when the data do not fit the models.
    """
    stack = ModelStack(models)
    n_models = len(stack)
    _check_data(n_models, x, y, order_seeds)
    begin = time.perf_counter()
    # Not fused: the fused kernel rounds an element by its place in the tensor, and training amplifies that until a trial
    # gives other numbers in another stack. foreach applies the plain elementwise operations, which do not.
    optimizer = torch.optim.Adam(list(stack.parameters.values()), lr=config.lr, foreach=True)
    generators = [torch_generator(seed) for seed in order_seeds]
    n = x.shape[1]
    has_test = x_test is not None and y_test is not None and x_test.shape[1] > 0
    loss = torch.zeros(n_models, config.epochs, dtype=torch.float64)
    running = torch.zeros_like(loss)
    test_accuracy = np.full((n_models, config.epochs), np.nan)
    failures: dict[int, str] = {}

    for epoch in range(config.epochs):
        order = torch.stack([torch.randperm(n, generator=g) for g in generators]).to(x.device)
        x_shuffled = x.gather(1, order.unsqueeze(-1).expand_as(x))
        y_shuffled = y.gather(1, order)
        for start in range(0, n, config.batch_size):
            xb, yb = x_shuffled[:, start : start + config.batch_size], y_shuffled[:, start : start + config.batch_size]
            logits = stack(xb)
            batch_loss = _cross_entropy(logits, yb)
            optimizer.zero_grad(set_to_none=True)
            batch_loss.sum().backward()
            optimizer.step()
            loss[:, epoch] += batch_loss.detach().cpu()
            running[:, epoch] += (logits.detach().argmax(-1) == yb).sum(1).cpu()
        _note_failures(loss[:, epoch], epoch, failures)
        if has_test:
            assert x_test is not None
            assert y_test is not None
            test_accuracy[:, epoch] = accuracy(stack, x_test, y_test)
        if on_epoch is not None:
            on_epoch(epoch + 1)
        if len(failures) == n_models:
            break

    train_accuracy = accuracy(stack, x, y)
    stack.write_back()
    return TrainingResult(
        loss=loss.numpy(),
        running_accuracy=(running / n).numpy(),
        test_accuracy=test_accuracy,
        train_accuracy=train_accuracy,
        failures=failures,
        seconds=time.perf_counter() - begin,
    )


@torch.no_grad()
def accuracy(stack: ModelStack, x: Tensor, y: Tensor) -> np.ndarray:
    """Share of ``x`` ``(M, N, F)`` that each model classifies as ``y`` ``(M, N)``: ``(M,)``."""
    step = max(1, EVALUATION_CHUNK // len(stack))
    right = sum((stack(x[:, i : i + step]).argmax(-1) == y[:, i : i + step]).sum(1) for i in range(0, x.shape[1], step))
    assert isinstance(right, Tensor)
    return right.double().cpu().numpy() / x.shape[1]


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each model: ``(M, B, C)`` and ``(M, B)`` to ``(M,)``."""
    return -logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1).mean(1)


def _note_failures(epoch_loss: Tensor, epoch: int, failures: dict[int, str]) -> None:
    for index in (~torch.isfinite(epoch_loss)).nonzero().flatten().tolist():
        failures.setdefault(index, f"the loss was {float(epoch_loss[index])} in epoch {epoch}; try a lower lr.")


def _check_data(n_models: int, x: Tensor, y: Tensor, order_seeds: Sequence[Seed]) -> None:
    if x.dim() != 3 or x.shape[0] != n_models or x.shape[1] < 1:
        raise ShapeError(f"x has shape {tuple(x.shape)}, expected ({n_models}, N, F) with N of at least 1.")
    if y.shape != x.shape[:2] or y.dtype != torch.int64:
        raise ShapeError(f"y is {y.dtype} of shape {tuple(y.shape)}, expected torch.int64 of {tuple(x.shape[:2])}.")
    if len(order_seeds) != n_models:
        raise ShapeError(f"Got {len(order_seeds)} order_seeds for {n_models} model(s); pass one each.")
