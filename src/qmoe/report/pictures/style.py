"""The look of all figures, and how one becomes files and a piece of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qmoe.claims.runs import ArmKey
from qmoe.errors import visible
from qmoe.safe_files import write_whole

# Okabe-Ito, told apart in every common form of colour blindness. In the paper's phases one colour is quantum, one
# classical; in a study of a user's own, which may have several of each, every arm has its own (see `arm_colours`).
INK, MUTED, FAINT, PAPER = "#1b1b1b", "#6b6b6b", "#d9d9d9", "#fefefe"
CLASSICAL, QUANTUM, QNN, OTHER = "#d55e00", "#0072b2", "#009e73", "#cc79a7"
CLASS_0, CLASS_1 = "#e69f00", "#56b4e9"
#: What supports a claim and what refutes it; marks differ in form too.
GOOD, BAD = "#1c6b3f", "#a33a12"
#: Colour in a file -> variable of the page's style sheet, so that figures follow its light or dark theme.
VARIABLES = {
    INK: "--ink", MUTED: "--muted", FAINT: "--faint", PAPER: "--sheet", CLASSICAL: "--classical",
    QUANTUM: "--quantum", QNN: "--qnn", OTHER: "--other", CLASS_0: "--class0", CLASS_1: "--class1",
    GOOD: "--good", BAD: "--bad",
}  # fmt: skip
#: Colour, marker and filling of what supports a claim, what refutes it, and what leaves it undecided.
OUTCOME_MARKS: dict[str, tuple[str, str, bool]] = {
    "supported": (GOOD, "o", True),
    "refuted": (BAD, "X", True),
    "inconclusive": (MUTED, "o", False),
}
CYCLE = (CLASSICAL, QUANTUM, QNN, OTHER, CLASS_0, CLASS_1)
#: For arms that are not quantum; the colours of the data points and of the text come last.
_OWN = (CLASSICAL, QNN, OTHER, MUTED, CLASS_0, CLASS_1, INK)

Colours: TypeAlias = Mapping[ArmKey, str]

STYLE: dict[str, Any] = {
    "font.family": ["sans-serif"], "font.sans-serif": ["DejaVu Sans"], "font.size": 8.0, "axes.titlesize": 8.5,
    "axes.labelsize": 8.0, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.fontsize": 7.5,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED, "axes.titlecolor": INK,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.grid": True,
    "grid.color": FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
    "axes.titlelocation": "left", "axes.titleweight": "bold", "figure.facecolor": "none", "axes.facecolor": "none",
    "lines.linewidth": 1.6, "figure.dpi": 100, "svg.hashsalt": "qmoe", "path.simplify": False,
    "axes.unicode_minus": True, "text.parse_math": False, "mathtext.fontset": "dejavusans",
}  # fmt: skip

#: Text of an SVG file: what stands between tags and is not blank.
_TEXT = re.compile(r"(?<=>)[^<>]*[^<>\s][^<>]*(?=<)")

#: Without what differs from day to day.
_METADATA = {"Date": None, "Creator": None}

COLUMN = (3.5, 2.6)  # inches: one column of a two-column paper
WIDE = (7.1, 2.9)


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        name: file name without ending.
        figure: the drawing.
        alt: what it shows, for readers who cannot see it.
    """

    name: str
    figure: Figure
    alt: str


@contextmanager
def style() -> Iterator[None]:
    """The look, while figures are drawn; matplotlib's own settings are put back after it."""
    with matplotlib.rc_context(rc=None):
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_axes(size: tuple[float, float] = COLUMN, **options: Any) -> tuple[Figure, Any]:
    """An empty figure of one panel; call it inside `style`."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(**options)


def colour_of(arm: str, position: int = 0) -> str:
    """The colour of an arm: by what it is for the paper's arms, by its place elsewhere."""
    if arm in ("quantum", "qmoe"):
        return QUANTUM
    if arm == "qnn":
        return QNN
    if arm in ("linear", "classical") or re.fullmatch(r"mlp\d*", arm):
        return CLASSICAL
    return CYCLE[position % len(CYCLE)]


def arm_colours(keys: Sequence[ArmKey], quantum: Sequence[ArmKey] = ()) -> dict[ArmKey, str]:
    """A colour for each arm of a study whose arms are unlike the paper's, its own as far as there are colours.

    Args:
        keys: the arms in their order.
        quantum: those with a quantum router; the first of them is blue, as quantum is everywhere.
    """
    blue = next(iter(quantum), None)
    others = [key for key in keys if key != blue]
    return {**({} if blue is None else {blue: QUANTUM}), **{k: _OWN[i % len(_OWN)] for i, k in enumerate(others)}}


def save(panel: Panel, folder: Path, dpi: int = 200) -> None:
    """Writes ``NAME.svg`` (text as outlines, so that it looks alike everywhere) and ``NAME.png``, both on white."""
    with style():
        matplotlib.rcParams["svg.fonttype"] = "path"
        write_whole(folder / f"{panel.name}.svg", _drawn(panel, format="svg", facecolor="white", metadata=_METADATA))
        panel.figure.set_layout_engine(None)  # found once; finding it again is most of the work
        write_whole(folder / f"{panel.name}.png", _drawn(panel, format="png", facecolor="white", dpi=dpi))


def _drawn(panel: Panel, **options: Any) -> bytes:
    buffer = io.BytesIO()
    panel.figure.savefig(buffer, **options)
    return buffer.getvalue()


def inline(panel: Panel) -> str:
    """The panel as an SVG element of the page: text as text, colours as variables, ids of its own."""
    with style():
        matplotlib.rcParams["svg.fonttype"] = "none"
        drawn = _drawn(panel, format="svg", transparent=True, metadata=_METADATA)
    return adapt(drawn.decode(), panel.name, panel.alt)


def adapt(svg: str, name: str, alt: str) -> str:
    """Turns an SVG file into an element for the page.

    Args:
        svg: text of the file.
        name: prefix of its ids; must differ between the figures of a page.
        alt: its description.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', body)
    inner = body[body.index(">") + 1 : body.rindex("</svg>")]
    # What stands between tags is what people wrote, such as the label of an arm: nothing below may change it.
    words = iter(_TEXT.findall(inner))
    inner = _TEXT.sub("\0", inner)
    inner = inner.replace("xlink:href", "href").replace('xml:space="preserve"', "")
    inner = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', inner)
    inner = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", inner)
    inner = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', inner)
    inner = re.sub(r'<g id="[^"]*">', "<g>", inner)  # only clip paths and markers are referred to
    inner = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(-?\d+\.\d\d)\d+", r"\1", tag.group()), inner)
    for colour, variable in VARIABLES.items():
        inner = inner.replace(colour, f"var({variable})")
    inner = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", "var(--sans)", inner)
    inner = re.sub(r">\s+<", "><", inner)
    inner = re.sub("\0", lambda _: next(words), inner)
    assert box is not None
    return f'<svg viewBox="{box.group(1)}" role="img" aria-label="{_escaped(alt)}">{inner.strip()}</svg>'


def _escaped(text: str) -> str:
    return visible(text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
