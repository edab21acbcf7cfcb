"""A study that is none of the paper's: tables, comparisons, curves, distributions, and boundaries of two features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from qmoe.claims import ArmKey, ArmRuns, StudyRuns, runs_of
from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.analyses.universes import universes
from qmoe.claims.from_records import metric_of
from qmoe.claims.sentences import metric_words
from qmoe.report.findings.arms import finished
from qmoe.report.findings.planes import can_be_built, is_planar
from qmoe.report.pictures.distributions import MOST_DOTS, curve_plot, noise_plot, strip_plot
from qmoe.report.pictures.specification_curve import Curve, CurvePoint, specification_curve
from qmoe.report.pictures.style import Colours, Panel, arm_colours
from qmoe.report.sections.blocks import Block, Context, FigureBlock, Section, Text, arms_table
from qmoe.report.sections.boundary_figures import boundaries, planes_or_why
from qmoe.report.sections.noise_blocks import noise_blocks
from qmoe.report.tables import Column, Table, fixed, general, known, signed, text, with_interval
from qmoe.report.words import file_name
from qmoe.statistics import PairedDifference
from qmoe.statistics.conventions import MARGIN
from qmoe.studies import StudyResults, specifications

MAX_PLANES = 8  # arms whose boundaries are drawn
MAX_CURVES = 3  # specification curves side by side
MAX_ALL_PAIRS = 5  # arms of which every pair is compared; of more, each with the first


def own_study_sections(context: Context) -> list[Section]:
    """A section for each study that is none of the paper's and no ladder, as far as a trial is finished."""
    return [_study_section(context, r, arms) for r in context.others if (arms := finished(r))]


def _study_section(context: Context, results: StudyResults, arms: Sequence[ArmRuns]) -> Section:
    study = results.study
    context.on_step(study.name)
    about: list[Block] = [Text((study.about,))] if study.about else []
    blocks = about + study_blocks(context, results, arms) + other_ways_blocks(context, results)
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


def other_ways_blocks(context: Context, results: StudyResults) -> list[Block]:
    """What a study gives at other learning rates and in its other analyses, where no claim on the page tells of them."""
    if results.study.name in context.contents.judged.covered:
        return []
    return [*_rates_blocks(results), *_analyses_blocks(context, results)]


def _rates_blocks(results: StudyResults) -> list[Block]:
    """Mean accuracies at every learning rate that a study lists."""
    rates = results.study.learning_rates
    if len(rates) < 2:
        return []
    runs = runs_of(results)
    rows = [_means(runs.at(lr), {"lr": lr}) for lr in rates]
    stem = file_name(results.study.name)
    columns = (Column("learning rate", ("lr",), general), *_mean_columns(runs))
    caption = f"Mean {metric_words(metric_of(results))} at every learning rate, the study's own ({rates[0]:g}) first."
    return [Table(f"{stem}-rates", caption, columns, tuple(rows))]


def _analyses_blocks(context: Context, results: StudyResults) -> list[Block]:
    """Mean accuracies and differences in every analysis of a multiverse, and their specification curves."""
    study = results.study
    if study.multiverse is None:
        return []
    context.on_step(f"{study.name}, other analyses")
    tried, starts = universes(results), study.multiverse.starts
    n, stem, first = len(specifications(study)), file_name(study.name), results.study.arms[0]
    shown = [
        {choice_words(c): alternative_words(c, a, starts=starts, short=True) for c, a in u.choices.items()}
        for u in tried
    ]
    rows: list[dict[str, object]] = []
    points: dict[ArmKey, list[CurvePoint]] = {}
    for place, (universe, words) in enumerate(zip(tried, shown, strict=True)):
        row = _means(universe.runs, dict(words))
        base, *others = universe.runs.arms.values()
        for other in others if base.name == first.name and base.n else ():
            difference = other.minus(base) if other.n else None
            if difference is not None:
                row |= _numbered(other.key, difference)
                ahead = "supported" if difference.above else "refuted" if difference.below else "inconclusive"
                point = CurvePoint(words, difference.mean, difference.low, difference.high, ahead, place == 0)
                points.setdefault(other.key, []).append(point)
        rows.append(row)
    own = tried[0].runs
    columns = (
        *(Column(words, (words,), text, number=False) for words in shown[0]),
        *_mean_columns(own),
        *(
            Column(f"{own.arms[key].title} − {first.label}", _difference_keys(key), _shown)
            for key in points
        ),
    )  # fmt: skip
    metric = metric_words(metric_of(results))
    caption = (
        f"Every analysis of the study {study.name} that [multiverse] lists, its own first: mean {metric} of each arm, and "
        f"its difference to the first arm with the 95% interval. {_begun(len(tried), n)} No claim is judged over them; the "
        "intervals are not corrected for multiple comparisons."
    )
    blocks: list[Block] = [Table(f"{stem}-analyses", caption, columns, tuple(rows))]
    curves = [
        Curve(f"{own.arms[key].title} − {first.label}", tuple(found)) for key, found in points.items() if len(found) > 1
    ]
    if curves:
        some = curves[:MAX_CURVES]
        drawing = specification_curve(some, f"difference in {metric}", width=4.3 + 1.7 * len(some))
        told = "; ".join(
            f"{c.title}: from {min(p.effect for p in c.points):+.3f} to {max(p.effect for p in c.points):+.3f} over "
            f"{len(c.points)} analyses"
            for c in some
        )
        panel = Panel(f"{stem}-analyses", drawing, f"Specification curve. {told}.")
        caption = (
            f"Differences to {first.label} in every analysis, sorted, with 95% intervals; the choices stand below, and a "
            f"dotted line marks the study's own. {told}."
        )
        blocks.append(FigureBlock((panel,), caption, wide=True))
    return blocks


def _begun(n_tried: int, n: int) -> str:
    return f"All {n} have results." if n_tried == n else f"{n_tried} of {n} have results so far."


def _means(runs: StudyRuns, row: dict[str, object]) -> dict[str, object]:
    """A row with the mean accuracy of each arm that has one."""
    found = {_mean_key(key): arm.summary.mean for key, arm in runs.arms.items() if arm.n}
    return row | found


def _mean_columns(runs: StudyRuns) -> tuple[Column, ...]:
    return tuple(Column(arm.title, (_mean_key(key),), fixed(3)) for key, arm in runs.arms.items())


def _mean_key(key: ArmKey) -> str:
    return key.name if key.strength is None else f"{key.name}_{key.strength:g}"


def _difference_keys(key: ArmKey) -> tuple[str, str, str]:
    name = _mean_key(key)
    return f"{name}_difference", f"{name}_low", f"{name}_high"


def _numbered(key: ArmKey, difference: PairedDifference) -> dict[str, object]:
    values = difference.mean, known(difference.low), known(difference.high)
    return dict(zip(_difference_keys(key), values, strict=True))


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
        f"have; {basis}. Ahead means that the whole 95% interval lies on one side of 0; clearly, "
        f"that the mean is also {MARGIN:g} or more, the smallest difference that matters."
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
        turned = _turned(difference, ahead is first)
        little = f", by less than what matters ({MARGIN:g})" if turned.high < MARGIN else ""
        clearly = "" if turned.mean < MARGIN else "clearly "
        return f"{ahead.title} is {clearly}ahead of {behind.title}{little}: {_shown_difference(turned)}."
    return (
        f"{other.title} and {first.title} cannot be told apart: {other.title} − {first.title} is "
        f"{_shown_difference(difference)}."
    )


def _shown_difference(difference: PairedDifference) -> str:
    return signed(difference.mean, difference.low, difference.high)


def _turned(difference: PairedDifference, swap: bool) -> PairedDifference:
    if not swap:
        return difference
    return PairedDifference(-difference.mean, -difference.high, -difference.low, difference.n_clusters)


def _colours(arms: Sequence[ArmRuns]) -> Colours:
    quantum = [arm.key for arm in arms if arm.first.model.router.kind == "quantum"]
    return arm_colours([arm.key for arm in arms], quantum)
