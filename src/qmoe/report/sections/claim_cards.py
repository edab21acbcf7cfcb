"""Claim cards: each claim with its verdict, what it means, the pictures behind it, and its caveats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import Comparison, Verdict
from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.sentences import estimand_words, metric_words
from qmoe.claims.spec import MeasurementTest
from qmoe.report.findings.contents import study_titles
from qmoe.report.findings.judged import Judged, effect_words, telling
from qmoe.report.findings.noise_findings import Measured, NoiseTable, card_table, noise_findings
from qmoe.report.findings.other_analyses import Analysed, Key, analysed, analyses_words, followed, tried_once
from qmoe.report.findings.paper import departures
from qmoe.report.findings.verdict_words import (
    Figures,
    StudyVerdict,
    bearings,
    effect_sentence,
    figures_of,
    meaning_of,
    power_sentence,
    rates_sentence,
    study_verdicts,
)
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.specification_curve import Curve, CurvePoint, specification_curve
from qmoe.report.pictures.style import OUTCOME_MARKS, Panel
from qmoe.report.words import file_name, join
from qmoe.studies import StudyResults
from qmoe.studies.metrics import metric_facts

_BEARS = {"supported": "supports the claim", "refuted": "refutes it", "inconclusive": "decides nothing"}
#: What lying left and right of no difference means, for each kind of metric.
_SIDES = {
    "accuracy": ("less accurate", "more accurate"),
    "seconds": ("quicker", "slower"),
    "loss": ("lower loss", "higher loss"),
    "count": ("fewer", "more"),
    "other": ("lower", "higher"),
}


@dataclass(frozen=True)
class Card:
    """A claim as the page shows it.

    Attributes:
        verdict: what was found.
        meaning: one sentence: what follows.
        effect: the figures that decide, in words.
        reasons: why.
        caveats: what to hold against it.
        rates: the verdict at other learning rates, in one sentence; "" where its analyses tell of them.
        panel: the comparisons behind it; None where nothing could be compared.
        analyses: over how many analyses it holds, and on which choice it depends, in sentences.
        curves: specification curves.
        figures: the telling comparison by all estimands; None where there are none.
        power: of an inconclusive claim what it could have found, in one sentence.
        by_study: of a claim with a verdict for each study, those.
        noise: of a claim about noise where each protocol breaks down, in tables.
    """

    verdict: Verdict
    meaning: str
    effect: str
    reasons: tuple[str, ...]
    caveats: tuple[str, ...]
    rates: str
    panel: Panel | None
    analyses: tuple[str, ...] = ()
    curves: tuple[Panel, ...] = ()
    figures: Figures | None = None
    power: str = ""
    by_study: tuple[StudyVerdict, ...] = ()
    noise: tuple[NoiseTable, ...] = ()


def cards_of(judged: Judged, results: Sequence[StudyResults], measurements: Measured | None = None) -> list[Card]:
    """A card for each claim that is shown; call it inside `qmoe.report.pictures.style.style`.

    Args:
        judged: all verdicts.
        results: the studies.
        measurements: what was measured beside their trials.
    """
    studies = {r.study.name: r for r in results}
    titles = study_titles([r for r in results if r.study.name in judged.covered])
    noisy = {name: card_table(noise_findings(r, measurements or {})) for name, r in studies.items()}
    return [_card(judged, verdict, studies, titles, noisy) for verdict in judged.verdicts]


def forest_of(verdict: Verdict, titles: Mapping[str, str]) -> Panel | None:
    """The comparisons behind a verdict as a forest plot, those of one metric on one axis."""
    found = [(c, mark) for t in verdict.tests for c, mark in bearings(t) if c.decision is not None]
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
    name = f"claim-{file_name(verdict.claim.id)}"
    return Panel(name, forest_plot(parts), f"Comparisons behind {verdict.claim.id}. {told}.")


def curves_of(verdict: Verdict, titles: Mapping[str, str], starts: int) -> list[Panel]:
    """Specification curves behind a verdict, each of one comparison with a panel for each data set.

    Args:
        verdict: of a claim.
        titles: what readers call the studies.
        starts: as `Judged.starts`.
    """
    panels = [_curve_panel(verdict, keys, titles, starts, place) for place, keys in enumerate(followed(verdict))]
    return [panel for panel in panels if panel is not None]


def _curve_panel(
    verdict: Verdict, keys: Sequence[tuple[Analysed, Key]], titles: Mapping[str, str], starts: int, place: int
) -> Panel | None:
    compared = {
        (c.test, c.study, c.a_key, c.b_key): (c, c.evidence.contrast)
        for c in verdict.comparisons
        if c.evidence is not None and c.evidence.contrast.scale == "difference"
    }
    curves, told, shown = [], [], None
    for part, key in keys:
        points = [
            CurvePoint(_worded(row.choices, starts), p.effect, p.low, p.high, p.outcome, row.base)
            for row in part.multiverse.rows
            for p in row.points
            if p.key == key and p.effect is not None and p.low is not None and p.high is not None
        ]
        if key not in compared or len(points) < 2:
            continue
        shown = shown or compared[key]
        title = titles.get(key[1], key[1])
        curves.append(Curve(title, tuple(points)))
        effects = [p.effect for p in points]
        told.append(f"{title}: from {min(effects):+.3f} to {max(effects):+.3f} over {len(points)} analyses")
    if shown is None:
        return None
    name = f"claim-{file_name(verdict.claim.id)}-analyses{'' if not place else f'-{place + 1}'}"
    first, contrast = shown
    what = f"{first.a} minus {first.b}"
    label = f"{what}, {estimand_words(first.metric, first.estimand)}"
    drawing = specification_curve(curves, label, contrast.margin, width=4.3 + 1.7 * min(len(curves), 3))
    return Panel(name, drawing, f"Specification curve, {what}. {'; '.join(told)}.")


def _worded(choices: Mapping[str, str], starts: int) -> dict[str, str]:
    return {choice_words(c): alternative_words(c, a, starts=starts, short=True) for c, a in choices.items()}


def _card(
    judged: Judged,
    verdict: Verdict,
    studies: Mapping[str, StudyResults],
    titles: Mapping[str, str],
    noisy: Mapping[str, NoiseTable | None],
) -> Card:
    meaning = meaning_of(verdict, titles)
    changes: dict[str, list[str]] = {}
    for name in judged.studies_of(verdict):
        if found := departures(studies[name].study):
            changes.setdefault("; ".join(found), []).append(name)
    changed = [f"Other than the preset of {join(names)}: {what}." for what, names in changes.items()]
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
        effect=f"At the study's own choices. {effect}" if several and effect else effect,
        reasons=reasons,
        caveats=(*changed, *verdict.caveats),
        # Where a claim has several analyses, they tell of learning rates as well.
        rates="" if several else rates_sentence(judged, verdict),
        panel=forest_of(verdict, titles),
        analyses=tuple(analyses_words(verdict, judged.starts, titles)),
        curves=tuple(curves_of(verdict, titles, judged.starts)),
        figures=figures_of(key),
        power=power_sentence(key) if verdict.outcome == "inconclusive" else "",
        by_study=tuple(study_verdicts(verdict, titles)),
        noise=_noise(verdict, noisy),
    )


def _noise(verdict: Verdict, noisy: Mapping[str, NoiseTable | None]) -> tuple[NoiseTable, ...]:
    """Where noise breaks the routers of a claim that is about that."""
    studies = dict.fromkeys(test.study for test in verdict.tests if test.kind == "breakdown")
    return tuple(table for study in studies if (table := noisy.get(study)) is not None)


def _part(
    metric: str, ratio: bool, members: Sequence[tuple[Comparison, str]], titles: Mapping[str, str]
) -> tuple[ForestAxis, list[ForestGroup]]:
    comparisons = [c for c, _ in members]
    first, studies = comparisons[0], list(dict.fromkeys(c.study for c in comparisons))
    one_a, one_b = len({c.a for c in comparisons}) == 1, len({c.b for c in comparisons}) == 1
    groups: dict[str, list[ForestRow]] = {}
    for c, mark in members:
        effect, (colour, marker, filled) = c.interval, OUTCOME_MARKS[mark]
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
    below, above = _SIDES[metric_facts(metric).kind]
    axis = ForestAxis(f"{metric_words(metric)}: {sides}", margin, ratio, below, above)
    return axis, [ForestGroup(title, tuple(rows)) for title, rows in groups.items()]


def _on(comparison: Comparison, titles: Mapping[str, str]) -> str:
    return f", {titles.get(comparison.study, comparison.study)}" if comparison.study else ""
