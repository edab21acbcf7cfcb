"""Pictures of accuracy over noise and shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from qmoe.analysis.robustness import NoiseSurface
from qmoe.report.pictures.style import CLASSICAL, COLUMN, MUTED, OTHER, QNN, QUANTUM, new_axes
from qmoe.statistics.conventions import MARGIN

#: From pale to a blue on which black letters can be read; of one hue, so no kind of colour blindness mixes it up.
_COLOURS = LinearSegmentedColormap.from_list("accuracy", ["#fbf7ee", "#dbe6ee", "#9cc3dd", "#5a9fce"])
_BLACK = "#000000"
#: Protocol -> what legends call it, its colour, its marker and its line.
_LOOKS: dict[str, tuple[str, str, str, str]] = {
    "retrained": ("retrained", QUANTUM, "s", "-"),
    "evaluated": ("trained clean", CLASSICAL, "o", "--"),
    "recalibrated": ("recalibrated", QNN, "^", "-."),
    "mitigated": ("mitigated", OTHER, "D", ":"),
}


def surface_plot(surface: NoiseSurface, linear: float | None, bounds: tuple[float, float]) -> Figure:
    """Mean accuracy in per cent at each noise strength and number of shots.

    A solid line surrounds what is less than the margin below exact and noise-free, a dashed one what is above the linear
    router.

    Args:
        surface: accuracies.
        linear: mean accuracy of the linear router; None where there is none.
        bounds: accuracies at the ends of the scale of colours, the same for all that are compared.
    """
    figure, axes = new_axes((COLUMN[0] + 0.1, 0.95 + 0.24 * len(surface.shots)))
    mean = surface.mean.T
    axes.grid(False)
    axes.pcolormesh(mean, cmap=_COLOURS, vmin=bounds[0], vmax=bounds[1], edgecolors="#ffffff", linewidth=0.6)
    for (row, column), value in np.ndenumerate(mean):
        axes.text(column + 0.5, row + 0.5, f"{100 * value:.0f}", ha="center", va="center", fontsize=6.8, color=_BLACK)
    clean = mean[surface.shots.index(None), 0]
    _surround(axes, mean > clean - MARGIN, "-")
    if linear is not None:
        _surround(axes, mean > linear, (0, (2.2, 1.4)))
    axes.set_xticks(np.arange(mean.shape[1]) + 0.5, [f"{p:g}".replace("0.", ".", 1) for p in surface.strengths])
    axes.set_yticks(np.arange(mean.shape[0]) + 0.5, ["exact" if n is None else f"{n:,}" for n in surface.shots])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set(xlabel="depolarizing strength p", ylabel="shots", title=_LOOKS[surface.protocol][0])
    return figure


def protocol_plot(
    surfaces: Sequence[NoiseSurface],
    shots: int | None,
    linear: tuple[float, float, float] | None,
    rival: str = "linear router",
) -> Figure:
    """Mean accuracy against noise strength, a line for each protocol with its 95% intervals.

    Args:
        surfaces: of one arm.
        shots: number of shots; None for exact expectation values.
        linear: mean accuracy of the router to beat with its interval.
        rival: what that is called.
    """
    figure, axes = new_axes((COLUMN[0], 2.9))
    if linear is not None:
        axes.axhspan(linear[1], linear[2], color=MUTED, alpha=0.15, linewidth=0)
        axes.axhline(linear[0], color=MUTED, linewidth=1.0, label=rival)
    for number, surface in enumerate(surfaces):
        label, colour, marker, line = _LOOKS[surface.protocol]
        place = surface.shots.index(shots)
        means = surface.mean[:, place]
        low, high = np.array([surface.interval(p, place) for p in range(len(means))]).T
        bars = np.nan_to_num(np.abs(np.array([low, high]) - means))
        # Side by side, so that bars at one strength do not hide each other.
        strengths = np.array(surface.strengths) + 0.004 * (number - (len(surfaces) - 1) / 2)
        axes.errorbar(
            strengths, means, yerr=bars, color=colour, marker=marker, linestyle=line, markersize=3.6, capsize=1.5,
            elinewidth=1.0, label=label,
        )  # fmt: skip
    title = "exact expectation values" if shots is None else f"{shots:,} shots"
    axes.set(xlabel="depolarizing strength p", ylabel="held-out accuracy", title=title)
    figure.legend(loc="outside upper left", ncols=3, handlelength=2.2, columnspacing=1.2, borderaxespad=0.2)
    return figure


def _surround(axes: Any, inside: np.ndarray, line: Any) -> None:
    """Draws a line between the cells that are inside and those that are not, and around those at the edge."""
    padded = np.pad(inside, 1)
    rows, columns = inside.shape
    for row in range(rows + 1):
        for column in range(columns):
            if padded[row, column + 1] != padded[row + 1, column + 1]:
                axes.plot([column, column + 1], [row, row], color=_BLACK, linewidth=1.5, linestyle=line, clip_on=False)
    for row in range(rows):
        for column in range(columns + 1):
            if padded[row + 1, column] != padded[row + 1, column + 1]:
                axes.plot([column, column], [row, row + 1], color=_BLACK, linewidth=1.5, linestyle=line, clip_on=False)
