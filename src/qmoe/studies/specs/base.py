"""What everything read from a study file has in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qmoe.errors import did_you_mean, visible

Probability = Annotated[float, Field(ge=0, le=1, strict=True)]
#: More than two thousand million of anything is a slip of the pen, and no 32-bit number.
Size = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
#: Words for readers; what could not be seen in them as it is written, such as an escape to a terminal, is made visible.
Words = Annotated[str, AfterValidator(visible)]
Label = Annotated[Words, Field(max_length=200)]


class Spec(BaseModel):
    """Base of everything read from a study file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    hint = did_you_mean(key, cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key", "unknown key {key}{hint}", {"key": repr(key), "hint": hint}
                    )
        return values

    @cached_property
    def canonical(self) -> str:
        """The spec as JSON with sorted keys and without defaults, so that a new option leaves old results valid.

        Whoever changes a default raises `qmoe.studies.trials.NUMERICS`.
        """
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but without what was computed from the old values and kept."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


def shown(value: Any) -> str:
    """A value as messages show it; Python refuses to write integers of more than some thousand digits."""
    if isinstance(value, int) and value.bit_length() > 1_000:
        return f"an integer of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 500 else f"{text[:500]}..."


def explain(error: Any) -> str:
    """One error of pydantic's as place, expectation and value."""
    place = ".".join(str(part) for part in error["loc"]) or "top level"
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        known = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        return f"{place}: unknown kind {context['tag']!r}{did_you_mean(context['tag'], known)}"
    given = "" if isinstance(error["input"], (dict, list, tuple)) else f" (got {shown(error['input'])})"
    return f"{place}: {error['msg']}{given}"


def told(error: ValidationError) -> list[Any]:
    """All errors, but that a list is too short whose parts are told to be wrong: it lacks them for that alone."""
    errors = error.errors()
    above = {one["loc"][:depth] for one in errors for depth in range(len(one["loc"]))}
    return [one for one in errors if one["type"] != "too_short" or one["loc"] not in above]
