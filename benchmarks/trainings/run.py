"""The trainings, fits and steps of a run, each by workers that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.sizes import SIZES, Size
from benchmarks.timing import Timing, summarise
from benchmarks.trainings.neighbour import busy_neighbour
from benchmarks.trainings.results import OWN, OWN_ONE, Fit, Threads, Trainer, Training, Trainings
from benchmarks.trainings.workers import Worker, WorkerError

#: Q and M of each task.
TASKS = ((2, 1), (2, 60), (4, 1), (4, 60))
#: Who trains, in the order of the tables.
TRAINERS: Mapping[str, Trainer] = {
    OWN: Trainer("qmoe", "`train_stack`, torch's default threads"),
    OWN_ONE: Trainer("qmoe, one thread", "the same after `torch.set_num_threads(1)`"),
    "jax": Trainer(
        "PennyLane on JAX",
        "default.qubit, complex64, jit of vmap (over models) of lax.scan (over epochs and batches): one compiled call for a "
        "whole training, U3 gates (broadcast samples, unrolled scans and batches gathered one by one were no quicker)",
    ),
    "jax-split": Trainer(
        "PennyLane on JAX, split",
        "the same with the models split by shard_map into a device for each core, which XLA does not do by itself",
    ),
    "eager": Trainer(
        "PennyLane in torch",
        "default.qubit with backprop, models and samples broadcast, float64 and complex128, torch's Adam; measured for a "
        "few epochs and scaled to all",
    ),
}
#: Not measured beside a busy process: far slower than the others without one.
_ALONE_ONLY = ("eager",)
#: Differences from qmoe above which a contender has done something else: of the mean accuracy of the models, and of a
#: model's loss in the first epoch as a share of it.
ACCURACY_BAND, LOSS_GAP = 0.05, 1e-3

#: What is told of progress: a text, and whether a unit of work is done.
Report = Callable[[str, bool], None]


@dataclass(frozen=True)
class Effort:
    """How long to look.

    Args:
        processes: of each contender for each task, one after another.
        rounds: turns of each contender, shared among its processes.
        turn: seconds that a turn is to fill; at least one training.
        most: trainings of a turn at most.
        fits: of each classifier.
        step_rounds: turns of each worker at each size of a step.
        step: seconds that such a turn is to fill.
        pause: seconds between turns, in which the threads of the one before go to sleep.
    """

    processes: int = 1
    rounds: int = 5
    turn: float = 0.6
    most: int = 5
    fits: int = 11
    step_rounds: int = 5
    step: float = 0.05
    pause: float = 0.1


class DisagreementError(Exception):
    """A contender trained something else; the message says by how much."""


def n_units(sizes: Sequence[Size] = SIZES) -> int:
    """Units of work that `run_trainings` reports as done."""
    return len(TASKS) + 1 + len(sizes)


def run_trainings(report: Report, effort: Effort | None = None, sizes: Sequence[Size] = SIZES) -> Trainings:
    """Runs it all; what fails is named, and the rest goes on."""
    effort = effort or Effort()
    errors: dict[str, str] = {}
    tasks = [run_task(n_qubits, n_models, effort, report) for n_qubits, n_models in TASKS]
    fits: tuple[Fit, ...] = ()
    report("whole fits", False)
    try:
        fits = run_fits(effort)
    except WorkerError as error:
        errors["The fits"] = str(error)
    report("whole fits", True)
    steps: tuple[Threads, ...] = ()
    threads = 0
    try:
        threads, steps = run_threads(sizes, effort, report)
    except WorkerError as error:
        errors["The threads of a step"] = str(error)
    return Trainings(threads, effort.processes, dict(TRAINERS), tuple(tasks), fits, steps, errors)


def run_task(n_qubits: int, n_models: int, effort: Effort, report: Report) -> Training:
    """Trains by all contenders, checks what they gave, and times them alone and beside a busy process."""
    label = f"training {n_models} {'model' if n_models == 1 else 'models'} of {n_qubits} qubits"
    training = Training(n_qubits, n_models)
    wanted = [key for key in TRAINERS if n_models > 1 or key != "jax-split"]  # one model cannot be split
    times: dict[str, dict[str, list[float]]] = {"alone": {}, "busy": {}}
    ready: dict[str, list[dict[str, Any]]] = {}
    most: dict[str, int] = {}
    for number in range(effort.processes):
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for key in (key for key in wanted if key not in training.errors):
                report(f"{label}: preparing {TRAINERS[key].title}", False)
                try:
                    workers[key] = worker = stack.enter_context(Worker(["train", key, str(n_qubits), str(n_models)]))
                    ready.setdefault(key, []).append(worker.ready)
                    check(worker.ready, ready[OWN][0] if OWN in ready else None)
                    most.setdefault(key, max(1, min(effort.most, int(effort.turn / worker.ready["seconds"]))))
                except (WorkerError, DisagreementError) as error:
                    _drop(key, error, training, workers, times)
            n_rounds = effort.rounds // effort.processes + (number < effort.rounds % effort.processes)
            for kind in ("alone", "busy"):
                report(f"{label}: timing, {kind}", False)
                with busy_neighbour() if kind == "busy" else nullcontext():
                    for _ in range(n_rounds):
                        for key in [key for key in workers if kind == "alone" or key not in _ALONE_ONLY]:
                            time.sleep(effort.pause)
                            try:
                                seconds = workers[key].ask(repeats=most[key])["seconds"]
                            except WorkerError as error:
                                _drop(key, error, training, workers, times)
                                continue
                            times[kind].setdefault(key, []).append(statistics.median(seconds))
    for key in (key for key in ready if key not in training.errors):
        firsts = ready[key]
        first = statistics.median(answer["first"] for answer in firsts)
        for kind, into in (("alone", training.alone), ("busy", training.busy)):
            if key in times[kind]:
                into[key] = summarise(times[kind][key], most[key], first)
        if firsts[0]["compiling"] is not None:
            training.compiling[key] = statistics.median(answer["compiling"] for answer in firsts)
        if firsts[0]["scale"] != 1:
            training.scaled[key] = firsts[0]["scale"]
        training.accuracy[key] = firsts[0]["accuracy"]
        if OWN in ready:
            training.loss_gap[key] = loss_gap(firsts[0], ready[OWN][0])
    report(label, True)
    return training


def _drop(
    key: str,
    error: Exception,
    training: Training,
    workers: dict[str, Worker],
    times: Mapping[str, dict[str, list[float]]],
) -> None:
    """Takes a contender out, with all that was measured of it."""
    training.errors[key] = f"{type(error).__name__}: {error}"
    workers.pop(key, None)
    for seconds in times.values():
        seconds.pop(key, None)


def check(answer: Mapping[str, Any], own: Mapping[str, Any] | None) -> None:
    """Whether a contender's training is that of qmoe.

    Args:
        answer: its first one.
        own: that of qmoe; None where qmoe itself failed, and nothing can be said.

    Raises:
        DisagreementError: when the mean accuracy or a loss of the first epoch is too far off.
    """
    if own is None:
        return
    gap = loss_gap(answer, own)
    if not gap <= LOSS_GAP:  # also where it is NaN
        raise DisagreementError(f"a loss of the first epoch is off by {gap:.1e} of it, allowed are {LOSS_GAP:.0e}")
    right = own["accuracy"] if answer["scale"] == 1 else own["short_accuracy"]
    difference = abs(answer["accuracy"] - right)
    if not difference <= ACCURACY_BAND:
        raise DisagreementError(f"accuracy {answer['accuracy']:.3f}, qmoe has {right:.3f}")


def loss_gap(answer: Mapping[str, Any], own: Mapping[str, Any]) -> float:
    """Largest difference of a model's loss in the first epoch, as a share of it."""
    found, right = (np.asarray(reply["first_loss"]) for reply in (answer, own))
    return float("nan") if found.shape != right.shape else float(np.abs(found / right - 1).max())


def run_fits(effort: Effort) -> tuple[Fit, ...]:
    """Fits each classifier in a process of its own, in turns; each turn has its own draw of points and first weights."""
    with ExitStack() as stack:
        first = stack.enter_context(Worker(["fit"]))
        titles = first.ready["titles"]
        workers = [first, *(stack.enter_context(Worker(["fit"])) for _ in titles[1:])]
        pairs = list(zip(titles, workers, strict=True))
        firsts = {title: worker.ask(title=title, seed=0)["seconds"] for title, worker in pairs}
        found: dict[str, list[dict[str, float]]] = {title: [] for title in titles}
        for seed in range(1, effort.fits + 1):
            for title, worker in pairs:
                time.sleep(effort.pause)
                found[title].append(worker.ask(title=title, seed=seed))
    return tuple(
        Fit(
            title,
            summarise([fit["seconds"] for fit in fits], 1, firsts[title]),
            statistics.mean(fit["accuracy"] for fit in fits),
            min(fit["accuracy"] for fit in fits),
        )
        for title, fits in found.items()
    )


def run_threads(sizes: Iterable[Size], effort: Effort, report: Report) -> tuple[int, tuple[Threads, ...]]:
    """Steps of the native engine with torch's default threads and with one; the default comes first."""
    results = []
    with Worker(["step", "0"]) as default, Worker(["step", "1"]) as one:
        for size in sizes:
            report(f"{size}: threads", False)
            found: dict[str, dict[str, Timing]] = {}
            for kind in ("alone", "busy"):
                with busy_neighbour() if kind == "busy" else nullcontext():
                    found[kind] = _take_turns({"default": default, "one": one}, size, effort)
            results.append(Threads(size, **found))
            report(f"{size}: threads", True)
        return default.ready["threads"], tuple(results)


def _take_turns(workers: Mapping[str, Worker], size: Size, effort: Effort) -> dict[str, Timing]:
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for _ in range(effort.step_rounds):
        for name, worker in workers.items():
            answers[name].append(worker.ask(size=str(size), target=effort.step))
    return {
        name: summarise([answer["seconds"] for answer in found], found[0]["loops"], found[0]["first"])
        for name, found in answers.items()
    }
