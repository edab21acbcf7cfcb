"""How many trials train together at a time: a few seconds' worth, so that an interruption loses little."""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Sequence

from qmoe.studies.run.stacks import SECONDS_OF_COST, Stack, cost
from qmoe.studies.trials import TrialSpec

#: Seconds that a portion is meant to take. A worker that dies loses as much, and an interruption waits for it.
SECONDS = 2.0
#: Trials of the first portion, of which nothing is known yet.
_FIRST = 8
#: Seconds that a portion takes at least where there are enough trials: handing it over takes milliseconds.
_LEAST = 0.2


class Portions:
    """Cuts stacks into portions as they are asked for, by how long earlier ones took.

    Rows of a stack do not depend on each other, so the numbers are the same however it is cut.

    Args:
        stacks: what there is to do, the longest first.
        n_at_once: how many portions run side by side; there are at least as many.
    """

    def __init__(self, stacks: Sequence[Stack], n_at_once: int) -> None:
        self._waiting = collections.deque(stacks)
        self._n_at_once = n_at_once
        self._ratios: collections.deque[float] = collections.deque(maxlen=16)
        self._per_trial: dict[str, float] = {}
        #: By shape: one of its trials, and how many are not done.
        self._left: dict[str, tuple[TrialSpec, int]] = {}
        for stack in stacks:
            trial, n = self._left.get(stack[0].shape_key, (stack[0], 0))
            self._left[stack[0].shape_key] = trial, n + len(stack)
        self._by_optimiser: dict[str, float] = {}

    def take(self) -> Stack | None:
        """The next portion; None where there is none."""
        if not self._waiting:
            return None
        stack = self._waiting.popleft()
        size = min(len(stack), self._size(stack))
        if size < len(stack):
            self._waiting.appendleft(stack[size:])
        return stack[:size]

    def took(self, portion: Stack, seconds: float) -> None:
        """Takes note of how long a portion took."""
        ratio = seconds / (cost(portion) * SECONDS_OF_COST)
        self._ratios.append(ratio)
        self._per_trial[portion[0].shape_key] = seconds / len(portion)
        before = self._by_optimiser.get(portion[0].training.optimiser, ratio)
        self._by_optimiser[portion[0].training.optimiser] = (before * ratio) ** 0.5

    def over(self, portion: Stack) -> None:
        """Takes note that nothing of a portion is ahead any more."""
        key = portion[0].shape_key
        trial, n = self._left[key]
        self._left[key] = trial, n - len(portion)

    def seconds_left(self) -> float:
        """Seconds of one core for all that is not over: by trials of its shape, else by arithmetic that others correct."""
        left = 0.0
        for key, (trial, n) in self._left.items():
            each = self._per_trial.get(key)
            if each is None:
                each = cost((trial,)) * SECONDS_OF_COST * self._by_optimiser.get(trial.training.optimiser, 1.0)
            left += n * each
        return left

    def _size(self, stack: Stack) -> int:
        known = self._per_trial.get(stack[0].shape_key)
        if known is None and self._ratios:
            known = statistics.median(self._ratios) * SECONDS_OF_COST * cost(stack) / len(stack)
        size, least = (_FIRST, 1) if not known else (math.floor(SECONDS / known), math.ceil(_LEAST / known))
        others = len(self._waiting)
        if others < self._n_at_once:
            # One of the last stacks: something for each process, and less and less, so that all end at about one time.
            size = min(size, math.ceil(len(stack) / (2 * max(1, self._n_at_once - others))))
        return max(1, least, size)
