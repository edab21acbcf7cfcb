"""Where tasks run: each place is a `concurrent.futures.Executor`."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import ParamSpec, TypeVar

import torch
from loky import ProcessPoolExecutor
from loky.backend import resource_tracker as loky_tracker

from qmoe.errors import ConfigError, QMoEError, unknown

P = ParamSpec("P")
Result = TypeVar("Result")

#: Seconds between two looks of a worker process at whether the process that started it is still there.
_WATCH = 0.5


class SizedExecutor(Executor):
    """An executor of which it is known how much it runs at once."""

    @property
    @abstractmethod
    def n(self) -> int:
        """How many tasks it runs at once."""

    @property
    def works(self) -> bool:
        """Whether tasks run; False while all that could run them is still starting."""
        return True


class InProcess(SizedExecutor):
    """Runs each task at once, in the thread that submits it.

    Example:
        >>> from qmoe.studies import InProcess
        >>> with InProcess() as executor:
        ...     executor.submit(sum, [1, 2]).result()
        3
    """

    @property
    def n(self) -> int:
        """One."""
        return 1

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """A future that is done. Interruptions come through: they are for whoever waits for the task."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalProcesses(SizedExecutor):
    """Processes of this machine with one torch thread each, by loky; started with the first task.

    They do not import the program that starts them, so a script needs no ``if __name__ == "__main__":``. When one of them
    dies, all of their tasks end with `concurrent.futures.BrokenExecutor`, and the next task starts new ones.

    Args:
        n: how many.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ConfigError(f"n is {n}, expected at least 1 process.")
        self._n = n
        self._pool: ProcessPoolExecutor | None = None
        self._first: Future[int] | None = None

    @property
    def n(self) -> int:
        """How many processes."""
        return self._n

    @property
    def works(self) -> bool:
        """Whether the first of the processes has imported all that it needs, which takes seconds."""
        return self._first is not None and self._first.done()

    @property
    def has_started(self) -> bool:
        """Whether there are processes."""
        return self._pool is not None

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """A future of ``fn(*args, **kwargs)`` in one of the processes.

        Raises:
            QMoEError: when no process can be started.
        """
        try:
            if self._pool is not None:
                try:
                    return self._pool.submit(fn, *args, **kwargs)
                except BrokenExecutor:
                    self._pool.shutdown(wait=False, kill_workers=True)
            # No limit on idleness: between training and measuring they wait for longer than they take to start.
            with sparing_children():
                self._pool = ProcessPoolExecutor(
                    self._n, timeout=None, initializer=_start_worker, initargs=(os.getpid(),)
                )
                self._first = self._pool.submit(os.getpid)
                return self._pool.submit(fn, *args, **kwargs)
        except (OSError, ImportError) as error:
            raise QMoEError(
                f"Worker processes cannot be started: {error}. Try it with fewer workers (--workers); 0 runs everything "
                "in this process."
            ) from error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the processes, with what they are doing if ``cancel_futures``."""
        if self._pool is not None:
            self._pool.shutdown(wait=wait, kill_workers=cancel_futures)
            self._pool = None


def works(executor: Executor) -> bool:
    """Whether tasks run, as far as can be known: not while its processes are still starting."""
    return not isinstance(executor, SizedExecutor) or executor.works


def n_at_once(executor: Executor) -> int:
    """How many tasks it runs at once, as far as can be known; else how many are worth handing to it ahead."""
    return executor.n if isinstance(executor, SizedExecutor) else _AHEAD


#: Tasks that an executor of which nothing is known is given ahead.
_AHEAD = 64


def default_workers() -> int:
    """One process per core that this process may use.

    Example:
        >>> from qmoe.studies import default_workers
        >>> default_workers() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_executor(name: str = "local", workers: int | None = None) -> Executor:
    """The executor of that name.

    Args:
        name: ``"local"``, processes of this machine; ``"dask:ADDRESS"``, the Dask scheduler there; ``"dask:local"``,
            ``"slurm"`` or ``"mpi"``, see docs/clusters.md.
        workers: how many processes or jobs, where they are started here; one per core by default, one job with ``"slurm"``.
            With ``"local"`` 0 stands for this process alone.

    Raises:
        ConfigError: for an unknown name, or a number of workers that is not ours to choose.
        QMoEError: when it cannot be reached, or needs a package that is not installed.
    """
    kind, _, rest = name.partition(":")
    if kind == "local" and not rest:
        n = default_workers() if workers is None else workers
        return LocalProcesses(n) if n else InProcess()
    if kind in ("dask", "slurm", "mpi"):
        from qmoe.studies.run.clusters import open_cluster

        return open_cluster(kind, rest, workers)
    raise unknown("executor", name, ("local", "dask:ADDRESS", "dask:local", "slurm", "mpi"))


@contextmanager
def ending(executor: Executor) -> Iterator[Executor]:
    """Ends an executor with the block, at once if the block was left by an error."""
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown(wait=False)


@contextmanager
def sparing_children() -> Iterator[None]:
    """A block that starts processes which leave Ctrl-C, and a terminal that is closed, to this one.

    A terminal sends these signals to all its processes. One that is still importing would end with a traceback, so they are
    blocked from its first moment on. What this process is sent meanwhile it gets after the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    _start_trackers()  # which would take the block away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _of_the_terminal())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_trackers() -> None:
    """Starts the processes that clean up after this one, which is nothing to warn of where it was ended at once."""
    told = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (told, "ignore:resource_tracker")))
    # They ignore Ctrl-C by themselves, and take over that a closed terminal is ignored.
    hangup = getattr(signal, "SIGHUP", None) if threading.current_thread() is threading.main_thread() else None
    before = None if hangup is None else signal.signal(hangup, signal.SIG_IGN)
    try:
        loky_tracker.ensure_running()
        resource_tracker.ensure_running()
    finally:
        if hangup is not None:
            signal.signal(hangup, before)
        if told is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = told


def _of_the_terminal() -> list[int]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]


def _start_worker(parent: int) -> None:
    """Runs once in each process of `LocalProcesses`, which owns its settings."""
    torch.set_num_threads(1)
    logging.getLogger("qmoe").setLevel(logging.ERROR)  # the parent tells what is going on
    for number in _of_the_terminal():  # the parent says what becomes of the work
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone, however that came about: loky's own would wait for ever."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)
