"""Imported circuits on the page and in the terminal, from the record alone."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.comparison import Ratio, duration
from benchmarks.imported.results import CaseTimes, ImportedTimes
from benchmarks.timing import WIDE, Timing

#: The layer without an import, which imports of the same circuit are compared with.
TEMPLATE = "qmoe-template"
#: The rest of the epoch, which stands in the text and not in the table.
NO_CIRCUIT = "no-circuit"
_ON_JAX = ("jax", "jax-loop", "jax-scan")
_FORUM = "https://discuss.pennylane.ai/t/how-can-i-make-variational-learning-faster/1131"


def section(imported: ImportedTimes | None, run: str = "") -> str:
    """The section of the page; empty where nothing was measured. ``run`` says which run it was, where not the page's."""
    if imported is None:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in imported.versions.items())
    parts = [
        "## Imported circuits",
        f"Measured apart from the rest: {run}. Versions: {versions}." if run else f"Versions: {versions}.",
        "What qmoe imports is the very QNode or circuit that the peer runs. Medians, and how many times longer than the "
        "faster import the peers take; below 1 (in bold) they are faster. `~` marks a spread between rounds above "
        f"{WIDE:.0%}.",
        _part(
            imported,
            "map",
            "One step: ZZFeatureMap (2 repetitions) and RealAmplitudes (3 repetitions) with `<Z...Z>`, a mean square error, "
            "and its gradient with respect to the weights. None was timed before its outputs, loss and gradient agreed with "
            "Qiskit's dense matrices and the parameter-shift rule to 1e-4 (of the largest entry).",
        ),
        _part(
            imported,
            "epoch",
            "One epoch of a hybrid model: Linear(2, 2), AngleEmbedding with StronglyEntanglingLayers and every `<Z>`, "
            "Linear(2, 1), a mean square error and Adam. Circuit, number of points, loss and optimiser are those of a "
            f"[question in PennyLane's forum]({_FORUM}), which reports about 100 s an epoch with lightning.qubit. The "
            "linear layers and the batches are ours. Losses of the first batches and the gradient of the first agreed "
            "with qmoe's reference to 1e-4.",
        ),
        _reasons(imported),
        _part(
            imported,
            "template",
            "What an import costs: a step of `qmoe.QuantumLayer` of a circuit that qmoe has itself (angle encoding, "
            "strongly entangling layers, every `<Z>`), and how many times longer the same circuit takes when it comes from "
            "a QNode or from Qiskit.",
        ),
        _notes(imported),
    ]
    return "\n\n".join(part for part in parts if part)


def lines(imported: ImportedTimes) -> list[str]:
    """The same for the terminal: a line for each measurement."""
    found = []
    for case in imported.cases:
        for key, timing in sorted(case.timings.items(), key=lambda item: item[1].median):
            against = ratio(case, key, imported)
            found.append(
                f"{case.title}: {_title(imported, key)} {_seconds(timing)}"
                + (f", {against}" if against is not None and key != own_key(case, imported) else "")
                + f", spread {timing.spread:.0%}, first {duration(timing.first)}"
                + (f", scaled from {case.scaled[key]}" if key in case.scaled else "")
            )
        found += [f"{case.title}: {_title(imported, key)} left out, {why}" for key, why in case.left_out.items()]
        found += [f"{case.title}: {_title(imported, key)} FAILED, {why}" for key, why in case.errors.items()]
    return found + [f"{_title(imported, key)} not installed: {why}" for key, why in imported.missing.items()]


def own_key(case: CaseTimes, imported: ImportedTimes) -> str | None:
    """In whose time the others are expressed: the layer without an import, else the faster import."""
    if TEMPLATE in case.timings:
        return TEMPLATE
    own = [key for key in case.timings if imported.entrants[key].ours]
    return min(own, key=lambda key: case.timings[key].median, default=None)


def ratio(case: CaseTimes, key: str, imported: ImportedTimes) -> Ratio | None:
    """A contender's time in units of that; None where one of both was not timed."""
    own = own_key(case, imported)
    if own is None or key not in case.timings:
        return None
    ours, theirs = case.timings[own], case.timings[key]
    return Ratio(theirs.median / ours.median, ours.wide or theirs.wide)


def _part(imported: ImportedTimes, kind: str, words: str) -> str:
    """What was computed, and a table: seconds of qmoe, ratios of the others; empty where there is no such case."""
    cases = [case for case in imported.cases if case.kind == kind]
    keys = [key for key, entry in imported.entrants.items() if kind in entry.kinds and key != NO_CIRCUIT]
    rows = [[case.title, *(_cell(imported, case, key) for key in keys)] for case in cases]
    return f"{words}\n\n{_table(['', *(_title(imported, key) for key in keys)], rows)}" if cases else ""


def _cell(imported: ImportedTimes, case: CaseTimes, key: str) -> str:
    if key in imported.missing:
        return "not installed"
    if key not in case.timings:
        return "failed" if key in case.errors else "left out" if key in case.left_out else ""
    value = ratio(case, key, imported)
    base = imported.entrants[key].ours if case.kind != "template" else key == TEMPLATE
    if base or value is None:
        return _seconds(case.timings[key])
    return f"**{value}**" if value.value < 1 and case.kind != "template" else str(value)


def _reasons(imported: ImportedTimes) -> str:
    """Why a compiled program is ahead, where one is."""
    return "\n\n".join(
        words
        for case in imported.cases
        if (own := own_key(case, imported)) is not None and (words := _reason(imported, case, own))
    )


def _reason(imported: ImportedTimes, case: CaseTimes, own: str) -> str:
    ours = case.timings[own].median
    ahead = {key: case.timings[key] for key in _ON_JAX if key in case.timings and case.timings[key].median < ours}
    if not ahead:
        return ""
    quickest = min(ahead.values(), key=lambda timing: timing.median)
    n_runs = max(1.0, quickest.first / (ours - quickest.median))
    first = duration(quickest.first)
    words = f"At {case.title}, JAX is ahead once its first run of {first} has paid, after {n_runs:,.0f} runs"
    if NO_CIRCUIT not in case.timings:
        return f"{words}: one compiled call holds loss and gradient, where qmoe is called through torch's autograd."
    alone = case.timings[NO_CIRCUIT].median
    return (
        f"{words}: it compiles the linear layers, the loss and Adam too. In torch these alone, with no circuit between "
        f"them, take {duration(alone)}, {alone / ours:.0%} of the epoch of qmoe."
    )


def _notes(imported: ImportedTimes) -> str:
    """How each was used, and what was scaled, left out, failed or is not installed."""
    notes = [f"* **{entry.title}**: {entry.advice}." for entry in imported.entrants.values()]
    for key in imported.entrants:
        scaled = [f"{case.scaled[key]} at {case.title}" for case in imported.cases if key in case.scaled]
        if scaled:
            notes.append(f"* Times of {_title(imported, key)} are scaled from {'; '.join(scaled)}.")
    for case in imported.cases:
        notes += [f"* Left out: {_title(imported, key)} at {case.title} ({why})." for key, why in case.left_out.items()]
        notes += [f"* Failed: {_title(imported, key)} at {case.title} ({why})." for key, why in case.errors.items()]
    notes += [f"* Not installed: {_title(imported, key)} ({why})." for key, why in imported.missing.items()]
    return "\n".join(notes)


def _title(imported: ImportedTimes, key: str) -> str:
    return imported.entrants[key].title


def _seconds(timing: Timing) -> str:
    return f"{'~' if timing.wide else ''}{duration(timing.median)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruled = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruled, *rows))
