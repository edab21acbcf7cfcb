"""Processes that measure when they are told to: both ends of the line, in JSON.

A worker prepares once and then waits, without computing, until it is its turn again; so compiled code is compiled once for
many interleaved rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Seconds that an answer may take.
TIMEOUT = 240.0
#: Set by `benchmarks.machine.limit_threads`; a worker has its libraries' own defaults, within the processors left to it.
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerError(Exception):
    """A worker failed or took too long; the message says how."""


class Worker:
    """A process that serves `benchmarks.trainings.child`.

    Args:
        arguments: of its command line.
        timeout: seconds that an answer may take.

    Attributes:
        ready: its first answer, about its preparation.

    Raises:
        WorkerError: when it fails to prepare.
    """

    def __init__(self, arguments: Sequence[str], timeout: float = TIMEOUT, module: str = "benchmarks.trainings.child"):
        environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
        self._timeout = timeout
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
            env={**environment, "JAX_PLATFORMS": "cpu"},
        )
        try:
            self.ready = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for the answer.

        Raises:
            WorkerError: when it fails or takes too long.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError("the process has ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._timeout, end)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            status = self._process.wait()
            raise WorkerError(f"no answer in {self._timeout:.0f} s" if late.is_set() else f"exit status {status}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(prepare: Callable[[], tuple[Any, Callable[..., Any]]]) -> None:
    """The worker's end: prepares, then answers requests until the line is closed.

    Args:
        prepare: gives the first answer and the function that is called with each request's values by name.
    """
    with _answers() as send:
        try:
            ready, handle = prepare()
            send(ready)
            for line in sys.stdin:
                send(handle(**json.loads(line)))
        except Exception as error:  # the run goes on without this worker, and says why
            send({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


@contextmanager
def _answers() -> Iterator[Callable[[Any], None]]:
    """Keeps standard output for answers: what libraries print goes to the errors instead."""
    line, sys.stdout = sys.stdout, sys.stderr

    def send(answer: Any) -> None:
        line.write(json.dumps(answer) + "\n")
        line.flush()

    try:
        yield send
    finally:
        sys.stdout = line
