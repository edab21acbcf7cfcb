"""A console of rich that shows text of users as they wrote it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from qmoe.errors import visible


class PlainConsole(Console):
    """A console on which a text cannot do anything: it moves no cursor, turns no letters round, and begins no line.

    Nothing in it is markup or an emoji. Every string that rich prints comes through here, in lines and in cells of tables.

    Args:
        **options: of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "markup": False, "emoji": False})

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with everything visible."""
        return super().render_str(visible(" ".join(text.splitlines()).replace("\t", " ")), **options)
