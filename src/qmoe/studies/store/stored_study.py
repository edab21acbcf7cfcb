"""A study as a store has it: written by this qmoe or another one, by the user or by a stranger."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qmoe.data import UserTable
from qmoe.data.sources import only_from
from qmoe.errors import ConfigError, StoreError
from qmoe.safe_files import MAX_TEXT
from qmoe.studies.files import parse_study
from qmoe.studies.specs.study import Study

#: Unknown keys of one study that are left out; one with more is none.
_MOST = 100


def read_study(
    name: str, text: str, store: Path, from_here: Callable[[dict[str, Any]], dict[str, Any]], *, writes: bool
) -> tuple[Study, tuple[str, ...]]:
    """The study in a row of a store, and the keys that this version does not know, as a later one writes; they are left out.

    Args:
        name: its name there.
        text: its JSON.
        store: the file.
        from_here: options of a table to the same with the store in place of the file, where it keeps that table.
        writes: whether it is to be run; if not, no data are read from anywhere but the store.

    Raises:
        StoreError: when it is no JSON of a study of that name.
        ConfigError: when it is no valid study.
    """
    try:
        if len(text) > MAX_TEXT:
            raise ValueError(f"it has {len(text):,} characters, expected {MAX_TEXT:,} at most")
        values = json.loads(text)
        if values["name"] != name:
            raise StoreError(f"{store}: the study {name} says that it is {values['name']!r}; run it again.")
        if values["data"]["name"] == UserTable.name:
            options = from_here(values["data"]["options"])
            if not writes and options == values["data"]["options"]:
                raise StoreError(f"{store} does not keep the table of the study {name}; run it again.")
            values["data"]["options"] = options
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{store}: the study {name} cannot be read: {error!r}; run it again.") from None
    source = f"{store}, study {name}"
    with contextlib.nullcontext() if writes else only_from(store):
        try:
            return parse_study(values, source, stored=True), ()
        except ConfigError:
            unknown = _drop_unknown(values)
            if not unknown:
                raise
        return parse_study(values, source, stored=True), tuple(unknown)


def _drop_unknown(values: dict[str, Any]) -> list[str]:
    """Takes keys that no spec has out of the tables of a study, and returns their places; at most `_MOST`."""
    found: list[str] = []
    while len(found) < _MOST:
        try:
            Study.model_validate(values)
        except ValidationError as error:
            unknown = [one for one in error.errors() if one["type"] == "unknown_key"]
        else:
            break
        if not unknown:
            break
        for one in unknown:
            table: dict[Any, Any] = values
            for part in one["loc"]:
                # The kind of a router or of experts is part of the place, and no key.
                if not isinstance(table, dict) or part in table:
                    table = table[part]
            key = ast.literal_eval(one["ctx"]["key"])
            del table[key]
            found.append(".".join(str(part) for part in (*one["loc"], key)))
    return found
