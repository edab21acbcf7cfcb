"""Output that cannot be written does not end the work: a full disk under a log file, a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

#: Exit status where all was done and some of the output could not be written.
LOST_OUTPUT = 4


class EnduringStream:
    """A text stream that takes all that is written, and drops it from the first error on.

    Args:
        stream: where it goes.

    Attributes:
        lost: what the system said to the first text that could not be written; None as long as all could.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Writes text, as far as that is possible."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Writes what is kept back."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError) -> None:
        if self.lost is None:
            self.lost = error
            # What the stream keeps back goes nowhere as well; else Python fails over it once more as it ends.
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


@contextmanager
def enduring_output() -> Iterator[None]:
    """Standard output and error as `EnduringStream`; a program that would end with status 0 ends with `LOST_OUTPUT`."""
    before = sys.stdout, sys.stderr
    out, err = EnduringStream(sys.stdout), EnduringStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        try:
            yield
        except SystemExit as end:
            if end.code not in (None, 0):
                raise
        for stream in (out, err):
            stream.flush()
        if out.lost is not None and not isinstance(out.lost, BrokenPipeError):
            err.write(
                f"qmoe: standard output could not be written: {out.lost.strerror}. Nothing that was computed is lost.\n"
            )
            err.flush()
        if out.lost is not None or err.lost is not None:
            sys.exit(LOST_OUTPUT)
    finally:
        sys.stdout, sys.stderr = before
