"""Sharing work among threads that end with the call: nothing to keep, and nothing that a fork could lose."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence

#: Operations below which a second thread costs more than it saves: it takes 0.1 ms to start, which is about what they take.
THREAD_OPERATIONS = 5e7


def run_shares(calls: Sequence[Callable[[], None]], give_up: Callable[[], None] = lambda: None) -> None:
    """Runs each call in a thread of its own, the first in this one; raises the first error.

    It returns only when all have ended, whatever happens: they write to memory that its caller will free.

    Args:
        calls: what to run.
        give_up: called when one cannot run, so that none waits for it.
    """
    errors: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls[1:]]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        calls[0]()
    except BaseException as error:  # of this thread: of the call, for want of threads, or of somebody's Ctrl-C
        errors.append(error)
        give_up()
    while started:
        try:
            started[-1].join()
            started.pop()
        except KeyboardInterrupt as interrupt:
            errors.append(interrupt)
    # A thread that waited for one that failed has nothing to say.
    for first in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise first


def run_in_parts(stages: Sequence[Callable[[int], None]], n_parts: int, n_threads: int) -> None:
    """Runs each stage on all parts, before the next begins.

    Args:
        stages: functions of the number of a part.
        n_parts: number of parts.
        n_threads: how many threads share them.
    """
    if n_threads <= 1:
        for stage in stages:
            for part in range(n_parts):
                stage(part)
        return
    barrier = threading.Barrier(n_threads)

    def share(thread: int) -> None:
        try:
            for stage in stages:
                for part in range(n_parts * thread // n_threads, n_parts * (thread + 1) // n_threads):
                    stage(part)
                barrier.wait()
        except BaseException:
            barrier.abort()  # nobody waits for a thread that has failed
            raise

    run_shares([functools.partial(share, thread) for thread in range(n_threads)], barrier.abort)
