"""Columns that number the rows of a table, which would tell the classes by the order of the file."""

from __future__ import annotations

import re

import numpy as np

#: Rows from which on consecutive numbers are no coincidence, whatever the column is called.
LEAST = 10
#: Share of steps of exactly one that makes numbers a numbering, begun anew here and there.
MOSTLY = 0.8

#: Whole names of such columns, without what is no letter.
_NAMES = frozenset({
    "caseno", "casenumber", "entryno", "idx", "index", "key", "line", "lineno", "linenumber", "no", "nr", "num", "number",
    "obs", "observation", "recno", "record", "recordno", "recordnumber", "row", "rowindex", "rowname", "rownames", "rowno",
    "rownr", "rownum", "rownumber", "serial", "serialno", "serialnumber", "sno", "srno",
})  # fmt: skip
#: Signs for "number", by themselves.
_SIGNS = frozenset({"#", "\N{NUMERO SIGN}", "n\N{DEGREE SIGN}", "n\N{MASCULINE ORDINAL INDICATOR}"})
#: Last words of such names: of ``sample_id``, ``PassengerId``.
_WORDS = frozenset({"id", "ids", "guid", "rowid", "uid", "uuid"})
#: A header that was left empty, as pandas calls it when it reads it.
_UNNAMED = re.compile(r"unnamed[\s:_]*\d+([\s_]*level[\s_]*\d+)?", re.IGNORECASE)
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def numbers_rows(name: str, values: np.ndarray) -> bool:
    """Whether a column numbers the rows.

    Under any name it does where its values are consecutive whole numbers in the order of the rows. Under the name of an
    index it also does where they are whole numbers of which none is twice (a part of an index, or one in another order),
    or that mostly count on by one (an index that begins anew).

    Args:
        name: the column's header.
        values: ``(N,)`` finite numbers.
    """
    if len(values) < 2 or not (values == np.floor(values)).all():
        return False
    steps = np.diff(values)
    consecutive = bool((steps == 1).all() or (steps == -1).all())
    if not _is_index(name):
        return consecutive and len(values) >= LEAST
    unique = len(np.unique(values)) == len(values)
    return consecutive or unique or bool((steps == 1).mean() >= MOSTLY)


def _is_index(name: str) -> bool:
    bare = name.strip()
    if not bare or bare.lower().rstrip(".") in _SIGNS or _UNNAMED.fullmatch(bare):
        return True
    parts = [part.lower() for part in _PARTS.findall(name)]
    return "".join(parts) in _NAMES or (bool(parts) and parts[-1] in _WORDS)
