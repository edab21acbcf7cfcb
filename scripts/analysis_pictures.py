"""Draws the pictures of docs/analysis.md from what the code on that page computes.

Usage: python scripts/analysis_pictures.py [--out FOLDER]

The page's blocks are run in order, and the pictures show their variables: page and pictures cannot disagree.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qmoe.report.pictures.style import CLASS_0, CLASS_1, CLASSICAL, INK, MUTED, QNN, QUANTUM, WIDE, new_axes, style

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "analysis.md"
#: Name, colour and marker of each router; they differ in both.
ROUTERS = {
    "linear": ("linear router", CLASSICAL, "s"),
    "quantum": ("quantum router", QUANTUM, "o"),
    "twin": ("its classical twin", QNN, "^"),
}


def values_of(page: Path) -> dict[str, Any]:
    """The variables that the Python blocks of a page leave behind."""
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, page.name, "exec"), names)
    return names


def spectrum(values: Mapping[str, Any]) -> Figure:
    """Magnitude of each Fourier coefficient, a map for each number of uploads."""
    figure, axes = _panels(2, (7.1, 3.2))
    shown = {
        uploads: np.fft.fftshift(np.abs(found.coefficients).mean(axis=(0, 1)))
        for uploads, found in values["spectra"].items()
    }
    top = max(map(np.max, shown.values()))
    for axis, (uploads, size) in zip(axes, shown.items(), strict=True):
        reach = len(size) // 2
        image = axis.imshow(
            size.T, origin="lower", extent=(-reach - 0.5, reach + 0.5) * 2, vmin=0, vmax=top, cmap=colormaps["cividis"]
        )
        axis.set(title=f"{uploads} upload{'' if uploads == 1 else 's'}", xlabel="frequency in feature 0")
        axis.set(xticks=range(-reach, reach + 1), yticks=range(-reach, reach + 1))
        axis.grid(visible=False)
    axes[0].set_ylabel("frequency in feature 1")
    figure.colorbar(image, ax=axes, label="mean magnitude of the coefficient")
    return figure


def gradients(values: Mapping[str, Any]) -> Figure:
    """Variance of the gradient against qubits, with the fitted lines."""
    figure, axis = new_axes((5.2, 3.0))
    sizes = np.array(values["sizes"])
    for cost, colour, marker in (("local", QUANTUM, "o"), ("global", CLASSICAL, "s")):
        slope = values["slopes"][cost]
        axis.plot(sizes, np.exp(slope.intercept + slope.slope * sizes), color=colour, linewidth=1)
        axis.plot(sizes, values["variances"][cost], marker, color=colour)
        at = sizes[-1] + 0.15, np.exp(slope.intercept + slope.slope * sizes[-1])
        axis.annotate(f"{cost} cost:\n×{np.exp(slope.slope):.2f} a qubit", at, color=INK, va="center")
    axis.set(yscale="log", xlabel="qubits", ylabel="variance of the gradient", xlim=(1.8, 10))
    axis.set_xticks(sizes)
    return figure


def kernels(values: Mapping[str, Any]) -> Figure:
    """Alignment of three kernels with the labels of each data set."""
    figure, axis = new_axes((5.2, 2.6))
    alignments = values["alignments"]
    looks = {"linear": (CLASSICAL, "s", 0.2), "RBF": (QNN, "^", 0.0), "angle": (QUANTUM, "o", -0.2)}
    for kind, (colour, marker, shift) in looks.items():
        rows = np.arange(len(alignments))[::-1] + shift
        label = "angle encoding (quantum)" if kind == "angle" else f"{kind} (classical)"
        sizes = [found[kind] for found in alignments.values()]
        axis.hlines(rows, 0, sizes, color=colour, linewidth=1)
        axis.plot(sizes, rows, marker, color=colour, label=label, markersize=5, clip_on=False)
    axis.set(xlabel="alignment with the labels", xlim=(0, 0.75), yticks=np.arange(len(alignments))[::-1])
    axis.set_yticklabels(list(alignments))
    axis.grid(visible=False, axis="y")
    axis.legend(loc="lower right")
    return figure


def boundaries(values: Mapping[str, Any]) -> Figure:
    """The boundaries of all runs, a panel for each router, over the points and the best possible boundary."""
    figure, axes = _panels(len(ROUTERS), WIDE)
    grid, sample = values["grid"], values["sample"]
    best = grid.image(values["moons"].posterior(grid.points)[:, 1])
    for axis, (kind, (name, colour, _)) in zip(axes, ROUTERS.items(), strict=True):
        for label, look in ((0, CLASS_0), (1, CLASS_1)):
            at = sample.x[sample.y == label][::2]  # half of them, for a clear view
            axis.plot(*at.T, "ox"[label], color=look, markersize=2.5, markeredgewidth=0.6)
        for chance in values["chances"][kind]:
            axis.contour(grid.x, grid.y, grid.image(chance), levels=[0.5], colors=[colour], linewidths=1.1)
        axis.contour(grid.x, grid.y, best, levels=[0.5], colors=[INK], linewidths=1.2, linestyles="dashed")
        axis.set_title(name)
        axis.set(xlabel="feature 0")
        axis.grid(visible=False)
    axes[0].set_ylabel("feature 1")
    return figure


def experts(values: Mapping[str, Any]) -> Figure:
    """Accuracy of each run against how well its experts tell the classes apart."""
    figure, axis = new_axes((5.2, 3.0))
    for kind, (name, colour, marker) in ROUTERS.items():
        axis.plot(values["split"][kind], values["accuracies"][kind], marker, color=colour, label=name, alpha=0.85)
    axis.set(xlabel="specialisation (1: an expert for each class)", ylabel="accuracy on the training points")
    axis.legend(loc="lower right")
    axis.axvline(0, color=MUTED, linewidth=0.8)
    return figure


#: Short files: paths without points that nobody sees. Axes may have powers of ten.
SMALLER = {"path.simplify": True, "path.simplify_threshold": 0.3, "text.parse_math": True}
#: Name in docs/images -> what draws it.
PICTURES: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    f"analysis-{draw.__name__}": draw for draw in (spectrum, gradients, kernels, boundaries, experts)
}


def _panels(n: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, n, sharex=True, sharey=True)


def main() -> None:
    """Writes an SVG file for each picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    values = values_of(PAGE)
    with style(), matplotlib.rc_context(SMALLER):
        for name, draw in PICTURES.items():
            draw(values).savefig(out / f"{name}.svg", facecolor="white", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
