"""One run: every contender at every size, checked, then timed side by side."""

from __future__ import annotations

import gc
import subprocess
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from benchmarks import machine
from benchmarks.agreement import check_agreement
from benchmarks.contenders import Contender, Step, assemble
from benchmarks.first_use import FirstUse, measure_first_use
from benchmarks.imported.cases import CASES
from benchmarks.imported.run import run_imported
from benchmarks.memory import Memory, measure_memory
from benchmarks.operations import gemm_step
from benchmarks.problem import Answer, Problem, make_problem, oracle
from benchmarks.record import Profile, Record, Result
from benchmarks.sizes import MEMORY_SIZES, SWEEPS, Size
from benchmarks.spans import SpanTimes, measure_spans
from benchmarks.timing import Plan, TooSlowError, measure, start
from benchmarks.trainings import run as whole

#: Contenders of the plots: the others are slower and would hide nothing but cost minutes.
IN_SWEEPS = (
    "qmoe-native",
    "qmoe-vjp",
    "qmoe-torch",
    "tensorcircuit",
    "jax-default.qubit",
    "default.qubit",
    "lightning.qubit",
)
#: Seconds of a step above which a contender leaves a sweep.
SWEEP_LIMIT = 3.0
_GEMM = "gemm"
#: A batch this many times smaller foretells the time of contenders that loop over samples.
_PILOT = 32

#: What is told of progress: a text, and whether a unit of work is done.
Report = Callable[[str, bool], None]


def run_suite(
    sizes: Sequence[Size],
    threads: int,
    plan: Plan,
    only: Iterable[str] = (),
    sweeps: bool = True,
    facts: bool = True,
    trainings: bool = False,
    imports: bool = False,
    report: Report = lambda text, done: None,
) -> Record:
    """Runs it all.

    Args:
        sizes: what to time.
        threads: the limit that `machine.limit_threads` has set.
        plan: how long to look.
        only: keys of contenders; all if empty.
        sweeps: whether to time the sizes of the plots.
        facts: whether to measure memory and first use, and functions of circuits at 50 qubits.
        trainings: whether to measure whole trainings, fits, and the native engine's threads.
        imports: whether to time circuits of other libraries.
        report: hears of progress; `n_units` says how many units there are.
    """
    begun, load = time.perf_counter(), machine.load()
    torch.set_num_threads(threads)
    report("importing the contenders", False)
    with quiet():
        contenders, missing = assemble(only)
        report("importing the contenders", True)
        results = [run_size(size, contenders, plan, report) for size in sizes]
        swept = {}
        if sweeps:
            chosen = [contender for contender in contenders if contender.key in IN_SWEEPS]
            brief = replace(plan, rounds=5, cap=4.0, slow=0.5, too_long=SWEEP_LIMIT)
            swept = {axis: run_sweep(axis, chosen, brief, report) for axis in SWEEPS}
    engines = [key for key in ("native", "torch") if any(c.key == f"qmoe-{key}" for c in contenders)]
    memory: list[Memory] = []
    first_use: list[FirstUse] = []
    spans: tuple[SpanTimes, ...] = ()
    if facts:
        report("memory and first use", False)
        for engine in engines:
            try:
                memory += [measure_memory(engine, size) for size in MEMORY_SIZES]
                first_use.append(measure_first_use(engine))
            except subprocess.SubprocessError as error:  # minutes of timings must not be lost to it
                missing[f"A process of qmoe {engine}"] = f"{type(error).__name__}: {error}"
        report("memory and first use", True)
        report("functions at 50 qubits", False)
        spans = measure_spans()
        report("functions at 50 qubits", True)
    trained = whole.run_trainings(report) if trainings else None
    imported = run_imported(CASES, plan, report) if imports else None
    return Record(
        date=machine.today(),
        commit=machine.commit(),
        machine=machine.describe_machine(),
        load=load,
        threads=threads,
        versions=machine.versions(package for contender in contenders for package in (*contender.packages, "numpy")),
        contenders={c.key: Profile(c.title, c.advice, c.ours, c.compiles) for c in contenders},
        missing=missing,
        results=tuple(results),
        sweeps=swept,
        memory=tuple(memory),
        first_use=tuple(first_use),
        spans=spans,
        trainings=trained,
        imported=imported,
        seconds=time.perf_counter() - begun,
    )


def n_units(sizes: Sequence[Size], sweeps: bool, facts: bool, trainings: bool = False, imports: bool = False) -> int:
    """Units of work that `run_suite` reports as done: importing, every size, the facts, trainings, imported circuits."""
    n_swept = sum(map(len, SWEEPS.values())) if sweeps else 0
    return 1 + len(sizes) + n_swept + 2 * facts + (whole.n_units() if trainings else 0) + (len(CASES) if imports else 0)


def run_size(size: Size, contenders: Sequence[Contender], plan: Plan, report: Report) -> Result:
    """Prepares, checks and times all contenders at one size."""
    problem = make_problem(size)
    result = Result(size)
    steps: dict[str, Step] = {}
    firsts: dict[str, float] = {}
    known: dict[str, float] = {}
    right = None
    for contender in contenders:
        key = contender.key
        if not contender.applies(size):
            continue
        report(f"{size}: preparing {contender.title}", False)
        try:
            reason = contender.why_not(size) or _foretell(contender, problem, plan)
            if reason is not None:
                result.left_out[key] = reason
                continue
            right = right or oracle(problem)
            steps[key], firsts[key], known[key] = _start(contender, problem, right, plan)
        except TooSlowError as slow:
            result.left_out[key] = str(slow)
        except Exception as error:  # a contender that fails is a result; the others go on
            result.errors[key] = f"{type(error).__name__}: {error}".splitlines()[0]
    report(f"{size}: timing", False)
    runs: dict[str, Callable[[], object]] = {key: step.run for key, step in steps.items()}
    timings = measure({**runs, _GEMM: gemm_step()}, {**firsts, _GEMM: 0.0}, plan, known)
    gemm = timings.pop(_GEMM)
    del steps, runs
    gc.collect()
    report(f"{size}", True)
    return replace(result, timings=timings, gemm=gemm)


def run_sweep(axis: str, contenders: Sequence[Contender], plan: Plan, report: Report) -> tuple[Result, ...]:
    """Times sizes that grow; a contender whose step has become too long takes no further part."""
    results, running = [], list(contenders)
    for size in SWEEPS[axis]:
        result = run_size(size, running, plan, report)
        results.append(result)
        # Sizes grow by a factor, and so does a step: what took half of the limit will exceed it.
        running = [c for c in running if c.key in result.timings and 2 * result.timings[c.key].median < plan.too_long]
    return tuple(results)


def _start(contender: Contender, problem: Problem, right: Answer, plan: Plan) -> tuple[Step, float, float]:
    """A step that has been checked, with the seconds of its first run and of its second.

    Raises:
        TooSlowError: when a step takes longer than the plan allows.
    """
    step = contender.prepare(problem)
    first, second = start(
        step.run, lambda outcome: check_agreement(step.read(outcome), right), contender.compiles, plan.too_long
    )
    return step, first, second


def _foretell(contender: Contender, problem: Problem, plan: Plan) -> str | None:
    """Why a contender that loops over samples will take too long, by the time of a few of them."""
    size = problem.size
    n_pilot = size.n_batch // _PILOT
    if not contender.loops_over_samples or n_pilot < 1:
        return None
    step = contender.prepare(problem.first(n_pilot))
    step.run()
    begin = time.perf_counter()
    step.run()
    expected = (time.perf_counter() - begin) * size.n_batch / n_pilot
    if expected > plan.too_long:
        return (
            f"one step would take about {expected:.0f} s, estimated from {n_pilot} sample{'' if n_pilot == 1 else 's'}"
        )
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """Hides warnings of the contenders' own libraries about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
