"""Why worker processes died, and what a task lacked, told with the remedy."""

from __future__ import annotations

import re

from qmoe.errors import QMoEError

_GO_ON = "Finished trials are in the store: the same command or call goes on from there"
_FEWER = "with fewer workers (--workers)"
_CRASH = "compiled code failed in it. With 0 workers you see where, and `qmoe doctor` tries the engines."
#: Signal -> what it tells. Names, as not every system has all of them.
_SIGNALS = {
    "SIGKILL": "a system that runs out of memory sends it, a batch system to a job over its memory limit, and `kill -9`; if "
    f"memory was short, try it {_FEWER}.",
    "SIGTERM": "it was told to end from outside, as batch systems do at a time limit.",
    "SIGXCPU": "it used up the processor time it is allowed (ulimit -t); raise the limit.",
    "SIGXFSZ": "it wrote a file larger than is allowed (ulimit -f); raise the limit.",
    "SIGBUS": "memory backed by a file was not there, most often as a disk or /dev/shm is full; make room.",
    "SIGILL": f"its machine code is not for this processor. {_CRASH}",
    "SIGSEGV": _CRASH,
    "SIGABRT": _CRASH,
    "SIGFPE": _CRASH,
}
#: How loky tells how processes ended, such as ``SIGKILL(-9)`` or ``EXIT(78)``.
_ENDED = re.compile(r"\b([A-Z][A-Z0-9]*)\((-?\d+)\)")


def why_died(error: BaseException) -> str:
    """Tells why a process died, as far as the executor's error says, and what to do.

    Args:
        error: what the executor raised for a task that the process was running.
    """
    found = {name: int(code) for name, code in _ENDED.findall(str(error))}
    # Where one ended by itself, the others were ended, by SIGTERM.
    own = [name for name in found if name != "SIGTERM"] or list(found)
    if not own:
        first = str(error).strip().splitlines()
        return f"The process that ran it died: {first[0] if first else repr(error)}"
    name = own[0]
    if name.startswith("SIG"):
        return f"A worker process was ended by {name}: {_SIGNALS.get(name, 'nothing more is known.')}"
    return (
        f"A worker process ended itself with exit code {found[name]}; what it printed stands above. 0 workers runs "
        "everything in this process, where the cause is easier to see."
    )


def memory_error(error: BaseException) -> QMoEError | None:
    """An error with a remedy in place of one that says that memory ran out; None for any other."""
    if not is_memory_error(error):
        return None
    return QMoEError(f"A worker process ran out of memory: {error or 'no more was said'}. {_GO_ON}, {_FEWER}.")


def is_memory_error(error: BaseException) -> bool:
    """Whether memory ran out; torch has no error of its own for that."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
