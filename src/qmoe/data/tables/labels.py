"""The target column of a table: its words as classes, and what is no class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qmoe.errors import ConfigError

#: What spreadsheets and programs write where a value is missing; compared without case.
MISSING = frozenset(
    {
        "", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "none", "null", "nil", "missing", "?", "-", "--", ".",
        "#null!", "#ref!", "#value!", "#div/0!", "#num!", "#name?", "1.#qnan", "-1.#ind", "1.#ind",
    }
)  # fmt: skip


def as_classes(where: str, target: str, cells: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers the classes of a target column.

    Args:
        where: the file, for messages.
        target: the name of the column, for messages.
        cells: its values by row, as written.

    Returns:
        ``(N,)`` int64 labels, and the class of each number: numbers in their order, then words in theirs.

    Raises:
        ConfigError: a value is missing, a class is written in two ways, or the values are no classes.
    """
    words = [cell.strip() for cell in cells]
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(word, row)
    _refuse_missing(where, target, rows)
    _refuse_doubles(where, target, rows)
    if not 2 <= len(rows) <= max(2, len(words) // 2):
        raise ConfigError(
            f"table: column {target!r} has {len(rows)} distinct values in {len(words)} rows, expected classes: at least "
            "two, each with several rows."
        )
    classes = tuple(sorted(rows, key=_order))
    number = {word: i for i, word in enumerate(classes)}
    return np.array([number[word] for word in words], dtype=np.int64), classes


def _refuse_missing(where: str, target: str, rows: dict[str, int]) -> None:
    missing = {word: row for word, row in rows.items() if word.casefold() in MISSING}
    if "+" in rows:
        missing.pop("-", None)  # plus and minus are a pair of classes
    if not missing:
        return
    word, row = min(missing.items(), key=lambda item: item[1])
    what = (
        f"has no {target!r}"
        if word == ""
        else f"has {word!r} in column {target!r}, which says that the class is missing"
    )
    remedy = "" if word == "" else f", or, where {word!r} is a class, write it as another word"
    raise ConfigError(f"table: row {row + 1} of {where} {what}; drop such rows first{remedy}.")


def _refuse_doubles(where: str, target: str, rows: dict[str, int]) -> None:
    """Refuses one number that is written in two ways, such as 1 and 1.0, which would be two classes."""
    seen: dict[float, str] = {}
    for word in rows:
        number = _number(word)
        if number is None:
            continue
        other = seen.setdefault(number, word)
        if other != word:
            first, second = sorted((other, word), key=lambda each: rows[each])
            raise ConfigError(
                f"table: row {rows[second] + 1} of {where} has {second!r} in column {target!r}, and row {rows[first] + 1} "
                f"has {first!r}: one number written in two ways; write it alike everywhere."
            )


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _order(word: str) -> tuple[int, float, str]:
    number = _number(word)
    return (1, 0.0, word) if number is None else (0, number, word)
