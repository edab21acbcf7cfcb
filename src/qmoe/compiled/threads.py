"""Sharing work among threads that end with the call: nothing to keep, and nothing that a fork could lose."""

from __future__ import annotations

import functools
import itertools
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


def run_in_turns(call: Callable[[int, int], None], n_items: int, n_threads: int, group: int = 1) -> None:
    """Calls ``call(thread, item)`` for every ``group``-th item, each thread taking the next that none has taken.

    So one that shares its core with somebody else's work holds the others up by one group at most.

    Args:
        call: runs the items from the given one on, ``group`` of them or as many as are left.
        n_items: how many items there are.
        n_threads: how many threads take turns.
        group: items that one takes at once.
    """
    items = itertools.count(0, group)

    def share(thread: int) -> None:
        while (item := next(items)) < n_items:
            call(thread, item)

    run_shares([functools.partial(share, thread) for thread in range(n_threads)])


def run_in_parts(stages: Sequence[Callable[[int], None]], n_parts: int, n_threads: int) -> None:
    """Runs each stage on all parts, before the next begins.

    Args:
        stages: functions of the number of a part.
        n_parts: number of parts.
        n_threads: how many threads share them, each taking the next part that none has taken.
    """
    if n_threads <= 1:
        for stage in stages:
            for part in range(n_parts):
                stage(part)
        return
    barrier, turns = threading.Barrier(n_threads), [itertools.count() for _ in stages]

    def share() -> None:
        try:
            for stage, parts in zip(stages, turns, strict=True):
                while (part := next(parts)) < n_parts:
                    stage(part)
                barrier.wait()
        except BaseException:
            barrier.abort()  # nobody waits for a thread that has failed
            raise

    run_shares([share] * n_threads, barrier.abort)
