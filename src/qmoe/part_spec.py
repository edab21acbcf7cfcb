"""How a router or a set of experts is specified: plain data, in Python as well as in a study file.

A spec stands beside what it builds. `qmoe.studies` makes a model of it that checks the values of a file; by itself it needs
nothing but this module, so that ``import qmoe`` stays light.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import torch


@dataclass(frozen=True)
class Within:
    """What values of an option are allowed in a study file, in the terms of `pydantic.Field`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    multiple_of: int | None = None
    pattern: str | None = None

    @property
    def limits(self) -> dict[str, Any]:
        """The limits that are given."""
        return {name: value for name, value in vars(self).items() if value is not None}


Size = Annotated[int, Within(ge=1, le=2**31 - 1)]
#: Layers, one of which takes time to plan whatever its size.
Depth = Annotated[int, Within(ge=1, le=1_000)]
Probability = Annotated[float, Within(ge=0, le=1)]


class Drawn(TypedDict):
    """What the initial weights of a part are drawn with: the source of random numbers, and the dtype."""

    generator: torch.Generator
    dtype: torch.dtype


@dataclass(frozen=True, kw_only=True)
class PartSpec:
    """The options of a router or a set of experts, each with a default. A subclass adds fields and ``build``."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises `qmoe.ConfigError` for options that do not go together, saying which to drop or to add."""

    def options(self) -> dict[str, Any]:
        """The options as the class that is built from them takes them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
