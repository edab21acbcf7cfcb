"""Tables: once as data, shown as HTML, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmoe.data.tables.text import for_spreadsheet
from qmoe.errors import visible
from qmoe.safe_files import write_whole

DASH = "–"
#: What readers call an outcome.
_OUTCOMES = {"depends": "depends on the analysis"}

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "…": r"\ldots{}", "×": r"$\times$", "−": "$-$",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "≈": r"$\approx$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column as a reader sees it.

    Attributes:
        label: heading.
        keys: which values of a row it shows.
        show: makes text of them.
        number: whether it is set flush right.
        wraps: whether it is text that may break over several lines.
        starred: which value of a row says whether the cell gets a star, and is set apart on the page; "" for none.
    """

    label: str
    keys: tuple[str, ...]
    show: Callable[..., str] = str
    number: bool = True
    wraps: bool = False
    starred: str = ""

    def stars(self, row: Mapping[str, Any]) -> bool:
        """Whether its cell of a row gets a star."""
        return bool(self.starred and row.get(self.starred))

    def cell(self, row: Mapping[str, Any]) -> str:
        """The text of its cell of a row."""
        return self.show(*(row.get(key) for key in self.keys)) + "*" * self.stars(row)


@dataclass(frozen=True)
class Table:
    """Rows of named values and the columns that show them.

    Attributes:
        name: file name without ending.
        caption: one sentence.
        columns: what is shown; CSV holds the values behind it in full precision.
        rows: a mapping from key to value each.
        compares: whether the numbers of a row are compared: the largest is bold, and the first column stays in sight.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    compares: bool = False

    def best(self, row: Mapping[str, Any]) -> list[bool]:
        """For each column whether its cell of a row is the largest or reads like it; none with a star is."""
        values = [row.get(c.keys[0]) if c.number and not c.stars(row) else None for c in self.columns]
        known = [
            (value, column.cell(row)) for value, column in zip(values, self.columns, strict=True) if value is not None
        ]
        if not self.compares or len(known) < 2:
            return [False] * len(self.columns)
        _, largest = max(known)
        return [v is not None and c.cell(row) == largest for v, c in zip(values, self.columns, strict=True)]

    def cells(self) -> list[list[str]]:
        """The text of all cells, a list for each row."""
        return [[column.cell(row) for column in self.columns] for row in self.rows]

    def write_csv(self, folder: Path) -> None:
        """Writes ``NAME.csv``: a header of keys, values unrounded, empty where there is none."""
        keys = list(dict.fromkeys(key for row in self.rows for key in row))
        rows = [["" if row.get(k) is None else for_spreadsheet(row[k]) for k in keys] for row in self.rows]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([keys, *rows])
        write_whole(folder / f"{self.name}.csv", text.getvalue())

    def write_tex(self, folder: Path) -> None:
        """Writes ``NAME.tex``: a plain ``tabular`` that needs no package."""
        lines = [
            f"% {_one_line(self.caption)}",  # what a comment's second line says would be typeset
            rf"\begin{{tabular}}{{{''.join('r' if c.number else 'l' for c in self.columns)}}}",
            r"\hline",
            _tex_row([c.label for c in self.columns]),
            r"\hline",
            *(_tex_row(cells, self.best(row)) for cells, row in zip(self.cells(), self.rows, strict=True)),
            r"\hline",
            r"\end{tabular}",
        ]
        write_whole(folder / f"{self.name}.tex", "\n".join(lines) + "\n")


def tex(text: str) -> str:
    """Escapes what LaTeX reads as commands, on one line: an empty one would end the paragraph."""
    return "".join(_TEX.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    """The text without the ends of lines, of which TeX knows more than one, and other controls."""
    return visible(" ".join(text.split()))


def _tex_row(cells: Sequence[str], bold: Sequence[bool] = ()) -> str:
    """One row of a ``tabular``; LaTeX would read a bracket or a star that opens it as an option of the line before."""
    set_bold = {place for place, is_bold in enumerate(bold) if is_bold}
    row = " & ".join(rf"\textbf{{{tex(cell)}}}" if i in set_bold else tex(cell) for i, cell in enumerate(cells))
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def fixed(decimals: int) -> Callable[[float | None], str]:
    """Shows a number with so many decimals, a dash for None or NaN."""
    return lambda value: DASH if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def general(value: float | None) -> str:
    """Shows a number with as many digits as it has."""
    return DASH if value is None or math.isnan(value) else f"{value:g}"


def text(value: object) -> str:
    """Shows text, a dash for nothing."""
    return str(value) if value not in (None, "") else DASH


def outcome_words(outcome: str) -> str:
    """Shows a verdict as readers call it.

    Example:
        >>> from qmoe.report import outcome_words
        >>> outcome_words("depends")
        'depends on the analysis'
    """
    return _OUTCOMES.get(outcome, outcome)


def with_interval(decimals: int) -> Callable[[float | None, float | None, float | None], str]:
    """Shows ``mean [low, high]``, without the brackets where there is no interval."""
    show = fixed(decimals)

    def shown(mean: float | None, low: float | None, high: float | None) -> str:
        if low is None or high is None or math.isnan(low):
            return show(mean)
        return f"{show(mean)} [{show(low)}, {show(high)}]"

    return shown


def printed(value: float | None, decimals: int | None) -> str:
    """Shows a published figure with the decimals it was printed with."""
    return fixed(decimals or 0)(value)


def printed_interval(mean: float | None, low: float | None, high: float | None, decimals: int | None) -> str:
    """Shows ``mean [low, high]``, with three decimals or the more that the row is worth."""
    return with_interval(max(3, decimals or 0))(mean, low, high)


def printed_span(low: float | None, high: float | None, decimals: int | None) -> str:
    """Shows ``low … high``, with three decimals or the more that the row is worth."""
    return span(max(3, decimals or 0))(low, high)


def signed(mean: float, low: float, high: float, decimals: int | None = None) -> str:
    """Shows a difference with its interval, each number with its sign; by default small ones with a decimal more."""
    decimals = decimals or (3 if abs(mean) >= 0.01 else 4)
    return "{} [{}, {}]".format(*(signed_number(value, decimals) for value in (mean, low, high)))


def signed_number(value: float, decimals: int = 3) -> str:
    """Shows a number with its sign."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")  # the sum makes -0.0 a plain 0


def known(value: float) -> float | None:
    """None for NaN, as rows have what is not known."""
    return None if math.isnan(value) else value


def span(decimals: int) -> Callable[[float | None, float | None], str]:
    """Shows ``low … high``."""
    show = fixed(decimals)
    return lambda low, high: DASH if low is None else f"{show(low)} … {show(high)}"


def percentile(value: float | None) -> str:
    """Shows a percentile, such as ``37th``."""
    if value is None:
        return DASH
    number = round(value)
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def seconds(value: float | None) -> str:
    """Shows a duration with two digits or in whole seconds."""
    if value is None:
        return DASH
    return f"{value:.2g}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def times(value: float | None) -> str:
    """Shows a ratio."""
    return DASH if value is None else (f"{value:,.0f}×" if value >= 10 else f"{value:.2g}×")


def drop_empty(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns that have something to show in at least one row."""
    return tuple(c for c in columns if any(row.get(k) is not None for row in rows for k in c.keys))
