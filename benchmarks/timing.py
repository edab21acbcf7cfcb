"""Interleaved rounds of a fixed length, and what is concluded from them."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: A spread above this share of the median is wide: the number should be measured again on a quieter machine.
WIDE = 0.15


@dataclass(frozen=True)
class Timing:
    """Seconds of one training step.

    Attributes:
        median: over the rounds.
        minimum: over the rounds.
        spread: interquartile range over median.
        rounds: how many there were.
        loops: steps in each.
        first: seconds of the very first step, with all compilation and tracing.
        wide: whether the spread is above `WIDE`.
    """

    median: float
    minimum: float
    spread: float
    rounds: int
    loops: int
    first: float
    wide: bool


@dataclass(frozen=True)
class Plan:
    """How long to look.

    Args:
        target: seconds of one round of one contender.
        rounds: rounds of a contender whose step is quick.
        few: rounds of one whose step takes more than ``slow`` seconds.
        slow: see ``few``.
        cap: seconds after which a contender gets no more rounds, once it has ``few``.
        too_long: seconds of one step above which a contender is left out.
    """

    target: float = 0.03
    rounds: int = 11
    few: int = 3
    slow: float = 2.0
    cap: float = 8.0
    too_long: float = 60.0


class TooSlowError(Exception):
    """A contender's step takes longer than the plan allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"one step takes {seconds:.0f} s")


def start(run: Callable[[], Any], check: Callable[[Any], None], compiles: bool, too_long: float) -> tuple[float, float]:
    """Runs a step twice and checks what comes out; the seconds of the first run and of the second.

    Args:
        run: the step.
        check: raises where what `run` returned is wrong.
        compiles: whether the first run compiles and says nothing of the second.
        too_long: seconds.

    Raises:
        TooSlowError: where a step takes longer than ``too_long``.
    """
    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    if not compiles and first > too_long:
        raise TooSlowError(first)
    begin = time.perf_counter()
    outcome = run()
    second = time.perf_counter() - begin
    check(outcome)
    if second > too_long:
        raise TooSlowError(second)
    return first, second


def summarise(times: list[float], loops: int, first: float) -> Timing:
    """Median, minimum and spread of seconds per step."""
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else (median,) * 3
    spread = (high - low) / median
    return Timing(median, min(times), spread, len(times), loops, first, spread > WIDE)


def calibrate(step: Callable[[], object], target: float, known: float = 0.0) -> tuple[int, float]:
    """How many steps fill ``target`` seconds, and the seconds of one; warms up on the way.

    Args:
        step: to be timed.
        target: seconds.
        known: seconds of a step that was run before; one that fills the target by far is not run again to find out.
    """
    if known > 10 * target:
        return 1, known
    loops = 1
    while True:
        seconds = repeat(step, loops)
        if seconds >= target / 2:
            return max(1, round(target / (seconds / loops))), seconds / loops
        loops = max(2 * loops, math.ceil(loops * target / max(seconds, 1e-9) / 2))


def measure(
    steps: Mapping[str, Callable[[], object]],
    firsts: Mapping[str, float],
    plan: Plan,
    known: Mapping[str, float] | None = None,
) -> dict[str, Timing]:
    """Times all steps in turn, round after round, so that a drift of the machine hits all alike.

    Args:
        steps: name -> one training step.
        firsts: name -> seconds of its first step.
        plan: how long to look.
        known: name -> seconds of a step that was run before, warmed up; spares slow ones another.
    """
    # What is alive now stays alive: the collector need not look through a dozen libraries at every round.
    gc.collect()
    gc.freeze()
    try:
        loops, wanted = {}, {}
        for name, step in steps.items():
            loops[name], seconds = calibrate(step, plan.target, (known or {}).get(name, 0.0))
            affordable = int(plan.cap / max(seconds, plan.target))
            wanted[name] = plan.few if seconds > plan.slow else min(plan.rounds, max(plan.few, affordable))
        times: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(plan.rounds):
            for name, step in steps.items():
                if number < wanted[name]:
                    times[name].append(repeat(step, loops[name]) / loops[name])
    finally:
        gc.unfreeze()
    return {name: summarise(times[name], loops[name], firsts[name]) for name in steps}


def repeat(step: Callable[[], object], loops: int) -> float:
    """Seconds of so many steps."""
    gc.collect()  # the garbage of the contender before is not this one's cost
    start = time.perf_counter()
    for _ in range(loops):
        step()
    return time.perf_counter() - start
