"""Claim cards: each claim with its verdict, what it means, the picture behind it, and what to hold against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.report.figures import BAD, GOOD, MUTED, Panel, join
from qmoe.report.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.judging import Judged, View, effect_words
from qmoe.report.paper import departures
from qmoe.studies import StudyResults
from qmoe.studies.claims import Claim, Comparison, Outcome, Verdict
from qmoe.studies.claims.wording import metric_words

#: Colour, marker and filling of a comparison that bears a claim out, speaks against it, or leaves it open.
MARKS: dict[str, tuple[str, str, bool]] = {
    "supported": (GOOD, "o", True),
    "refuted": (BAD, "X", True),
    "inconclusive": (MUTED, "o", False),
}
_SIDES = {
    "accuracy": ("less accurate", "more accurate"),
    "seconds": ("quicker", "slower"),
    "loss": ("lower loss", "higher loss"),
    "parameters": ("fewer", "more"),
    "": ("lower", "higher"),
}
_SHOWN = 3  # reasons that stand open on a card; the rest can be unfolded


@dataclass(frozen=True)
class Card:
    """A claim as the page shows it.

    Attributes:
        verdict: what was found.
        meaning: one sentence: what follows.
        effect: the figures that decide, in words.
        reasons: why.
        accusations: what to hold against it.
        rates: the verdict at other learning rates, in one sentence.
        panel: the comparisons behind it; None where nothing could be compared.
    """

    verdict: Verdict
    meaning: str
    effect: str
    reasons: tuple[str, ...]
    accusations: tuple[str, ...]
    rates: str
    panel: Panel | None

    @property
    def claim(self) -> Claim:
        """The claim."""
        return self.verdict.claim

    @property
    def outcome(self) -> Outcome:
        """The verdict in one word."""
        return self.verdict.outcome

    @property
    def first_reasons(self) -> tuple[str, ...]:
        """Those that stand open."""
        return self.reasons[:_SHOWN]

    @property
    def more_reasons(self) -> tuple[str, ...]:
        """Those that can be unfolded."""
        return self.reasons[_SHOWN:]


def cards_of(judged: Judged, results: Sequence[StudyResults]) -> list[Card]:
    """A card for each claim that is shown; call it inside `qmoe.report.figures.style`."""
    studies = {r.study.name: r for r in results}
    titles = study_titles(results)
    return [_card(judged, verdict, studies, titles) for verdict in judged.verdicts]


def study_titles(results: Sequence[StudyResults]) -> dict[str, str]:
    """What readers call each study: the end of its title where that tells it from the others, else its name."""
    short = {r.study.name: r.study.title.split(": ")[-1] for r in results}
    return {name: title if list(short.values()).count(title) == 1 else name for name, title in short.items()}


def meaning_of(verdict: Verdict) -> str:
    """What follows from a verdict, in one sentence."""
    claim = verdict.claim
    words = {"supported": claim.if_supported, "refuted": claim.if_refuted}.get(verdict.outcome, "")
    if words:
        return words
    if verdict.outcome != "inconclusive":
        return f"The claim is {verdict.outcome}."
    absent = [t.study for t in verdict.tests if not t.comparisons and t.study]
    if absent and not any(c.decision for t in verdict.tests for c in t.comparisons):
        return "The results that would decide are not there yet."
    return "The results could still turn out either way."


def effect_sentence(comparison: Comparison | None) -> str:
    """The comparison that shows a verdict best, in words."""
    if comparison is None or comparison.decision is None:
        return "There is no figure yet: nothing could be tested."
    e = comparison.decision.evidence
    a, b, n = comparison.a, comparison.b, e.n_clusters
    start = f"{_capital(metric_words(comparison.metric))}{f' ({comparison.study})' if comparison.study else ''}: "
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
    return f"{start}{a} {e.mean_a:.3g}, {b} {e.mean_b:.3g}; difference {effect_words(comparison)}, over {n} repeats."


def rates_sentence(judged: Judged, verdict: Verdict) -> str:
    """The verdict at other learning rates; "" where none of its studies has any."""
    found = judged.elsewhere(verdict)
    if not found:
        return ""
    partly = set(judged.studies_of(verdict)) - set(judged.varied(verdict))
    tail = f" ({join(sorted(partly))}: one rate only)" if partly else ""
    changed = [(view, v) for view, v in found if v.outcome != verdict.outcome]
    same = [view.words for view, v in found if v.outcome == verdict.outcome]
    if not changed:
        return f"The same at {_or(found)}{tail}."
    parts = [f"{v.outcome} at {view.words}" if view.key != "best" else f"{v.outcome} with {view.words}"
             for view, v in changed]  # fmt: skip
    return f"It depends on the learning rate: {join(parts)}{f'; the same at {join(same)}' if same else ''}{tail}."


def forest_of(verdict: Verdict, titles: Mapping[str, str]) -> Panel | None:
    """The comparisons behind a verdict as a forest plot, those of one metric on one axis."""
    found = [c for t in verdict.tests for c in t.comparisons if c.decision is not None]
    if not found:
        return None
    by_metric: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in found:
        assert comparison.decision is not None
        scale = comparison.decision.evidence.contrast.scale
        by_metric.setdefault((comparison.metric, scale), []).append(comparison)
    parts = [_part(metric, scale == "ratio", members, titles) for (metric, scale), members in by_metric.items()]
    told = "; ".join(f"{c.a} against {c.b}{_on(c, titles)}: {effect_words(c)}, {c.outcome}" for c in found)
    name = f"claim-{verdict.claim.id.replace('.', '-')}"
    return Panel(name, forest_plot(parts), f"Comparisons behind {verdict.claim.id}. {told}.")


def _card(judged: Judged, verdict: Verdict, studies: Mapping[str, StudyResults], titles: Mapping[str, str]) -> Card:
    meaning = meaning_of(verdict)
    changed = [
        f"{name} is not what its preset asks: {'; '.join(found)}."
        for name in judged.studies_of(verdict)
        if (found := departures(studies[name].study))
    ]
    reasons = tuple(reason for reason in verdict.reasons if reason != meaning)
    accusations = (*changed, *verdict.accusations)
    panel = forest_of(verdict, titles)
    rates = rates_sentence(judged, verdict)
    return Card(verdict, meaning, effect_sentence(verdict.key), reasons, accusations, rates, panel)


def _part(
    metric: str, ratio: bool, members: Sequence[Comparison], titles: Mapping[str, str]
) -> tuple[ForestAxis, list[ForestGroup]]:
    first, one_study = members[0], len({c.study for c in members}) == 1
    one_a, one_b = len({c.a for c in members}) == 1, len({c.b for c in members}) == 1
    rows = []
    for c in members:
        effect, (colour, marker, filled) = c.effect, MARKS[c.outcome]
        assert effect is not None
        sides = [*([] if one_a else [c.a]), *([] if one_b else [f"against {c.b}" if one_a else f"− {c.b}"])]
        where = [] if one_study or not c.study else [titles.get(c.study, c.study)]
        label = " ".join(sides) + (", " if sides and where else "") + " ".join(where)
        rows.append(ForestRow(label or f"against {c.b}", *effect, colour, marker, filled))
    assert first.decision is not None
    margin = first.decision.evidence.contrast.margin
    what = "ratio" if ratio else "difference"
    whose = first.a if one_a else "first"
    of = f" of the {whose}" + (f" to the {first.b}" if one_b else "") if one_a else ""
    below, above = next(words for end, words in _SIDES.items() if metric.endswith(end))
    label = f"{metric_words(metric)}: {what}{of}"
    return ForestAxis(label, margin, ratio, below, above), [ForestGroup("", tuple(rows))]


def _on(comparison: Comparison, titles: Mapping[str, str]) -> str:
    return f", {titles.get(comparison.study, comparison.study)}" if comparison.study else ""


def _or(found: Sequence[tuple[View, Verdict]]) -> str:
    rates = [view.words for view, _ in found if view.key != "best"]
    best = [f"with {view.words}" for view, _ in found if view.key == "best"]
    return join([*rates, *best])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
