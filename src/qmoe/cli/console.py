"""Where the command line prints. Text of users is shown as they wrote it: nothing in it is markup."""

from __future__ import annotations

import datetime
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from qmoe.errors import visible
from qmoe.plain_console import PlainConsole


def make_console(stderr: bool = False) -> Console:
    """The console of a command; all that ``qmoe`` prints through rich goes through one of these.

    Brackets and words between colons stay what they are, in lines, tables and progress bars alike: a folder may be named
    ``runs[1]`` or ``:wave:``. What is to be bold or coloured is a `rich.text.Text`, not a string with tags.

    Args:
        stderr: whether to print to standard error, so that standard output holds nothing but an answer for programs.
    """
    console = PlainConsole(stderr=stderr)
    # A log file has no width; 80 columns would break every row of a table in three.
    return console if console.is_terminal else PlainConsole(stderr=stderr, width=110)


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


def make_progress(console: Console, clock: Callable[[], float] | None = None) -> Progress:
    """The progress of a job, as bars in a terminal and as lines elsewhere; what its tasks are named is text, as everywhere.

    Args:
        console: where it is shown.
        clock: gives the time in seconds; the computer's own by default.
    """
    if not console.is_terminal:
        return ProgressLines(console, clock)
    return Progress(
        TextColumn("{task.description:16}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(20),
        *(column(table_column=Column(no_wrap=True)) for column in (_Share, _Elapsed, _Left)),
        console=console,
        get_time=clock,
    )


class _Share(ProgressColumn):
    """How far a task is: ``"12 of 216 trials"`` where it has a unit, else in per cent."""

    def render(self, task: Task) -> Text:
        """The text; none before the whole is known."""
        if task.total is None:
            return Text("")
        if unit := task.fields.get("unit"):
            return Text(f"{task.completed:,.0f} of {task.total:,.0f} {unit}")
        return Text(f"{task.percentage:.0f}%")


class _Elapsed(ProgressColumn):
    """Since when a task runs, named."""

    def render(self, task: Task) -> Text:
        """The text."""
        seconds = task.finished_time if task.finished else task.elapsed
        return Text(f"elapsed {_short(seconds or 0.0)}")


class _Left(ProgressColumn):
    """How long a task takes from here on, named; nothing while that is not known, or where it is done."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """The text."""
        seconds = seconds_left(task)
        return Text("" if seconds is None or task.finished else f"left {_short(seconds)}")


def seconds_left(task: Task) -> float | None:
    """Seconds that a task takes from here on: as it was last told by a field ``left``, else by how fast it went."""
    told: float | None = task.fields.get("left")
    if told is not None:
        return max(0.0, told - (task.get_time() - task.fields.get("told", task.get_time())))
    if "left" in task.fields or not task.completed or not task.total:
        return None
    return (task.elapsed or 0.0) * (task.total / task.completed - 1.0)


class ProgressLines(Progress):
    """Progress for a log file: a line after half a minute, then ever more seldom, and one at the end of each task."""

    #: Seconds before the first line and at least between two; and by how much the time must have grown since the last.
    LEAST, GROWTH = 30.0, 1.1

    def __init__(self, console: Console, clock: Callable[[], float] | None = None) -> None:
        super().__init__(console=console, get_time=clock, disable=True)
        self._next: dict[TaskID, float] = {}

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Moves a task on."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Changes a task."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        task = next(one for one in self.tasks if one.id == task_id)
        elapsed, due = task.elapsed or 0.0, self._next.get(task_id, self.LEAST)
        if task.total is None or due == math.inf:
            return
        share = task.completed / task.total if task.total else 1.0
        if share >= 1.0:
            self._next[task_id] = math.inf
            say(self.console, f"{task.description}: done after {_clock_time(elapsed)}")
        elif elapsed >= due:
            self._next[task_id] = max(elapsed + self.LEAST, elapsed * self.GROWTH)
            seconds = seconds_left(task)
            left = "" if seconds is None else f", about {_clock_time(seconds)} left"
            say(self.console, f"{task.description}: {share:.0%} after {_clock_time(elapsed)}{left}")


def _short(seconds: float) -> str:
    """``"0:26"``, ``"1:02:03"``."""
    whole = _clock_time(seconds)
    return whole.removeprefix("0:").removeprefix("0") if seconds < 3600 else whole


def _clock_time(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
