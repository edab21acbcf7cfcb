"""Where the command line prints. Text of users is shown as they wrote it: nothing in it is markup."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from qmoe.errors import visible


def make_console(stderr: bool = False) -> Console:
    """The console of a command; all that ``qmoe`` prints through rich goes through one of these.

    Brackets and words between colons stay what they are, in lines, tables and progress bars alike: a folder may be named
    ``runs[1]`` or ``:wave:``. What is to be bold or coloured is a `rich.text.Text`, not a string with tags.

    Args:
        stderr: whether to print to standard error, so that standard output holds nothing but an answer for programs.
    """
    console = PlainConsole(stderr=stderr, markup=False, emoji=False)
    # A log file has no width; 80 columns would break every row of a table in three.
    return console if console.is_terminal else PlainConsole(stderr=stderr, width=110, markup=False, emoji=False)


class PlainConsole(Console):
    """A console on which a text cannot do anything: it moves no cursor, turns no letters round, and begins no line.

    Every string that rich prints comes through here, in lines and in cells of tables.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with everything visible."""
        return super().render_str(visible(" ".join(text.splitlines()).replace("\t", " ")), **options)


def say(console: Console, line: str) -> None:
    """Prints one line, left whole however long it is: a path broken in two cannot be copied."""
    console.print(line, soft_wrap=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Shows warnings, which may quote a file, in the same way, while a command runs."""
    before = warnings.formatwarning

    def shown(message: Warning | str, *place: Any, **options: Any) -> str:
        return visible(before(message, *place, **options))

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = before


def make_progress(console: Console) -> Progress:
    """The progress bar of a job; what its tasks are named is text, as everywhere."""
    return Progress(
        TextColumn("{task.description:9}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
