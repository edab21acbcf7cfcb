"""Which trials train together, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable

import torch

from qmoe.compiled.cache import Kernel, missing
from qmoe.engines.native.kernels.names import kernels_for
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.routers import StochasticSpec
from qmoe.studies.assembly import prepare_data
from qmoe.studies.specifications import all_members
from qmoe.studies.specs.study import Study
from qmoe.studies.trials import TrialSpec, make_trials
from qmoe.training.compiled.step import KERNELS as STEP_KERNELS
from qmoe.training.orders import KERNELS as ORDER_KERNELS

#: Trials in one stack at most: beyond it a stack is no faster per trial, and an interruption costs more.
MAX_STACK = 128
#: The same for trials that go to a minimum one after another: a stack only shares what it builds.
MAX_MINIMIZED = 32
#: Features times rows times trials of one stack, to bound its memory.
MAX_STACK_VALUES = 30_000_000

#: What an iteration of L-BFGS, in float64, takes in epochs of Adam in float32; and how many a start takes, roughly.
_MINIMIZED_PASSES, _ITERATIONS = 3, 500

Stack = tuple[TrialSpec, ...]


def plan_stacks(studies: Iterable[Study], done: Container[str], together: Container[str] = ()) -> list[Stack]:
    """Groups the trials that are not done into stacks of one shape, the longest work first.

    The first trials of each arm of a timed study are stacks of their own.

    Args:
        studies: what asks for trials.
        done: hashes of trials that are not to be run again.
        together: those that were trained beside others; of them, what is to be timed is trained once more, alone.
    """
    alone: dict[str, dict[str, TrialSpec]] = {}
    shapes: dict[str, dict[str, TrialSpec]] = {}
    for study in studies:
        own = {m.trial.hash for m in make_trials(study) if m.trial.training.lr == study.training.lr}
        for member in all_members(study):
            key, digest = member.trial.shape_key, member.trial.hash
            single = alone.setdefault(key, {})
            n_timed = study.timed if digest in own else 0
            if len(single) < n_timed or digest in single:
                single[digest] = member.trial
                shapes.get(key, {}).pop(digest, None)  # another study may have put it with others
            else:
                shapes.setdefault(key, {})[digest] = member.trial
    timed = (item for single in alone.values() for item in single.items())
    stacks: list[Stack] = [(trial,) for digest, trial in timed if digest not in done or digest in together]
    for members in shapes.values():
        todo = [trial for digest, trial in members.items() if digest not in done]
        if todo:
            most = MAX_MINIMIZED if todo[0].training.optimiser == "lbfgs" else MAX_STACK
            data = prepare_data(todo[0].draw)
            size = min(most, max(1, MAX_STACK_VALUES // (data.x_train.numel() + data.x_test.numel())))
            count = math.ceil(len(todo) / size)
            stacks += [tuple(todo[i::count]) for i in range(count)]
    return sorted(stacks, key=cost, reverse=True)


def cost(stack: Stack) -> float:
    """A rough figure of how long a stack takes, in units of a batch of 32 rows of a small classical model by Adam."""
    trial = stack[0]
    n_rows = len(prepare_data(trial.draw).x_train)
    weight = 1.0
    for part, copies in ((trial.model.router, 1), (trial.model.experts, trial.model.n_experts)):
        if isinstance(part, QuantumSpec):
            weight += (2 if part.mixed else 1) * copies
        elif isinstance(part, StochasticSpec):
            weight += 2
    passes: float = trial.training.epochs
    if trial.training.optimiser == "lbfgs":
        passes = _MINIMIZED_PASSES * min(trial.training.max_iterations, _ITERATIONS)
    return len(stack) * passes * n_rows / 32 * weight


def kernels_to_compile(stacks: Iterable[Stack]) -> list[tuple[list[Kernel], int]]:
    """Groups of kernels that the stacks need and this machine does not have yet, and bytes of their numbers."""
    groups: dict[tuple[tuple[Kernel, ...], int], None] = {}
    for stack in stacks:
        trial = stack[0]
        itemsize = getattr(torch, trial.training.dtype).itemsize
        groups[STEP_KERNELS, itemsize] = None
        groups[ORDER_KERNELS, 8] = None
        for part in (trial.model.router, trial.model.experts):
            if isinstance(part, QuantumSpec) and part.engine in ("auto", "native"):
                groups[kernels_for(part.mixed), itemsize] = None
    found = [(missing(kernels, itemsize), itemsize) for kernels, itemsize in groups]
    return [(kernels, itemsize) for kernels, itemsize in found if kernels]
