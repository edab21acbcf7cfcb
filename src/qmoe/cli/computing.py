"""Where the command line computes, and how it is told to stop."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from qmoe.studies.admission.plan import Prediction

# As everywhere here, what takes seconds to import is imported where it is used: --help does not need it.

#: Seconds that what runs has to end after the first signal.
GRACE = 60.0
#: Signals that ask to stop: Ctrl-C, a batch system at a time limit, a terminal that is closed.
_STOPS = ("SIGINT", "SIGTERM", "SIGHUP")
_AFTER_A_BAR = "\n\x1b[?25h"


@dataclass(frozen=True)
class Computing:
    """What computes, as the command line says it.

    Attributes:
        executor: name of an executor, such as ``local`` or ``dask:tcp://...``.
        workers: processes, where they are ours to start.
        retry: whether to train again what failed.
        imports: whether studies may import routers of the user's own.
        force: whether to go on with what is predicted not to fit this machine.
    """

    executor: str = "local"
    workers: int | None = None
    retry: bool = False
    imports: bool = False
    force: bool = False

    def open(self) -> AbstractContextManager[Executor]:
        """The executor, which ends with the ``with`` block."""
        from qmoe.studies.run.executors import ending, open_executor

        return ending(open_executor(self.executor, self.workers))

    @contextmanager
    def trusting(self) -> Iterator[None]:
        """A block in which studies may import what they name, if the user said so; from the working folder as well."""
        from qmoe.studies import allow_imports

        if self.imports and str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        with allow_imports(self.imports):
            yield

    def fitted(self, prediction: Prediction) -> Computing:
        """The same with as many workers as fit into memory, where their number was not given.

        Raises:
            UnsupportedError: for what is predicted not to fit this machine.
        """
        from qmoe.studies.admission.plan import admit, fitting_workers
        from qmoe.studies.run.executors import default_workers

        if self.executor != "local":
            n_workers, fitted = None, self
        else:
            n_workers = self.workers
            if n_workers is None:
                n_workers = fitting_workers(prediction, default_workers())
            fitted = replace(self, workers=n_workers)
        if not self.force:
            admit(prediction, n_workers, n_workers or 1, ", or go on all the same with --yes")
        return fitted


class Halted(BaseException):
    """Raised where the program is when it is told to stop and nothing runs that could still be stored."""


@dataclass
class Stop:
    """Whether somebody asked to stop.

    Attributes:
        event: set once somebody did.
        status: exit status of a program that this signal ended.
        stored: trials that are in the store.
        total: trials that are asked for; None before that is known.
        finishing: says whether something runs that is to be finished and stored; else the program ends where it is.
    """

    event: threading.Event = field(default_factory=threading.Event)
    status: int = 130
    stored: int = 0
    total: int | None = None
    finishing: Callable[[], bool] = lambda: False

    @property
    def told(self) -> str:
        """What is stored, and the command that goes on."""
        command = typed_command()
        if self.total is None:
            return f"Stopped before any training. To start again: {command}"
        where = "; what is left is the report" if self.stored == self.total else ""
        return f"Stopped: {self.stored:,} of {self.total:,} trials are stored{where}. To go on: {command}"


def typed_command() -> str:
    """The command that this program was started by, as it can be typed again."""
    return shlex.join(["qmoe", *sys.argv[1:]])


@contextmanager
def until_stopped() -> Iterator[Stop]:
    """The first signal to stop lets what runs end, so that it is stored; the second ends the program at once.

    Where nothing runs that would be stored, the first raises `Halted` in the block.
    """
    stop, timers = Stop(), list[threading.Timer]()

    def take(number: int, frame: FrameType | None) -> None:
        del frame
        stop.status = 128 + number
        if stop.event.is_set():
            _end_at_once(stop)
            return
        stop.event.set()
        timer = threading.Timer(GRACE, _end_at_once, (stop,))
        timer.daemon = True
        timer.start()
        timers.append(timer)
        if not stop.finishing():
            raise Halted
        typer.echo("\nStopping once what runs is stored, a few seconds' work. Ctrl-C again stops at once.", err=True)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in _STOPS:
            number = getattr(signal, name, None)
            # A signal that is ignored, as nohup ignores SIGHUP, stays ignored.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, take)
    try:
        yield stop
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(stop: Stop) -> None:
    """Ends this program and its processes. What is committed to the store is safe."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with contextlib.suppress(OSError):  # it has ended
                os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    # A progress bar hides the cursor of the terminal, and leaves it at the end of its line.
    bar = sys.stderr.isatty()
    typer.echo(f"{_AFTER_A_BAR if bar else ''}{stop.told}", err=True)
    os._exit(stop.status)
