"""Specification curves: one comparison at every choice of analysis, sorted by effect, with the choices as dots below.

After Simonsohn, Simmons and Nelson (2020), Nature Human Behaviour 4, 1208.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qmoe.report.pictures.style import FAINT, INK, MUTED, OUTCOME_MARKS, PAPER

_WRAP = 26  # characters of the label of effects on a line


@dataclass(frozen=True)
class CurvePoint:
    """A comparison at one specification.

    Attributes:
        choices: the alternative that was taken of each choice, such as ``{"scaling": "standard", "axis": "X"}``.
        effect: mean difference.
        low: lower bound of its 95% interval.
        high: upper bound.
        outcome: ``"supported"``, ``"refuted"`` or ``"inconclusive"``.
        base: whether it is the study's own.
    """

    choices: Mapping[str, str]
    effect: float
    low: float
    high: float
    outcome: str
    base: bool = False


@dataclass(frozen=True)
class Curve:
    """All specifications of one comparison on one data set.

    Attributes:
        title: what stands above it.
        points: the specifications, in any order.
    """

    title: str
    points: tuple[CurvePoint, ...]


def specification_curve(
    curves: Sequence[Curve], label: str, margin: float = 0.0, below: str = "", above: str = "", width: float = 7.1
) -> Figure:
    """Draws curves side by side, with the choices behind each specification below; call it inside `style.style`.

    Args:
        curves: one for each data set; they share the axis of effects and the rows of choices.
        label: what the effect is.
        margin: the smallest difference that matters, drawn as a band around zero; 0 for none.
        below: what lying below zero means.
        above: what lying above it means.
        width: inches.
    """
    rows = _rows(curves)
    height = 1.9 + 0.155 * len(rows)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        2, len(curves), squeeze=False, sharey="row", sharex="col",
        gridspec_kw={"height_ratios": [1.55, 0.155 * len(rows)], "width_ratios": [max(4, len(c.points)) for c in curves]},
    )  # fmt: skip
    limits = _limits(curves, margin)
    for column, curve in enumerate(curves):
        points = sorted(curve.points, key=lambda point: point.effect)
        _effects(axes[0, column], points, limits, margin)
        _choices(axes[1, column], points, rows)
        axes[0, column].set_title(curve.title)
    left = axes[0, 0]
    left.set_ylabel("\n".join(textwrap.wrap(label, _WRAP)))
    # Effects rise from left to right, so these two corners are empty.
    corners = (below, "↓", (0.98, 0.02), "right", "bottom"), (above, "↑", (0.03, 0.98), "left", "top")
    for words, arrow, place, across, up in corners:
        if words:
            left.text(*place, f"{arrow} {words}", transform=left.transAxes, ha=across, va=up, color=MUTED, fontsize=7)
    return figure


def _rows(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """Every alternative of every choice that varies anywhere, choices in their order of first sight."""
    found: dict[str, dict[str, None]] = {}
    for curve in curves:
        for point in curve.points:
            for choice, alternative in point.choices.items():
                found.setdefault(choice, {})[alternative] = None
    varied = {choice: alternatives for choice, alternatives in found.items() if len(alternatives) > 1} or found
    return [(choice, alternative) for choice, alternatives in varied.items() for alternative in alternatives]


def _effects(axes: Any, points: Sequence[CurvePoint], limits: tuple[float, float], margin: float) -> None:
    if margin > 0:
        axes.axhspan(-margin, margin, color=FAINT, alpha=0.75, linewidth=0, zorder=0)
    axes.axhline(0.0, color=MUTED, linewidth=1.0, zorder=1)
    for place, point in enumerate(points):
        colour, marker, filled = OUTCOME_MARKS.get(point.outcome, OUTCOME_MARKS["inconclusive"])
        low, high = np.clip([point.low, point.high], *limits)
        axes.plot([place, place], [low, high], color=colour, linewidth=1.3, solid_capstyle="butt", zorder=3)
        axes.plot(
            [place], [float(np.clip(point.effect, *limits))], marker=marker, markersize=4.4, markeredgecolor=colour,
            markeredgewidth=1.2, markerfacecolor=colour if filled else PAPER, linestyle="none", zorder=4,
        )  # fmt: skip
        if point.base:
            axes.axvline(place, color=INK, linewidth=0.8, linestyle=":", zorder=2)
    axes.set_ylim(*limits)
    axes.set_xlim(-0.8, len(points) - 0.2)
    axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.grid(False, axis="x")


def _choices(axes: Any, points: Sequence[CurvePoint], rows: Sequence[tuple[str, str]]) -> None:
    n = len(rows)
    for y, (choice, alternative) in enumerate(rows):
        taken = [place for place, point in enumerate(points) if point.choices.get(choice) == alternative]
        axes.plot(range(len(points)), [y] * len(points), marker=".", color=FAINT, markersize=4, linestyle="none")
        axes.plot(taken, [y] * len(taken), marker="s", color=INK, markersize=3.4, linestyle="none")
    first = [y for y, (choice, _) in enumerate(rows) if y == 0 or rows[y - 1][0] != choice]
    for y in first[1:]:
        axes.axhline(y - 0.5, color=FAINT, linewidth=0.8)
    labels = [f"{choice}: {alternative}" if y in first else alternative for y, (choice, alternative) in enumerate(rows)]
    axes.set_yticks(range(n), labels)
    axes.set_ylim(n - 0.4, -0.6)
    axes.tick_params(axis="both", length=0)
    axes.set_xticks([])
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    for place, point in enumerate(points):
        if point.base:
            axes.axvline(place, color=INK, linewidth=0.8, linestyle=":", zorder=0)


def _limits(curves: Sequence[Curve], margin: float) -> tuple[float, float]:
    values = [v for curve in curves for p in curve.points for v in (p.effect, p.low, p.high) if np.isfinite(v)]
    values += [0.0, margin, -margin]
    air = 0.06 * max(max(values) - min(values), 1e-6)
    return min(values) - air, max(values) + air
