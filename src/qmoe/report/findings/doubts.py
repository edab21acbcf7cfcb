"""The caveats of a page: what a careful reader should hold against its figures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from qmoe.claims import ArmRuns
from qmoe.errors import count
from qmoe.report.findings.arms import MIN_SEEDS, finished
from qmoe.report.findings.headline import two_groups
from qmoe.report.findings.paper import departures, is_preset
from qmoe.report.words import join
from qmoe.statistics.conventions import UNEQUAL
from qmoe.studies import StudyResults

MOST = 6  # arms that are named one by one
FALLING = 0.05  # a mean loss that fell by more than this share over the last three epochs has not settled


def page_caveats(results: Sequence[StudyResults], judged: Collection[str] = ()) -> list[str]:
    """Everything a careful reader should hold against the page, one sentence or two each.

    Args:
        results: all studies.
        judged: names of studies that verdicts rest on; what those hold against themselves stands on their cards.
    """
    found = [
        f"{result.study.name} is not what its preset asks: {'; '.join(changed)}."
        for result in results
        if (changed := departures(result.study))
    ]
    studies = [(result.study.name, arms) for result in results if (arms := finished(result))]
    few = [f"{name} ({min(a.n for a in arms)})" for name, arms in studies if min(a.n for a in arms) < MIN_SEEDS]
    if few:
        found.append(
            f"Too few runs for each arm: {join(few)}. Below {MIN_SEEDS} runs, means and intervals can move a lot with "
            "the next seeds."
        )
    compared = {result.study.name for result in results if is_preset(result.study)}
    coarse = sorted({a.n for name, arms in studies for a in arms if a.n < 50 and name in compared})
    if coarse:
        found.append(
            f"With {join([str(n) for n in coarse[:-1]] + [count(coarse[-1], 'run')])} a percentile moves in steps of up to "
            f"{100 / coarse[0]:.0f} points; with fewer than 50, 'outside the middle 98%' only means beyond all of our runs."
        )
    thin = [f"{name} ({k})" for name, arms in studies if 1 < (k := len(np.unique(arms[0].clusters))) < 10]
    if thin:
        found.append(f"Intervals rest on fewer than ten independent seeds, so they are too narrow: {join(thin)}.")
    rest = [(name, arms) for name, arms in studies if name not in judged]
    found += _by_study(rest, _unequal, "Arms are not of one size: {}. Part of a difference may be due to that.")
    found += _by_study(
        studies,
        _guessing,
        "No better than guessing the commonest class: {}. Differences between such arms say nothing.",
    )
    found += _by_study(rest, _falling, "Not converged (mean loss fell by more than 5% over the last three epochs): {}.")
    found += _by_study(studies, _equal, "No spread at all between runs: {}. An interval of width zero is no certainty.")
    found += _by_study(
        studies,
        _bimodal,
        "Runs fall into two groups, so that the mean describes neither of them: {}. Look at the dots.",
    )
    if studies:
        found.append("The time of one model is taken from one run of each arm; other work on the machine shows in it.")
    return found


def not_settled(arm: ArmRuns) -> bool:
    """Whether the mean loss was still falling at the end."""
    recorded = arm.recent[arm.done & np.isfinite(arm.recent).all(axis=1)]
    if not len(recorded):
        return False
    mean = recorded.mean(axis=0)
    return bool(mean[-1] < (1 - FALLING) * mean[0])


def _by_study(
    studies: Sequence[tuple[str, list[ArmRuns]]], rule: Callable[[list[ArmRuns]], str], sentence: str
) -> list[str]:
    """The sentence with all studies that a rule speaks of, those of which it says the same together."""
    grouped: dict[str, list[str]] = {}
    for name, arms in studies:
        if what := rule(arms):
            grouped.setdefault(what, []).append(name)
    parts = [f"{', '.join(names)} ({what})" for what, names in grouped.items()]
    return [sentence.format("; ".join(parts))] if parts else []


def _listed(arms: Sequence[ArmRuns]) -> str:
    """Labels of arms; noise strengths of one arm together."""
    grouped: dict[str, list[str]] = {}
    for arm in arms:
        grouped.setdefault(arm.label, []).extend([] if arm.strength is None else [f"{arm.strength:g}"])
    labels = [label + (f" at p = {', '.join(p)}" if p else "") for label, p in grouped.items()]
    return join(labels if len(labels) <= MOST else [*labels[: MOST - 1], f"{len(labels) - MOST + 1} more"])


def _unequal(arms: list[ArmRuns]) -> str:
    counts = [float(arm.figures("parameters")[0]) for arm in arms]
    ratio = max(counts) / max(1.0, min(counts))
    return f"{ratio:.1f} times between {min(counts):.0f} and {max(counts):.0f} parameters" if ratio > UNEQUAL else ""


def _guessing(arms: list[ArmRuns]) -> str:
    # Random labels are a control that has nothing else to do.
    return _listed([arm for arm in arms if arm.guesses and arm.first.data.labels == "true"])


def _falling(arms: list[ArmRuns]) -> str:
    return _listed([arm for arm in arms if not_settled(arm)])


def _equal(arms: list[ArmRuns]) -> str:
    return _listed([arm for arm in arms if arm.n > 1 and np.ptp(arm.scores) == 0])


def _bimodal(arms: list[ArmRuns]) -> str:
    return _listed([arm for arm in arms if arm.n >= 10 and two_groups(arm.scores) is not None])
