"""Snapshots of IBM's devices: names, and what stands behind them. Nothing here asks the network."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from numbers import Integral
from typing import Any

from qmoe.errors import ConfigError, needed, unknown

INSTALL = "qmoe[ibm]"


@functools.cache
def _classes() -> dict[str, Any]:
    provider = needed("qiskit_ibm_runtime.fake_provider", INSTALL)
    found = {}
    for kind in vars(provider).values():
        name = getattr(kind, "backend_name", None)
        if isinstance(kind, type) and isinstance(name, str):
            found[name] = kind
    return found


def snapshot_names() -> tuple[str, ...]:
    """All names that `as_backend` takes, such as ``"fake_manila"``.

    Raises:
        UnsupportedError: where qiskit-ibm-runtime is missing.
    """
    return tuple(sorted(_classes()))


@functools.cache
def _snapshot(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of them warns that it is made up
        return _classes()[name]()


def as_backend(backend: Any) -> Any:
    """A backend of Qiskit with a ``target``, by the name of a snapshot or as it is.

    Raises:
        ConfigError: for an unknown name, or what is no backend.
        UnsupportedError: where Qiskit or its snapshots are missing.
    """
    if isinstance(backend, str):
        known = snapshot_names()
        if backend not in known:
            raise unknown("IBM snapshot", backend, known)
        return _snapshot(backend)
    if getattr(backend, "target", None) is None or not hasattr(backend, "num_qubits"):
        raise ConfigError(
            f"Got {backend!r}, expected the name of a snapshot, such as 'fake_manila', or a Qiskit backend with a target."
        )
    return backend


def backend_name(backend: Any) -> str:
    """What a backend is called."""
    return backend if isinstance(backend, str) else str(getattr(backend, "name", None) or type(backend).__name__)


def as_qubits(qubits: Iterable[int] | None, backend: Any) -> tuple[int, ...]:
    """Numbers of qubits of a device, all of them for None.

    Raises:
        ConfigError: for numbers that it does not have, or that stand twice.
    """
    if qubits is None:
        return tuple(range(backend.num_qubits))
    listed = tuple(qubits) if isinstance(qubits, Iterable) and not isinstance(qubits, str) else (qubits,)
    plain = all(isinstance(q, Integral) and not isinstance(q, bool) and 0 <= q < backend.num_qubits for q in listed)
    if not listed or not plain or len(set(listed)) < len(listed):
        raise ConfigError(
            f"qubits is {qubits!r}, expected different numbers from 0 to {backend.num_qubits - 1}, the qubits of "
            f"{backend_name(backend)}."
        )
    return tuple(int(q) for q in listed)


def narrowed(target: Any, qubits: tuple[int, ...], without: tuple[str, ...] = ()) -> Any:
    """The target of some qubits alone, numbered anew in their order.

    Args:
        target: of a backend.
        qubits: numbers on the device.
        without: names of instructions that are left out.
    """
    transpiler = needed("qiskit.transpiler", INSTALL)
    place = {qubit: wire for wire, qubit in enumerate(qubits)}
    known = target.qubit_properties
    made = transpiler.Target(
        num_qubits=len(qubits), dt=target.dt, qubit_properties=None if known is None else [known[q] for q in qubits]
    )
    for name, found in target.items():
        if name in without or found is None or None in found:
            continue
        kept = {tuple(place[q] for q in on): values for on, values in found.items() if on and set(on) <= place.keys()}
        if kept:
            made.add_instruction(target.operation_from_name(name), kept, name=name)
    return made
