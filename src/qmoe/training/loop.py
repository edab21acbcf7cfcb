"""One training loop for a whole stack of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError
from qmoe.seeding import Seed
from qmoe.training.autograd_trainer import AutogradTrainer, accuracy
from qmoe.training.checked import check_weights, checked_parts
from qmoe.training.compiled import CompiledTrainer, compiled_parts
from qmoe.training.orders import Orders
from qmoe.training.stack import ModelStack
from qmoe.training.stopping import Best
from qmoe.training.trainer import Histories, Part, StackResult, Trainer, TrainingConfig


@dataclass
class TrainingResult(StackResult):
    """What training a stack of M models gave. Arrays have a row per model and a column per epoch.

    A model that failed has NaN in all of them from then on.

    Attributes:
        loss: ``(M, epochs)`` cross-entropy summed over the batches of the epoch, as the paper prints it.
        running_accuracy: ``(M, epochs)`` share of training samples classified right as they were trained on.
        test_accuracy: ``(M, epochs)`` held-out accuracy after the epoch; NaN where there is no test part, and before the
            last epoch where it is found at the end alone.
        n_epochs: ``(M,)`` epochs that each model trained for; fewer than all for one that stopped or failed.
        best_epoch: ``(M,)`` epochs, from 0, whose weights the models have; None without `TrainingConfig.patience`.
    """

    loss: np.ndarray
    running_accuracy: np.ndarray
    test_accuracy: np.ndarray
    n_epochs: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    best_epoch: np.ndarray | None = None


def train_stack(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    config: TrainingConfig,
    order_seeds: Sequence[Seed],
    x_test: Tensor | None = None,
    y_test: Tensor | None = None,
    on_epoch: Callable[[int], None] | None = None,
    sample_weight: Tensor | None = None,
    on_loss: Callable[[int, np.ndarray], None] | None = None,
) -> TrainingResult:
    """Trains M models side by side with Adam on cross-entropy, each on data and batches of its own.

    Every operation acts on each model separately, so a model ends with the same numbers alone and in any stack. A model
    whose loss stops being finite is reported and set aside, with its first weights; the others go on.

    Args:
        models: M modules of one shape, ``(B, F)`` to ``(B, C)`` logits; trained in place.
        x: ``(M, N, F)`` training features.
        y: ``(M, N)`` class labels from 0, int64.
        config: epochs, batch size, learning rate, when to evaluate.
        order_seeds: M seeds of the batch orders.
        x_test: ``(M, T, F)`` test features, or None.
        y_test: ``(M, T)`` test labels, or None.
        on_epoch: called with the number of finished epochs.
        sample_weight: ``(M, N)`` factors of the rows' losses, in the models' dtype; None where all are 1. With factors, and
            with a stack that does not compile, training goes through autograd.
        on_loss: called with the number of finished epochs and the ``(M,)`` losses of the last of them.

    Returns:
        Histories and final accuracies.

    Raises:
        ShapeError: when the data or the factors do not fit the models, or hold values that are not finite.
        ConfigError: under `torch.inference_mode`, when nothing is trainable, or where models are to stop by a test part
            that is not there.
    """
    stack, train, test = checked_parts(models, x, y, x_test, y_test)
    train = check_weights(train, sample_weight)
    if config.patience is not None and test is None:
        raise ConfigError(
            f"patience is {config.patience}, but there is no test part to stop by; pass x_test and y_test."
        )
    n_models, n = train.y.shape
    if len(order_seeds) != n_models:
        raise ShapeError(f"Got {len(order_seeds)} order_seeds for {n_models} model(s); pass one each.")
    trainer = _trainer(stack, train, test, config)
    begin = time.perf_counter()  # what a process loads once is loaded by now
    best = None if config.patience is None else Best(stack, trainer, config.patience, config.tolerance)
    histories = _run(trainer, config.epochs, Orders(order_seeds, n), on_epoch, on_loss, best)
    loss, running, test_accuracy = histories.loss, histories.running, histories.test
    n_epochs = np.full(n_models, config.epochs) if best is None else best.n_epochs(config.epochs)
    trained = np.arange(config.epochs) < n_epochs[:, None]
    diverged = np.flatnonzero((~np.isfinite(loss) & trained).any(1)).tolist()
    failed_in = {index: int(np.isfinite(loss[index]).argmin()) for index in diverged}
    if config.evaluate == "end":
        test_accuracy[:, -1] = trainer.test_accuracy()
    trainer.write_back()
    if best is None:
        train_accuracy = trainer.train_accuracy()
    else:
        best.restore()
        train_accuracy = accuracy(stack, train.x, train.y)
    failures = _failures(loss, failed_in, train_accuracy)
    # A failed model may have gone on beside others; what it gave must not depend on that.
    train_accuracy[list(failures)] = np.nan
    for index, epoch in failed_in.items():
        loss[index, epoch + 1 :] = running[index, epoch:] = np.nan
        test_accuracy[index, epoch:] = np.nan
        n_epochs[index] = epoch + 1
    stack.write_back(skip=failures)
    own = loss, running, test_accuracy, n_epochs, None if best is None else best.epoch
    seconds = time.perf_counter() - begin
    return TrainingResult(*own, train_accuracy=train_accuracy, failures=failures, seconds=seconds)


def _failures(loss: np.ndarray, failed_in: Mapping[int, int], train_accuracy: np.ndarray) -> dict[int, str]:
    """Reasons, by the place of the model: a loss that was not finite, or outputs that are not."""
    failures = {
        index: f"the loss was {float(loss[index, epoch])} in epoch {epoch}; try a lower lr."
        for index, epoch in failed_in.items()
    }
    for index in np.flatnonzero(np.isnan(train_accuracy)).tolist():
        failures.setdefault(index, "the outputs were not finite after the last epoch; try a lower lr.")
    return failures


def _trainer(stack: ModelStack, train: Part, test: Part | None, config: TrainingConfig) -> Trainer:
    """In machine code where all of the stack compiles and rows weigh alike, else by autograd.

    What does not compile is tabled in docs/training.md. It is decided by `qmoe.training.compiled.parts.parts_of` (the parts
    of the mixture), `compiled_parts` (its size) and `qmoe.engines.Engine.compiled` (its circuit); None means autograd.
    """
    parts = compiled_parts(stack, train.y.shape[1], config.batch_size) if train.weight is None else None
    if parts is None:
        return AutogradTrainer(stack, train, test, config)
    return CompiledTrainer(stack, parts, train, test, config)


def _run(
    trainer: Trainer,
    epochs: int,
    orders: Orders,
    on_epoch: Callable[[int], None] | None,
    on_loss: Callable[[int, np.ndarray], None] | None = None,
    best: Best | None = None,
) -> Histories:
    """Trains for all epochs; those after the one in which the last of the models failed or stopped have NaN."""
    n_models, finished = len(orders.states), 0
    whole = Histories(*np.full((3, n_models, epochs), np.nan))
    failed = np.zeros((n_models, 1), dtype=bool)
    # What is best must be looked at after every epoch.
    at_once = trainer.epochs_at_once if best is None else lambda left: 1
    while finished < epochs and not failed.all():
        given = trainer.run(orders, at_once(epochs - finished))
        failures = failed | np.logical_or.accumulate(~np.isfinite(given.loss), axis=1)
        # Up to the first epoch after which none is left.
        n_epochs = int(failures.all(0).argmax()) + 1 if failures[:, -1].all() else failures.shape[1]
        failed = failures[:, n_epochs - 1 : n_epochs]
        going = slice(None) if best is None else ~best.stopped
        for name in ("loss", "running", "test"):
            getattr(whole, name)[going, finished : finished + n_epochs] = getattr(given, name)[going, :n_epochs]
        for _ in range(n_epochs):
            finished += 1
            if on_epoch is not None:
                on_epoch(finished)
            if on_loss is not None:
                on_loss(finished, whole.loss[:, finished - 1])
        if best is not None:
            best.look(finished - 1, whole.test[:, finished - 1])
            failed = failed | best.stopped[:, None]
    return whole
