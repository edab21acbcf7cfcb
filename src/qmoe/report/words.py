"""Small pieces of text: lists, capitals, and names of files."""

from __future__ import annotations

from collections.abc import Sequence


def join(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def file_name(name: str) -> str:
    """A name without dots, as files and anchors have it."""
    return name.replace(".", "-")


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]
