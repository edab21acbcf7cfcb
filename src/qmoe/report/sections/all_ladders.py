"""All ladders together: ranks over the data sets, and accuracies of every rung on every data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from qmoe.analysis import ParameterCount
from qmoe.report.findings.arms import finished
from qmoe.report.findings.contents import study_titles
from qmoe.report.findings.over_data_sets import (
    Ladders,
    Pooled,
    apart,
    differences_by_data_set,
    ladders_sentences,
    pooled_words,
    rank_sentences,
    ranked,
)
from qmoe.report.findings.rung_results import group_of, quantum_name, rungs_of
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.rank_diagram import rank_plot
from qmoe.report.pictures.style import INK, QUANTUM, Panel
from qmoe.report.sections.blocks import Block, Context, FigureBlock, Section, Text
from qmoe.report.sections.one_ladder import GROUPS, ladder_section
from qmoe.report.sections.own_study import other_ways_blocks, study_blocks
from qmoe.report.tables import DASH, Column, Table, signed, text
from qmoe.statistics import CriticalDifference
from qmoe.statistics.conventions import MARGIN
from qmoe.studies import StudyResults, ladder_rungs

_SIGNS = {"worse": " ↓", "better": " ↑", "alike": " ≈"}
#: Table -> which data sets it is about.
_WHICH = {
    "ladders": "Data sets on which routing matters.",
    "ladders-undecided": "Data sets that say nothing about routers.",
}


def ladder_sections(context: Context) -> list[Section]:
    """A section over all ladders where there are several, then one for each."""
    counted: dict[str, ParameterCount] = {}
    ladders = {}
    for r in context.ladders:
        context.on_step(f"{r.study.name}, rungs")
        ladders[r.study.name] = rungs_of(r, counted)
    together = ladders_section(context, ladders, context.ladders)
    each = [ladder_section(context, r, ladders[r.study.name], _rest(context, r)) for r in context.ladders]
    return [*([] if together is None else [together]), *each]


def _rest(context: Context, results: StudyResults) -> list[Block]:
    """What a study shows beside its ladder: arms that stand on no rung, and noise strengths."""
    base = quantum_name(results)
    rungs = {rung.arm for rung in ladder_rungs(results.study)} - {base}
    arms = [arm for arm in finished(results) if arm.name not in rungs]
    beside = study_blocks(context, results, arms) if len({arm.key for arm in arms}) > 1 else []
    return [*beside, *other_ways_blocks(context, results)]


def ladders_section(context: Context, ladders: Ladders, results: Sequence[StudyResults]) -> Section | None:
    """The section over all ladders, or None where there are fewer than two.

    Args:
        context: of the page.
        ladders: for each study its rungs.
        results: those studies.
    """
    if len(ladders) < 2:
        return None
    context.on_step("all ladders")
    titles = study_titles(results)
    section = Section("ladders", "The ladder on all data sets", "All ladders", studies=tuple(ladders))
    section.blocks.append(Text(ladders_sentences(ladders, titles)))
    counting, idle = apart(ladders)
    if counting:
        section.blocks.append(_matrix("ladders", counting, titles))
    if idle:
        section.blocks.append(_matrix("ladders-undecided", idle, titles))
    asked = (("linear", "linear router"), ("twin", "classical twin"))
    section.blocks += pooled_blocks([differences_by_data_set(counting, titles, *rung) for rung in asked])
    found = ranked(counting)
    if found is not None:
        section.blocks.append(Text(rank_sentences(found)))
        section.blocks.append(_diagram(found, counting))
    return section


def pooled_blocks(found: Sequence[Pooled]) -> list[Block]:
    """Sentences and a forest plot of comparisons over data sets; nothing where there are fewer than two data sets."""
    shown = [p for p in found if len(p.effects) > 1]
    if not shown:
        return []
    parts = []
    for p in shown:
        rows = [ForestRow(e.title, e.difference.mean, e.difference.low, e.difference.high, QUANTUM) for e in p.effects]
        groups = [ForestGroup("", tuple(rows))]
        if p.summary is not None:
            s = p.summary
            span = (s.prediction_low, s.prediction_high) if isfinite(s.prediction_low) else None
            groups.append(ForestGroup("", (ForestRow("all data sets", s.mean, s.low, s.high, INK, "D", span=span),)))
        axis = ForestAxis(f"test accuracy: {p.what}", MARGIN, below="less accurate", above="more accurate")
        parts.append((axis, groups))
    told = "; ".join(
        f"{p.what}, {e.title}: {signed(e.difference.mean, e.difference.low, e.difference.high)}"
        for p in shown
        for e in p.effects
    )
    panel = Panel("ladders-pooled", forest_plot(parts, 6.6), f"Forest plot over data sets. {told}.")
    caption = (
        "One row for each data set on which routing matters: mean and 95% interval over draws of the data. The diamond is "
        "the mean over data sets (random effects), the dashed line the 95% interval for the difference on a new data set. "
        f"Within the grey band a difference is too small to matter ({MARGIN:g})."
    )
    words = tuple(pooled_words(p) for p in shown if p.summary is not None)
    return [*([Text(words)] if words else []), FigureBlock((panel,), caption, wide=True)]


def _matrix(name: str, ladders: Ladders, titles: Mapping[str, str]) -> Table:
    rows: dict[str, dict[str, object]] = {}
    for study, rungs in ladders.items():
        for r in rungs:
            row = rows.setdefault(r.rung.name, {"rung": r.rung.name or "quantum", "label": r.label})
            if r.arm is not None:
                row |= {study: r.arm.summary.mean, f"{study}_compared": r.verdict}
    columns = [Column("router", ("label",), text, number=False)]
    columns += [Column(titles[study], (study, f"{study}_compared"), _cell) for study in ladders]
    caption = (
        f"{_WHICH[name]} Mean accuracy of every rung. Against the quantum router: ↓ worse by more than {MARGIN:g}, ↑ "
        f"better by more than {MARGIN:g}, ≈ the same within {MARGIN:g} (95% interval, not corrected for multiple "
        "comparisons); no sign: inconclusive."
    )
    return Table(name, caption, tuple(columns), tuple(rows.values()))


def _cell(mean: float | None, compared: str | None) -> str:
    return DASH if mean is None else f"{mean:.3f}{_SIGNS.get(compared or '', '')}"


def _diagram(found: CriticalDifference, ladders: Ladders) -> FigureBlock:
    labels = {r.rung.name: r.label for rungs in ladders.values() for r in rungs}
    colours = {name: GROUPS[group_of(name)][0] if name else QUANTUM for name in found.names}
    told = ", ".join(f"{labels[n]} {r:.1f}" for n, r in zip(found.names, found.mean_ranks.tolist(), strict=True))
    panel = Panel(
        "ladders-ranks", rank_plot(found, labels, colours), f"Critical-difference diagram. Mean ranks: {told}."
    )
    caption = (
        f"Critical-difference diagram over {found.n_datasets} data sets: mean rank of each router by mean accuracy, 1 the "
        "best. Thick bars join neighbours that cannot be told apart (pairwise Wilcoxon tests with Holm's correction). "
        "Random labels are left out: there is nothing to learn from them."
    )
    return FigureBlock((panel,), caption, wide=True)
