"""What ladders on several data sets show together: mean differences over data sets, and ranks of the routers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, isfinite, sqrt

import numpy as np

from qmoe.claims import ArmRuns
from qmoe.report.findings.rung_results import RungResult, routing_matters, rung_verdict_words
from qmoe.report.tables import signed, signed_number
from qmoe.report.words import join
from qmoe.statistics import CriticalDifference, PairedDifference, RandomEffects, critical_difference, random_effects
from qmoe.statistics.conventions import MARGIN

#: For each study its rungs.
Ladders = Mapping[str, Sequence[RungResult]]

#: Data sets below which nothing is pooled.
FEWEST = 3
#: Learns something else than all others, so its accuracy is no worse or better.
_NOT_RANKED = "random-labels"


@dataclass(frozen=True)
class Effect:
    """A comparison on one data set.

    Attributes:
        title: what readers call the data set.
        difference: mean difference with its interval.
        standard_error: of the mean, over draws of the data.
    """

    title: str
    difference: PairedDifference
    standard_error: float


@dataclass(frozen=True)
class Pooled:
    """A comparison over data sets.

    Attributes:
        what: ``"quantum router minus linear router"``.
        effects: one for each data set.
        summary: all of them as one; None for fewer than `FEWEST`.
    """

    what: str
    effects: tuple[Effect, ...]
    summary: RandomEffects | None


def apart(ladders: Ladders) -> tuple[Ladders, Ladders]:
    """The data sets on which routing matters, and those that say nothing about routers."""
    counting = {name: rungs for name, rungs in ladders.items() if routing_matters(rungs)}
    return counting, {name: rungs for name, rungs in ladders.items() if name not in counting}


def effect_on(title: str, a: ArmRuns, b: ArmRuns) -> Effect | None:
    """Arm a minus arm b on one data set; None for too few shared draws, or no spread between them."""
    difference, each = a.minus(b), a.differences(b)
    if difference is None or not difference.enough or np.ptp(each) == 0:
        return None
    return Effect(title, difference, float(each.std(ddof=1)) / sqrt(len(each)))


def pooled(what: str, effects: Sequence[Effect]) -> Pooled:
    """Effects with their summary."""
    if len(effects) < FEWEST:
        return Pooled(what, tuple(effects), None)
    found = random_effects([e.difference.mean for e in effects], [e.standard_error for e in effects])
    return Pooled(what, tuple(effects), found)


def differences_by_data_set(ladders: Ladders, titles: Mapping[str, str], rung: str, label: str) -> Pooled:
    """The quantum router minus one rung, over data sets.

    Args:
        ladders: for each study its rungs.
        titles: what readers call the studies.
        rung: name of the rung.
        label: what readers call it.
    """
    found = []
    for study, rungs in ladders.items():
        arms = {r.rung.name: r.arm for r in rungs if r.arm is not None}
        if "" in arms and rung in arms:
            found.append(effect_on(titles[study], arms[""], arms[rung]))
    return pooled(f"quantum router minus {label}", [e for e in found if e is not None])


def pooled_words(p: Pooled) -> str:
    """The summary in words."""
    s = p.summary
    if s is None:
        return f"{p.what}: {len(p.effects)} data sets are too few for a summary."
    words = (
        f"Over {s.n_effects} data sets, the difference {p.what} is {signed(s.mean, s.low, s.high)} on average. The true "
        f"differences vary between data sets with a standard deviation of {s.tau:.3f}; {s.i_squared:.0%} of the spread is "
        "more than sampling error (I²)."
    )
    if isfinite(s.prediction_low):
        low, high = signed_number(s.prediction_low), signed_number(s.prediction_high)
        words += f" On a new data set of this kind it would lie between {low} and {high} with 95% probability."
    return words


def ranked(ladders: Ladders) -> CriticalDifference | None:
    """Ranks of the rungs that every study has, by mean accuracy; None where there are fewer than three."""
    means = [{r.rung.name: r.arm.summary.mean for r in rungs if r.arm is not None} for rungs in ladders.values()]
    if len(means) < 2:
        return None
    names = [name for name in means[0] if name != _NOT_RANKED and all(name in each for each in means)]
    if len(names) < 3:
        return None
    return critical_difference(np.array([[each[name] for name in names] for each in means]), names)


def rank_sentences(found: CriticalDifference) -> tuple[str, ...]:
    """What the ranks can tell and what they cannot."""
    n, pairs = found.n_datasets, comb(len(found.names), 2)
    differ = found.friedman_p < found.alpha
    lines = [
        f"Over {n} data sets the routers {'do' if differ else 'do not clearly'} differ in rank (Friedman's test: "
        f"p = {found.friedman_p:.2g})."
    ]
    least = 2.0 ** (1 - n)
    if least * pairs >= found.alpha:
        lines.append(
            f"No single pair can be told apart this way, whatever the accuracies: with {n} data sets the smallest p-value "
            f"of a pair is {least:.2g}, and there are {pairs} pairs to correct for. A bar that joins two routers is no "
            "proof that they are equal; the differences on each data set say more."
        )
    elif differ:
        lines.append(
            f"Routers joined by a bar cannot be told apart at {found.alpha:.0%}, after correction over {pairs} pairs."
        )
    return tuple(lines)


def ladders_sentences(ladders: Ladders, titles: Mapping[str, str]) -> tuple[str, ...]:
    """On how many data sets which of the main questions came out how, by rule."""
    counting, idle = apart(ladders)
    said = rung_verdict_words("more accurate", "less accurate")
    lines = []
    for rung, words in (
        ("twin", "the classical twin (a linear gate on the same functions, no circuit)"),
        ("no-entangler", "the router without entanglers"),
        ("linear", "the linear router"),
    ):
        by_verdict: dict[str, list[str]] = {}
        for name, rungs in counting.items():
            result = next((r for r in rungs if r.rung.name == rung and r.verdict), None)
            if result is not None:
                by_verdict.setdefault(result.verdict, []).append(titles[name])
        parts = [f"{said[v]} on {join(by_verdict[v])}" for v in said if v in by_verdict]
        lines += [f"Against the quantum router, {words} is {'; '.join(parts)}."] if parts else []
    if idle:
        lines.append(
            f"On {join([titles[name] for name in idle])} switching the router off is not shown to cost more than "
            f"{MARGIN:g}. These data sets say nothing about routers and are set apart below."
        )
    return tuple(lines) or ("The rungs share too few seeds with the quantum router to tell anything.",)
