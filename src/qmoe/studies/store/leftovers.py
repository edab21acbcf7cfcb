"""What a process that was killed together with its workers leaves behind on its machine."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path

#: Where Linux keeps semaphores that have names.
_SEMAPHORES = Path("/dev/shm")
#: How a holder is named, see `Store.alone`.
_HOLDER = re.compile(r"process (\d+) on (.+)")
#: More than any holder's name has.
_LONGEST = 500


def remove_leftovers(holder: Path) -> None:
    """Removes the semaphores of the process pool of a process that held a store until it was killed.

    loky's own process that would do so is in the same group, and was killed with it.

    Args:
        holder: the file that names the process; of one that runs, or ran on another machine, nothing is removed.
    """
    if not holder.is_file() or holder.stat().st_size > _LONGEST:
        return
    named = _HOLDER.fullmatch(holder.read_text(encoding="utf-8", errors="replace").strip())
    if named is None or named[2] != socket.gethostname() or _runs(int(named[1])):
        return
    for semaphore in _SEMAPHORES.glob(f"sem.loky-{int(named[1])}-*"):
        with contextlib.suppress(OSError):  # of somebody else, or gone
            semaphore.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of somebody else
        return True
    return True
