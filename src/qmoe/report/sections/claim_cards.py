"""Claim cards: each claim with its verdict, what it means, the picture behind it, and what to hold against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import Claim, Comparison, Outcome, TestVerdict, Verdict
from qmoe.claims.sentences import metric_words
from qmoe.claims.spec import BreakdownTest, MeasurementTest
from qmoe.report.findings.estimates import Figures, Part, figures_of, parts_of, power_sentence
from qmoe.report.findings.judged import Judged, View, effect_words, telling
from qmoe.report.findings.paper import departures
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.style import BAD, GOOD, MUTED, Panel, join
from qmoe.report.sections.other_analyses import analysed, analyses_words, counted_words, curves_of, tried_once
from qmoe.report.tables import outcome_words
from qmoe.studies import StudyResults

#: Colour, marker and filling of a comparison that bears a claim out, speaks against it, or leaves it open.
MARKS: dict[str, tuple[str, str, bool]] = {
    "supported": (GOOD, "o", True),
    "refuted": (BAD, "X", True),
    "inconclusive": (MUTED, "o", False),
}
_BEARS = {"supported": "bears it out", "refuted": "speaks against it", "inconclusive": "leaves it open"}
_SIDES = {
    "accuracy": ("less accurate", "more accurate"),
    "seconds": ("quicker", "slower"),
    "loss": ("lower loss", "higher loss"),
    "parameters": ("fewer", "more"),
    "": ("lower", "higher"),
}


@dataclass(frozen=True)
class Card:
    """A claim as the page shows it.

    Attributes:
        verdict: what was found.
        meaning: one sentence: what follows.
        effect: the figures that decide, in words.
        reasons: why.
        accusations: what to hold against it.
        rates: the verdict at other learning rates, in one sentence; "" where its analyses tell of them.
        panel: the comparisons behind it; None where nothing could be compared.
        analyses: over how many analyses it holds, and on which choice it depends, in sentences.
        curves: specification curves.
        figures: the telling comparison by all estimands; None where there are none.
        power: of an inconclusive claim what it could have found, in one sentence.
        parts: of a claim with a verdict for each study, those.
    """

    verdict: Verdict
    meaning: str
    effect: str
    reasons: tuple[str, ...]
    accusations: tuple[str, ...]
    rates: str
    panel: Panel | None
    analyses: tuple[str, ...] = ()
    curves: tuple[Panel, ...] = ()
    figures: Figures | None = None
    power: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def claim(self) -> Claim:
        """The claim."""
        return self.verdict.claim

    @property
    def outcome(self) -> Outcome:
        """The verdict in one word."""
        return self.verdict.outcome


def cards_of(judged: Judged, results: Sequence[StudyResults]) -> list[Card]:
    """A card for each claim that is shown; call it inside `qmoe.report.pictures.style.style`."""
    studies = {r.study.name: r for r in results}
    titles = study_titles([r for r in results if r.study.name in judged.covered])
    return [_card(judged, verdict, studies, titles) for verdict in judged.verdicts]


def study_titles(results: Sequence[StudyResults]) -> dict[str, str]:
    """What readers call each study: its title, of a ladder the data set that ends it; its name where two have one title."""
    short = {r.study.name: r.study.title.split(": ")[-1] if r.study.ladder else r.study.title for r in results}
    return {name: title if list(short.values()).count(title) == 1 else name for name, title in short.items()}


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
        return f"Equally sound analyses give opposite verdicts, so none can be called right. {tail}".strip()
    if verdict.outcome != "inconclusive":
        return f"The claim is {verdict.outcome}. {tail}".strip()
    if tail:
        return f"Open. {tail}"
    if (found := analysed(verdict)) and verdict.own != "inconclusive":
        return f"Open: too few analyses agree ({counted_words(found[0].multiverse)})."
    return _open(verdict)


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


def _open(verdict: Verdict) -> str:
    found = [c for t in verdict.tests for c in t.comparisons]
    if not any(c.decision is not None for c in found):
        why = found[0].why_open if found else ""
        return f"Open: {why}." if why else f"Open: {next(iter(verdict.reasons), '')}"
    undecided = [c for c in found if c.outcome == "inconclusive"]
    if not undecided:
        return "Open: part of the results is missing."
    first = next((c for c in undecided if c.decision is not None), undecided[0])
    why = first.why_open or "it could not be tested"
    return (
        f"Open: {len(undecided)} of {len(found)} comparisons are undecided, such as {first.a} against {first.b}: {why}."
    )


def effect_sentence(
    comparison: Comparison | None, titles: Mapping[str, str] | None = None, to_a_number: bool = False
) -> str:
    """The comparison that shows a verdict best, in words; "" where nothing could be tested.

    Args:
        comparison: what is told.
        titles: what readers call the studies.
        to_a_number: whether b is a number that the claim states, and no arm.
    """
    if comparison is None or comparison.decision is None:
        return ""
    e = comparison.decision.evidence
    a, b, n = comparison.a, comparison.b, e.n_clusters
    study = (titles or {}).get(comparison.study, comparison.study)
    start = f"{_capital(metric_words(comparison.metric))}{f' ({study})' if study else ''}: "
    if e.exact:
        return f"{start}{a} {e.mean_a:g}, {b} {e.mean_b:g}."
    if e.contrast.scale == "ratio":
        return (
            f"{start}{a} {e.mean_a:.3g}, {b} {e.mean_b:.3g}. That is {e.effect:.2g} times as much, and {e.low:.2g} to "
            f"{e.high:.2g} times with 95% confidence, over {n} repeats."
        )
    if comparison.metric.endswith("accuracy"):
        side = "ahead" if e.effect > 0 else "behind"
        low, high = (f"{100 * v:+.1f}".replace("-", "−") for v in (e.low, e.high))
        return (
            f"{start}{a} {e.mean_a:.1%}, {b} {e.mean_b:.1%}. The {a} is {abs(100 * e.effect):.1f} percentage points {side}; "
            f"with 95% confidence the difference lies between {low} and {high} points, over {n} repeats."
        )
    if to_a_number:
        b, effect = f"{e.mean_b:g}", effect_words(comparison)
        return f"{start}{a} {e.mean_a:.3g}, set against {b}; difference {effect}, over {n} repeats."
    return f"{start}{a} {e.mean_a:.3g}, {b} {e.mean_b:.3g}; difference {effect_words(comparison)}, over {n} repeats."


def rates_sentence(judged: Judged, verdict: Verdict) -> str:
    """The verdict at other learning rates; "" where none of its studies has any."""
    found = judged.elsewhere(verdict)
    if not found:
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


def forest_of(verdict: Verdict, titles: Mapping[str, str]) -> Panel | None:
    """The comparisons behind a verdict as a forest plot, those of one metric on one axis."""
    found = [(c, mark) for t in verdict.tests for c, mark in _marked(t) if c.decision is not None]
    if not found:
        return None
    by_metric: dict[tuple[str, str], list[tuple[Comparison, str]]] = {}
    for c, mark in found:
        assert c.decision is not None
        by_metric.setdefault((c.metric, c.decision.evidence.contrast.scale), []).append((c, mark))
    parts = [_part(metric, scale == "ratio", members, titles) for (metric, scale), members in by_metric.items()]
    several = len({c.study for c, _ in found}) > 1
    told = "; ".join(
        f"{c.a} against {c.b}{_on(c, titles) if several else ''}: {effect_words(c)}, {_BEARS[mark]}"
        for c, mark in found
    )
    name = f"claim-{verdict.claim.id.replace('.', '-')}"
    return Panel(name, forest_plot(parts), f"Comparisons behind {verdict.claim.id}. {told}.")


def _marked(test: TestVerdict) -> list[tuple[Comparison, str]]:
    """Comparisons with what each says of the claim.

    In a test for a breakdown a comparison is supported where noise costs nothing that matters. Up to ``robust_to`` that
    bears the claim out; beyond it a loss does, and no loss speaks against it only where none shows at any strength.
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


def _card(judged: Judged, verdict: Verdict, studies: Mapping[str, StudyResults], titles: Mapping[str, str]) -> Card:
    meaning = meaning_of(verdict, titles)
    changes: dict[str, list[str]] = {}
    for name in judged.studies_of(verdict):
        if found := departures(studies[name].study):
            changes.setdefault("; ".join(found), []).append(name)
    changed = [f"Not what the preset of {join(names)} asks: {what}." for what, names in changes.items()]
    reasons = tuple(reason for reason in verdict.reasons if reason not in meaning)
    once = tried_once(verdict)
    changed += [f"Analysed in one way only: {join(once)}."] if once else []
    several = bool(analysed(verdict))
    key = telling(verdict)
    asked = next((test for test in verdict.claim.tests if key is not None and test.name == key.test), None)
    to_a_number = isinstance(asked, MeasurementTest) and isinstance(asked.b, float)
    effect = effect_sentence(key, titles, to_a_number)
    return Card(
        verdict,
        meaning,
        f"At the study's own choices. {effect}" if several and effect else effect,
        reasons,
        (*changed, *verdict.caveats),
        # Where a claim has several analyses, they tell of learning rates as well.
        "" if several else rates_sentence(judged, verdict),
        forest_of(verdict, titles),
        tuple(analyses_words(verdict, judged.starts, titles)),
        tuple(curves_of(verdict, titles, judged.starts)),
        figures_of(key),
        power_sentence(key) if verdict.outcome == "inconclusive" else "",
        tuple(parts_of(verdict, titles)),
    )


def _part(
    metric: str, ratio: bool, members: Sequence[tuple[Comparison, str]], titles: Mapping[str, str]
) -> tuple[ForestAxis, list[ForestGroup]]:
    comparisons = [c for c, _ in members]
    first, studies = comparisons[0], list(dict.fromkeys(c.study for c in comparisons))
    one_a, one_b = len({c.a for c in comparisons}) == 1, len({c.b for c in comparisons}) == 1
    groups: dict[str, list[ForestRow]] = {}
    for c, mark in members:
        effect, (colour, marker, filled) = c.interval, MARKS[mark]
        assert effect is not None
        place = titles.get(c.study, c.study) if len(studies) > 1 else ""
        by_study = one_a and one_b and place
        label = place if by_study else f"against {c.b}" if one_a else c.a if one_b else f"{c.a} against {c.b}"
        groups.setdefault("" if by_study else place, []).append(ForestRow(label, *effect, colour, marker, filled))
    assert first.decision is not None
    margin = first.decision.evidence.contrast.margin
    if one_a or not one_b:
        what = "divided by" if ratio else "minus"
        sides = f"{first.a if one_a else 'first'} {what} {first.b if one_b else 'the other'}"
    else:
        sides = f"{'ratio' if ratio else 'difference'} to the {first.b}"
    below, above = next(words for end, words in _SIDES.items() if metric.endswith(end))
    axis = ForestAxis(f"{metric_words(metric)}: {sides}", margin, ratio, below, above)
    return axis, [ForestGroup(title, tuple(rows)) for title, rows in groups.items()]


def _on(comparison: Comparison, titles: Mapping[str, str]) -> str:
    return f", {titles.get(comparison.study, comparison.study)}" if comparison.study else ""


def _at(views: Sequence[View]) -> str:
    """``at a quarter of the rate and with each arm at its own best rate``."""
    return join([f"{'with' if view.key == 'best' else 'at'} {view.words}" for view in views])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
