"""Processes that a whole job shares: for training, for measurements and for the figures of the report."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import torch

from qmoe.errors import QMoEError
from qmoe.studies.run.deaths import check_startable, exit_codes, explained_start, why_died

Report = Callable[[float], None]
Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """Processes with one torch thread each, for tasks that do not depend on each other; they end with the ``with`` block.

    They start when the first task comes, and each imports the program that starts them: a script uses them under
    ``if __name__ == "__main__":``. Tasks and results travel between processes, so functions must be importable and
    all must pickle.

    Args:
        n: how many processes; 0 runs tasks in this one, with its threads.
    """

    def __init__(self, n: int = 0) -> None:
        self.n = n
        self._pool: ProcessPoolExecutor | None = None
        self._ticks: Any = None
        self._began: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        on_tick: Report | None = None,
        start: bool = True,
    ) -> Iterator[Result]:
        """Yields the results of ``function`` as they are ready, in any order.

        Args:
            function: what to do with a task; a function of a module.
            tasks: one argument each. No more than one waits, so that an interruption leaves nothing queued.
            on_tick: called with what tasks hand to `tick`.
            start: whether to start processes for these tasks; without, they are used if they have started.

        Raises:
            ConfigError: where no process can be started: see `qmoe.studies.run.deaths.check_startable`.
            QMoEError: when a worker process died, ran out of memory or cannot import what a task needs.
        """
        if self.n == 0 or (self._pool is None and not start):
            for task in tasks:
                with _ticking(on_tick or _ignore):
                    result = function(task)
                yield result
            return
        if not tasks:
            return
        pool = self._started()
        try:
            with _listening(self._ticks, on_tick or _ignore):
                running: set[Future[Result]] = set()
                for task in tasks:
                    running.add(_submit(pool, function, task))
                    if len(running) < self.n + 1:
                        continue
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            codes = exit_codes(list((pool._processes or {}).values()))
            raise QMoEError(why_died(codes, bool(self._began.value), error.__cause__)) from None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            check_startable()
            # Spawned, not forked: a fork copies the locks of torch's and BLAS's threads in whatever state they are.
            context = multiprocessing.get_context("spawn")
            with explained_start():
                # A plain byte: a lock would stay locked if the process that holds it were killed.
                self._ticks, self._began = context.Queue(), context.RawValue("b", 0)
                settings = self._ticks, self._began
                self._pool = ProcessPoolExecutor(self.n, context, initializer=_start_worker, initargs=settings)
        return self._pool


def _submit(pool: ProcessPoolExecutor, function: Callable[[Task], Result], task: Task) -> Future[Result]:
    # Pickled here and unpickled by `_call`: the pool's own unpickling would take the process down with it.
    sent = pickle.dumps((function, task))
    with explained_start():
        return pool.submit(_call, sent)


def _call(sent: bytes) -> Any:
    """What a worker process does with a task."""
    try:
        function, task = pickle.loads(sent)
    except (ImportError, AttributeError) as error:
        raise QMoEError(
            f"A worker process cannot import what a task needs: {error}. Functions and classes of tasks must stand in a "
            "module that workers can import, not in an interactive session; or use workers=0."
        ) from error
    try:
        return function(task)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "DefaultCPUAllocator" not in str(error):  # torch has no error of its own
            raise
        raise QMoEError(
            f"A worker process ran out of memory: {error or 'no more was said'}. Finished trials are in the store: the same "
            "command or call goes on from there, with fewer workers (--workers, or workers=)."
        ) from error


def default_workers() -> int:
    """One process per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tick(part: float) -> None:
    """Says within a task that a part of the work is done."""
    _report(part)


def _ignore(part: float) -> None:
    del part


_report: Report = _ignore


@contextmanager
def _ticking(report: Report) -> Iterator[None]:
    global _report
    before, _report = _report, report
    try:
        yield
    finally:
        _report = before


def _start_worker(ticks: Any, began: Any) -> None:
    """Runs once in each worker process, which owns its settings."""
    global _report
    _report = ticks.put
    torch.set_num_threads(1)
    logging.getLogger("qmoe").setLevel(logging.ERROR)  # the parent tells what is going on
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    began.value = 1


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone, however that came about."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _listening(ticks: Any, report: Report) -> Iterator[None]:
    """Hands what workers tick to ``report``, from a thread."""
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            try:
                report(ticks.get(timeout=0.1))
            except queue.Empty:
                continue

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
