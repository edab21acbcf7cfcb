"""Tables of delimiter-separated values (RFC 4180): numbers, and one column of words.

pandas reads what is right, and reads it fast. Whatever it cannot read as numbers is gone through once more by Python's own
reader, row by row, which finds the place to name.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmoe.errors import ConfigError, did_you_mean

#: What may stand between values; of several that could be meant, the first.
SEPARATORS = (",", ";", "\t", "|")
#: The first line that Excel takes the separator from.
_NAMED = re.compile(rb"sep=([,;\t|])\r?\n", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")


@dataclass(frozen=True, eq=False)
class Cells:
    """What a table holds.

    Attributes:
        columns: names of the F features.
        x: ``(N, F)`` finite float64 features.
        words: the N values of the column of words, as written.
    """

    columns: tuple[str, ...]
    x: np.ndarray
    words: list[str]


@dataclass(frozen=True)
class _Layout:
    """How a file is to be read.

    Attributes:
        where: the file, for messages.
        separator: what stands between values.
        header: names of all columns.
        place: which of them holds the words.
    """

    where: str
    separator: str
    header: tuple[str, ...]
    place: int

    @property
    def features(self) -> list[int]:
        """Places of the columns of numbers."""
        return [i for i in range(len(self.header)) if i != self.place]


def read_cells(where: str, text: str, target: str) -> Cells:
    """Reads a table with a header.

    Separators are commas, semicolons, tabs or bars, whichever makes ``target`` a column; a line ``sep=;`` at the top, as
    Excel writes it, names one. Numbers have a decimal point, or in the whole file a decimal comma.

    Args:
        where: the file, for messages.
        text: what it holds.
        target: the column of words; all others hold numbers.

    Raises:
        ConfigError: for a header without that column, rows of another length, and what is no finite number.
    """
    data = text.encode()
    named = _NAMED.match(data)
    separators: Sequence[str] = SEPARATORS
    if named is not None:
        data, separators = data[named.end() :], (named[1].decode(),)
    try:
        layout = _layout(where, data, target, separators)
        found = _fast(data, layout) or _slow(data, layout)
    except csv.Error as error:
        raise ConfigError(f"table: {where} is no CSV file: {error}.") from None
    return Cells(tuple(layout.header[i] for i in layout.features), *found)


def _layout(where: str, data: bytes, target: str, separators: Sequence[str]) -> _Layout:
    headers = {each: found for each in separators if (found := _header(data, each)) is not None}
    if not headers:
        raise ConfigError(f"table: the header of {where} has a quote that does not close, or goes on after it closed.")
    separator = max(headers, key=lambda each: (target in headers[each], len(headers[each])))
    header = headers[separator]
    if not header:
        raise ConfigError(f"table: {where} has 0 line(s), expected a header and rows.")
    if len(set(header)) != len(header):
        raise ConfigError(f"table: {where} names a column twice; give every column a name of its own.")
    if target not in header:
        raise ConfigError(f"table: {where} has no column {target!r}{did_you_mean(target, header, cutoff=0.6)}")
    if len(header) == 1:
        raise ConfigError(
            f"table: {where} has no column beside {target!r}; features are needed as well, and separated by commas, "
            "semicolons, tabs or bars."
        )
    return _Layout(where, separator, tuple(header), header.index(target))


def _header(data: bytes, separator: str) -> list[str] | None:
    """Names of the columns, if the separator is that; None where quotes do not allow it."""
    try:
        return [name.strip() for name in next(_records(data, separator), [])]
    except csv.Error:
        return None


def _records(data: bytes, separator: str) -> Iterator[list[str]]:
    """The rows by Python's own reader, the header first; lines that are empty are none."""
    # Lines end where CSV says, at \n, \r\n or \r; str.splitlines would cut at a dozen other characters too.
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    for row in csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True):
        if len(row) > 1 or (row and row[0].strip()):
            yield row


def _fast(data: bytes, layout: _Layout) -> tuple[np.ndarray, list[str]] | None:
    """Numbers and words by pandas; None where anything is not as it should be."""
    import pandas

    # Of the first row pandas does not count the values, and it cuts off those that are too many without a word.
    first = next(itertools.islice(_records(data, layout.separator), 1, None), [])
    if len(first) != len(layout.header):
        return None
    for decimal in "." if layout.separator == "," else ".,":
        try:
            frame = _frame(pandas, data, layout, decimal)
        except (pandas.errors.ParserError, ValueError):
            return None
        if any(frame[i].dtype.kind not in "iuf" for i in layout.features):
            continue
        x = np.empty((len(frame), len(layout.features)))
        for j, i in enumerate(layout.features):
            x[:, j] = frame[i].to_numpy()
        words = frame[layout.place].tolist()
        return (x, words) if np.isfinite(x).all() and "" not in words else None
    return None


def _frame(pandas: Any, data: bytes, layout: _Layout, decimal: str) -> Any:
    return pandas.read_csv(
        io.BytesIO(data),
        sep=layout.separator,
        decimal=decimal,
        header=0,
        names=range(len(layout.header)),
        index_col=False,
        dtype={layout.place: str},
        na_filter=False,
        skipinitialspace=True,
        low_memory=False,  # the type of a column is that of all its values
        encoding="utf-8",
        **_exact(pandas.__version__),
    )


def _exact(version: str) -> dict[str, str]:
    """Options of pandas for the nearest float to each number, as Python's; from 3.1 on there is no other."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}


def _slow(data: bytes, layout: _Layout) -> tuple[np.ndarray, list[str]]:
    """Numbers and words by Python's own reader.

    Raises:
        ConfigError: naming the first row that is not as it should be.
    """
    try:
        return _row_by_row(data, layout, ".")
    except _NumberError as error:
        if _DECIMAL_COMMA.fullmatch(error.value):
            try:
                return _row_by_row(data, layout, ",")
            except _NumberError:
                pass  # not in the whole file
        raise ConfigError(
            f"table: row {error.row} of {layout.where} has {error.value!r} in column {error.column!r}, expected a finite "
            "number; encode words as numbers and fill or drop what is missing first."
        ) from None


class _NumberError(Exception):
    """A value that is no finite number, with its row (from 1) and column."""

    def __init__(self, row: int, column: str, value: str) -> None:
        super().__init__(value)
        self.row, self.column, self.value = row, column, value


def _row_by_row(data: bytes, layout: _Layout, decimal: str) -> tuple[np.ndarray, list[str]]:
    numbers, words = array("d"), []
    records = _records(data, layout.separator)
    next(records)
    for n, row in enumerate(records, 1):
        if len(row) != len(layout.header):
            raise ConfigError(
                f"table: row {n} of {layout.where} has {len(row)} values, expected {len(layout.header)} as in the header."
            )
        for i in layout.features:
            number = _number(row[i], decimal)
            if not math.isfinite(number):
                raise _NumberError(n, layout.header[i], row[i])
            numbers.append(number)
        words.append(row[layout.place])
    if not words:
        raise ConfigError(f"table: {layout.where} has 1 line(s), expected a header and rows.")
    return np.array(numbers).reshape(len(words), -1), words


def _number(value: str, decimal: str) -> float:
    if decimal == ",":
        value = "" if "." in value else value.replace(",", ".", 1)
    try:
        return float(value)
    except ValueError:
        return float("nan")
