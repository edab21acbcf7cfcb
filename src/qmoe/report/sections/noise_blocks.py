"""Pieces of the page on noise and few shots: a surface for each protocol, curves, and points of breakdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qmoe.analysis.robustness import CRITERIA, Breakdown
from qmoe.analysis.robustness.surface import shots_words
from qmoe.claims.analyses.choices import alternative_words
from qmoe.report.findings.noise_findings import NoiseFinding, criterion_head, noise_findings
from qmoe.report.pictures.noise_pictures import protocol_plot, surface_plot
from qmoe.report.pictures.style import Panel
from qmoe.report.sections.blocks import Block, Context, FigureBlock, Text
from qmoe.report.tables import Column, Table, text
from qmoe.report.words import file_name
from qmoe.statistics import mean_interval
from qmoe.studies import StudyResults


def noise_blocks(context: Context, results: StudyResults | None) -> list[Block]:
    """Surfaces, curves, sentences and the table of a study with `[noise]`; nothing where none was measured."""
    if results is None or results.study.noise is None:
        return []
    found = noise_findings(results, context.contents.measurements)
    blocks: list[Block] = []
    for arm in dict.fromkeys(finding.arm for finding in found):
        blocks += _of_arm(results.study.name, [finding for finding in found if finding.arm == arm])
    return blocks


def _of_arm(study: str, found: Sequence[NoiseFinding]) -> list[Block]:
    stem = f"{file_name(study)}-{file_name(found[0].arm)}"
    first, means = found[0], [finding.surface.mean for finding in found]
    linear = None if first.linear is None else float(first.linear.mean())
    bounds = float(min(mean.min() for mean in means)), float(max(mean.max() for mean in means))
    panels = tuple(
        Panel(f"{stem}-{finding.surface.protocol}", surface_plot(finding.surface, linear, bounds), _told(finding))
        for finding in found
    )
    caption = (
        "Mean held-out accuracy in per cent over noise and shots. "
        "Solid line: less than 2 points below exact and noise-free. "
    )
    if linear is not None:
        caption += f"Dashed line: above the {first.rival}, {100 * linear:.1f}. "
    caption += "Shots are those of one read-out, all circuits of an extrapolation together."
    blocks: list[Block] = [
        Text(tuple(finding.sentence for finding in found), points=True, title="Noise and shots, by protocol"),
        FigureBlock(panels, caption),
    ]
    numbers = [None] if first.few is None else [None, first.few]
    interval = None
    if first.linear is not None and not np.isnan(first.surface.interval(0, 0)[0]):
        interval = (float(first.linear.mean()), *mean_interval(first.linear, first.surface.clusters))
    curves = tuple(
        Panel(
            f"{stem}-protocols-{'exact' if n is None else n}",
            protocol_plot([finding.surface for finding in found], n, interval, first.rival),
            f"Held-out accuracy against noise strength by protocol, {shots_words(n)}.",
        )
        for n in numbers
    )
    band = f" The grey band is the {first.rival}." if interval is not None else ""
    blocks.append(FigureBlock(curves, f"Means over the draws of the data with their 95% intervals.{band}"))
    blocks.append(_table(stem, found))
    return blocks


def _told(finding: NoiseFinding) -> str:
    mean = finding.surface.mean
    return (
        f"Accuracy over noise and shots, {finding.title.lower()}: from {100 * mean.max():.0f} to {100 * mean.min():.0f} "
        "per cent."
    )


def _table(stem: str, found: Sequence[NoiseFinding]) -> Table:
    rows = []
    for finding in found:
        for shots in finding.surface.shots:
            row: dict[str, object] = {
                "protocol": finding.surface.protocol,
                "words": alternative_words("noise_protocol", finding.surface.protocol, short=True),
                "shots": "exact" if shots is None else f"{shots:,}",
            }
            for name in finding.criteria:
                row |= _cells(name, finding.points[name, shots])
            rows.append(row)
    criteria = [name for name in CRITERIA if name in found[0].criteria]
    heads = [criterion_head(name, found[0].rival) for name in criteria]
    columns = (
        Column("protocol", ("words",), text, number=False),
        Column("shots", ("shots",), text),
        *(Column(head, (f"{name}_words",), text, number=False) for head, name in zip(heads, criteria, strict=True)),
    )
    caption = (
        "Breakdown: the noise strength p from which on each holds, with its 95% bootstrap interval over draws of the data. "
        "A loss of 2 points is told from exact, noise-free read-outs of the same protocol."
    )
    return Table(f"{stem}-breakdown", caption, columns, tuple(rows))


def _cells(name: str, point: Breakdown) -> dict[str, object]:
    found = point.strength
    values = {"": found.at, "_low": found.low, "_high": found.high, "_share": found.share}
    finite = {f"{name}{end}": value if np.isfinite(value) else None for end, value in values.items()}
    return {f"{name}_words": point.words, **finite}
