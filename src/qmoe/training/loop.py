"""One training loop for a whole stack of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError
from qmoe.moe import MixtureOfExperts
from qmoe.seeding import Seed, torch_generator
from qmoe.training.autograd import AutogradTrainer
from qmoe.training.compiled import CompiledTrainer, compiled_parts
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import Histories, Part, Trainer, TrainingConfig


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
    if torch.is_inference_mode_enabled():
        raise ConfigError(
            "Training needs gradients, which torch.inference_mode() rules out; call train_stack outside of it."
        )
    # Compiled code reads memory, where the view of a negative holds the opposite.
    x, x_test = x.resolve_neg(), None if x_test is None else x_test.resolve_neg()
    stack = ModelStack(models)
    n_models = len(stack)
    if (x_test is None) != (y_test is None):
        raise ShapeError("Got one of x_test and y_test; pass both, or neither.")
    if len(order_seeds) != n_models:
        raise ShapeError(f"Got {len(order_seeds)} order_seeds for {n_models} model(s); pass one each.")
    _check_data(stack, "x", x, "y", y)
    test: Part | None = None
    if x_test is not None and y_test is not None and x_test.shape[1] > 0:
        _check_data(stack, "x_test", x_test, "y_test", y_test)
        test = Part(x_test, y_test)
    begin = time.perf_counter()
    if not any(value.requires_grad for value in stack.parameters.values()):
        raise ConfigError("Every parameter of the models is frozen, so there is nothing to train; unfreeze some.")
    train = Part(x, y)
    parts = compiled_parts(stack, x.shape[1], config.batch_size)
    trainer: Trainer
    if parts is None:
        trainer = AutogradTrainer(stack, train, test, config)
    else:
        trainer = CompiledTrainer(stack, parts, train, test, config)
    generators = [torch_generator(seed) for seed in order_seeds]
    done: list[Histories] = []
    finished = 0
    while finished < config.epochs:
        n_epochs = trainer.epochs_at_once(config.epochs - finished)
        done.append(trainer.run(_orders(generators, n_epochs, x.shape[1])))
        # What follows the epoch in which the last of the models failed does not count.
        failed = np.logical_or.accumulate(~np.isfinite(done[-1].loss), axis=1) | _failed(done[:-1], n_models)
        for all_failed in failed.all(0):
            finished += 1
            if on_epoch is not None:
                on_epoch(finished)
            if all_failed:
                break
        if failed.all():
            break

    loss, running, test_accuracy = (
        _join([getattr(each, name)[:, :finished] for each in done], finished, config.epochs)
        for name in ("loss", "running", "test")
    )
    failures: dict[int, str] = {}
    failed_in: dict[int, int] = {}
    for index, epoch in zip(*np.nonzero(~np.isfinite(loss[:, :finished])), strict=True):
        if index not in failures:
            failed_in[int(index)] = int(epoch)
            failures[int(index)] = f"the loss was {float(loss[index, epoch])} in epoch {epoch}; try a lower lr."
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


def _orders(generators: Sequence[torch.Generator], n_epochs: int, n: int) -> np.ndarray:
    """``(epochs, M, N)``: in which order each model sees its rows."""
    order = torch.empty(n_epochs, len(generators), n, dtype=torch.int64)
    for m, generator in enumerate(generators):
        for epoch in range(n_epochs):
            torch.randperm(n, generator=generator, out=order[epoch, m])
    return order.numpy()


def _failed(done: Sequence[Histories], n_models: int) -> np.ndarray:
    """``(M, 1)``: which models have failed."""
    failed = np.zeros((n_models, 1), dtype=bool)
    for each in done:
        failed |= ~np.isfinite(each.loss).all(1, keepdims=True)
    return failed


def _join(parts: Sequence[np.ndarray], finished: int, epochs: int) -> np.ndarray:
    """Histories of several calls one after another: the epochs that count, and NaN for those that did not happen."""
    joined = np.full((len(parts[0]), epochs), np.nan)
    joined[:, :finished] = np.concatenate(parts, 1)[:, :finished]
    return joined


@torch.no_grad()
def _check_data(stack: ModelStack, x_name: str, x: Tensor, y_name: str, y: Tensor) -> None:
    n_models = len(stack)
    if x.dim() != 3 or x.shape[0] != n_models or x.shape[1] < 1:
        raise ShapeError(f"{x_name} has shape {tuple(x.shape)}, expected ({n_models}, N, F) with N of at least 1.")
    if y.shape != x.shape[:2] or y.dtype != torch.int64:
        raise ShapeError(
            f"{y_name} is {y.dtype} of shape {tuple(y.shape)}, expected torch.int64 of {tuple(x.shape[:2])}."
        )
    for name, parameter in stack.parameters.items():
        if parameter.dtype != x.dtype:
            raise ShapeError(
                f"{x_name} is {x.dtype}, the parameter {name} is {parameter.dtype}; cast one of them (nothing is "
                "converted silently)."
            )
    # Inside a stack the models cannot look at values.
    bad = (~x.isfinite()).nonzero()
    if len(bad):
        at = tuple(bad[0].tolist())
        raise ShapeError(
            f"{x_name} holds {len(bad)} value(s) that are not finite, the first is {float(x[at])} at index {at}; "
            "drop or impute such rows first."
        )
    first = stack.models[0]
    if isinstance(first, MixtureOfExperts):
        # Rows that cannot be encoded, in any of the models' data: inside the stack nobody looks at values.
        first.router.check(x)
        first.experts.check(x)
    n_classes = first(x[0, :1]).shape[-1]
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= n_classes:
        raise ShapeError(
            f"{y_name} runs from {low} to {high}, but the models have {n_classes} output(s): labels run from 0 to "
            f"{n_classes - 1}."
        )
