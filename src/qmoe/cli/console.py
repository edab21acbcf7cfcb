"""Where the command line prints. Text of users is shown as they wrote it: nothing in it is markup."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def make_console(stderr: bool = False) -> Console:
    """The console of a command; all that ``qmoe`` prints through rich goes through one of these.

    Brackets and words between colons stay what they are, in lines, tables and progress bars alike: a folder may be named
    ``runs[1]`` or ``:wave:``. What is to be bold or coloured is a `rich.text.Text`, not a string with tags.

    Args:
        stderr: whether to print to standard error, so that standard output holds nothing but an answer for programs.
    """
    console = Console(stderr=stderr, markup=False, emoji=False)
    # A log file has no width; 80 columns would break every row of a table in three.
    return console if console.is_terminal else Console(stderr=stderr, width=110, markup=False, emoji=False)


def say(console: Console, line: str) -> None:
    """Prints one line, left whole however long it is: a path broken in two cannot be copied."""
    console.print(line, soft_wrap=True)


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
