"""A table of your own, from a CSV file."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qmoe.data.base import Dataset, Points
from qmoe.data.sources import is_kept_in, refuse_outside
from qmoe.data.tables.delimited import read_cells
from qmoe.data.tables.kept import MAGIC, Content, kept_table, key_of
from qmoe.data.tables.labels import as_classes
from qmoe.data.tables.numbering import numbers_rows
from qmoe.data.tables.text import decoded
from qmoe.errors import ConfigError, did_you_mean
from qmoe.safe_files import open_regular, read_regular
from qmoe.seeding import Seed

#: Bytes of a file at most; as numbers in memory it takes a few times that.
MAX_BYTES = 2**30


@dataclass(frozen=True)
class UserTable(Dataset):
    r"""A CSV file with a header: numeric columns are the features, ``target`` is the label column.

    The rows are given and the same for every seed; the seed varies the split. Values are separated by commas, semicolons,
    tabs or bars. A value that is missing is refused, and so is a column that numbers the rows.

    Attributes:
        path: the file; or a store of results, which keeps the tables of its studies.
        target: the label column; its values count as words, in sorted order (numbers by value).
        digest: the first 16 hexadecimal digits of the file's SHA-256, so that results name the rows they came from; filled
            in where it is left out, and refused where the file has another.
        keep: columns that are features although they seem to number the rows.

    Example:
        >>> from qmoe.data import UserTable
        >>> from pathlib import Path
        >>> rows = "".join(f"0.{i},0.{9 - i},{'ab'[i % 2]}\n" for i in range(10))
        >>> _ = Path("wine.csv").write_text("colour,acid,class\n" + rows)
        >>> UserTable("wine.csv", target="class").split(0, 0.5, 1).x_train.shape[1]
        2
    """

    name: ClassVar[str] = "table"
    difficulty: ClassVar[str] = ""
    mixed_units: ClassVar[bool] = True
    located: ClassVar[str] = "path"

    path: str | os.PathLike[str] = ""
    target: str = ""
    digest: str = ""
    keep: tuple[str, ...] = ()

    def _check(self) -> None:
        if not isinstance(self.path, str | os.PathLike) or not os.fspath(self.path):
            raise ConfigError(f"table: path is {self.path!r}, expected a CSV file; for example path='wine.csv'.")
        object.__setattr__(self, "path", os.fspath(self.path))
        object.__setattr__(self, "keep", _names(self.keep))
        found = self.content
        if self.digest not in ("", found.digest):
            raise ConfigError(
                f"table: {self.path} has the digest {found.digest}, expected {self.digest}: the file has changed since; "
                "bring it back, or leave digest out to go on with what it holds now."
            )
        for name in self.keep:
            if name not in found.columns:
                raise ConfigError(
                    f"table: keep names {name!r}, no feature of {self.path}{did_you_mean(name, found.columns)}"
                )
        object.__setattr__(self, "digest", found.digest)

    @property
    def content(self) -> Content:
        """All that is in the table, read once."""
        path = os.fspath(self.path)
        try:
            if is_kept_in(path):
                return kept_table(path, self.key)
            refuse_outside(f"the table {path}")
            with open_regular(path) as file:
                start = file.read(len(MAGIC))
            if start != MAGIC:
                return _parsed(_File(path, read_regular(path, MAX_BYTES)), self.target, self.keep)
        except OSError as error:
            raise ConfigError(f"table: {path} cannot be read: {error.strerror}.") from None
        return kept_table(path, self.key)

    @property
    def key(self) -> str:
        """What a store knows the table by."""
        return key_of(self.digest, self.target, self.keep)

    @property
    def n_features(self) -> int:
        """The columns but the target."""
        return self.content.x.shape[1]

    @property
    def n_classes(self) -> int:
        """The number of distinct values of the target."""
        return len(self.content.classes)

    @property
    def n_rows(self) -> int:
        """The rows of the file."""
        return len(self.content.y)

    @property
    def classes(self) -> tuple[str, ...]:
        """The values of the target; class c is number c."""
        return self.content.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features."""
        return self.content.columns

    def pinned(self) -> dict[str, object]:
        """The digest of the file."""
        return {"digest": self.digest}

    def sample(self, seed: Seed) -> Points:
        """Returns all rows; ``seed`` makes no difference."""
        content = self.content
        return Points(content.x.copy(), content.y.copy())


class _File:
    """The bytes of a file, which equal others by their digest and are let go once they are read."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.digest = path, hashlib.sha256(data).hexdigest()[:16]
        self._data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _File) and (self.path, self.digest) == (other.path, other.digest)

    def __hash__(self) -> int:
        return hash((self.path, self.digest))

    def text(self) -> str:
        """The text, once."""
        data, self._data = self._data, b""
        try:
            return decoded(data)
        except ValueError as error:
            raise ConfigError(f"table: {self.path} cannot be read as text: {error}.") from None


@functools.lru_cache(maxsize=4)
def _parsed(source: _File, target: str, keep: tuple[str, ...]) -> Content:
    cells = read_cells(source.path, source.text(), target)
    y, classes = as_classes(source.path, target, cells.words)
    for name, values in zip(cells.columns, cells.x.T, strict=True):
        if name not in keep and numbers_rows(name, values):
            raise ConfigError(
                f"table: column {name!r} of {source.path} numbers the rows ({_start(values)}), so it would tell the classes "
                f"by the order of the file; take it out, or keep=[{name!r}] (--keep {name!r}) if it is a measurement."
            )
    return Content(cells.x, y, cells.columns, classes, source.digest)


def _start(values: np.ndarray) -> str:
    return ", ".join(f"{value:.0f}" for value in values[:3]) + ", ..."


def _names(keep: object) -> tuple[str, ...]:
    """Columns to keep as a tuple; a list, as it comes from TOML or JSON, is welcome."""
    if not isinstance(keep, list | tuple) or not all(isinstance(name, str) for name in keep):
        raise ConfigError(f"table: keep is {keep!r}, expected names of columns; for example keep=['year'].")
    return tuple(keep)
