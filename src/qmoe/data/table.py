"""A table of the user's own, from a CSV file."""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from qmoe.data.base import Dataset, Points
from qmoe.errors import ConfigError, did_you_mean
from qmoe.seeding import Seed


@dataclass(frozen=True)
class Table(Dataset):
    """A CSV file with a header: numeric columns are the features, ``target`` holds the classes.

    The rows are given and the same for every seed; the seed varies the split.

    Attributes:
        path: the file.
        target: the column of the classes; their values count as words, in sorted order (numbers by value).
        digest: the first 16 hexadecimal digits of the file's SHA-256, so that results name the rows they came from; filled
            in where it is left out, and refused where the file has another.
    """

    name: ClassVar[str] = "table"
    difficulty: ClassVar[str] = ""

    path: str | os.PathLike[str] = ""
    target: str = ""
    digest: str = ""

    def _check(self) -> None:
        if not isinstance(self.path, str | os.PathLike) or not os.fspath(self.path):
            raise ConfigError(f"table: path is {self.path!r}, expected a CSV file; for example path='wine.csv'.")
        object.__setattr__(self, "path", os.fspath(self.path))
        found = self._content
        if self.digest not in ("", found.digest):
            raise ConfigError(
                f"table: {self.path} has the digest {found.digest}, expected {self.digest}: the file has changed since; "
                "drop digest, and give the study a new name."
            )
        object.__setattr__(self, "digest", found.digest)

    @property
    def n_features(self) -> int:
        """The columns but the target."""
        return self._content.x.shape[1]

    @property
    def n_classes(self) -> int:
        """The number of distinct values of the target."""
        return len(self._content.classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The values of the target; class c is number c."""
        return self._content.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features."""
        return self._content.columns

    @property
    def _content(self) -> _Content:
        return _read(os.fspath(self.path), self.target)

    def sample(self, seed: Seed) -> Points:
        """Returns all rows; ``seed`` makes no difference."""
        return Points(self._content.x.copy(), self._content.y.copy())


@dataclass(frozen=True, eq=False)
class _Content:
    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    digest: str


def _read(path: str, target: str) -> _Content:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"table: {path} cannot be read: {error.strerror}.") from None
    return _parse(path, target, data)


@functools.lru_cache(maxsize=4)
def _parse(path: str, target: str, data: bytes) -> _Content:
    try:
        rows = [row for row in csv.reader(data.decode("utf-8-sig").splitlines(), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"table: {path} is no CSV file in UTF-8: {error}.") from None
    if len(rows) < 2:
        raise ConfigError(f"table: {path} has {len(rows)} line(s), expected a header and rows.")
    header, *body = rows
    header = [name.strip() for name in header]
    if len(set(header)) != len(header):
        raise ConfigError(f"table: {path} names a column twice; give every column a name of its own.")
    if target not in header:
        raise ConfigError(
            f"table: {path} has no column {target!r}{did_you_mean(target, header)}; its columns are {', '.join(header)}."
        )
    short = next((i for i, row in enumerate(body) if len(row) != len(header)), None)
    if short is not None:
        raise ConfigError(
            f"table: row {short + 1} of {path} has {len(body[short])} values, expected {len(header)} as in the header."
        )
    place = header.index(target)
    names = [name for i, name in enumerate(header) if i != place]
    if not names:
        raise ConfigError(f"table: {path} has no column beside {target!r}; features are needed as well.")
    x = np.array([[_number(path, row, i, value, header) for i, value in enumerate(line) if i != place]
                  for row, line in enumerate(body)])  # fmt: skip
    labels = [line[place].strip() for line in body]
    if "" in labels:
        raise ConfigError(f"table: row {labels.index('') + 1} of {path} has no {target!r}; drop such rows first.")
    classes = sorted(set(labels), key=_order)
    if not 2 <= len(classes) <= max(2, len(labels) // 2):
        raise ConfigError(
            f"table: column {target!r} has {len(classes)} distinct values in {len(labels)} rows, expected classes: at least "
            "two, each with several rows."
        )
    index = {label: i for i, label in enumerate(classes)}
    y = np.array([index[label] for label in labels], dtype=np.int64)
    return _Content(x, y, tuple(names), tuple(classes), hashlib.sha256(data).hexdigest()[:16])


def _number(path: str, row: int, column: int, value: str, header: list[str]) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ConfigError(
            f"table: row {row + 1} of {path} has {value!r} in column {header[column]!r}, expected a finite number; encode "
            "words as numbers and fill or drop what is missing first."
        )
    return number


def _order(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label
