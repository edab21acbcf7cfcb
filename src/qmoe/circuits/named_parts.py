"""Parts of a circuit by name: encodings, ansatze, read-outs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from qmoe.errors import unknown

Part = TypeVar("Part")


def as_part(what: str, given: str | Part, base: type[Any], known: Mapping[str, type[Part]]) -> Part:
    """Returns ``given`` itself, or the part of that name with its default options.

    Args:
        what: the kind of part in words, for the error.
        given: a part, or its name.
        base: the class of such parts.
        known: the classes that have names.

    Raises:
        ConfigError: for an unknown name, or something else.
    """
    if isinstance(given, base):
        return given
    if not isinstance(given, str) or given not in known:
        raise unknown(what, given, known)
    return known[given]()
