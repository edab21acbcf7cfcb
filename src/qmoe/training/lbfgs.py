"""Training to convergence: L-BFGS on the loss of all rows, one model after another, by SciPy."""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from qmoe.errors import ConfigError, check_sizes
from qmoe.training.autograd_trainer import AutogradTrainer, accuracy, trainable
from qmoe.training.checked import checked_parts
from qmoe.training.compiled import layout as at
from qmoe.training.compiled.parts import MixtureParts
from qmoe.training.compiled.step import Runner, compiled_parts, evaluation_piece
from qmoe.training.scipy_lbfgs import Limits, minimum
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import Part, StackResult, TrainingConfig


@dataclass(frozen=True)
class LBFGSConfig:
    """When to stop.

    Args:
        max_iterations: most iterations of a model; mixtures here take hundreds to thousands.
        tolerance: a model has converged once no component of its gradient is larger.
        memory: pairs of steps and gradients that the curvature is judged by.

    Raises:
        ConfigError: for sizes below 1 or a tolerance that is not positive.
    """

    max_iterations: int = 2_000
    tolerance: float = 1e-6
    memory: int = 10

    def __post_init__(self) -> None:
        check_sizes(max_iterations=self.max_iterations, memory=self.memory)
        is_number = isinstance(self.tolerance, (int, float)) and not isinstance(self.tolerance, bool)
        if not is_number or not 0 < self.tolerance < 1:
            raise ConfigError(f"tolerance is {self.tolerance!r}, expected a number between 0 and 1, such as 1e-6.")


@dataclass
class MinimizationResult(StackResult):
    """What minimising the losses of M models gave; a model that failed has NaN.

    Attributes:
        loss: ``(M,)`` mean cross-entropies on the training part.
        gradient: ``(M,)`` largest components of their gradients.
        n_iterations: ``(M,)`` iterations.
        converged: ``(M,)`` whether the largest component came down to the tolerance.
        test_accuracy: ``(M,)`` held-out accuracies; NaN where there is no test part.
    """

    loss: np.ndarray
    gradient: np.ndarray
    n_iterations: np.ndarray
    converged: np.ndarray
    test_accuracy: np.ndarray


def minimize_stack(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    config: LBFGSConfig | None = None,
    x_test: Tensor | None = None,
    y_test: Tensor | None = None,
    on_model: Callable[[int], None] | None = None,
) -> MinimizationResult:
    """Trains M models with L-BFGS (Liu and Nocedal 1989) on the mean cross-entropy of all their rows.

    Where the loss has many minima, which one it finds depends on the first weights; start several models and keep the best.

    Args:
        models: M modules of one shape, ``(B, F)`` to ``(B, C)`` logits, in float64; trained in place.
        x: ``(M, N, F)`` training features.
        y: ``(M, N)`` class labels from 0, int64.
        config: when to stop; the defaults if None.
        x_test: ``(M, T, F)`` test features, or None.
        y_test: ``(M, T)`` test labels, or None.
        on_model: called with the number of finished models.

    Returns:
        Losses, how far they are minimised, and accuracies.

    Raises:
        ShapeError: when the data do not fit the models, or hold values that are not finite.
        ConfigError: for models in float32, whose losses a line search cannot tell apart near a minimum; under
            `torch.inference_mode`, or when nothing is trainable.
    """
    config = config or LBFGSConfig()
    stack, train, test = checked_parts(models, x, y, x_test, y_test)
    if train.x.dtype != torch.float64:
        raise ConfigError(
            f"The models are {train.x.dtype}, in which L-BFGS cannot tell losses apart near a minimum; build them with "
            "dtype=torch.float64."
        )
    begin, n_models = time.perf_counter(), len(stack)
    parts = compiled_parts(stack, train.x.shape[1], train.x.shape[1])
    objective = _Autograd(stack, train, test) if parts is None else _Compiled(stack, parts, train, test)
    result = _nothing_yet(n_models)
    limits = Limits(config.max_iterations, config.tolerance, config.memory)
    # SciPy's steps are many products of vectors with tens of numbers, on which threads of BLAS only wait for each other.
    blas = ThreadpoolController()
    for m in range(n_models):
        with blas.limit(limits=1, user_api="blas"):
            found, n_iterations = minimum(functools.partial(objective.evaluate, m), objective.start(m), limits)
        gradient = np.empty_like(found)
        loss = objective.evaluate(m, found, gradient)
        result.n_iterations[m] = n_iterations
        if np.isfinite(loss) and np.isfinite(gradient).all():
            result.loss[m], result.gradient[m] = loss, np.abs(gradient).max()
            result.converged[m] = result.gradient[m] <= config.tolerance
        else:
            result.failures[m] = f"the loss was {loss} after {n_iterations} iteration(s)."
        if on_model is not None:
            on_model(m + 1)
    result.train_accuracy[:] = objective.accuracy(train)
    if test is not None:
        result.test_accuracy[:] = objective.accuracy(test)
    failed = list(result.failures)
    result.train_accuracy[failed] = result.test_accuracy[failed] = np.nan
    objective.write_back()
    stack.write_back(skip=result.failures)
    result.seconds = time.perf_counter() - begin
    return result


def _nothing_yet(n_models: int) -> MinimizationResult:
    loss, gradient, train, test = np.full((4, n_models), np.nan)
    iterations, converged = np.zeros(n_models, dtype=np.int64), np.zeros(n_models, dtype=bool)
    return MinimizationResult(loss, gradient, iterations, converged, test, train_accuracy=train)


class _Objective(ABC):
    """The losses of a stack as functions of the numbers of one model."""

    @abstractmethod
    def start(self, model: int) -> np.ndarray:
        """``(n,)``: the numbers that a model has now."""

    @abstractmethod
    def evaluate(self, model: int, values: np.ndarray, gradient: np.ndarray) -> float:
        """The loss of a model with numbers ``(n,)``, which it keeps; writes the gradient ``(n,)``."""

    @abstractmethod
    def accuracy(self, part: Part) -> np.ndarray:
        """``(M,)``: accuracies on a part of the data."""

    @abstractmethod
    def write_back(self) -> None:
        """Brings the numbers into the stack's parameters."""


class _Compiled(_Objective):
    """In machine code."""

    def __init__(self, stack: ModelStack, parts: MixtureParts, train: Part, test: Part | None) -> None:
        n_rows = train.x.shape[1]
        piece = evaluation_piece(parts, n_rows)
        data = [(train, n_rows), (train, piece), *([(test, piece)] if test is not None else [])]
        self._runner = Runner(stack, parts, data)
        self._passes = dict(zip(("all", id(train), id(test)), self._runner.passes, strict=False))
        self._runner.plan[at.BATCHES] = self._passes["all"].ctypes.data
        self._values = self._runner.values.rows[:, : self._runner.values.n_trained]
        self._gradient = self._runner.gradient()
        self._loss = np.empty(1)
        self._loss_place = int(self._loss.ctypes.data)

    def start(self, model: int) -> np.ndarray:
        return self._values[model].copy()

    def evaluate(self, model: int, values: np.ndarray, gradient: np.ndarray) -> float:
        self._values[model] = values
        self._runner.run(at.FIND_GRADIENT, model, self._loss_place)
        gradient[:] = self._gradient
        return float(self._loss[0])

    def accuracy(self, part: Part) -> np.ndarray:
        return self._runner.accuracy(self._passes[id(part)])

    def write_back(self) -> None:
        self._runner.values.write_back()


class _Autograd(_Objective):
    """By torch's own operations."""

    def __init__(self, stack: ModelStack, train: Part, test: Part | None) -> None:
        del test
        self._stack, self._train = stack, train
        self._alone = [ModelStack([model]) for model in stack.models]
        config = TrainingConfig(batch_size=train.x.shape[1])
        rows = [Part(train.x[m : m + 1], train.y[m : m + 1]) for m in range(len(stack))]
        self._trainers = [AutogradTrainer(one, own, None, config) for one, own in zip(self._alone, rows, strict=True)]
        self._rows = rows

    def start(self, model: int) -> np.ndarray:
        return _as_array(trainable(self._alone[model]))

    def evaluate(self, model: int, values: np.ndarray, gradient: np.ndarray) -> float:
        leaves = trainable(self._alone[model])
        with torch.no_grad():
            place = 0
            for leaf in leaves:
                leaf.copy_(torch.from_numpy(values[place : place + leaf.numel()]).view_as(leaf))
                place += leaf.numel()
        _, entropy = self._trainers[model].differentiate(self._rows[model].x, self._rows[model].y)
        gradient[:] = _as_array([torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves])
        return float(entropy.mean())

    def accuracy(self, part: Part) -> np.ndarray:
        each = [accuracy(one, part.x[m : m + 1], part.y[m : m + 1]) for m, one in enumerate(self._alone)]
        return np.concatenate(each)

    def write_back(self) -> None:
        with torch.no_grad():
            for m, one in enumerate(self._alone):
                for name, value in one.parameters.items():
                    self._stack.parameters[name][m].copy_(value[0])


def _as_array(tensors: list[Tensor]) -> np.ndarray:
    """Their numbers one after another, a copy, from any device."""
    return parameters_to_vector(tensors).detach().cpu().numpy().copy()
