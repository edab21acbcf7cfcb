"""The ladder of one study: what each rung changes, what it costs in accuracy, and how many parameters it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan

from qmoe.claims import ArmRuns
from qmoe.claims.sentences import metric_words
from qmoe.errors import count
from qmoe.report.findings.beside_ladder import AXES, Baseline, baseline_words, baselines_of, dephasing_words, ranks_of
from qmoe.report.findings.rung_results import CONTROLS, COUNTERPARTS, QUANTUM_PARTS, RungResult, ladder_sentences
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.style import CLASSICAL, MUTED, OTHER, QUANTUM, Panel
from qmoe.report.sections.blocks import Block, Context, FigureBlock, Section, Text
from qmoe.report.tables import DASH, Column, Table, fixed, known, signed, text, with_interval
from qmoe.report.words import file_name
from qmoe.statistics import PairedDifference
from qmoe.statistics.conventions import MARGIN, SUCCESS
from qmoe.studies import StudyResults, TrialSpec

BESIDE = "Other classifiers"
#: Title, colour and marker of each group of rungs.
GROUPS = {QUANTUM_PARTS: (QUANTUM, "s"), COUNTERPARTS: (CLASSICAL, "o"), CONTROLS: (MUTED, "D")}


def ladder_section(
    context: Context, results: StudyResults, rungs: Sequence[RungResult], rest: Sequence[Block]
) -> Section:
    """The section of one study.

    Args:
        context: of the page.
        results: the study.
        rungs: its rungs.
        rest: what is to follow them.
    """
    study = results.study
    stem = file_name(study.name)
    context.on_step(study.name)
    title = study.short_title
    full_title = study.title if study.title == title else f"The ladder: {title}"
    section = Section(stem, full_title, f"Ladder: {title}", studies=(study.name,))
    done = [r for r in rungs if r.arm is not None]
    section.blocks += [Text((study.about,))] if study.about else []
    quantum = next((r.arm for r in done if not r.rung.name), None)
    beside = baselines_of(study, context.contents.measurements, quantum)
    words = baseline_words(beside)
    section.blocks.append(Text((*ladder_sentences(rungs), *([words] if words else []))))
    named = [r for r in done if r.rung.name]
    if named:
        section.blocks.append(_figure(stem, title, named, quantum, beside))
    if done:
        section.blocks.append(_table(stem, title, done, beside))
    axes = {r.rung.name: (r.arm, r.difference) for r in named if r.rung.name in AXES and r.arm is not None}
    base = None if quantum is None else (quantum, quantum.first)
    section.blocks += dephasing_blocks(stem, axes, base)
    omitted = tuple(f"{r.rung.label}: {r.rung.omitted}." for r in rungs if r.rung.omitted)
    if omitted:
        section.blocks.append(Text(omitted, points=True, title="Rungs that do not apply here"))
    section.blocks += rest
    return section


def _figure(
    stem: str, title: str, rungs: Sequence[RungResult], quantum: ArmRuns | None, beside: Sequence[Baseline]
) -> FigureBlock:
    groups = []
    for group, (colour, marker) in GROUPS.items():
        rows = tuple(
            ForestRow(r.short_label, None, nan, nan)
            if r.difference is None
            else ForestRow(r.short_label, r.difference.mean, r.difference.low, r.difference.high, colour, marker)
            for r in rungs
            if r.group == group
        )
        groups += [ForestGroup(group, rows)] if rows else []
    others = [(b.label, d) for b in beside if (d := b.difference) is not None]
    if others:
        rows = tuple(ForestRow(label, d.mean, d.low, d.high, OTHER, "^") for label, d in others)
        groups.append(ForestGroup(BESIDE, rows))
    arm = rungs[0].arm
    assert arm is not None
    against = quantum.label if quantum is not None else "quantum router"
    axis = ForestAxis(
        f"{metric_words(arm.metric)}: rung minus {against}", MARGIN, below="worse", above="better",
        limits=_limits(rungs, [d for _, d in others]),
    )  # fmt: skip
    told = "; ".join(
        f"{r.label} {r.difference.mean:+.3f} from {r.difference.low:+.3f} to {r.difference.high:+.3f}"
        for r in rungs
        if r.difference is not None
    )
    panel = Panel(
        f"{stem}-ladder", forest_plot([(axis, groups)], 6.6), f"Forest plot of the ladder on {title}. {told}."
    )
    caption = (
        "Each rung of the ladder changes one thing about the quantum router. Shown is the accuracy of the rung minus that "
        f"of the quantum router, on the same seeds: mean and 95% interval over {_units(arm)}. The vertical line is no "
        f"difference; within the grey band it is too small to matter ({MARGIN:g}). Arrows at the edge lie beyond it, with "
        "their mean."
    )
    if others:
        caption += " Triangles are other classifiers on the same draws of the data."
        if any(b.name == "bayes" for b in beside):
            caption += " No classifier beats the best possible."
    return FigureBlock((panel,), caption, wide=True)


def _limits(rungs: Sequence[RungResult], others: Sequence[PairedDifference] = ()) -> tuple[float, float]:
    """Wide enough for all but the controls, which may lie far out."""
    inner = [r.difference for r in rungs if r.difference is not None and r.group != CONTROLS] + list(others)
    values = [v for d in inner for v in (d.mean, d.low, d.high) if not isnan(v)]
    low, high = min([*values, -4 * MARGIN]), max([*values, 2 * MARGIN])
    return low - 0.1 * (high - low), high + 0.05 * (high - low)


def _units(arm: ArmRuns) -> str:
    n = len(set(arm.clusters.tolist()))
    return count(n, "draw of the data", "draws of the data") if arm.clustered else count(n, "initialisation")


def _table(stem: str, title: str, rungs: Sequence[RungResult], beside: Sequence[Baseline]) -> Table:
    body = []
    for r in rungs:
        assert r.arm is not None
        assert r.success is not None
        size = r.size
        row: dict[str, object] = {"rung": r.rung.name or "quantum", "arm": r.arm.name, "label": r.label}
        row |= {"group": r.group if r.rung.name else "", "changes": r.rung.changes, "n": r.arm.n}
        row |= {"nominal": size.nominal if size else None, "live": size.live if size else None}
        row |= {"rank": size.rank if size else None, "frozen": size.frozen if size else None}
        row |= {"mean": r.arm.summary.mean, "low": known(r.arm.interval[0]), "high": known(r.arm.interval[1])}
        row |= {"success": r.success.value, "success_low": r.success.low, "success_high": r.success.high}
        row |= _difference_values(r.difference) | {"compared": r.verdict}
        body.append(row)
    for b in beside:
        exact = b.name == "bayes"
        row = {"rung": b.name, "label": b.label, "group": BESIDE, "n": b.n, "mean": b.mean}
        row |= {"changes": "what is known of the data set" if exact else "scikit-learn, on the same draws of the data"}
        row |= {"low": None if exact else known(b.low), "high": None if exact else known(b.high)}
        row |= _difference_values(b.difference)
        body.append(row)
    metric = metric_words(rungs[0].arm.metric) if rungs[0].arm else "accuracy"
    columns = (
        Column("router", ("label",), text, number=False, wraps=True),
        Column("what changes", ("changes",), text, number=False, wraps=True),
        Column("parameters / live / rank", ("nominal", "live", "rank"), _sizes),
        Column(f"{metric} [95%]", ("mean", "low", "high"), with_interval(3)),
        Column(f"runs at {SUCCESS:g} or above [95%]", ("success", "success_low", "success_high"), _share),
        Column("difference to quantum [95%]", ("difference", "difference_low", "difference_high"), _difference),
    )
    caption = (
        f"The ladder on {title}. Parameters of the router: how many are trained, how many of them have any effect, and in "
        "how many independent directions they move its output (rank)."
    )
    return Table(f"{stem}-ladder", caption, columns, tuple(body))


def _difference_values(d: PairedDifference | None) -> dict[str, object]:
    names = ("difference", "difference_low", "difference_high")
    return dict(zip(names, (None,) * 3 if d is None else (d.mean, known(d.low), known(d.high)), strict=True))


def _sizes(nominal: int | None, live: int | None, rank: int | None) -> str:
    return DASH if nominal is None else f"{nominal} / {live} / {rank}"


def _share(value: float | None, low: float | None, high: float | None) -> str:
    return DASH if value is None else f"{value:.0%} [{low:.0%}, {high:.0%}]"


def _difference(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None or low is None or high is None:
        return fixed(3)(mean).replace("-", "−")
    return signed(mean, low, high, 3)


def dephasing_blocks(
    stem: str, found: Mapping[str, tuple[ArmRuns, PairedDifference | None]], quantum: tuple[ArmRuns, TrialSpec] | None
) -> list[Block]:
    """What dephasing throughout costs along each axis, and how many functions it leaves; nothing for fewer than two axes.

    Args:
        stem: start of the name of the table.
        found: for each rung of `AXES` that was run its arm and its difference to the quantum router.
        quantum: the quantum router and one of its trials.
    """
    if len(found) < 2 or quantum is None:
        return []
    arm, trial = quantum
    ranks = ranks_of(trial)
    rows = [_dephasing_row("none", "none", arm, None, ranks)]
    rows += [_dephasing_row(name, AXES[name], here, difference, ranks) for name, (here, difference) in found.items()]
    columns = (
        Column("dephased along", ("axis",), text, number=False),
        Column("functions left", ("rank",), text),
        Column("accuracy [95%]", ("mean", "low", "high"), with_interval(3)),
        Column("difference to quantum [95%]", ("difference", "difference_low", "difference_high"), _dephasing_cost),
    )
    caption = (
        "The quantum router dephased throughout, along each axis. Functions left: how many independent functions of the "
        "features its parameters can make, beside the constant."
    )
    return [
        Text(dephasing_words(found, ranks), title="Dephasing, axis by axis"),
        Table(f"{stem}-dephasing", caption, columns, tuple(rows)),
    ]


def _dephasing_row(
    name: str, axis: str, arm: ArmRuns, difference: PairedDifference | None, ranks: Mapping[str, int]
) -> dict[str, object]:
    row: dict[str, object] = {"rung": name, "axis": axis, "rank": ranks.get(axis), "mean": arm.summary.mean}
    row |= {"low": known(arm.interval[0]), "high": known(arm.interval[1]), "n": arm.n}
    return row | _difference_values(difference)


def _dephasing_cost(mean: float | None, low: float | None, high: float | None) -> str:
    return DASH if mean is None or low is None or high is None else signed(mean, low, high)
