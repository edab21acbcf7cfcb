"""Where the command line computes, and how it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
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


@dataclass
class Stop:
    """Whether somebody asked to stop.

    Attributes:
        event: set once somebody did.
        status: exit status of a program that this signal ended.
    """

    event: threading.Event = field(default_factory=threading.Event)
    status: int = 130


@contextmanager
def until_stopped() -> Iterator[Stop]:
    """The first signal to stop lets what runs end, so that it is stored; the second ends the program at once."""
    stop, timers = Stop(), list[threading.Timer]()

    def take(number: int, frame: FrameType | None) -> None:
        del frame
        stop.status = 128 + number
        if stop.event.is_set():
            # What is committed is safe; worker processes see that this one is gone.
            os._exit(stop.status)
        stop.event.set()
        timer = threading.Timer(GRACE, os._exit, (stop.status,))
        timer.daemon = True
        timer.start()
        timers.append(timer)
        typer.echo(
            "\nStopping: what runs is finished and stored, a few seconds' work. Once more to stop at once.", err=True
        )

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
