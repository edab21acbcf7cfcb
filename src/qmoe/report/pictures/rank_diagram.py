"""Critical-difference diagrams: mean ranks over many data sets, joined where they cannot be told apart (Demsar 2006)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qmoe.report.pictures.style import INK, MUTED
from qmoe.statistics import CriticalDifference

_ROW = 0.19  # inches from one name to the next
_BAR = 0.12  # inches from one bar to the next


def rank_plot(found: CriticalDifference, labels: Mapping[str, str], colours: Mapping[str, str]) -> Figure:
    """Draws mean ranks on a line, the best at the left; call it inside `qmoe.report.pictures.style.style`.

    Args:
        found: ranks and groups.
        labels: what readers call each arm.
        colours: of each arm.
    """
    n = len(found.names)
    left = (n + 1) // 2
    bars = _BAR * len(found.cliques)
    height = 0.55 + bars + _ROW * (left + 0.6)
    figure = Figure(figsize=(7.4, height))
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0.37, 0.0, 0.26, 1.0))
    axes.set_axis_off()
    first, last = math.floor(found.mean_ranks.min()), math.ceil(found.mean_ranks.max())
    last = max(last, first + 1)
    axes.set(xlim=(first, last), ylim=(height, 0))
    axes.plot([first, last], [0.4, 0.4], color=INK, linewidth=1.0)
    step = max(1, (last - first) // 6)
    for tick in [*range(first, last - step + 1, step), last]:
        axes.plot([tick, tick], [0.34, 0.4], color=INK, linewidth=1.0)
        axes.text(tick, 0.31, str(tick), ha="center", va="bottom", fontsize=7)
    title = "mean rank over the data sets, best at the left"
    axes.text((first + last) / 2, 0.14, title, ha="center", va="center", color=MUTED, fontsize=7.5)
    at = dict(zip(found.names, found.mean_ranks.tolist(), strict=True))
    for number, clique in enumerate(found.cliques):
        y = 0.4 + _BAR * (number + 0.8)
        reach = 0.006 * (last - first)
        ends = at[clique[0]] - reach, at[clique[-1]] + reach
        axes.plot(ends, [y, y], color=INK, linewidth=3.4, solid_capstyle="round", clip_on=False)
    margin = 0.04 * (last - first)
    for place, name in enumerate(found.names):
        on_left = place < left
        row = place if on_left else n - 1 - place
        y = 0.4 + bars + _ROW * (row + 0.9)
        end = first - margin if on_left else last + margin
        colour = colours.get(name, INK)
        axes.plot([at[name], at[name], end], [0.4, y, y], color=colour, linewidth=0.9, clip_on=False)
        axes.plot([at[name]], [0.4], "o", color=colour, markersize=3.2, clip_on=False)
        words = f"{labels[name]}  {at[name]:.1f}" if on_left else f"{at[name]:.1f}  {labels[name]}"
        axes.text(
            end - margin / 2 if on_left else end + margin / 2, y, words, ha="right" if on_left else "left", va="center",
            fontsize=7,
        )  # fmt: skip
    return figure
