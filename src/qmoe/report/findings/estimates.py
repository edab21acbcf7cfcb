"""The figures of a claim's card: one comparison by all estimands, a row for each study, and what could have been found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from qmoe.claims import Comparison, Estimate, Outcome, Verdict
from qmoe.report.findings.judged import effect_words, telling
from qmoe.report.pictures.style import count
from qmoe.report.sections.other_analyses import analysed, counted_words
from qmoe.report.tables import signed


@dataclass(frozen=True)
class Line:
    """A comparison by one estimand, in words and figures.

    Attributes:
        what: the estimand.
        a: figure of arm a.
        b: figure of arm b.
        difference: a minus b with its 95% interval.
        judged: whether the claim is about this one.
    """

    what: str
    a: str
    b: str
    difference: str
    judged: bool


@dataclass(frozen=True)
class Figures:
    """A comparison by all estimands.

    Attributes:
        a: label of arm a.
        b: label of arm b.
        lines: one for each estimand.
    """

    a: str
    b: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Part:
    """A claim on one study.

    Attributes:
        study: what readers call it.
        outcome: the verdict there.
        effect: the difference or ratio behind it.
        what: whose that is.
        analyses: over how many analyses it holds; "" where there is one.
    """

    study: str
    outcome: Outcome
    effect: str
    what: str
    analyses: str


def figures_of(comparison: Comparison | None) -> Figures | None:
    """A comparison by all estimands; None where accuracies were not compared."""
    if comparison is None or not comparison.estimates:
        return None
    return Figures(comparison.a, comparison.b, tuple(_line(e, comparison.estimand) for e in comparison.estimates))


def parts_of(verdict: Verdict, titles: Mapping[str, str]) -> list[Part]:
    """A row for each study that a claim has a verdict on and results of."""
    found = []
    for v in verdict.per_study:
        if all(test.absent for test in v.tests):
            continue
        key = telling(v)
        several = analysed(v)
        what = f"{key.a} − {key.b}" if key is not None and key.decision is not None else ""
        analyses = counted_words(several[0].multiverse) if several else ""
        found.append(Part(titles.get(v.study, v.study), v.outcome, effect_words(key), what, analyses))
    return found


def power_sentence(comparison: Comparison | None) -> str:
    """The smallest effect that an undecided comparison could have found, and the draws that the margin needs."""
    evidence = None if comparison is None else comparison.evidence
    if comparison is None or evidence is None:
        return ""
    smallest, needed = evidence.smallest_effect, evidence.draws_needed
    if smallest is None or not math.isfinite(smallest):
        return ""
    ratio, margin = evidence.contrast.scale == "ratio", evidence.contrast.margin
    least = f"a factor of {smallest:.3g}" if ratio else f"a difference of {smallest:.2g}"
    words = f"With {evidence.n_clusters} {comparison.unit}, {least} would be found with a chance of 80%."
    if needed is None or not margin:
        return words
    matters = f"a factor of {margin:g}" if ratio else f"{margin:g}"
    return f"{words} The smallest difference that matters, {matters}, needs {needed:,}."


def _line(e: Estimate, judged: str) -> Line:
    if e.estimand == "success":
        what = f"runs that reach {e.threshold or 0.0:.0%}"
        shown = f"{e.mean_a:.0%}", f"{e.mean_b:.0%}"
    else:
        what = "mean of all runs" if e.estimand == "mean" else f"best of {count(e.starts, 'start')}"
        shown = f"{e.mean_a:.3f}", f"{e.mean_b:.3f}"
    return Line(what, *shown, signed(e.effect, e.low, e.high), e.estimand == judged)
