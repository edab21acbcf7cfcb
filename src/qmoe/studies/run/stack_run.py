"""Trains the trials of one stack; what fails is told, and takes no other trial with it."""

from __future__ import annotations

import functools
import subprocess
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn

import qmoe
from qmoe.engines.running import CircuitModule
from qmoe.studies.assembly import build_model, n_trainable, prepare_data, standardise
from qmoe.studies.run.deaths import is_memory_error
from qmoe.studies.run.stacks import Stack
from qmoe.studies.specs.study import TrainingSpec
from qmoe.studies.store import Execution, Failure, Record
from qmoe.studies.trials import TrialSpec
from qmoe.training import LBFGSConfig, TrainingConfig, balanced_accuracy, minimize_stack, train_stack


@dataclass(frozen=True)
class Trained:
    """What came of a portion of a stack.

    Attributes:
        records: one for each trial.
        seconds: wall time.
        first: whether it was the first of its process, which loads kernels and more on the way.
    """

    records: list[Record]
    seconds: float
    first: bool = False


#: Set once this process has trained something.
_BEGUN = threading.Event()


def train_safely(stack: Stack) -> Trained:
    """Trains a stack; where that raises an error, its halves, down to the trial that it is about."""
    begin, first = time.perf_counter(), not _BEGUN.is_set()
    _BEGUN.set()
    return Trained(_records(stack), time.perf_counter() - begin, first)


def _records(stack: Stack) -> list[Record]:
    try:
        return run_stack(stack)
    except Exception as error:
        if len(stack) == 1:
            kind: Failure = "memory" if is_memory_error(error) else "error"
            return [failed(stack[0], kind, _words(error))]
    return [*_records(stack[: len(stack) // 2]), *_records(stack[len(stack) // 2 :])]


def _words(error: Exception) -> str:
    """The error, and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno}, in {last.name})"


def failed(trial: TrialSpec, kind: Failure, why: str) -> Record:
    """The record of a trial that gave nothing."""
    return Record(
        trial=trial, metrics={}, history={}, state=b"", error=f"{describe(trial)}: {why}", failure=kind,
        execution=Execution(0.0, 1, torch.get_num_threads(), "none", qmoe.__version__, commit()),
    )  # fmt: skip


def run_stack(stack: Stack) -> list[Record]:
    """Trains trials of one shape side by side, or one after another where each goes to a minimum."""
    dtype = getattr(torch, stack[0].training.dtype)
    data = [prepare_data(trial.draw) for trial in stack]
    models = [build_model(trial) for trial in stack]
    for model, trial, part in zip(models, stack, data, strict=True):
        standardise(model.router, trial.model, part.x_train)
    task = _Task(
        stack,
        models,
        x=torch.stack([d.x_train for d in data]).to(dtype),
        y=torch.stack([d.y_train for d in data]),
        x_test=torch.stack([d.x_test for d in data]).to(dtype),
        y_test=torch.stack([d.y_test for d in data]),
    )
    train = _minimize if task.training.optimiser == "lbfgs" else _by_epochs
    done = train(task)
    balanced = balanced_accuracy(models, task.x_test, task.y_test) if task.holds_out else None
    # What models of one shape have in common.
    sizes = {"router_parameters": float(n_trainable(models[0].router)), "parameters": float(n_trainable(models[0]))}
    execution = Execution(
        done.seconds, len(stack), torch.get_num_threads(), _engine_name(models[0]), qmoe.__version__, commit()
    )
    if "loss" in done.history:
        done.metrics["mean_loss"] = done.history["loss"].mean(axis=1)
    # The numbers that a store keeps have 24 bits.
    history = {name: values.astype(np.float32).astype(np.float64) for name, values in done.history.items()}
    records = []
    for i, (trial, model) in enumerate(zip(stack, models, strict=True)):
        metrics = {name: float(values[i]) for name, values in done.metrics.items()} | {"chance": data[i].chance}
        if balanced is not None:
            metrics["test_balanced_accuracy"] = float(balanced[i])
        else:
            del metrics["test_accuracy"]
        failure = done.failures.get(i)
        records.append(
            Record(
                trial=trial,
                metrics=metrics | sizes if failure is None else {},
                history={name: values[i].tolist() for name, values in history.items()} if failure is None else {},
                state=safetensors.numpy.save({name: value.numpy() for name, value in model.state_dict().items()}),
                execution=execution,
                error=None if failure is None else f"{describe(trial)}: {failure}",
                failure=None if failure is None else "diverged",
            )
        )
    return records


@dataclass(frozen=True, eq=False)
class _Task:
    """A stack with what it is trained on.

    Attributes:
        stack: the trials.
        models: their M models, which are trained in place.
        x: ``(M, N, F)`` training features.
        y: ``(M, N)`` training labels.
        x_test: ``(M, T, F)`` held-out features; ``T`` is 0 where nothing is held out.
        y_test: ``(M, T)`` held-out labels.
    """

    stack: Stack
    models: Sequence[nn.Module]
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor

    @property
    def training(self) -> TrainingSpec:
        """How the trials of the stack are trained, all alike."""
        return self.stack[0].training

    @property
    def holds_out(self) -> bool:
        """Whether there are held-out rows."""
        return self.y_test.numel() > 0


@dataclass(frozen=True)
class _Done:
    """What training gave: ``(M,)`` figures and ``(M, epochs)`` histories by name, and why models failed."""

    metrics: dict[str, np.ndarray]
    history: dict[str, np.ndarray]
    failures: dict[int, str]
    seconds: float


def _by_epochs(task: _Task) -> _Done:
    """With Adam."""
    training = task.training
    # After every epoch, a large test part would take longer than the training itself.
    at_end = task.stack[0].data.test_samples is not None
    evaluate: Literal["epoch", "end"] = "end" if at_end else "epoch"
    sizes = training.epochs, training.batch_size, training.lr
    config = TrainingConfig(*sizes, evaluate=evaluate, balance_loss=training.balance_loss)
    orders = [trial.order_seed for trial in task.stack]
    result = train_stack(task.models, task.x, task.y, config, orders, task.x_test, task.y_test)
    metrics = {
        "train_accuracy": result.train_accuracy,
        "loss": result.loss[:, -1],
        "test_accuracy": result.test_accuracy[:, -1],
    }
    history = {"loss": result.loss, "running_accuracy": result.running_accuracy}
    if task.holds_out and not at_end:
        history["test_accuracy"] = result.test_accuracy
    return _Done(metrics, history, result.failures, result.seconds)


def _minimize(task: _Task) -> _Done:
    """With L-BFGS, which has no epochs."""
    config = LBFGSConfig(task.training.max_iterations, task.training.tolerance)
    result = minimize_stack(task.models, task.x, task.y, config, task.x_test, task.y_test)
    names = "train_accuracy", "loss", "test_accuracy", "gradient", "n_iterations", "converged"
    return _Done({name: getattr(result, name) for name in names}, {}, result.failures, result.seconds)


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that qmoe runs from, with ``+`` where files are changed; None for an installed one."""
    folder = Path(qmoe.__file__).parent
    if not (folder.parent.parent / ".git").exists():
        return None
    try:
        run = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        head = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        return head + ("+" if run(["git", "status", "--porcelain", "--", "."]).stdout.strip() else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _engine_name(model: nn.Module) -> str:
    names = {m.engine_for(torch.device("cpu"))[0].name for m in model.modules() if isinstance(m, CircuitModule)}
    return "+".join(sorted(names)) or "none"


def describe(trial: TrialSpec) -> str:
    """A trial in words, with its seeds."""
    return f"trial {trial.hash} (data seed {trial.data_seed}, initialisation seed {trial.init_seed})"
