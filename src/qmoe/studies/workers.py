"""Processes that a whole job shares: for training, for measurements and for the figures of the report."""

from __future__ import annotations

import logging
import multiprocessing
import os
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

Report = Callable[[float], None]
Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """Processes with one torch thread each, for tasks that do not depend on each other; they end with the ``with`` block.

    They start when the first task comes. Tasks and results travel between processes, so functions must be importable and
    all must pickle.

    Args:
        n: how many processes; 0 runs tasks in this one, with its threads.
    """

    def __init__(self, n: int = 0) -> None:
        self.n = n
        self._pool: ProcessPoolExecutor | None = None
        self._ticks: Any = None

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
            QMoEError: when a worker process died.
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
                    running.add(pool.submit(function, task))
                    if len(running) < self.n + 1:
                        continue
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
        except BrokenProcessPool:
            raise QMoEError(
                "A worker process died (killed, or out of memory); finished trials are in the store: run the same command "
                "again to continue, with fewer --workers if memory is short."
            ) from None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: a fork copies the locks of torch's and BLAS's threads in whatever state they are.
            context = multiprocessing.get_context("spawn")
            self._ticks = context.Queue()
            self._pool = ProcessPoolExecutor(self.n, context, initializer=_start_worker, initargs=(self._ticks,))
        return self._pool


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


def _start_worker(ticks: Any) -> None:
    """Runs once in each worker process, which owns its settings."""
    global _report
    _report = ticks.put
    torch.set_num_threads(1)
    logging.getLogger("qmoe").setLevel(logging.ERROR)  # the parent tells what is going on
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


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
