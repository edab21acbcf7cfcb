"""The cost of a step against qubits, samples and models: docs/images/bench-*.svg, from the record alone.

``python -m benchmarks.plots [--record FILE] [--out DIR]``
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.record import PATH, Record, load
from benchmarks.sizes import Size
from qmoe.report.pictures.style import CLASS_0, CLASSICAL, INK, OTHER, QNN, QUANTUM, new_axes, style

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"

#: Colour, marker and line of each contender: told apart without colours too.
LOOK: Mapping[str, tuple[str, str, str]] = {
    "qmoe-native": (QUANTUM, "o", "-"),
    "qmoe-vjp": (QUANTUM, "^", ":"),
    "qmoe-torch": (QUANTUM, "s", "--"),
    "tensorcircuit": (CLASSICAL, "^", "-"),
    "jax-default.qubit": (QNN, "d", "--"),
    "default.qubit": (QNN, "D", "-"),
    "lightning.qubit": (OTHER, "v", "-"),
    "deepquantum": (CLASS_0, "P", "-"),
    "pyqtorch": (INK, "X", "-"),
}

#: axis -> label of the abscissa, and what is held fixed.
AXES: Mapping[str, tuple[str, str]] = {
    "qubits": ("qubits", "3 layers, 32 samples, one model"),
    "batch": ("samples", "4 qubits, 3 layers, one model"),
    "models": ("models side by side", "2 qubits, 3 layers, 32 samples each"),
}
_SIZE = (4.6, 3.0)
#: Least distance of two labels, in decades of the ordinate per decade of its range.
_LABEL_GAP = 0.07
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def draw(record: Record, axis: str) -> Figure:
    """One plot, log-log (qubits count as the exponents that they are); call it inside `qmoe.report.pictures.style.style`."""
    results = record.sweeps[axis]
    figure, axes = new_axes(_SIZE)
    ends: dict[str, tuple[float, float]] = {}
    for key in (key for key in LOOK if any(key in result.timings for result in results)):
        points = [(_abscissa(axis, r.size), r.timings[key].median) for r in results if key in r.timings]
        colour, marker, line = LOOK[key]
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=line, markersize=4)
        ends[key] = points[-1]
    axes.set_yscale("log")
    if axis != "qubits":
        axes.set_xscale("log")
    ticks = sorted({_abscissa(axis, result.size) for result in results})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _seconds(value)))
    label, fixed = AXES[axis]
    axes.set(xlabel=label, ylabel="one training step", title=fixed)
    _label(axes, record, ends)
    return figure


def write(record: Record, folder: Path = FOLDER) -> list[Path]:
    """Draws all sweeps of a record, text as outlines so that they look alike everywhere."""
    written = []
    with style():
        matplotlib.rcParams["svg.fonttype"] = "path"
        for axis in record.sweeps:
            path = folder / f"bench-{axis}.svg"
            draw(record, axis).savefig(path, facecolor="white", metadata={"Date": None, "Creator": None})
            written.append(path)
    return written


def _abscissa(axis: str, size: Size) -> int:
    return {"qubits": size.n_qubits, "batch": size.n_batch, "models": size.n_models}[axis]


def _seconds(value: float) -> str:
    for scale, unit in _UNITS:
        if value >= 0.999 * scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.1g} s"


def spread_out(heights: Sequence[float], gap: float) -> list[float]:
    """Heights at least ``gap`` apart, in the order given and close to it."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = [heights[i] for i in order]
    for _ in range(200):
        for low in range(len(placed) - 1):
            lack = gap - (placed[low + 1] - placed[low])
            if lack > 1e-9:
                placed[low] -= lack / 2
                placed[low + 1] += lack / 2
    found = [0.0] * len(heights)
    for place, i in zip(placed, order, strict=True):
        found[i] = place
    return found


def _label(axes: Any, record: Record, ends: Mapping[str, tuple[float, float]]) -> None:
    """Names at the right margin, each level with the end of its line as far as the others leave room."""
    keys = list(ends)
    to_axes = axes.transAxes.inverted()
    levels = [float(to_axes.transform(axes.transData.transform(ends[key]))[1]) for key in keys]
    for key, level, place in zip(keys, levels, spread_out(levels, _LABEL_GAP), strict=True):
        start = float(to_axes.transform(axes.transData.transform(ends[key]))[0])
        colour = LOOK[key][0]
        axes.annotate(
            record.title(key), (start, level), (1.04, place), xycoords="axes fraction", textcoords="axes fraction",
            color=colour, va="center", fontsize=7.5, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "linestyle": ":", "shrinkB": 3},
        )  # fmt: skip


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description="Draws docs/images/bench-*.svg.")
    parser.add_argument("--record", type=Path, default=PATH)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    write(load(arguments.record), arguments.out)


if __name__ == "__main__":
    main()
