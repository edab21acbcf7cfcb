"""Why worker processes cannot start, and why they died, told with the remedy."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import spawn
from multiprocessing.process import BaseProcess
from pathlib import Path

from qmoe.errors import ConfigError, QMoEError

#: A process ends with this code if it was to start processes while it still imported the program of its parent.
UNGUARDED = 78
_GUARD = 'if __name__ == "__main__":'
_GO_ON = "Finished trials are in the store: the same command or call goes on from there"
_FEWER = "with fewer workers (--workers, or workers=)"
_CRASH = f"compiled code failed in it. With 0 workers you see where, and `qmoe doctor` tries the engines. {_GO_ON}."
#: Signal -> what it tells. Names, as not every system has all of them.
_SIGNALS = {
    "SIGKILL": "a system that runs out of memory sends it, a batch system to a job over its memory limit, and `kill -9`. "
    f"{_GO_ON}; if memory was short, try it {_FEWER}.",
    "SIGTERM": f"it was told to end from outside, as batch systems do at a time limit. {_GO_ON}.",
    "SIGXCPU": f"it used up the processor time it is allowed (ulimit -t); raise the limit. {_GO_ON}.",
    "SIGXFSZ": f"it wrote a file larger than is allowed (ulimit -f); raise the limit. {_GO_ON}.",
    "SIGBUS": f"memory backed by a file was not there, most often as a disk or /dev/shm is full; make room. {_GO_ON}.",
    "SIGILL": f"its machine code is not for this processor. {_CRASH}",
    "SIGSEGV": _CRASH,
    "SIGABRT": _CRASH,
    "SIGFPE": _CRASH,
}


def check_startable() -> None:
    """Refuses to start processes where none can run, before one is started.

    Raises:
        ConfigError: in a daemonic process, or in a program that processes cannot import, such as one read from standard
            input.
        SystemExit: in a process that is importing its parent's program, with `UNGUARDED`, which the parent explains.
    """
    if multiprocessing.current_process().daemon:
        raise ConfigError(
            "Worker processes were asked for in a daemonic process, such as one of multiprocessing.Pool, which may start "
            "none; use workers=0 here, or start the workers from the main process."
        )
    try:
        program = imported_program()
    except RuntimeError:
        raise SystemExit(UNGUARDED) from None
    if isinstance(program, Path) and not program.exists():
        raise ConfigError(
            f"Worker processes import the program that starts them, and there is no file {program}: a program from "
            f"standard input has none. Save it as a file and put what it does under `{_GUARD}`, or use workers=0."
        )


def imported_program() -> Path | str | None:
    """What processes import as they start: a file, or a module by name; None in an interactive session or for a package.

    Raises:
        RuntimeError: in a process that is just importing it.
    """
    told = spawn.get_preparation_data("worker")
    module, path = told.get("init_main_from_name"), told.get("init_main_from_path")
    if module is not None:  # of ``python -m package`` nothing is imported, as that would run it
        return None if module.rpartition(".")[2] == "__main__" else module
    return None if path is None else Path(path)


@contextmanager
def explained_start() -> Iterator[None]:
    """Tells what keeps processes from being started.

    Raises:
        QMoEError: with the system's reason.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        raise QMoEError(
            f"Worker processes cannot be started: {error}. Try it {_FEWER}; 0 runs everything in this process."
        ) from error


def exit_codes(processes: Sequence[BaseProcess], patience: float = 5.0) -> list[int]:
    """How each process ended, negative for the number of a signal; those that still run after ``patience`` s left out."""
    deadline = time.monotonic() + patience
    # Not join: the pool's own thread waits for them as well, and a process can be waited for by one of them only.
    while any(process.exitcode is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [code for process in processes if (code := process.exitcode) is not None]


def why_died(codes: Sequence[int], began: bool, broken: BaseException | None = None) -> str:
    """Tells why a pool of processes broke, as far as can be known, and what to do.

    Args:
        codes: how its processes ended, as `exit_codes` has them.
        began: whether any of them was ready for its first task.
        broken: what the pool says of an answer that it could not read.
    """
    # Where one ended by itself, the pool ended the others, by SIGTERM.
    own = [code for code in codes if code != -signal.SIGTERM]
    if not own and broken is not None:
        lines = [line for line in str(broken).splitlines() if line.strip(" \"'")]
        why = lines[-1].strip(' "') if lines else repr(broken)
        return f"What a worker process answered cannot be read: {why}. {_GO_ON}."
    if not codes:
        return f"The worker processes do not answer, and how they ended is not known. {_GO_ON}."
    code = own[0] if own else -signal.SIGTERM
    if code < 0:
        name = signal_name(-code)
        return f"A worker process was ended by {name}: {_SIGNALS.get(name, f'nothing more is known. {_GO_ON}.')}"
    if not began:
        return _failed_start(code)
    return (
        f"A worker process ended itself with exit code {code} in the middle of a task; what it printed stands above. "
        f"{_GO_ON}; 0 workers runs everything in this process, where the cause is easier to see."
    )


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 64`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _failed_start(code: int) -> str:
    program = imported_program()
    if code == UNGUARDED:
        return (
            f"{program or 'The program'} starts worker processes as soon as it is imported, and each worker imports it as "
            f"well. Put what it does under `{_GUARD}`, or use workers=0."
        )
    what = "qmoe" if program is None else f"qmoe or {program}"
    advice = "" if program is None else f" What that program does beside defining things belongs under `{_GUARD}`."
    return (
        f"A worker process ended with exit code {code} before its first task, most likely by an error as it imported "
        f"{what}; that error stands above.{advice} Or use workers=0."
    )
