"""The kernels of this engine, by name."""

from __future__ import annotations

from collections.abc import Callable

from qmoe.compiled.cache import Kernel, declare
from qmoe.compiled.cache import kernel as compiled_kernel

_ROOM = "qmoe.engines.native.kernels"
KERNELS = {
    one.name: one
    for one in (
        *declare(f"{_ROOM}.state", ("evaluate", 4), ("differentiate", 4)),
        *declare(f"{_ROOM}.pauli", ("evaluate_noisy", 4), ("differentiate_noisy", 4)),
        *declare(
            f"{_ROOM}.large_state",
            ("prepare_large", 5),
            ("advance_large", 7),
            ("undo_large", 8),
            ("read_large", 6),
            ("finish_large", 4),
            ("seed_large", 7),
            ("collect_large", 5),
        ),
    )
}


def kernel(name: str, itemsize: int) -> Callable[..., None]:
    """A kernel of `KERNELS` for floats of ``itemsize`` bytes."""
    return compiled_kernel(KERNELS[name], itemsize)


def kernels_for(noisy: bool) -> tuple[Kernel, ...]:
    """The kernels that training circuits of common size takes."""
    names = ("evaluate_noisy", "differentiate_noisy") if noisy else ("evaluate", "differentiate")
    return tuple(KERNELS[name] for name in names)
