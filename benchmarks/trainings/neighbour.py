"""A process that keeps one core busy, as another program of the same machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: It also ends by itself when the process that started it is gone.
_PROGRAM = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(10**6):\n        pass\n"


@contextmanager
def busy_neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """Runs it for as long as the block lasts; it is ended whatever happens in the block."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(os.getpid())])
    try:
        yield process
    finally:
        process.kill()
        process.wait()
