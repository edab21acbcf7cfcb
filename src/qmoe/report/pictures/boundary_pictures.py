"""Decision boundaries, drawn over the data that the models were trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from qmoe.errors import count
from qmoe.report.findings.planes import Planes, points_of
from qmoe.report.pictures.style import CLASS_0, CLASS_1, COLUMN, colour_of, new_axes
from qmoe.studies import TrialSpec

SIZE = (COLUMN[0], 2.7)


def single_plot(planes: Planes, index: int = 0, title: str | None = None, colour: str | None = None) -> Figure:
    """The boundary of one run over its own data; a background in the colour of the predicted class."""
    figure, axes = _axes(planes, title or planes.arm.title)
    values = planes.grid.image(planes.probability[index])
    axes.contourf(
        planes.grid.x, planes.grid.y, values, levels=[0, 0.5, 1], colors=[CLASS_0, CLASS_1], alpha=0.16, zorder=0
    )
    _dots(axes, planes.arm.trials[index])
    if values.min() < 0.5 < values.max():
        axes.contour(
            planes.grid.x, planes.grid.y, values, levels=[0.5], colors=[colour or _colour(planes)], linewidths=2
        )
    return figure


def mean_plot(planes: Planes, colour: str | None = None) -> Figure:
    """The mean boundary over the runs, and the band where at least 10% of them disagree with the others."""
    figure, axes = _axes(planes, f"{planes.arm.title}, {count(planes.arm.n, 'run')}")
    mean, colour = planes.mean, colour or _colour(planes)
    x, y = planes.grid.x, planes.grid.y
    share, values = planes.grid.image(mean.share), planes.grid.image(mean.mean)
    _dots(axes, planes.arm.first, alpha=0.5)
    axes.contourf(x, y, share, levels=[0.1, 0.9], colors=[colour], alpha=0.25, zorder=1)
    for level in (0.1, 0.9):
        if share.min() < level < share.max():
            axes.contour(x, y, share, levels=[level], colors=[colour], linewidths=0.8, linestyles="dashed")
    if values.min() < 0.5 < values.max():
        axes.contour(x, y, values, levels=[0.5], colors=[colour], linewidths=2.2)
    return figure


def _axes(planes: Planes, title: str) -> tuple[Figure, Any]:
    figure, axes = new_axes(SIZE)
    axes.grid(False)
    axes.set(title=title, xlabel="feature 1", ylabel="feature 2")
    axes.set_xlim(planes.grid.x[0], planes.grid.x[-1])
    axes.set_ylim(planes.grid.y[0], planes.grid.y[-1])
    return figure, axes


def _colour(planes: Planes) -> str:
    return colour_of(planes.arm.name)


def _dots(axes: Any, trial: TrialSpec, alpha: float = 0.9) -> None:
    """The data as two paths, one for each class: round and square dots, a few bytes each."""
    x, y = points_of(trial)
    short = np.array([5e-5 * np.ptp(axes.get_xlim()), 0.0])
    for label, colour, cap in ((0, CLASS_0, "round"), (1, CLASS_1, "projecting")):
        rows = x[y == label]
        vertices = np.stack([rows, rows + short], axis=1).reshape(-1, 2)
        codes = np.tile([Outline.MOVETO, Outline.LINETO], len(rows))
        axes.add_patch(
            PathPatch(
                Outline(vertices, codes), facecolor="none", edgecolor=colour, linewidth=2.6, capstyle=cap, alpha=alpha,
                zorder=0.5, snap=False,  # snapped to pixels, strokes this short would vanish from the PNG
            )
        )  # fmt: skip
