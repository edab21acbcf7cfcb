"""Who takes part: the engines of qmoe and the peers that are installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from benchmarks.contenders.base import Contender, Step
from benchmarks.contenders.own import own_contenders

__all__ = ["PEERS", "Contender", "Step", "assemble"]

#: key -> module and class; the modules import their simulators, so that a run of a few does not wait for all.
PEERS: dict[str, tuple[str, str]] = {
    "tensorcircuit": ("tensorcircuit", "TensorCircuit"),
    "jax-default.qubit": ("pennylane_jax", "JaxDefaultQubit"),
    "default.qubit": ("pennylane", "DefaultQubit"),
    "lightning.qubit": ("pennylane", "Lightning"),
    "deepquantum": ("deepquantum", "DeepQuantum"),
    "pyqtorch": ("pyqtorch", "Pyqtorch"),
    "jax-default.mixed": ("pennylane_jax", "JaxDefaultMixed"),
    "default.mixed": ("pennylane", "DefaultMixed"),
}


def assemble(only: Iterable[str] = ()) -> tuple[list[Contender], dict[str, str]]:
    """The contenders of a run, and the peers that could not be imported with the reason.

    Args:
        only: keys; all contenders if empty.

    Raises:
        ValueError: for an unknown key.
    """
    own = {kind.key: kind for kind in own_contenders()}
    wanted = list(only) or [*own, *PEERS]
    unknown = [key for key in wanted if key not in own and key not in PEERS]
    if unknown:
        raise ValueError(f"There is no contender {unknown[0]!r}; there are {', '.join([*own, *PEERS])}.")
    found, missing = [], {}
    for key in wanted:
        if key in own:
            found.append(own[key]())
            continue
        module, name = PEERS[key]
        try:
            found.append(getattr(importlib.import_module(f"benchmarks.contenders.{module}"), name)())
        except Exception as error:  # whatever a peer's import raises, the others go on
            missing[key] = f"{type(error).__name__}: {error}"
    return found, missing
