"""What a state takes, against what the machine has: asked before memory is, since nobody says no to a process that asks."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

import torch

from qmoe.circuits import Circuit
from qmoe.errors import UnsupportedError

#: Where Linux says how much a container may use.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
#: The same with what it uses.
_CONTAINERS = tuple(
    zip(_LIMITS, (_LIMITS[0].with_name("memory.current"), _LIMITS[1].with_name("memory.usage_in_bytes")), strict=True)
)


@functools.cache
def machine_bytes() -> int | None:
    """Bytes of memory of this machine, or of this container where it may use less; None where nobody says."""
    found = []
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not on every system
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min((value for value in found if value > 0), default=None)


def free_bytes() -> int | None:
    """Bytes of memory that this process may still take without swapping; None where nobody says.

    The least of what the machine has free, what its container leaves, and what ``ulimit -v`` allows.
    """
    found = [_available(), *(_left(limit, used) for limit, used in _CONTAINERS), _left_of_address_space()]
    return min((value for value in found if value is not None), default=machine_bytes())


def _available() -> int | None:
    """What Linux counts as available: what is free, and caches that it can give up."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return None


def _left(limit: Path, used: Path) -> int | None:
    """What a container leaves; its caches of files count as free."""
    try:
        statistics = dict(line.split() for line in used.with_name("memory.stat").read_text().splitlines())
        cached = int(statistics.get("inactive_file", statistics.get("total_inactive_file", 0)))
        return max(0, int(limit.read_text()) - int(used.read_text()) + cached)
    except (OSError, ValueError):  # not there, or "max"
        return None


def _left_of_address_space() -> int | None:
    try:
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else max(0, limit - pages * resource.getpagesize())


def device_bytes(device: torch.device | None = None) -> int | None:
    """Bytes of memory of a device, this machine's own for the CPU and None; None where nobody says."""
    if device is None or device.type == "cpu":
        return machine_bytes()
    if device.type == "cuda" and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(device).total_memory)
    return None


def state_bytes(circuit: Circuit, itemsize: int) -> int:
    """Bytes of a sample's state for floats of ``itemsize`` bytes: amplitudes, or Pauli coefficients where there is noise."""
    return itemsize * (2 * circuit.dim if circuit.noise is None else circuit.dim**2)


def too_much(
    circuit: Circuit, itemsize: int, n_states: int, n_more: int = 0, device: torch.device | None = None
) -> str | None:
    """Why the machine, or a device of it, cannot hold the states that running ``circuit`` needs; None where it can.

    Args:
        circuit: what is to run.
        itemsize: bytes of a float, 4 or 8.
        n_states: how many states of one sample must be there at once.
        n_more: other numbers that must be there, the read-outs for example.
        device: where; None for the CPU.
    """
    there, each = device_bytes(device), state_bytes(circuit, itemsize)
    needed = each * n_states + itemsize * n_more
    if there is None or needed <= there:
        return None
    kind = "amplitudes" if circuit.noise is None else "Pauli coefficients (there is noise)"
    exponent = circuit.n_qubits if circuit.noise is None else 2 * circuit.n_qubits
    where = "" if device is None or device.type == "cpu" else f" on {device}"
    pure = "" if circuit.noise is None else ", or engine='trajectories', which takes pure states and has an error bar"
    return (
        f"n_qubits={circuit.n_qubits} makes 2**{exponent} {kind}, {in_words(each)} for each sample; at least "
        f"{in_words(needed)} are needed at once and there are {in_words(there)}{where}. Use fewer qubits (a router with "
        f"n_qubits below its features projects them), or smaller batches{pure}."
    )


def require_memory(
    circuit: Circuit, itemsize: int, n_states: int, n_more: int = 0, device: torch.device | None = None
) -> None:
    """Raises `UnsupportedError` where `too_much` has a reason."""
    reason = too_much(circuit, itemsize, n_states, n_more, device)
    if reason is not None:
        raise UnsupportedError(reason)


def in_words(n_bytes: int) -> str:
    """Such as ``"16 GiB"``."""
    # Python has no float for more, and 10**291 PiB say it as well.
    size, units = float(min(n_bytes, 2**1000)), iter(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while size >= 999.5 and unit != "PiB":  # three digits, so that none is written as 1.01e+03
        size, unit = size / 1024, next(units)
    return f"{size:.3g} {unit}"
