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
from qmoe.moe import MixtureOfExperts
from qmoe.seeding import Seed, torch_generator
from qmoe.training.mixture_step import MixtureStep, compiles
from qmoe.training.stack import ModelStack
from qmoe.training.step import AutogradStep, Step

#: Samples of each model that one evaluation handles at once; bounds its memory. The same for any number of models: some
#: controls route a sample by its company, which must not depend on how many models train beside.
EVALUATION_ROWS = 1_500


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
        if isinstance(self.lr, bool) or not isinstance(self.lr, (int, float)) or not 0 < self.lr <= 1e30:
            raise ConfigError(f"lr is {self.lr!r}, expected a positive number; 0.01 to 0.1 is usual here.")


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
    has_test = False
    if x_test is not None and y_test is not None and x_test.shape[1] > 0:
        has_test = True
        _check_data(stack, "x_test", x_test, "y_test", y_test)
    begin = time.perf_counter()
    if not any(value.requires_grad for value in stack.parameters.values()):
        raise ConfigError("Every parameter of the models is frozen, so there is nothing to train; unfreeze some.")
    step: Step = MixtureStep(stack, config.lr) if compiles(stack.module) else AutogradStep(stack, config.lr)
    generators = [torch_generator(seed) for seed in order_seeds]
    n = x.shape[1]
    # Whole rows are copied several times faster than single values are gathered.
    rows, labels = x.reshape(-1, x.shape[-1]), y.flatten()
    first_rows = n * torch.arange(n_models, device=x.device).unsqueeze(1)
    # What a sample counts in the sum of its batches' means.
    batches = torch.arange(n) // config.batch_size
    shares = 1 / batches.bincount()[batches].double()
    loss = torch.zeros(n_models, config.epochs, dtype=torch.float64)
    running = torch.zeros_like(loss)
    test_accuracy = np.full((n_models, config.epochs), np.nan)
    failures: dict[int, str] = {}
    failed_in: dict[int, int] = {}

    for epoch in range(config.epochs):
        order = torch.stack([torch.randperm(n, generator=g) for g in generators]).to(x.device)
        picked = (order + first_rows).flatten()
        x_shuffled, y_shuffled = rows.index_select(0, picked).view_as(x), labels.index_select(0, picked).view_as(y)
        seen: list[tuple[Tensor, Tensor]] = []
        for xb, yb in zip(x_shuffled.split(config.batch_size, 1), y_shuffled.split(config.batch_size, 1), strict=True):
            # What is noted down waits for the end of the epoch: a step has few operations to spare.
            seen.append(step.differentiate(xb, yb))
            step.update()
        outputs = torch.cat([logits for logits, _ in seen], 1)
        running[:, epoch] = (outputs.argmax(-1) == y_shuffled).sum(1).cpu()
        loss[:, epoch] = (torch.cat([entropy for _, entropy in seen], 1).double().cpu() * shares).sum(1)
        for index in (~torch.isfinite(loss[:, epoch])).nonzero().flatten().tolist():
            failed_in.setdefault(index, epoch)
            failures.setdefault(index, f"the loss was {float(loss[index, epoch])} in epoch {epoch}; try a lower lr.")
        if has_test:
            assert x_test is not None
            assert y_test is not None
            test_accuracy[:, epoch] = _accuracy(step.logits, x_test, y_test)
        if on_epoch is not None:
            on_epoch(epoch + 1)
        if len(failures) == n_models:
            break

    train_accuracy = _accuracy(step.logits, x, y)
    for index in np.flatnonzero(np.isnan(train_accuracy)).tolist():
        failures.setdefault(index, "the outputs were not finite after the last epoch; try a lower lr.")
    # A failed model may have gone on beside others; what it gave must not depend on that.
    train_accuracy[list(failures)] = np.nan
    for index, epoch in failed_in.items():
        loss[index, epoch + 1 :] = running[index, epoch:] = torch.nan
        test_accuracy[index, epoch:] = np.nan
    stack.write_back(skip=failures)
    return TrainingResult(
        loss=loss.numpy(),
        running_accuracy=(running / n).numpy(),
        test_accuracy=test_accuracy,
        train_accuracy=train_accuracy,
        failures=failures,
        seconds=time.perf_counter() - begin,
    )


def accuracy(stack: ModelStack, x: Tensor, y: Tensor) -> np.ndarray:
    """Share of ``x`` ``(M, N, F)`` that each model classifies as ``y`` ``(M, N)``: ``(M,)``.

    NaN for a model with an output that is not finite, which is no classification.
    """
    return _accuracy(stack, x, y)


@torch.no_grad()
def _accuracy(run: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> np.ndarray:
    right = x.new_zeros(len(x), dtype=torch.int64)
    finite = x.new_ones(len(x), dtype=torch.bool)
    for i in range(0, x.shape[1], EVALUATION_ROWS):
        logits = run(x[:, i : i + EVALUATION_ROWS])
        right += (logits.argmax(-1) == y[:, i : i + EVALUATION_ROWS]).sum(1)
        finite &= logits.isfinite().flatten(1).all(1)
    return (right.double() / x.shape[1]).masked_fill(~finite, torch.nan).cpu().numpy()


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
