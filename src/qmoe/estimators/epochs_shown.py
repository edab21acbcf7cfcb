"""What `verbose` shows while an estimator trains."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from qmoe.errors import ConfigError
from qmoe.estimators.plain_options import plain

#: Seconds between two drawings of a bar.
_REDRAW = 0.1
#: Lines that stand for a bar where nothing can be drawn.
_LINES = 10
#: Losses of more than this are written with an exponent.
_LARGE = 1e5
#: What an output that fails may raise: rich leaves the program where a pipe is broken.
_FAILURES = (Exception, SystemExit)


def shown_epochs(verbose: Any, epochs: int, n_batches: int, score: str) -> ShownEpochs | None:
    """What is to be told of each epoch; None for nothing.

    Args:
        verbose: 0 for nothing; 1 for a progress bar, or some lines where nothing can be drawn, as in a file; 2 for a
            line for each epoch.
        epochs: how many there are at most.
        n_batches: batches of an epoch.
        score: what the score of an epoch is called.

    Raises:
        ConfigError: for another ``verbose``.
    """
    level = plain(verbose)
    if not isinstance(level, int) or level < 0:
        raise ConfigError(
            f"verbose is {verbose!r}, expected 0 for no output, 1 for a progress bar, or 2 for a line for each epoch."
        )
    return ShownEpochs(_teller(int(level), epochs), n_batches, score) if level else None


class ShownEpochs(AbstractContextManager["ShownEpochs"]):
    """Shows the epochs of a training that runs in its block.

    An output that fails, such as a closed file or a full disk, gets nothing more, and the training goes on.

    Args:
        teller: shows one epoch.
        n_batches: batches of an epoch.
        score: what the score is called.
    """

    def __init__(self, teller: _Teller, n_batches: int, score: str) -> None:
        self._teller, self._n_batches, self._score = teller, n_batches, score
        self._fails = False

    def __enter__(self) -> Self:
        self._try(self._teller.begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._try(self._teller.end)

    def __call__(self, epoch: int, losses: np.ndarray, scores: np.ndarray) -> None:
        """Shows an epoch of the first model: its number from 1, the loss summed over batches, and the score."""
        loss, score = float(losses[0]) / self._n_batches, float(scores[0])
        self._try(lambda: self._teller.tell(epoch, loss, self._score, score))

    def _try(self, show: Callable[[], None]) -> None:
        if self._fails:
            return
        try:
            show()
        except _FAILURES:
            self._fails = True
            with suppress(*_FAILURES):
                self._teller.end()


class _Teller(Protocol):
    """Shows epochs."""

    def begin(self) -> None: ...
    def tell(self, epoch: int, loss: float, name: str, score: float) -> None: ...
    def end(self) -> None: ...


def _teller(level: int, epochs: int) -> _Teller:
    if level > 1:
        return _Lines(lambda epoch: True, lambda epoch, loss, name, score: f"Epoch {epoch}, loss = {loss:.8f}")
    from qmoe.plain_console import PlainConsole  # what is quiet does not need rich

    console = PlainConsole()
    is_drawn = console.is_terminal and not console.is_dumb_terminal  # a dumb one cannot go back in a line
    return _Bar(console, epochs) if is_drawn or console.is_jupyter else _few_lines(epochs)


def _few_lines(epochs: int) -> _Lines:
    def due(epoch: int) -> bool:
        return epoch == 1 or epoch * _LINES // epochs > (epoch - 1) * _LINES // epochs

    return _Lines(due, lambda epoch, *told: f"Epoch {epoch} of {epochs}, {_words(*told)}")


def _words(loss: float, name: str, score: float) -> str:
    return f"loss {loss:.4f}, {name} {score:.4f}" if abs(loss) < _LARGE else f"loss {loss:.3e}, {name} {score:.4f}"


class _Lines:
    """Lines for the epochs that are due, and for the last."""

    def __init__(self, due: Callable[[int], bool], words: Callable[[int, float, str, float], str]) -> None:
        self._due, self._words = due, words
        self._kept: str | None = None

    def begin(self) -> None:
        pass

    def tell(self, epoch: int, loss: float, name: str, score: float) -> None:
        self._kept = self._words(epoch, loss, name, score)
        if self._due(epoch):
            self.end()

    def end(self) -> None:
        if self._kept is not None:
            # In one piece with its end, so that workers do not write into each other's lines.
            sys.stdout.write(f"{self._kept}\n")
            self._kept = None


class _Bar:
    """A bar in a terminal or notebook."""

    def __init__(self, console: Any, epochs: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("Epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("left"),
        )
        # Drawn here and not by a thread, of which a fit would have one more.
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, auto_refresh=False)
        self._task = self._progress.add_task("", total=epochs)
        self._drawn = 0.0

    def begin(self) -> None:
        self._progress.start()

    def tell(self, epoch: int, loss: float, name: str, score: float) -> None:
        self._progress.update(self._task, completed=epoch, description=_words(loss, name, score))
        if time.monotonic() > self._drawn + _REDRAW:
            self._progress.refresh()
            self._drawn = time.monotonic()

    def end(self) -> None:
        try:
            self._progress.refresh()
        finally:  # standard output is the caller's again, whatever becomes of the bar
            self._progress.stop()
