"""What a record has to say of where it was made."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

#: Libraries that read their number of threads from the environment, when they are first imported.
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def n_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(threads: int) -> None:
    """The same limit for every contender; call it before torch, JAX or any of them is imported.

    JAX has no setting of its own: it takes as many threads as the process has processors, so those are limited too, where
    the system can.
    """
    for variable in _VARIABLES:
        os.environ[variable] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity") and threads < n_cores():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def describe_machine() -> dict[str, str | int | float]:
    """Processor, cores, memory, system and Python."""
    return {
        "cpu": _cpu_model(),
        "cores": n_cores(),
        "memory_gib": round(total_memory() / 2**30, 1),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def total_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> int:
    """Bytes that can be had without swapping; all there are, where the system does not say."""
    path = Path("/proc/meminfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return total_memory()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of the distributions that are installed."""
    found = {}
    for package in sorted(set(packages)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit that is checked out, with ``+`` where the tree has changes; ``unknown`` outside of a repository."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def today() -> str:
    """The date, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def load() -> float:
    """Mean number of busy processes over the last minute."""
    return round(os.getloadavg()[0], 2)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parent
    )
    return done.stdout.strip()


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
