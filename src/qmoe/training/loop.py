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
from qmoe.training.compiled import CompiledTrainer, compiled_parts, compiles
from qmoe.training.orders import Orders
from qmoe.training.stack import ModelStack
from qmoe.training.stopping import Best
from qmoe.training.trainer import Histories, Part, StackResult, Trainer, TrainingConfig

#: Called with the number of finished epochs, ``(M,)`` losses and ``(M,)`` accuracies; True stops the training.
OnEpoch = Callable[[int, np.ndarray, np.ndarray], bool | None]


@dataclass
class TrainingResult(StackResult):
    """What training a stack of M models gave. Arrays have a row per model and a column per epoch.

    A model that failed has NaN in all of them from then on. With another loss than cross-entropy, accuracies are its scores.

    Attributes:
        loss: ``(M, epochs)`` cross-entropy summed over the batches of the epoch, as the paper prints it.
        running_accuracy: ``(M, epochs)`` share of training samples classified right as they were trained on.
        test_accuracy: ``(M, epochs)`` held-out accuracy after the epoch; NaN where there is no test part, and before the
            last epoch that was trained where it is found at the end alone.
        n_epochs: ``(M,)`` epochs that each model trained for; fewer than all for one that stopped, was stopped or failed.
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
    on_epoch: OnEpoch | None = None,
    sample_weight: Tensor | None = None,
) -> TrainingResult:
    """Trains M models side by side with Adam, each on data and batches of its own.

    Every operation acts on each model separately, so a model ends with the same numbers alone and in any stack. A model
    whose loss stops being finite is reported and set aside, with its first weights; the others go on.

    Args:
        models: M modules of one shape, ``(B, F)`` to ``(B, C)`` logits, or outputs; trained in place.
        x: ``(M, N, F)`` training features.
        y: ``(M, N)`` class labels from 0, int64; for ``loss=SquaredError()`` ``(M, N, C)`` numbers.
        config: epochs, batch size, learning rate, when to evaluate, and the loss: cross-entropy by default.
        order_seeds: M seeds of the batch orders.
        x_test: ``(M, T, F)`` test features, or None.
        y_test: test labels or numbers, as ``y``, or None.
        on_epoch: called after every epoch, with the number of finished epochs, the ``(M,)`` losses of the last of them, and
            the ``(M,)`` accuracies after it: those on the test part where there is one that is evaluated every epoch, else
            the running accuracies of the training rows. Once it returns True, training stops as if it had been asked for no
            more epochs. What it raises comes through, and the models then have their first weights. No number depends on it.
        sample_weight: ``(M, N)`` factors of the rows' losses, in the models' dtype; None where all are 1. With factors, with
            a loss of your own, with a balance loss, and with a stack that does not compile, training goes through autograd.

    Returns:
        Histories and final accuracies.

    Raises:
        ShapeError: when the data or the factors do not fit the models, or hold values that are not finite.
        ConfigError: under `torch.inference_mode`, when nothing is trainable, or where models are to stop by a test part
            that is not there.
    """
    stack, train, test = checked_parts(models, x, y, x_test, y_test, config.loss)
    train = check_weights(train, sample_weight)
    if config.patience is not None and test is None:
        raise ConfigError(
            f"patience is {config.patience}, but there is no test part to stop by; pass x_test and y_test."
        )
    n_models, n = train.y.shape[:2]
    if len(order_seeds) != n_models:
        raise ShapeError(f"Got {len(order_seeds)} order_seeds for {n_models} model(s); pass one each.")
    trainer = _trainer(stack, train, test, config)
    begin = time.perf_counter()  # what a process loads once is loaded by now
    best = None if config.patience is None else Best(stack, trainer, config.patience, config.tolerance)
    by_test = test is not None and config.evaluate == "epoch"
    histories, finished = _run(trainer, config.epochs, Orders(order_seeds, n), on_epoch, by_test, best)
    loss, running, test_accuracy = histories.loss, histories.running, histories.test
    n_epochs = np.full(n_models, finished) if best is None else best.n_epochs(finished)
    trained = np.arange(config.epochs) < n_epochs[:, None]
    diverged = np.flatnonzero((~np.isfinite(loss) & trained).any(1)).tolist()
    failed_in = {index: int(np.isfinite(loss[index]).argmin()) for index in diverged}
    if config.evaluate == "end":
        test_accuracy[:, finished - 1] = trainer.test_accuracy()
    trainer.write_back()
    if best is None:
        train_accuracy = trainer.train_accuracy()
    else:
        best.restore()
        train_accuracy = accuracy(stack, train.x, train.y, config.loss)
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
    is_known = train.weight is None and compiles(config.loss) and not config.balance_loss
    parts = compiled_parts(stack, train.y.shape[1], config.batch_size) if is_known else None
    if parts is None:
        return AutogradTrainer(stack, train, test, config)
    return CompiledTrainer(stack, parts, train, test, config)


def _run(
    trainer: Trainer, epochs: int, orders: Orders, on_epoch: OnEpoch | None, by_test: bool, best: Best | None
) -> tuple[Histories, int]:
    """Trains until all epochs are over, the last of the models failed or stopped, or ``on_epoch`` says so.

    Returns:
        Histories, with NaN where nothing was trained, and how many epochs there were.
    """
    n_models, finished = len(orders.states), 0
    whole = Histories(*np.full((3, n_models, epochs), np.nan))
    failed = np.zeros((n_models, 1), dtype=bool)
    # What is best must be looked at after every epoch, and whoever watches may end the training there.
    at_once = trainer.epochs_at_once if best is None and on_epoch is None else lambda left: 1
    is_over = False
    while finished < epochs and not (is_over or failed.all()):
        given = trainer.run(orders, at_once(epochs - finished))
        failures = failed | np.logical_or.accumulate(~np.isfinite(given.loss), axis=1)
        # Up to the first epoch after which none is left.
        n_epochs = int(failures.all(0).argmax()) + 1 if failures[:, -1].all() else failures.shape[1]
        failed = failures[:, n_epochs - 1 : n_epochs]
        going = slice(None) if best is None else ~best.stopped
        for name in ("loss", "running", "test"):
            getattr(whole, name)[going, finished : finished + n_epochs] = getattr(given, name)[going, :n_epochs]
        finished += n_epochs
        if on_epoch is not None:
            accuracies = whole.test if by_test else whole.running
            seen = (np.where(failed[:, 0], np.nan, values[:, finished - 1]) for values in (whole.loss, accuracies))
            is_over = bool(on_epoch(finished, *seen))
        if best is not None:
            best.look(finished - 1, whole.test[:, finished - 1])
            failed = failed | best.stopped[:, None]
    return whole, finished
