"""One training loop for a whole stack of models."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from qmoe.errors import ShapeError
from qmoe.seeding import Seed, numpy_generator
from qmoe.training.autograd import AutogradTrainer
from qmoe.training.checks import checked_parts
from qmoe.training.compiled import CompiledTrainer, compiled_parts
from qmoe.training.trainer import Histories, Trainer, TrainingConfig


@dataclass
class TrainingResult:
    """What training a stack of M models gave. Arrays have a row per model and a column per epoch.

    A model that failed has NaN in all of them from then on.

    Attributes:
        loss: ``(M, epochs)`` cross-entropy summed over the batches of the epoch, as the paper prints it.
        running_accuracy: ``(M, epochs)`` share of training samples classified right as they were trained on.
        test_accuracy: ``(M, epochs)`` held-out accuracy after the epoch; NaN where there is no test part.
        train_accuracy: ``(M,)`` accuracy on the training part at the end.
        failures: reason for each model (by its place in the stack) whose loss or outputs stopped being finite.
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
    whose loss stops being finite is reported and set aside, with its first weights; the others go on.

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
        ShapeError: when the data do not fit the models, or hold values that are not finite.
        ConfigError: under `torch.inference_mode`, or when nothing is trainable.
    """
    stack, train, test = checked_parts(models, x, y, x_test, y_test)
    n_models, n = train.y.shape
    if len(order_seeds) != n_models:
        raise ShapeError(f"Got {len(order_seeds)} order_seeds for {n_models} model(s); pass one each.")
    parts = compiled_parts(stack, n, config.batch_size)
    trainer: Trainer
    if parts is None:
        trainer = AutogradTrainer(stack, train, test, config)
    else:
        trainer = CompiledTrainer(stack, parts, train, test, config)
    begin = time.perf_counter()  # what a process loads once is loaded by now
    histories = _run(trainer, config.epochs, [numpy_generator(seed) for seed in order_seeds], n, on_epoch)
    loss, running, test_accuracy = histories.loss, histories.running, histories.test
    failures: dict[int, str] = {}
    failed_in: dict[int, int] = {}
    for index in np.flatnonzero(~np.isfinite(loss).all(1)).tolist():
        epoch = failed_in[index] = int(np.isfinite(loss[index]).argmin())
        failures[index] = f"the loss was {float(loss[index, epoch])} in epoch {epoch}; try a lower lr."
    train_accuracy = trainer.train_accuracy()
    for index in np.flatnonzero(np.isnan(train_accuracy)).tolist():
        failures.setdefault(index, "the outputs were not finite after the last epoch; try a lower lr.")
    # A failed model may have gone on beside others; what it gave must not depend on that.
    train_accuracy[list(failures)] = np.nan
    for index, epoch in failed_in.items():
        loss[index, epoch + 1 :] = running[index, epoch:] = np.nan
        test_accuracy[index, epoch:] = np.nan
    trainer.write_back()
    stack.write_back(skip=failures)
    return TrainingResult(
        loss=loss,
        running_accuracy=running,
        test_accuracy=test_accuracy,
        train_accuracy=train_accuracy,
        failures=failures,
        seconds=time.perf_counter() - begin,
    )


def _run(
    trainer: Trainer,
    epochs: int,
    generators: Sequence[np.random.Generator],
    n: int,
    on_epoch: Callable[[int], None] | None,
) -> Histories:
    """Trains for all epochs; those after the one in which the last of the models failed have NaN."""
    n_models, finished = len(generators), 0
    whole = Histories(*np.full((3, n_models, epochs), np.nan))
    failed = np.zeros((n_models, 1), dtype=bool)
    orders = _Orders(generators, n)
    while finished < epochs and not failed.all():
        left = epochs - finished
        n_epochs = trainer.epochs_at_once(left)
        if finished == 0:
            # Orders are drawn beside the training, but for the first ones; it should not wait long for them.
            n_epochs = -(-n_epochs // 8)
        order = orders.take(n_epochs)
        following = trainer.epochs_at_once(left - n_epochs) if left > n_epochs else 0
        given = trainer.run(order, functools.partial(orders.prepare, following))
        failures = failed | np.logical_or.accumulate(~np.isfinite(given.loss), axis=1)
        # Up to the first epoch after which none is left.
        n_epochs = int(failures.all(0).argmax()) + 1 if failures[:, -1].all() else failures.shape[1]
        failed = failures[:, n_epochs - 1 : n_epochs]
        for name in ("loss", "running", "test"):
            getattr(whole, name)[:, finished : finished + n_epochs] = getattr(given, name)[:, :n_epochs]
        for _ in range(n_epochs):
            finished += 1
            if on_epoch is not None:
                on_epoch(finished)
    return whole


class _Orders:
    """In which order each model sees its rows, epoch after epoch."""

    def __init__(self, generators: Sequence[np.random.Generator], n: int) -> None:
        self._generators, self._rows = generators, np.arange(n)
        self._prepared: np.ndarray | None = None

    def prepare(self, n_epochs: int) -> None:
        """Draws what `take` will be asked for next."""
        rows = np.broadcast_to(self._rows, (n_epochs, len(self._rows)))
        order = np.empty((len(self._generators), *rows.shape), np.int64)
        for of_model, generator in zip(order, self._generators, strict=True):
            generator.permuted(rows, axis=1, out=of_model)
        self._prepared = order

    def take(self, n_epochs: int) -> np.ndarray:
        """``(M, epochs, N)``."""
        if self._prepared is None:
            self.prepare(n_epochs)
        order, self._prepared = self._prepared, None
        assert order is not None
        return order
