"""The measurement: every contender of a case, checked, then timed side by side."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks import machine
from benchmarks.contenders import Step
from benchmarks.imported.cases import Case
from benchmarks.imported.layers import (
    Connector,
    DefaultQubitLayer,
    Entrant,
    LightningLayer,
    NoCircuit,
    OwnFromPennylane,
    OwnFromQiskit,
    OwnTemplate,
)
from benchmarks.imported.on_jax import JaxLoop, JaxScan, JaxStep
from benchmarks.imported.results import CaseTimes, Entry, ImportedTimes
from benchmarks.timing import Plan, Timing, TooSlowError, measure, start

#: What is told of progress: a text, and whether a unit of work is done.
Report = Callable[[str, bool], None]

ENTRANTS: tuple[type[Entrant], ...] = (
    OwnTemplate, OwnFromPennylane, OwnFromQiskit, JaxStep, JaxLoop, JaxScan, DefaultQubitLayer, LightningLayer, Connector,
    NoCircuit,
)  # fmt: skip


def run_imported(
    cases: Sequence[Case],
    plan: Plan,
    report: Report = lambda text, done: None,
    entrants: Sequence[type[Entrant]] = ENTRANTS,
) -> ImportedTimes:
    """Times all contenders at all cases.

    Args:
        cases: what to time; a unit of progress is one of them.
        plan: how long to look.
        report: hears of progress.
        entrants: who takes part.
    """
    made = [kind() for kind in entrants]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the contenders' own libraries about each other
        missing = {one.key: reason for one in made if (reason := one.missing()) is not None}
        present = [one for one in made if one.key not in missing]
        results = tuple(run_case(case, present, plan, report) for case in cases)
    return ImportedTimes(
        versions=machine.versions(package for one in present for package in (*one.packages, "numpy")),
        entrants={one.key: Entry(one.title, one.advice, one.ours, one.kinds) for one in made},
        missing=missing,
        cases=results,
    )


def run_case(case: Case, entrants: Sequence[Entrant], plan: Plan, report: Report) -> CaseTimes:
    """Prepares, checks and times all contenders at one case."""
    result = CaseTimes(case.kind, case.title)
    steps: dict[str, Step] = {}
    firsts: dict[str, float] = {}
    known: dict[str, float] = {}
    shares: dict[str, float] = {}
    for one in entrants:
        if case.kind not in one.kinds:
            continue
        report(f"{case.title}: preparing {one.title}", False)
        size = min(case.size, one.most.get(case.parts, case.size))
        part = case.first(size)
        try:
            step = one.prepare(part)
            firsts[one.key], known[one.key] = start(step.run, _check(one, step, part), one.compiles, plan.too_long)
        except TooSlowError as slow:
            result.left_out[one.key] = str(slow)
        except Exception as error:  # a contender that fails is a result; the others go on
            result.errors[one.key] = (f"{type(error).__name__}: {error}".splitlines() or ["?"])[0]
        else:
            steps[one.key], shares[one.key] = step, case.size / size
            if size < case.size:
                result.scaled[one.key] = f"{size} of {case.size} {case.parts}"
    report(f"{case.title}: timing", False)
    timings = measure({key: step.run for key, step in steps.items()}, firsts, plan, known)
    del steps
    gc.collect()
    report(case.title, True)
    return replace(result, timings={key: _scaled(timing, shares[key]) for key, timing in timings.items()})


def _check(one: Entrant, step: Step, part: Case) -> Callable[[Any], None]:
    return lambda found: part.check(step.read(found)) if one.checked else None


def _scaled(timing: Timing, factor: float) -> Timing:
    """Seconds of all of it; those of the first run stay as they were."""
    return replace(timing, median=factor * timing.median, minimum=factor * timing.minimum)
