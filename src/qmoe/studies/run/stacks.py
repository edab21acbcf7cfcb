"""Which trials train together, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable

import torch

from qmoe.compiled.cache import Kernel, missing
from qmoe.engines.native.kernels.names import kernels_for
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.studies.admission.footprint import SECONDS_OF_OPERATION, footprint, largest_stack
from qmoe.studies.specifications import all_members
from qmoe.studies.specs.study import Study
from qmoe.studies.trials import TrialSpec, make_trials
from qmoe.training.compiled.step import KERNELS as STEP_KERNELS
from qmoe.training.orders import KERNELS as ORDER_KERNELS

#: Operations of one unit of `cost`, and the seconds that it takes on a quick machine.
_UNIT = 45_000
SECONDS_OF_COST = _UNIT * SECONDS_OF_OPERATION

Stack = tuple[TrialSpec, ...]


def plan_stacks(studies: Iterable[Study], done: Container[str], together: Container[str] = ()) -> list[Stack]:
    """Groups the trials that are not done into stacks of one shape, the longest work first.

    The first trials of each arm of a timed study are stacks of their own.

    Args:
        studies: what asks for trials.
        done: hashes of trials that are not to be run again.
        together: those that were trained beside others; of them, what is to be timed is trained once more, alone.

    Example:
        >>> from qmoe.studies import load_preset, plan_stacks
        >>> stacks = plan_stacks([load_preset("phase2-heldout").resized(seeds=2)], done=())
        >>> len(stacks)
        36
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
            count = math.ceil(len(todo) / largest_stack(todo[0]))
            stacks += [tuple(todo[i::count]) for i in range(count)]
    return sorted(stacks, key=cost, reverse=True)


def cost(stack: Stack) -> float:
    """A rough figure of how long a stack takes, in units of a batch of 32 rows of a small classical model by Adam."""
    return len(stack) * footprint(stack[0]).operations / _UNIT


def seconds(stack: Stack) -> float:
    """How many seconds a stack takes on one core of a quick machine, roughly."""
    return cost(stack) * SECONDS_OF_COST


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
