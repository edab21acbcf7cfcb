"""Forest plots: differences with their intervals, one a row, against zero and what is too small to matter."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from qmoe.report.pictures.style import FAINT, INK, MUTED, PAPER

_WRAP = 34  # characters of a label on a line


@dataclass(frozen=True)
class ForestRow:
    """One comparison.

    Attributes:
        label: what is compared.
        mean: mean difference or ratio; None where there is none.
        low: lower bound of its 95% interval.
        high: upper bound.
        colour: of its mark.
        marker: matplotlib's name of its mark.
        filled: whether the mark is filled.
        span: a wider interval, dashed; None for none.
    """

    label: str
    mean: float | None
    low: float
    high: float
    colour: str = INK
    marker: str = "o"
    filled: bool = True
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class ForestGroup:
    """Rows that belong together.

    Attributes:
        title: heading above them, or "".
        rows: the rows, from top to bottom.
    """

    title: str
    rows: tuple[ForestRow, ...]


@dataclass(frozen=True)
class ForestAxis:
    """What the rows are measured by.

    Attributes:
        label: what the axis shows.
        margin: the smallest difference that matters (a factor for ratios); 0 for none.
        ratio: whether these are ratios, drawn on a log scale around 1.
        below: what lying left of zero means.
        above: what lying right of it means.
        limits: the ends of the axis, beyond which marks become arrows; None for as wide as the rows.
    """

    label: str
    margin: float = 0.0
    ratio: bool = False
    below: str = ""
    above: str = ""
    limits: tuple[float, float] | None = None


def forest_plot(parts: Sequence[tuple[ForestAxis, Sequence[ForestGroup]]], width: float = 4.4) -> Figure:
    """Draws rows under each other, with one axis for each part; call it inside `qmoe.report.pictures.style.style`.

    Args:
        parts: an axis with its groups of rows, from top to bottom.
        width: inches.
    """
    heights = [_height(groups) for _, groups in parts]
    size = width, max(1.15, 0.17 * sum(heights) + 0.62 * len(parts))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(parts), squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (axis, groups), height in zip(all_axes, parts, heights, strict=True):
        _draw(axes, axis, groups, height, round(9 * width))
    return figure


def _lines(label: str) -> list[str]:
    return textwrap.wrap(label, _WRAP) or [""]


def _height(groups: Sequence[ForestGroup]) -> float:
    """Rows of text that groups take."""
    return sum(bool(g.title) * 1.2 + sum(max(1.15, len(_lines(r.label))) for r in g.rows) for g in groups)


def _draw(axes: Any, axis: ForestAxis, groups: Sequence[ForestGroup], height: float, wrap: int) -> None:
    zero = 1.0 if axis.ratio else 0.0
    limits = axis.limits or _limits(axis, [row for group in groups for row in group.rows])
    if axis.ratio:
        axes.set_xscale("log")
    axes.set_xlim(*limits)
    if axis.margin > zero:
        band = (1 / axis.margin, axis.margin) if axis.ratio else (-axis.margin, axis.margin)
        axes.axvspan(*band, color=FAINT, alpha=0.75, linewidth=0, zorder=0)
    axes.axvline(zero, color=MUTED, linewidth=1.0, zorder=1)
    y, places, labels = 0.0, [], []
    for group in groups:
        if group.title:
            axes.text(
                -0.02, y + 0.7, group.title, transform=axes.get_yaxis_transform(), fontweight="bold", va="center",
                ha="right", fontsize=7.5,
            )  # fmt: skip
            y += 1.2
        for row in group.rows:
            lines = _lines(row.label)
            y += max(1.15, len(lines)) / 2
            places.append(y)
            labels.append("\n".join(lines))
            _mark(axes, row, y, limits)
            y += max(1.15, len(lines)) / 2
    axes.set_yticks(places, labels)
    axes.set_ylim(height + 0.1, -0.1)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("\n".join(textwrap.wrap(axis.label, wrap)))
    if axis.ratio:
        _ratio_ticks(axes, limits)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
    for words, place, side in ((axis.below, 0.0, "left"), (axis.above, 1.0, "right")):
        if words:
            arrow = f"← {words}" if side == "left" else f"{words} →"
            axes.text(place, 1.0, arrow, transform=axes.transAxes, ha=side, va="bottom", color=MUTED, fontsize=7)


def _mark(axes: Any, row: ForestRow, y: float, limits: tuple[float, float]) -> None:
    if row.mean is None:
        axes.text(0.5, y, "too few runs", transform=axes.get_yaxis_transform(), color=MUTED, ha="center", va="center")
        return
    low, high = (float(np.clip(np.nan_to_num(v, nan=row.mean), *limits)) for v in (row.low, row.high))
    if row.span is not None:
        axes.plot(np.clip(row.span, *limits), [y, y], color=row.colour, linewidth=0.9, linestyle=(0, (3, 2)), zorder=2)
    axes.plot([low, high], [y, y], color=row.colour, linewidth=1.5, solid_capstyle="butt", zorder=3)
    if not limits[0] <= row.mean <= limits[1]:
        left = row.mean < limits[0]
        place = limits[0] if left else limits[1]
        axes.plot([place], [y], marker="<" if left else ">", color=row.colour, markersize=5, clip_on=False, zorder=4)
        shown = f"{row.mean:+.2f}".replace("-", "−")
        axes.annotate(
            shown, (place, y), xytext=(6 if left else -6, 0), textcoords="offset points",
            ha="left" if left else "right", va="center", fontsize=6.5, color=MUTED,
        )  # fmt: skip
        return
    axes.plot(
        [row.mean], [y], marker=row.marker, markersize=5.2, markeredgecolor=row.colour, markeredgewidth=1.3,
        markerfacecolor=row.colour if row.filled else PAPER, linestyle="none", zorder=4,
    )  # fmt: skip


def _limits(axis: ForestAxis, rows: Sequence[ForestRow]) -> tuple[float, float]:
    """All intervals, zero and the band of what is too small to matter, with some air."""
    zero = 1.0 if axis.ratio else 0.0
    rows = [row for row in rows if row.mean is not None]
    values = [v for row in rows for v in (row.mean, row.low, row.high, *(row.span or ())) if np.isfinite(v)]
    values += [zero] + ([axis.margin, 1 / axis.margin if axis.ratio else -axis.margin] if axis.margin > zero else [])
    if axis.ratio:
        low, high = np.log(min(values)), np.log(max(values))
        air = 0.08 * max(high - low, 0.1)
        return float(np.exp(low - air)), float(np.exp(high + air))
    air = 0.06 * max(max(values) - min(values), 1e-6)
    return min(values) - air, max(values) + air


def _ratio_ticks(axes: Any, limits: tuple[float, float]) -> None:
    wide = limits[1] / limits[0] > 30
    steps = (1.0,) if wide else (1, 2, 5) if limits[1] / limits[0] > 4 else (1, 1.2, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    ticks = [s * 10.0**k for k in range(-6, 6) for s in steps if limits[0] <= s * 10.0**k <= limits[1]]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
