"""A study that is none of the paper's: tables, comparisons, curves, distributions, and boundaries of two features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from qmoe.claims import ArmRuns
from qmoe.claims.sentences import metric_words
from qmoe.report.findings.arms import finished
from qmoe.report.findings.planes import can_be_built, is_planar
from qmoe.report.pictures.distributions import MOST_DOTS, curve_plot, noise_plot, strip_plot
from qmoe.report.pictures.style import Colours, Panel, arm_colours
from qmoe.report.sections.blocks import Block, Context, FigureBlock, Section, Text, arms_table
from qmoe.report.sections.boundary_figures import boundaries, planes_or_why
from qmoe.report.sections.noise_blocks import noise_blocks
from qmoe.report.tables import Column, Table, known, signed, text, with_interval
from qmoe.report.words import file_name
from qmoe.statistics import PairedDifference
from qmoe.studies import StudyResults

MAX_PLANES = 8  # arms whose boundaries are drawn
MAX_ALL_PAIRS = 5  # arms of which every pair is compared; of more, each with the first


def own_study_sections(context: Context) -> list[Section]:
    """A section for each study that is none of the paper's and no ladder, as far as a trial is finished."""
    return [_study_section(context, r, arms) for r in context.others if (arms := finished(r))]


def _study_section(context: Context, results: StudyResults, arms: Sequence[ArmRuns]) -> Section:
    study = results.study
    context.on_step(study.name)
    about: list[Block] = [Text((study.about,))] if study.about else []
    blocks = about + study_blocks(context, results, arms)
    return Section(file_name(study.name), study.title, study.short_title, blocks, studies=(study.name,))


def study_blocks(context: Context, results: StudyResults, arms: Sequence[ArmRuns]) -> list[Block]:
    """Tables and pictures of some arms of a study."""
    name = results.study.name
    stem = file_name(name)
    colours = _colours(arms)
    blocks: list[Block] = []
    blocks.append(arms_table(f"{stem}-arms", f"Study {name}, {results.study.protocol} protocol.", arms))
    blocks += differences(arms, stem)
    panels = []
    if arms[0].curves("loss").size:
        loss = curve_plot(arms, "loss", "loss summed over batches", log=True, colours=colours)
        panels.append(Panel(f"{stem}-loss", loss, "Loss by epoch."))
    if arms[0].curves("test_accuracy").size:
        drawing = curve_plot(arms, "test_accuracy", "test accuracy", colours=colours)
        panels.append(Panel(f"{stem}-accuracy", drawing, "Test accuracy by epoch."))
    panels.append(Panel(f"{stem}-seeds", strip_plot(arms, colours=colours), "Final accuracy of every run, by arm."))
    panels += [
        Panel(f"{stem}-noise-{arm.name}", noise_plot(strengths, {}, colours), f"Accuracy against noise, {arm.label}.")
        for arm in results.study.arms
        if arm.noise and len(strengths := [a for a in arms if a.name == arm.name]) > 1
    ]
    dots = "every run as a dot" if max(arm.n for arm in arms) <= MOST_DOTS else f"at most {MOST_DOTS:,} runs as dots"
    blocks.append(FigureBlock(tuple(panels), f"Study {name}: medians with the middle 80% of the runs; {dots}."))
    if is_planar(arms):
        context.on_step(f"{name}, boundaries")
        clean = [arm for arm in arms if not arm.strength and can_be_built(arm)][:MAX_PLANES]
        planes, why = planes_or_why(clean) if clean else ([], [])
        blocks += boundaries(planes, stem, colours) if planes else why
    return blocks + noise_blocks(context, results)


def differences(arms: Sequence[ArmRuns], stem: str) -> list[Block]:
    """A table of paired differences between arms, and a sentence for each; nothing for a single arm."""
    every = len(arms) <= MAX_ALL_PAIRS
    pairs = list(itertools.combinations(arms, 2)) if every else [(arms[0], other) for other in arms[1:]]
    if not pairs:
        return []
    units = "draws of the data" if arms[0].clustered else "seeds"
    rows, lines = [], []
    for first, other in pairs:
        difference = other.minus(first)
        rows.append(_row(first, other, difference))
        lines.append(_sentence(first, other, difference, units))
    columns = (
        Column("difference", ("what",), text, number=False),
        Column(f"in {metric_words(arms[0].metric)} [95%]", ("mean", "low", "high"), _shown),
        Column(units, ("clusters",), text),
        Column("", ("verdict",), text, number=False),
    )
    basis = "runs on the same draw of the data are averaged first" if arms[0].clustered else "one pair for each seed"
    caption = (
        f"Paired differences of the {metric_words(arms[0].metric)}, "
        f"{'each pair of arms' if every else f'each arm against the first ({arms[0].title})'}, on the seeds that both "
        f"have; {basis}. Clearly ahead means that the whole 95% interval lies on one side of 0."
    )
    if len(pairs) > 1:
        caption += f" The intervals are not corrected for {len(pairs)} comparisons."
    return [
        Table(f"{stem}-differences", caption, columns, tuple(rows)),
        Text(tuple(lines), points=True, title="Which arm is ahead"),
    ]


def _shown(mean: float | None, low: float | None, high: float | None) -> str:
    return with_interval(4)(mean, low, high).replace("-", "−")


def _row(first: ArmRuns, other: ArmRuns, difference: PairedDifference | None) -> dict[str, object]:
    what = f"{other.title} − {first.title}"
    row: dict[str, object] = {
        "what": what, "arm": other.name, "strength": other.strength, "minus_arm": first.name,
        "minus_strength": first.strength, "metric": first.metric, "mean": None, "low": None, "high": None,
        "clusters": None, "verdict": "too few to tell",
    }  # fmt: skip
    if difference is not None:
        row |= {"mean": difference.mean, "clusters": difference.n_clusters}
        row |= {"low": known(difference.low), "high": known(difference.high)}
        if difference.enough:
            row["verdict"] = "ahead" if difference.above else "behind" if difference.below else "cannot be told apart"
    return row


def _sentence(first: ArmRuns, other: ArmRuns, difference: PairedDifference | None, units: str) -> str:
    if difference is None:
        return f"{other.title} and {first.title} share fewer than two {units}: too few to tell which is ahead."
    if not difference.enough:
        shared = f"{difference.n_clusters} {units}"
        return f"{other.title} and {first.title} share only {shared}: too few to tell which is ahead."
    if difference.above or difference.below:
        ahead, behind = (other, first) if difference.above else (first, other)
        return f"{ahead.title} is clearly ahead of {behind.title}: {_shown_difference(_turned(difference, ahead is first))}."
    return f"{other.title} and {first.title} cannot be told apart: {_shown_difference(difference)}."


def _shown_difference(difference: PairedDifference) -> str:
    return signed(difference.mean, difference.low, difference.high)


def _turned(difference: PairedDifference, swap: bool) -> PairedDifference:
    if not swap:
        return difference
    return PairedDifference(-difference.mean, -difference.high, -difference.low, difference.n_clusters)


def _colours(arms: Sequence[ArmRuns]) -> Colours:
    quantum = [arm.key for arm in arms if arm.first.model.router.kind == "quantum"]
    return arm_colours([arm.key for arm in arms], quantum)
