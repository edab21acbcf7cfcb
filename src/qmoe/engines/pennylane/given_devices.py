"""Devices that a user made, and names that PennyLane does not know."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pennylane as qml

from qmoe.errors import ConfigError, UnsupportedError, unknown

#: Devices of plug-ins, and what pip calls these.
_PLUGINS = {
    "lightning.gpu": "pennylane-lightning-gpu",
    "lightning.kokkos": "pennylane-lightning-kokkos",
    "lightning.tensor": "pennylane-lightning-tensor",
    "lightning.amdgpu": "pennylane-lightning-amdgpu",
    "qiskit.aer": "pennylane-qiskit",
    "qiskit.basicsim": "pennylane-qiskit",
    "qiskit.remote": "pennylane-qiskit",
}


def missing_device(name: str) -> Exception:
    """The error for a name that PennyLane does not know: the plug-in that has it, or the nearest name."""
    if name in _PLUGINS:
        return UnsupportedError(
            f"PennyLane device {name!r} comes with a plug-in that is not installed: pip install {_PLUGINS[name]}"
        )
    return unknown("PennyLane device", name, qml.plugin_devices)


def checked_device(device: Any, seed: object, options: Mapping[str, Any]) -> Any:
    """A device that a user made.

    Raises:
        ConfigError: for what is none, or options that would make another.
    """
    if isinstance(device, qml.devices.LegacyDevice):
        device = qml.devices.LegacyDeviceFacade(device)
    if not isinstance(device, qml.devices.Device):
        raise ConfigError(f"device is {device!r}, expected the name of a PennyLane device, or one made by qml.device.")
    if seed is not None or options:
        given = ", ".join([*(["seed"] if seed is not None else []), *options])
        raise ConfigError(f"{given} would make another device than the one that was given; set it in qml.device(...).")
    return device


def fitted(device: Any, n_qubits: int) -> Any:
    """A copy of a user's device, which is left as it is, for circuits of so many wires.

    Raises:
        UnsupportedError: for one without the wires 0, 1, ...
    """
    wires = device.wires
    missing = [] if wires is None else [wire for wire in range(n_qubits) if wire not in wires]
    if missing:
        raise UnsupportedError(
            f"The circuit has wires 0 to {n_qubits - 1}, and the device {device.name!r} has {list(wires)}; make it by "
            f"qml.device({device.name!r}, wires={n_qubits})."
        )
    return copy.copy(device)
