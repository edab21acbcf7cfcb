"""All ladders together: ranks over the data sets, and accuracies of every rung on every data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from qmoe.analysis import ParameterCount
from qmoe.report.findings.arms import finished
from qmoe.report.pictures.pooled import Pooled, differences_by_data_set, pooled_blocks
from qmoe.report.pictures.rank_diagram import rank_plot
from qmoe.report.pictures.style import QUANTUM, FigureBlock, Panel, join
from qmoe.report.sections.blocks import Block, Context, Section, Text
from qmoe.report.sections.claim_cards import study_titles
from qmoe.report.sections.one_ladder import (
    GROUPS,
    MARGIN,
    Step,
    group_of,
    ladder_section,
    quantum_name,
    routing_matters,
    steps_of,
)
from qmoe.report.sections.own_study import study_blocks
from qmoe.report.tables import DASH, Column, Table, text
from qmoe.statistics import CriticalDifference, critical_difference
from qmoe.studies import StudyResults, ladder_rungs

#: Learns something else than all others, so its accuracy is no worse or better.
_NOT_RANKED = "random-labels"
#: For each study its rungs.
Ladders = Mapping[str, Sequence[Step]]
_SIGNS = {"worse": " ↓", "better": " ↑", "alike": " ≈"}


def ladder_sections(context: Context, results: Sequence[StudyResults]) -> list[Section]:
    """A section over all ladders where there are several, then one for each.

    Args:
        context: of the page.
        results: studies with a ladder.
    """
    counted: dict[str, ParameterCount] = {}
    ladders = {}
    for r in results:
        context.step(f"{r.study.name}, rungs")
        ladders[r.study.name] = steps_of(r, counted)
    together = ladders_section(context, ladders, results)
    each = [ladder_section(context, r, ladders[r.study.name], _rest(context, r)) for r in results]
    return [*([] if together is None else [together]), *each]


def _rest(context: Context, results: StudyResults) -> list[Block]:
    """What a study shows beside its ladder: arms that stand on no rung, and noise strengths."""
    base = quantum_name(results)
    rungs = {rung.arm for rung in ladder_rungs(results.study)} - {base}
    arms = [arm for arm in finished(results) if arm.name not in rungs]
    return study_blocks(context, results, arms) if len({arm.key for arm in arms}) > 1 else []


def ladders_section(
    context: Context, ladders: Mapping[str, Sequence[Step]], results: Sequence[StudyResults]
) -> Section | None:
    """The section over all ladders, or None where there are fewer than two.

    Args:
        context: of the page.
        ladders: for each study its rungs.
        results: those studies.
    """
    if len(ladders) < 2:
        return None
    context.step("all ladders")
    titles = study_titles(results)
    section = Section("ladders", "The ladder on all data sets", short="All ladders", studies=tuple(ladders))
    section.blocks.append(Text(_opening(ladders, titles)))
    counting, idle = _apart(ladders)
    if counting:
        section.blocks.append(_matrix("ladders", counting, titles))
    if idle:
        section.blocks.append(_matrix("ladders-undecided", idle, titles))
    section.blocks += pooled_blocks(_pooled(counting, titles), MARGIN)
    found = ranked(counting)
    if found is not None:
        section.blocks.append(Text(rank_sentences(found)))
        section.blocks.append(_diagram(found, counting))
    return section


def _apart(ladders: Ladders) -> tuple[dict[str, Sequence[Step]], dict[str, Sequence[Step]]]:
    """The data sets on which routing matters, and those that decide nothing about routers."""
    counting = {name: steps for name, steps in ladders.items() if routing_matters(steps)}
    return counting, {name: steps for name, steps in ladders.items() if name not in counting}


def _pooled(ladders: Ladders, titles: Mapping[str, str]) -> list[Pooled]:
    """The comparisons that are made over data sets."""
    arms = {study: {s.rung.name: s.arm for s in steps if s.arm is not None} for study, steps in ladders.items()}
    by_study = {study: (found.get(""), found) for study, found in arms.items()}
    asked = (("linear", "linear router"), ("twin", "classical twin"))
    return [differences_by_data_set(by_study, titles, rung, label) for rung, label in asked]


def ranked(ladders: Mapping[str, Sequence[Step]]) -> CriticalDifference | None:
    """Ranks of the rungs that every study has, by mean accuracy; None where there are fewer than three."""
    means = [{s.rung.name: s.arm.summary.mean for s in steps if s.arm is not None} for steps in ladders.values()]
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


def _opening(ladders: Mapping[str, Sequence[Step]], titles: Mapping[str, str]) -> tuple[str, ...]:
    """On how many data sets which of the main questions came out how, by rule."""
    lines = []
    for rung, words in (
        ("twin", "the classical twin (a linear gate on the same functions, no circuit)"),
        ("no-entangler", "the router without entanglers"),
        ("linear", "the linear router"),
    ):
        by_verdict: dict[str, list[str]] = {}
        for name, steps in _apart(ladders)[0].items():
            step = next((s for s in steps if s.rung.name == rung and s.verdict), None)
            if step is not None:
                by_verdict.setdefault(step.verdict, []).append(titles[name])
        parts = [
            f"{said} on {join(by_verdict[verdict])}"
            for verdict, said in (
                ("better", f"more accurate by more than {MARGIN:g}"),
                ("alike", f"the same within {MARGIN:g}"),
                ("worse", f"less accurate by more than {MARGIN:g}"),
                ("open", "not decided"),
            )
            if verdict in by_verdict
        ]
        lines += [f"Against the quantum router, {words} is {'; '.join(parts)}."] if parts else []
    idle = [titles[name] for name, steps in ladders.items() if not routing_matters(steps)]
    if idle:
        lines.append(
            f"On {join(idle)} switching the router off is not shown to cost more than {MARGIN:g}. These data sets decide "
            "nothing about routers and are set apart below."
        )
    return tuple(lines) or ("The rungs share too few seeds with the quantum router to tell anything.",)


def _matrix(name: str, ladders: Ladders, titles: Mapping[str, str]) -> Table:
    rows: dict[str, dict[str, object]] = {}
    for study, steps in ladders.items():
        for s in steps:
            row = rows.setdefault(s.rung.name, {"rung": s.rung.name or "quantum", "label": s.rung.label})
            if s.arm is not None:
                row |= {study: s.arm.summary.mean, f"{study}_compared": s.verdict}
    columns = [Column("router", ("label",), text, number=False)]
    columns += [Column(titles[study], (study, f"{study}_compared"), _cell) for study in ladders]
    caption = (
        f"{_WHICH[name]} Mean accuracy of every rung. Against the quantum router: ↓ worse by more than {MARGIN:g}, ↑ "
        f"better by more than {MARGIN:g}, ≈ the same within {MARGIN:g} (95% interval, not corrected for their number); no "
        "sign: undecided."
    )
    return Table(name, caption, tuple(columns), tuple(rows.values()))


#: Table -> which data sets it is about.
_WHICH = {
    "ladders": "Data sets on which routing matters.",
    "ladders-undecided": "Data sets that decide nothing about routers.",
}


def _cell(mean: float | None, compared: str | None) -> str:
    return DASH if mean is None else f"{mean:.3f}{_SIGNS.get(compared or '', '')}"


def _diagram(found: CriticalDifference, ladders: Mapping[str, Sequence[Step]]) -> FigureBlock:
    labels = {s.rung.name: s.rung.label for steps in ladders.values() for s in steps}
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
