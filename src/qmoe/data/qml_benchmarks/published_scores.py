"""What the authors of a data set report that models reach on it."""

from __future__ import annotations

import functools
import math
import tomllib
from importlib import resources
from typing import Any

from qmoe.data.published import PublishedScore


def scores_of(name: str, value: object) -> tuple[PublishedScore, ...]:
    """The published scores on the data set ``name`` with ``value`` for its option, by model in alphabetical order."""
    record = published_record()
    table, source = record[name], record["source"]
    position = table["values"].index(value)
    file = table["file"].format(value=value)
    found = []
    for model, columns in table.items():
        if not isinstance(columns, dict) or math.isnan(accuracy := columns["test"][position]):
            continue
        path = source["path"].format(family=name.removeprefix("qml_benchmarks_"), model=model, file=file)
        where = f"{source['repository']} at {source['commit'][:7]}: {path}"
        repeats = value in columns.get("repeats_training", ())
        found.append(PublishedScore(model, accuracy, source["name"], source["url"], where, repeats))
    return tuple(found)


@functools.cache
def published_record() -> dict[str, Any]:
    """``published.toml``, as `scripts/qml_benchmarks_figures.py` writes it."""
    return tomllib.loads(resources.files(__package__).joinpath("published.toml").read_text(encoding="utf-8"))
