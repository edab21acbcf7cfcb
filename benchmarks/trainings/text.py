"""The trainings on the page and in the terminal, from the record alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks.comparison import Ratio, duration, significant
from benchmarks.sizes import Size
from benchmarks.timing import WIDE, Timing
from benchmarks.trainings.results import OWN, Training, Trainings


def ratio(timings: Mapping[str, Timing], key: str, against: str = OWN) -> Ratio | None:
    """A contender's time in units of another's, qmoe's by default; None where one of both was not timed."""
    if key not in timings or against not in timings:
        return None
    theirs, ours = timings[key], timings[against]
    return Ratio(theirs.median / ours.median, ours.wide or theirs.wide)


def sections(trainings: Trainings | None, run: str = "") -> list[str]:
    """The sections of the page; none where nothing was measured. ``run`` says which run it was, where not the page's."""
    if trainings is None:
        return []
    apart = f"This section and the next two were measured apart from the rest: {run}." if run else ""
    return [_whole(trainings, apart), _fits(trainings), _busy(trainings)]


def lines(trainings: Trainings) -> list[str]:
    """The same for the terminal: a line for each measurement."""
    found = []
    for task in trainings.tasks:
        for kind, timings in (("", task.alone), (" beside a busy process", task.busy)):
            for key, timing in timings.items():
                against = "" if key == OWN else f", {ratio(timings, key)}"
                found.append(
                    f"{_task(task)}{kind}: {_title(trainings, key)} {_seconds(timing)}{against}, "
                    f"spread {timing.spread:.0%}"
                )
        found += [f"{_task(task)}: {_title(trainings, key)} FAILED, {reason}" for key, reason in task.errors.items()]
    found += [
        f"{fit.title}: {_seconds(fit.timing)}, accuracy {fit.accuracy:.1%} (lowest {fit.lowest:.1%})"
        for fit in trainings.fits
    ]
    found += [
        f"step at {step.size}: default threads take {_against_one(step.alone)} of one thread's time alone, "
        f"{_against_one(step.busy)} beside a busy process"
        for step in trainings.steps
    ]
    return found + [f"{what}: FAILED, {reason}" for what, reason in trainings.errors.items()]


def _whole(trainings: Trainings, apart: str) -> str:
    keys = [key for key in trainings.trainers if any(key in task.alone for task in trainings.tasks)]
    if not keys:
        return ""
    others = [key for key in keys if key != OWN]
    heads = ["Q", "M", _title(trainings, OWN), *(_title(trainings, key) for key in others)]
    table = _table(heads, [[*_axes(task), *_cells(task.alone, others)] for task in trainings.tasks])
    rounds = max(timing.rounds for task in trainings.tasks for timing in task.alone.values())
    processes = (
        "a process of its own" if trainings.processes == 1 else f"{trainings.processes} processes, one after another"
    )
    parts = [
        "## Whole trainings",
        apart,
        "M mixtures of two linear experts, each with a quantum router of Q qubits and 3 layers, on 400 points of two moons, "
        "for 50 epochs of batches of 32 (the last of an epoch has 16) with Adam: all models from the first to the last "
        "step, with the drawing of batch orders and the accuracies at the end, without imports and compilation. Each model "
        "has its own data, first weights and batch orders, the same for every contender. Each contender trains in "
        f"{processes}, and they take turns, up to {rounds} each. Medians, and how many times longer than qmoe the others "
        f"take; below 1 (in bold) they are quicker. `~` marks a spread between turns above {WIDE:.0%}.",
        table,
        _compiling(trainings),
        _outcomes(trainings, keys),
    ]
    notes = [f"* **{trainings.trainers[key].title}**: {trainings.trainers[key].advice}." for key in keys]
    for key in keys:
        factors = sorted({task.scaled[key] for task in trainings.tasks if key in task.scaled})
        if factors:
            notes.append(
                f"* Times of {_title(trainings, key)} are extrapolated: measured for {1 / factors[0]:.0%} of the epochs, "
                f"times {factors[0]:g}; its accuracy is that of these epochs, and was compared with qmoe's after as many."
            )
    notes += [
        f"* Failed: {_title(trainings, key)} at Q = {task.n_qubits}, M = {task.n_models} ({reason})."
        for task in trainings.tasks
        for key, reason in task.errors.items()
    ]
    return "\n\n".join([*(part for part in parts if part), "\n".join(notes)])


def _compiling(trainings: Trainings) -> str:
    """What is waited for before: the first training of a process, and what of it is compilation."""
    keys = [key for key in trainings.trainers if any(key in task.compiling for task in trainings.tasks)]
    rows = [
        [
            *_axes(task),
            *(
                f"{duration(task.compiling[key])} ({_break_even(task, key)})" if key in task.compiling else ""
                for key in keys
            ),
        ]
        for task in trainings.tasks
    ]
    own = [task.alone[OWN].first for task in trainings.tasks if OWN in task.alone]
    if not keys or not own:
        return ""
    return (
        "Compiled before that, once for every process and shape, and to how many trainings of qmoe that comes:\n\n"
        + _table(["Q", "M", *(_title(trainings, key) for key in keys)], rows)
        + f"\n\nThe first training of qmoe in a process took {duration(min(own))} to {duration(max(own))}, with compiled "
        "code on disk (see first use, below)."
    )


def _break_even(task: Training, key: str) -> str:
    return "" if OWN not in task.alone else significant(task.compiling[key] / task.alone[OWN].median)


def _outcomes(trainings: Trainings, keys: list[str]) -> str:
    accuracies = [
        f"Q = {task.n_qubits}, M = {task.n_models}: "
        + ", ".join(f"{_title(trainings, key)} {task.accuracy[key]:.1%}" for key in keys if key in task.accuracy)
        for task in trainings.tasks
        if task.accuracy
    ]
    gaps = [gap for task in trainings.tasks for key, gap in task.loss_gap.items() if key != OWN]
    if not accuracies:
        return ""
    worst = f" The losses of the first epoch differ by {max(gaps):.0e} of a loss at most." if gaps else ""
    return f"Mean training accuracies: {'; '.join(accuracies)}.{worst}"


def _fits(trainings: Trainings) -> str:
    if not trainings.fits:
        return ""
    own = trainings.fits[0].timing
    rows = [
        [
            f"`{fit.title}.fit`",
            _seconds(fit.timing),
            "" if fit.timing is own else _bold(Ratio(fit.timing.median / own.median, fit.timing.wide or own.wide)),
            f"{fit.accuracy:.1%}",
            f"{fit.lowest:.1%}",
        ]
        for fit in trainings.fits
    ]
    return (
        "### Whole fits\n\n"
        "On 400 points of two moons, and the accuracy on 5,000 fresh ones: every fit with its own draw and first weights, "
        f"{own.rounds} fits of each, taking turns in processes of their own.\n\n"
        + _table(["", "one fit", "times qmoe's", "accuracy", "lowest"], rows)
    )


def _busy(trainings: Trainings) -> str:
    parts = ["## With one core loaded by another process"]
    timed = [task for task in trainings.tasks if OWN in task.busy]
    if timed:
        keys = [key for key in trainings.trainers if any(key in task.busy for task in timed)]
        others = [key for key in keys if key != OWN]
        heads = ["Q", "M", _title(trainings, OWN), *(_title(trainings, key) for key in others)]
        parts += [
            "The same trainings while another process keeps a core busy. Medians, and how many times longer than qmoe the "
            "others take, beside that process too.",
            _table(heads, [[*_axes(task), *_cells(task.busy, others)] for task in timed]),
        ]
        slowed = [
            f"{_title(trainings, key)} {significant(min(factors))} to {significant(max(factors))}"
            for key in keys
            if (
                factors := [t.busy[key].median / t.alone[key].median for t in timed if key in t.busy and key in t.alone]
            )
        ]
        parts.append(f"Times longer than alone: {', '.join(slowed)}.")
    if trainings.steps:
        rows = [[_size(step.size), *_thread_cells(step.alone), *_thread_cells(step.busy)] for step in trainings.steps]
        ratios = [step.busy["default"].median / step.busy["one"].median for step in trainings.steps]
        n_slower = sum(value > 1 for value in ratios)
        parts += [
            "One step of the native engine with torch's default threads "
            f"({trainings.threads}), and its time as a share of that with one thread; above 1, one thread is quicker.",
            _table(["Q, L, B, M", "alone", "of one thread", "beside a busy process", "of one thread"], rows),
            f"Beside the busy process, default threads take {significant(statistics.median(ratios))} of the time of one "
            f"thread in the median of the sizes, {significant(max(ratios))} at worst, and longer at {n_slower} of "
            f"{len(ratios)} sizes.",
        ]
    parts += [f"{what} failed: {reason}." for what, reason in trainings.errors.items()]
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _cells(timings: Mapping[str, Timing], others: list[str]) -> list[str]:
    own = [_seconds(timings[OWN])] if OWN in timings else [""]
    return own + [_bold(ratio(timings, key)) for key in others]


def _thread_cells(timings: Mapping[str, Timing]) -> list[str]:
    return [_seconds(timings["default"]), _against_one(timings)]


def _against_one(timings: Mapping[str, Timing]) -> str:
    return str(ratio(timings, "default", "one"))


def _bold(value: Ratio | None) -> str:
    if value is None:
        return ""
    return f"**{value}**" if value.value < 1 else str(value)


def _seconds(timing: Timing) -> str:
    return f"{'~' if timing.wide else ''}{duration(timing.median)}"


def _title(trainings: Trainings, key: str) -> str:
    return trainings.trainers[key].title if key in trainings.trainers else key


def _axes(task: Training) -> list[str]:
    return [str(task.n_qubits), str(task.n_models)]


def _task(task: Training) -> str:
    return f"training Q={task.n_qubits} M={task.n_models}"


def _size(size: Size) -> str:
    text = f"({size.n_qubits}, {size.n_layers}, {size.n_batch}, {size.n_models})"
    return f"{text}, noisy" if size.noisy else text


def _table(heads: list[str], rows: list[list[str]]) -> str:
    ruled = ["---" if not index else "---:" for index in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruled, *rows))
