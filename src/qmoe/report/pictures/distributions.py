"""Curves and distributions over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from qmoe.claims import ArmRuns
from qmoe.claims.sentences import metric_words
from qmoe.report.findings.arms import router_parameters
from qmoe.report.findings.paper import Published
from qmoe.report.pictures.style import COLUMN, INK, MUTED, PAPER, Colours, colour_of, new_axes

_PAPER_MARK = {
    "marker": "D", "s": 26, "facecolor": PAPER, "edgecolor": INK, "linewidth": 1.2, "zorder": 5, "label": "paper",
}  # fmt: skip
#: Dots of an arm at most.
MOST_DOTS = 2000
_LINES = ("solid", "dashed", "dashdot", "dotted")  # tell arms of one colour apart


def curve_plot(
    arms: Sequence[ArmRuns],
    quantity: str,
    ylabel: str,
    published: Sequence[Published] = (),
    log: bool = False,
    colours: Colours | None = None,
) -> Figure:
    """Median and middle 80% of the runs against the epoch, with published points over them."""
    figure, axes = new_axes()
    drawn: list[str] = []
    for position, arm in enumerate(arms):
        lines = arm.curves(quantity)
        if not lines.size:
            continue
        colour = _colour(arm, position, colours)
        epochs = np.arange(lines.shape[1])
        low, middle, high = np.quantile(lines, (0.1, 0.5, 0.9), axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
        line = _LINES[drawn.count(colour) % len(_LINES)]
        axes.plot(epochs, middle, color=colour, linestyle=line, label=_shown(arm.title))
        drawn.append(colour)
    for k, name in enumerate(dict.fromkeys(f.arm for f in published)):
        points = [f for f in published if f.arm == name and f.epoch is not None]
        mark = {**_PAPER_MARK, "edgecolor": colour_of(name), "label": f"paper, {_label(arms, name)}" if k < 2 else None}
        axes.scatter([f.epoch for f in points], [f.value for f in points], **mark)
    if log:
        _log_ticks(axes)
    axes.set(xlabel="epoch (the first is 0)", ylabel=ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure)
    return figure


def strip_plot(
    arms: Sequence[ArmRuns], published: dict[str, float] | None = None, colours: Colours | None = None
) -> Figure:
    """Every run as a dot, one row for each arm, with the mean and its 95% interval below the dots."""
    figure, axes = new_axes((COLUMN[0], 0.75 + 0.52 * len(arms)))
    for row, arm in enumerate(arms):
        colour = _colour(arm, row, colours)
        dots = some(arm.scores)
        axes.scatter(dots, row + spread(dots), s=9, color=colour, alpha=0.55, linewidth=0)
        low, high = arm.interval
        axes.plot([low, high], [row + 0.36] * 2, color=INK, linewidth=1.4)
        axes.plot(arm.summary.mean, row + 0.36, "|", color=INK, markersize=8, markeredgewidth=1.6)
        if published and arm.name in published:
            axes.scatter(published[arm.name], row, **{**_PAPER_MARK, "label": "paper" if row == 0 else None})
    axes.set_yticks(range(len(arms)), [arm.title for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.5)
    axes.grid(False, axis="y")
    axes.set_xlabel(metric_words(arms[0].metric))
    return figure


def some(values: np.ndarray) -> np.ndarray:
    """The values, of very many every k-th: more dots show no more, and a page of a million would not open."""
    return values[:: math.ceil(len(values) / MOST_DOTS)] if len(values) else values


def spread(values: np.ndarray, height: float = 0.24) -> np.ndarray:
    """Offsets that keep equal dots apart: dots of one bin stand side by side, the same way every time."""
    if len(values) < 2 or np.ptp(values) == 0:
        return np.linspace(-height, height, len(values)) if len(values) > 1 else np.zeros(len(values))
    bins = np.digitize(values, np.linspace(values.min(), values.max(), 40))
    offsets = np.zeros(len(values))
    largest = max(np.bincount(bins).max(), 8)
    for number in np.unique(bins):
        members = np.flatnonzero(bins == number)
        offsets[members] = (np.arange(len(members)) - (len(members) - 1) / 2) * (2 * height / largest)
    return offsets


def efficiency_plot(arms: Sequence[ArmRuns], published: dict[str, tuple[float, float]]) -> Figure:
    """Accuracy against router parameters: seeds as dots, means with intervals, published points."""
    figure, axes = new_axes((COLUMN[0], 2.9))
    seen: set[str] = set()
    for row, arm in enumerate(arms):
        colour = colour_of(arm.name, row)
        dots = some(arm.scores)
        jitter = router_parameters(arm) * np.exp(0.35 * spread(dots))
        axes.scatter(jitter, dots, s=7, color=colour, alpha=0.35, linewidth=0)
        low, high = arm.interval
        mean = arm.summary.mean
        quantum = colour_of("quantum") == colour
        label = "quantum router" if quantum else "classical routers"
        axes.errorbar(
            router_parameters(arm), mean, yerr=[[np.nan_to_num(mean - low)], [np.nan_to_num(high - mean)]],
            fmt="s" if quantum else "o", color=colour, markersize=5.5, elinewidth=1.6, capsize=2.5,
            label=None if label in seen else label, zorder=4,
        )  # fmt: skip
        seen.add(label)
    if published:
        values = list(published.values())
        axes.scatter([v[0] for v in values], [v[1] for v in values], **_PAPER_MARK)
    counts = sorted({router_parameters(arm) for arm in arms})
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(counts))
    shown = [str(c) if not i or c / counts[i - 1] > 1.15 else "" for i, c in enumerate(counts)]
    axes.xaxis.set_major_formatter(FixedFormatter(shown))
    axes.set(xlabel="trainable parameters of the router (log scale)", ylabel=metric_words(arms[0].metric))
    _legend(figure)
    return figure


def noise_plot(arms: Sequence[ArmRuns], published: dict[float, float], colours: Colours | None = None) -> Figure:
    """Accuracy against noise strength: mean, its interval, the middle 80% of the seeds, and every seed."""
    figure, axes = new_axes((COLUMN[0], 2.9))
    arms = [arm for arm in arms if arm.strength is not None]
    strength = np.array([arm.strength for arm in arms], dtype=float)
    colour = _colour(arms[0], 0, colours)
    low, high = np.array([np.quantile(arm.scores, (0.1, 0.9)) for arm in arms]).T
    axes.fill_between(strength, low, high, color=colour, alpha=0.15, linewidth=0, label="middle 80% of the runs")
    for arm, p in zip(arms, strength, strict=True):
        dots = some(arm.scores)
        axes.scatter(p + 0.03 * spread(dots), dots, s=5, color=colour, alpha=0.3, linewidth=0)
    means = np.array([arm.summary.mean for arm in arms])
    bounds = np.nan_to_num(np.abs(np.array([arm.interval for arm in arms]).T - means))
    axes.errorbar(strength, means, yerr=bounds, color=colour, marker="s", markersize=4, capsize=2, label="mean")
    if published:
        axes.scatter(list(published), list(published.values()), **_PAPER_MARK)
    axes.axvline(0.75, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set(xlabel="depolarizing strength p", ylabel=metric_words(arms[0].metric))
    _legend(figure)
    return figure


def _colour(arm: ArmRuns, position: int, colours: Colours | None) -> str:
    return colour_of(arm.name, position) if colours is None else colours[arm.key]


def _label(arms: Sequence[ArmRuns], name: str) -> str:
    return next((arm.label for arm in arms if arm.name == name), name)


def _shown(label: str) -> str:
    """The label as it can stand in a legend: matplotlib leaves out what begins with an underscore."""
    return f" {label}" if label.startswith("_") else label


def _log_ticks(axes: Any) -> None:
    """A log scale along y with plain numbers at round values, more of them where the range is short."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high / low > 8 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    ticks = [s * 10.0**k for k in range(-6, 6) for s in steps if low <= s * 10.0**k <= high]
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside upper left", ncols=2, handlelength=1.5, columnspacing=1.4, borderaxespad=0.2)
