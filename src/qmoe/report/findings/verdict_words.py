"""A verdict in words and figures: what it means, what decides it, and what could have been found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import Comparison, Estimate, Multiverse, Outcome, TestVerdict, Verdict
from qmoe.claims.analyses.choices import alternative_words
from qmoe.claims.analyses.universes import NOISE_PROTOCOL
from qmoe.claims.sentences import idle_caveats, metric_words
from qmoe.claims.spec import BreakdownTest
from qmoe.errors import count
from qmoe.report.findings.judged import Judged, View, effect_words, telling
from qmoe.report.findings.other_analyses import analysed, counted_words
from qmoe.report.tables import outcome_words, signed, signed_number
from qmoe.report.words import capital, join
from qmoe.statistics.conventions import POWER
from qmoe.studies.metrics import metric_facts


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
class StudyVerdict:
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


def meaning_of(verdict: Verdict, titles: Mapping[str, str] | None = None) -> str:
    """What follows from a verdict, in one or two sentences.

    Args:
        verdict: of a claim.
        titles: what readers call the studies.
    """
    claim, tail = verdict.claim, by_study_words(verdict, titles or {})
    words = {"supported": claim.if_supported, "refuted": claim.if_refuted}.get(verdict.outcome, "")
    if words:
        return f"{words} {tail}".strip()
    if verdict.outcome == "depends":
        if verdict.multiverse is not None and (noise := _by_noise_protocol(verdict.multiverse)):
            return noise
        return f"Equally sound analyses give opposite verdicts, so none can be called right. {tail}".strip()
    if verdict.outcome != "inconclusive":
        return f"The claim is {verdict.outcome}. {tail}".strip()
    if tail:
        return f"Inconclusive. {tail}"
    if (found := analysed(verdict)) and verdict.own != "inconclusive":
        return f"Inconclusive: too few analyses agree ({counted_words(found[0].multiverse)})."
    return _inconclusive(verdict)


def _by_noise_protocol(multiverse: Multiverse) -> str:
    """Which protocol of noise gives which verdict; "" where anything else varies."""
    if any(set(row.choices) != {NOISE_PROTOCOL} for row in multiverse.rows):
        return ""
    grouped: dict[str, list[str]] = {}
    for row in multiverse.rows:
        words = alternative_words(NOISE_PROTOCOL, row.choices[NOISE_PROTOCOL], short=True)
        grouped.setdefault(row.outcome, []).append(words)
    told = "; ".join(f"{outcome_words(outcome)} where it is {' or '.join(names)}" for outcome, names in grouped.items())
    return f"It depends on how the router meets the noise: {told}."


def by_study_words(verdict: Verdict, titles: Mapping[str, str]) -> str:
    """The verdicts of a claim on each of its studies; "" for a claim with one verdict or results of one study."""
    there = [v for v in verdict.per_study if not all(test.absent for test in v.tests)]
    if len(there) < 2:
        return ""
    grouped: dict[str, list[str]] = {}
    for v in there:
        grouped.setdefault(v.outcome, []).append(titles.get(v.study, v.study))
    if len(grouped) == 1:
        return f"It is {outcome_words(there[0].outcome)} on all {len(there)} data sets."
    return f"By data set: {'; '.join(f'{outcome_words(o)} on {join(names)}' for o, names in grouped.items())}."


def _inconclusive(verdict: Verdict) -> str:
    found = [c for t in verdict.tests for c in t.comparisons]
    if not any(c.decision is not None for c in found):
        why = found[0].why_open if found else ""
        return f"Inconclusive: {why}." if why else f"Inconclusive: {next(iter(verdict.reasons), '')}"
    undecided = [c for c in found if c.outcome == "inconclusive"]
    if not undecided:
        return "Inconclusive: part of the results is missing."
    first = next((c for c in undecided if c.decision is not None), undecided[0])
    why = first.why_open or "it could not be tested"
    if len(found) == 1:
        return f"Inconclusive: {why}."
    decide = f"{len(undecided)} of {len(found)} comparisons {'decides' if len(undecided) == 1 else 'decide'} nothing"
    return f"Inconclusive: {decide}, such as {first.a!r} against {first.b!r}: {why}."


def effect_sentence(
    comparison: Comparison | None, titles: Mapping[str, str] | None = None, to_a_number: bool = False
) -> str:
    """The comparison that shows a verdict best, in words; "" where nothing could be tested.

    Args:
        comparison: what is told.
        titles: what readers call the studies.
        to_a_number: whether b is a number that the claim states, and no arm.
    """
    if comparison is None:
        return ""
    if (unjudged := comparison.unjudged) is not None:
        means = f"{comparison.a} {unjudged.mean_a:.1%}, {comparison.b} {unjudged.mean_b:.1%}"
        return (
            f"So far, and not judged: {metric_words(comparison.metric)} of {means}; {_lead(comparison.a, unjudged.effect)}, "
            f"over {count(unjudged.n_clusters, 'repeat')}."
        )
    if comparison.decision is None:
        return ""
    e = comparison.decision.evidence
    a, b, n = comparison.a, comparison.b, e.n_clusters
    study = (titles or {}).get(comparison.study, comparison.study)
    units = "repeats" if study or comparison.unit == "repeated measurements" else comparison.unit
    start = f"{capital(metric_words(comparison.metric))}{f' ({study})' if study else ''}: "
    if e.exact:
        return f"{start}{a} {e.mean_a:g}, {b} {e.mean_b:g}."
    if e.contrast.scale == "ratio":
        return (
            f"{start}{a} {e.mean_a:.3g}, {b} {e.mean_b:.3g}. That is {e.effect:.2g} times as much, and {e.low:.2g} to "
            f"{e.high:.2g} times with 95% confidence, over {n} {units}."
        )
    if metric_facts(comparison.metric).is_accuracy:
        low, high = (signed_number(100 * v, 1) for v in (e.low, e.high))
        return (
            f"{start}{a} {e.mean_a:.1%}, {b} {e.mean_b:.1%}. {capital(_lead(a, e.effect))}; "
            f"with 95% confidence the difference lies between {low} and {high} points, over {n} {units}."
        )
    if to_a_number:
        b, effect = f"{e.mean_b:g}", effect_words(comparison)
        return f"{start}{a} {e.mean_a:.3g}, set against {b}; difference {effect}, over {n} {units}."
    return f"{start}{a} {e.mean_a:.3g}, {b} {e.mean_b:.3g}; difference {effect_words(comparison)}, over {n} {units}."


def _lead(a: str, effect: float) -> str:
    """By how much a is ahead, in percentage points: ``the twin is 1.5 percentage points behind``."""
    points = f"{abs(100 * effect):.1f}"
    if points == "0.0":
        return "the two are level"
    return f"the {a} is {points} percentage points {'ahead' if effect > 0 else 'behind'}"


def rates_sentence(judged: Judged, verdict: Verdict) -> str:
    """The verdict at other learning rates; "" where none of its studies has any, or nothing could be judged."""
    found = judged.elsewhere(verdict)
    comparisons = [c for v in (verdict, *(v for _, v in found)) for test in v.tests for c in test.comparisons]
    if not found or not any(c.decision is not None for c in comparisons):
        return ""
    partly = set(judged.studies_of(verdict)) - set(judged.varied(verdict))
    tail = f" ({join(sorted(partly))}: one rate only)" if partly else ""
    if all(v.outcome == verdict.outcome for _, v in found):
        return f"The same {_at([view for view, _ in found])}{tail}."
    grouped: dict[str, list[View]] = {}
    for view, v in found:
        grouped.setdefault("the same" if v.outcome == verdict.outcome else v.outcome, []).append(view)
    parts = [f"{outcome} {_at(views)}" for outcome, views in sorted(grouped.items(), key=lambda g: g[0] == "the same")]
    return f"It depends on the rate: {'; '.join(parts)}{tail}."


def changing(judged: Judged, verdicts: Sequence[Verdict], view: str | None = None) -> list[str]:
    """Ids of the claims that get another verdict at any other learning rate, or in one view."""
    return [
        v.claim.id
        for v in verdicts
        if not analysed(v) and any(o.outcome != v.outcome for at, o in judged.elsewhere(v) if view in (None, at.key))
    ]


def verdict_notes(judged: Judged, titles: Mapping[str, str] | None = None) -> list[tuple[tuple[str, ...], str]]:
    """Sentences with the ids of the claims that they are about, in the order of the page's cards, which say the same.

    Args:
        judged: all verdicts.
        titles: what readers call the studies.
    """
    found: dict[str, list[str]] = {}
    for verdict in judged.verdicts:
        for words in _notes(judged, verdict, titles or {}):
            found.setdefault(words, []).append(verdict.claim.id)
    return [(tuple(ids), words) for words, ids in found.items()]


def n_more_caveats(judged: Judged) -> int:
    """How many caveats of the cards are not among the notes."""
    return sum(len(set(verdict.caveats) - set(idle_caveats(verdict))) for verdict in judged.verdicts)


def _notes(judged: Judged, verdict: Verdict, titles: Mapping[str, str]) -> list[str]:
    why = [meaning_of(verdict, titles)] if verdict.outcome == "inconclusive" else []
    # Where a claim has several analyses, they tell of learning rates as well.
    turns = bool(changing(judged, [verdict])) and not analysed(verdict)
    return [*why, *([rates_sentence(judged, verdict)] if turns else []), *idle_caveats(verdict)]


def bearings(test: TestVerdict) -> list[tuple[Comparison, str]]:
    """The comparisons of a test with what each says of the claim.

    In a test for a breakdown a comparison is supported where noise costs nothing that matters. Up to ``robust_to`` that
    supports the claim; beyond it a loss does, and no loss refutes it only where none shows at any strength.
    """
    spec = test.test
    if not isinstance(spec, BreakdownTest):
        return [(c, c.outcome) for c in test.comparisons]
    never = all(c.outcome == "supported" for c in test.comparisons)
    beyond = {"refuted": "supported", "supported": "refuted" if never else "inconclusive"}
    return [
        (c, c.outcome if (c.strength or 0.0) <= spec.robust_to else beyond.get(c.outcome, c.outcome))
        for c in test.comparisons
    ]


def figures_of(comparison: Comparison | None) -> Figures | None:
    """A comparison by all estimands; None where accuracies were not compared."""
    if comparison is None or not comparison.estimates:
        return None
    return Figures(comparison.a, comparison.b, tuple(_line(e, comparison.estimand) for e in comparison.estimates))


def study_verdicts(verdict: Verdict, titles: Mapping[str, str]) -> list[StudyVerdict]:
    """A row for each study that a claim has a verdict on and results of."""
    found = []
    for v in verdict.per_study:
        if all(test.absent for test in v.tests):
            continue
        key = telling(v)
        several = analysed(v)
        what = f"{key.a} − {key.b}" if key is not None and key.decision is not None else ""
        analyses = counted_words(several[0].multiverse) if several else ""
        found.append(StudyVerdict(titles.get(v.study, v.study), v.outcome, effect_words(key), what, analyses))
    return found


def power_sentence(comparison: Comparison | None) -> str:
    """The smallest effect that an undecided comparison could have found, and the draws that the margin needs.

    "" where something forbids a verdict whatever the figures, such as arms that guess: more draws are no remedy then.
    """
    evidence = None if comparison is None else comparison.evidence
    if comparison is None or evidence is None or comparison.obstacles:
        return ""
    smallest, needed = evidence.smallest_effect, evidence.draws_needed
    if smallest is None or not math.isfinite(smallest):
        return ""
    ratio, margin = evidence.contrast.scale == "ratio", evidence.contrast.margin
    least = f"a factor of {smallest:.3g}" if ratio else f"a difference of {smallest:.2g}"
    words = f"With {evidence.n_clusters} {comparison.unit}, {least} would be found with a chance of {POWER:.0%}."
    if needed is None or not margin:
        return words
    matters = f"a factor of {margin:g}" if ratio else f"{margin:g}"
    words = f"{words} The smallest difference that matters, {matters}, needs {needed:,} {comparison.unit}."
    if comparison.decision is None or needed > evidence.n_clusters:
        return words
    return f"{words} That many are here, but the effect lies too near {matters} to be told from it."


def _line(e: Estimate, judged: str) -> Line:
    if e.estimand == "success":
        what = f"share of runs that reach {e.threshold or 0.0:.0%}, which counts as success"
        shown = f"{e.mean_a:.0%}", f"{e.mean_b:.0%}"
    else:
        what = "mean of all runs" if e.estimand == "mean" else f"best of {count(e.starts, 'start')}, by training loss"
        shown = f"{e.mean_a:.3f}", f"{e.mean_b:.3f}"
    return Line(what, *shown, signed(e.effect, e.low, e.high), e.estimand == judged)


def _at(views: Sequence[View]) -> str:
    """``at a quarter of the rate and with each arm at its own best rate``."""
    return join([f"{'with' if view.key == 'best' else 'at'} {view.words}" for view in views])
