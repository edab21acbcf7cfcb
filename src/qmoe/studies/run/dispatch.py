"""Hands tasks to an executor and takes what comes back: results, errors, and tasks whose process died."""

from __future__ import annotations

import collections
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cloudpickle

import qmoe
from qmoe.errors import QMoEError
from qmoe.studies.run.deaths import memory_error, why_died
from qmoe.studies.run.executors import InProcess, n_at_once, works
from qmoe.studies.specs.imported import with_permission

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Seconds between two looks at whether to stop.
_PATIENCE = 0.2
#: How often a process may die over a task that cannot be split before the task is given up.
MAX_DEATHS = 2


@dataclass(frozen=True)
class Ended(Generic[Task, Result]):
    """A task, or a part of one that was split, that gave a result."""

    task: Task
    result: Result


@dataclass(frozen=True)
class Died(Generic[Task]):
    """A task, or a part of one that was split, whose processes died, and why, in words."""

    task: Task
    why: str


class TaskError(Exception):
    """An error of a task as text, where the error itself cannot travel between processes."""


@dataclass(frozen=True)
class _Suspect(Generic[Task]):
    """A task that was running when a process died, and how often one died over it alone."""

    task: Task
    deaths: int = 0


def outcomes(
    executor: Executor,
    function: Callable[[Task], Result],
    take: Callable[[], Task | None],
    stop: threading.Event | None = None,
    split: Callable[[Task], Sequence[Task]] = lambda task: (task,),
) -> Iterator[Ended[Task, Result] | Died[Task]]:
    """Yields what becomes of tasks as they end, in any order.

    When a process dies, each of the tasks that were running may be the reason. They are run again one at a time, so that
    the one that it dies of again is known; that one is split, down to the part that is the reason. Then all goes on.

    Args:
        executor: where tasks run.
        function: what to do with a task.
        take: gives the next task when there is room for it; None for none at the moment. When none runs, none is the end.
        stop: once it is set no further task begins, and the iteration ends when those that run have ended.
        split: the parts of a task that processes die of; of one part, if it cannot be split.

    Raises:
        QMoEError: when the executor cannot run tasks.
        Exception: what a task raised.
    """
    stopped = threading.Event() if stop is None else stop
    running: dict[Future[Any], _Suspect[Task]] = {}
    suspects: collections.deque[_Suspect[Task]] = collections.deque()
    is_alone = False
    try:
        while True:
            if suspects and not running and not stopped.is_set():
                suspect, is_alone = suspects.popleft(), True
                running[_submit(executor, function, suspect.task)] = suspect
            # Asked for each time: workers of a cluster come and go.
            most = 1 if isinstance(executor, InProcess) else n_at_once(executor) + 1
            while not (suspects or is_alone or stopped.is_set()) and len(running) < most:
                if (task := take()) is None:
                    break
                running[_submit(executor, function, task)] = _Suspect(task)
            if not running or (stopped.is_set() and not works(executor)):
                return
            done = wait(running, timeout=_PATIENCE, return_when=FIRST_COMPLETED).done
            if stopped.is_set():
                done |= {future for future in running if future.cancel()}
            for future in done:
                suspect = running.pop(future)
                try:
                    result = _result(future, executor)
                except _DeathError as death:
                    if stopped.is_set():
                        continue
                    if not is_alone:
                        suspects.append(suspect)
                    elif len(parts := split(suspect.task)) > 1:
                        suspects.extendleft(_Suspect(part) for part in reversed(parts))
                    elif suspect.deaths + 1 < MAX_DEATHS:
                        suspects.appendleft(_Suspect(suspect.task, suspect.deaths + 1))
                    else:
                        _check_alive(executor, death.why)
                        yield Died(suspect.task, death.why)
                else:
                    yield Ended(suspect.task, result)
                is_alone = False
    finally:
        for future in running:
            future.cancel()


def results(
    executor: Executor,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    stop: threading.Event | None = None,
) -> Iterator[Result]:
    """Yields the results of tasks as they end, in any order; once ``stop`` is set, of those alone that run.

    Raises:
        QMoEError: when processes died over a task.
        Exception: what a task raised.
    """
    source = iter(tasks)
    for outcome in outcomes(executor, function, lambda: next(source, None), stop):
        if isinstance(outcome, Died):
            raise QMoEError(outcome.why)
        yield outcome.result


class _DeathError(Exception):
    """The process of a task died."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class _Answer:
    """What came of a task in another process; pickled there, as bytes travel whatever is in them."""

    pickled: bytes


def _submit(executor: Executor, function: Callable[[Task], Result], task: Task) -> Future[Any]:
    if isinstance(executor, InProcess):
        return executor.submit(function, task)
    # By value where it must be: functions of a script or notebook run where that is not imported.
    sent = cloudpickle.dumps((with_permission(function), task))
    try:
        return executor.submit(_call, sent)
    except RuntimeError as error:  # shut down, or broken for good
        raise QMoEError(
            f"The executor takes no more tasks: {error}. Finished trials are in the store: the same command or call goes on "
            "from there, with an executor that runs."
        ) from error


def _call(sent: bytes) -> _Answer:
    """What is done with a task where it runs."""
    try:
        try:
            function, task = cloudpickle.loads(sent)
        except (ImportError, AttributeError) as error:
            raise QMoEError(
                f"A worker process cannot import what a task needs: {error}. Functions and classes of tasks must stand in "
                "a module that workers can import; or run without workers (--workers 0)."
            ) from error
        return _Answer(cloudpickle.dumps((function(task), None)))
    except Exception as error:
        return _Answer(_pickled_error(memory_error(error) or error))


def _pickled_error(error: Exception) -> bytes:
    trace = "".join(traceback.format_exception(error))
    try:
        error.add_note(trace)
        pickled = cloudpickle.dumps((None, error))
        cloudpickle.loads(pickled)
    except Exception:  # of a class that pickle cannot make again
        return cloudpickle.dumps((None, TaskError(trace)))
    return pickled


def _result(future: Future[Any], executor: Executor) -> Any:
    if isinstance(executor, InProcess):
        return future.result()
    try:
        answer = future.result()
    except CancelledError:
        raise _DeathError("Its executor cancelled it.") from None
    except Exception as error:
        # Tasks raise nothing there, so this is of the executor. Dask's own error is named, not imported.
        if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
            raise _DeathError(why_died(error)) from error
        raise QMoEError(
            f"The executor cannot run tasks: {error!r}. Its processes need qmoe {qmoe.__version__} and what it depends on."
        ) from error
    result, raised = cloudpickle.loads(answer.pickled)
    if raised is not None:
        raise raised
    return result


def _check_alive(executor: Executor, why: str) -> None:
    """Raises QMoEError unless the executor can still run a task that does nothing: then no task is to blame."""
    try:
        _result(_submit(executor, len, ()), executor)
    except _DeathError:
        raise QMoEError(why) from None
