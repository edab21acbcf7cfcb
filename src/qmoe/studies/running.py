"""Runs the trials of studies: in stacks, on several processes, into the store."""

from __future__ import annotations

import collections
import functools
import math
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import safetensors.numpy
import torch
from torch import nn

import qmoe
from qmoe.compiled.cache import Kernel, compile_kernels, missing
from qmoe.engines.native.kernels import kernels_for
from qmoe.engines.running import CircuitModule
from qmoe.errors import ConfigError, QMoEError
from qmoe.studies.build import build_model, n_trainable, prepare_data
from qmoe.studies.specs.routers import StochasticRouterSpec
from qmoe.studies.specs.study import QuantumSpec, Study
from qmoe.studies.store import Record, Store
from qmoe.studies.trials import TrialSpec, make_trials
from qmoe.studies.workers import Report, Workers, tick
from qmoe.training import TrainingConfig, balanced_accuracy, train_stack
from qmoe.training.compiled.step import KERNELS as STEP_KERNELS

#: Trials in one stack at most: beyond it a stack is no faster per trial, and an interruption costs more.
MAX_STACK = 128
#: Features times rows times trials of one stack, to bound its memory.
MAX_STACK_VALUES = 30_000_000

Stack = tuple[TrialSpec, ...]


def plan_stacks(studies: Iterable[Study], done: set[str]) -> list[Stack]:
    """Groups the trials that are not done into stacks of one shape, the longest work first.

    The first trials of each arm of a timed study are stacks of their own.
    """
    alone: dict[str, dict[str, TrialSpec]] = {}
    shapes: dict[str, dict[str, TrialSpec]] = {}
    for study in studies:
        for member in make_trials(study):
            key, digest = member.trial.shape_key, member.trial.hash
            single = alone.setdefault(key, {})
            timed = study.timed if member.trial.training.lr == study.training.lr else 0
            if len(single) < timed or digest in single:
                single[digest] = member.trial
                shapes.get(key, {}).pop(digest, None)  # another study may have put it with others
            else:
                shapes.setdefault(key, {})[digest] = member.trial
    stacks: list[Stack] = [(t,) for single in alone.values() for digest, t in single.items() if digest not in done]
    for members in shapes.values():
        todo = [trial for digest, trial in members.items() if digest not in done]
        if todo:
            size = min(MAX_STACK, max(1, MAX_STACK_VALUES // prepare_data(todo[0].draw).x_train.numel()))
            count = math.ceil(len(todo) / size)
            stacks += [tuple(todo[i::count]) for i in range(count)]
    return sorted(stacks, key=cost, reverse=True)


def cost(stack: Stack) -> float:
    """A rough figure of how long a stack takes, in units of one step of a small classical model."""
    trial = stack[0]
    steps = trial.training.epochs * math.ceil(len(prepare_data(trial.draw).x_train) / trial.training.batch_size)
    parts = (trial.model.router, trial.model.experts)
    weight = 1.0
    for part in parts:
        if isinstance(part, QuantumSpec):
            weight += 2 + (0.1 * len(stack) if part.mixed else 0.02 * len(stack) * trial.model.n_experts)
        elif isinstance(part, StochasticRouterSpec):
            weight += 2 + 0.1 * len(stack)
    return steps * weight


def kernels_to_compile(stacks: Iterable[Stack]) -> list[tuple[list[Kernel], int]]:
    """Groups of kernels that the stacks need and this machine does not have yet, and bytes of their numbers."""
    groups: dict[tuple[tuple[Kernel, ...], int], None] = {}
    for stack in stacks:
        trial = stack[0]
        itemsize = getattr(torch, trial.training.dtype).itemsize
        groups[STEP_KERNELS, itemsize] = None
        for part in (trial.model.router, trial.model.experts):
            if isinstance(part, QuantumSpec) and part.engine in ("auto", "native"):
                groups[kernels_for(part.mixed), itemsize] = None
    found = [(missing(kernels, itemsize), itemsize) for kernels, itemsize in groups]
    return [(kernels, itemsize) for kernels, itemsize in found if kernels]


def check_models(study: Study) -> None:
    """Builds one model of each arm, so that what does not fit together shows before anything is trained.

    Raises:
        ConfigError: naming the study and the arm.
    """
    for member in {member.arm: member for member in make_trials(study)}.values():
        try:
            build_model(member.trial)
        except QMoEError as error:
            raise ConfigError(f"Study {study.name}, arm {member.arm}: {error}") from None


def run_stack(stack: Stack, on_epoch: Callable[[int], None] | None = None) -> list[Record]:
    """Trains the trials of a stack side by side."""
    first = stack[0]
    dtype = getattr(torch, first.training.dtype)
    data = [prepare_data(trial.draw) for trial in stack]
    models = [build_model(trial) for trial in stack]
    x_test, y_test = torch.stack([d.x_test for d in data]).to(dtype), torch.stack([d.y_test for d in data])
    result = train_stack(
        models,
        torch.stack([d.x_train for d in data]).to(dtype),
        torch.stack([d.y_train for d in data]),
        TrainingConfig(first.training.epochs, first.training.batch_size, first.training.lr),
        [trial.order_seed for trial in stack],
        x_test,
        y_test,
        on_epoch,
    )
    balanced = balanced_accuracy(models, x_test, y_test) if y_test.numel() else None
    # What models of one shape have in common.
    sizes = {"router_parameters": float(n_trainable(models[0].router)), "parameters": float(n_trainable(models[0]))}
    engine = _engine_name(models[0])
    records = []
    for i, (trial, model) in enumerate(zip(stack, models, strict=True)):
        metrics = {"train_accuracy": float(result.train_accuracy[i]), "loss": float(result.loss[i, -1])}
        metrics["chance"] = data[i].chance
        history = {"loss": result.loss[i].tolist(), "running_accuracy": result.running_accuracy[i].tolist()}
        if balanced is not None:
            metrics["test_balanced_accuracy"] = float(balanced[i])
            metrics["test_accuracy"] = float(result.test_accuracy[i, -1])
            history["test_accuracy"] = result.test_accuracy[i].tolist()
        metrics |= sizes
        failure = result.failures.get(i)
        records.append(
            Record(
                trial=trial,
                metrics=metrics if failure is None else {},
                history=history if failure is None else {},
                state=safetensors.numpy.save({name: value.numpy() for name, value in model.state_dict().items()}),
                seconds=result.seconds,
                stack_size=len(stack),
                threads=torch.get_num_threads(),
                engine=engine,
                version=qmoe.__version__,
                commit=commit(),
                error=None if failure is None else f"{_describe(trial)}: {failure}",
            )
        )
    return records


def run_studies(
    studies: Sequence[Study],
    store: Store,
    workers: int | Workers = 0,
    on_plan: Callable[[Sequence[Stack]], None] | None = None,
    on_progress: Report | None = None,
) -> int:
    """Runs what is missing of ``studies``; safe to interrupt and to call again.

    Args:
        studies: what to run.
        store: where results go, each stack committed as it ends.
        workers: number of processes, each with one torch thread; 0 runs in this process with its threads. Or processes
            that go on after it. Processes import the program that starts them, so a script calls this under
            ``if __name__ == "__main__":``.
        on_plan: called once with the stacks ahead.
        on_progress: called with the part of their `cost` that was done since the last call.

    Returns:
        The number of trials that ran.

    Raises:
        ConfigError: for two studies of one name, for models that do not fit together, and when no worker process can be
            started.
        QMoEError: when a worker process died.
    """
    named: dict[str, Study] = {}
    for study in studies:
        if named.setdefault(study.name, study) != study:
            raise ConfigError(f"Two studies are named {study.name!r}; give each a name of its own.")
        check_models(study)
    for study in studies:
        store.save_study(study)
    stacks = plan_stacks(map(store.at_hand, studies), store.hashes())
    if on_plan is not None:
        on_plan(stacks)
    owned = Workers(workers) if isinstance(workers, int) else nullcontext(workers)
    finished = 0
    with owned as pool:
        # Once for all: workers that meet a missing kernel at the same time would each compile it.
        missed = kernels_to_compile(stacks) if pool.n else []
        collections.deque(pool.run(_compile, missed), maxlen=0)
        for records in pool.run(_work, stacks, on_progress):
            store.save(records)
            finished += len(records)
    return finished


def _compile(kind: tuple[list[Kernel], int]) -> None:
    compile_kernels(*kind)


def _work(stack: Stack) -> list[Record]:
    part = cost(stack) / stack[0].training.epochs
    return run_stack(stack, lambda _: tick(part))


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


def _describe(trial: TrialSpec) -> str:
    return f"trial {trial.hash} (data seed {trial.data_seed}, initialisation seed {trial.init_seed})"
