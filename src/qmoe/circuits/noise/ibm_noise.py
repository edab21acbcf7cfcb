"""Noise models from snapshots of IBM's devices, or any backend of Qiskit, as qiskit-aer makes them.

An error of a gate is the depolarizing channel that, with the relaxation of its qubits while it lasts, gives the error that
the device reports; the measurement has the error that is reported for it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from qmoe.circuits.gates import ALIASES, GATES
from qmoe.circuits.noise.channels import Channel, Kraus, ReadoutError
from qmoe.circuits.noise.ibm_snapshots import INSTALL, as_backend, as_qubits, backend_name, narrowed
from qmoe.circuits.noise.model import NoiseModel
from qmoe.circuits.noise.placement import Placed
from qmoe.circuits.noise.source_device import SourceDevice
from qmoe.errors import ConfigError, UnsupportedError, needed

#: Gates of devices under names that are no aliases here.
_OTHER = {"u3": "Rot"}
#: How far a channel may be from what the device reports.
_TOLERANCE = 1e-6


def ibm_noise(backend: Any, qubits: Iterable[int] | None = None) -> NoiseModel:
    """As of `NoiseModel.from_ibm`."""
    found = as_backend(backend)
    chosen = as_qubits(qubits, found)
    target = narrowed(found.target, chosen)
    gates = {name: ours for name in target.operation_names if (ours := gate_name(name)) is not None}
    couplings = [(ours, *on) for name, ours in gates.items() for on in target.qargs_for_operation_name(name)]
    device = SourceDevice(
        backend_name(found),
        chosen,
        tuple(sorted(set(gates.values()))),
        tuple(sorted(one for one in couplings if len(one) == 3)),
    )
    placed = [*_gate_errors(target, gates), *_readout_errors(target)]
    return NoiseModel(channels=tuple(placed), device=device)


def gate_name(name: str) -> str | None:
    """Our name of a device's gate; None for what is no gate here: measurements, delays, and pulses of some old devices."""
    ours = _OTHER.get(name, ALIASES.get(name))
    return ours if ours in GATES else None


def gate_channels(target: Any) -> list[tuple[str, tuple[int, ...], Any]]:
    """Qiskit's name, wires and qiskit-aer's error of every gate that has one."""
    aer = needed("qiskit_aer.noise.device", INSTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # T2 above 2 T1 is cut, as ever with qiskit-aer
        found = aer.basic_device_gate_errors(target=target)
    return [(name, tuple(on), error) for name, on, error in found if gate_name(name) is not None]


def readout_tables(target: Any) -> list[tuple[int, np.ndarray]]:
    """Each wire with ``(2, 2)`` probabilities that a state (row) is read as another (column)."""
    aer = needed("qiskit_aer.noise.device", INSTALL)
    return [(int(on[0]), np.array(error.probabilities)) for on, error in aer.basic_device_readout_errors(target=target)]


def _gate_errors(target: Any, gates: dict[str, str]) -> list[Placed]:
    info = needed("qiskit.quantum_info", INSTALL)
    placed = []
    for name, wires, error in gate_channels(target):
        channel = Kraus(_in_our_order(info.Kraus(error).data))
        _check_fidelity(channel, target, name, wires)
        place = "one_qubit_gate" if len(wires) == 1 else "two_qubit_gate"
        placed.append(channel.after(place, wires, (gates[name],)))
    return placed


def _in_our_order(operators: Any) -> Any:
    """Operators whose first qubit counts most, nested as `Kraus` takes them."""
    if not isinstance(operators, list):
        raise UnsupportedError(
            "The error of a gate is no channel that Qiskit can write by one list of Kraus operators."
        )
    found = np.array(operators)
    if found.shape[-1] == 4:
        found = found.reshape(-1, 2, 2, 2, 2).transpose(0, 2, 1, 4, 3).reshape(-1, 4, 4)
    return found.tolist()


def _readout_errors(target: Any) -> list[Placed]:
    return [ReadoutError(table[0, 1], table[1, 0]).before_readout((wire,)) for wire, table in readout_tables(target)]


# --- what the device reports, by formula ----------------------------------------------------------------------------


def reported_fidelity(target: Any, name: str, wires: tuple[int, ...]) -> float:
    """The average fidelity of a gate: one less the error that is reported; less, where relaxation alone leaves less."""
    dim = 2 ** len(wires)
    kept = _kept(target, name, wires)
    return kept * relaxed_fidelity(target, name, wires) + (1 - kept) / dim


def relaxed_fidelity(target: Any, name: str, wires: tuple[int, ...]) -> float:
    """The average fidelity that relaxation leaves in the time of a gate, from T1 and T2."""
    dim = 2 ** len(wires)
    traces = [1 + decay + 2 * coherence for decay, coherence in (_decays(target, name, wires, wire) for wire in wires)]
    return (math.prod(traces) / dim + 1) / (dim + 1)


def known_excitation(target: Any, name: str, wire: int) -> float:
    """The probability of |1> after a gate that takes |0> there, by formula, before it is read."""
    decay, _ = _decays(target, name, (wire,), wire)
    return decay * (1 + _kept(target, name, (wire,))) / 2


def _kept(target: Any, name: str, wires: tuple[int, ...]) -> float:
    """The factor of the depolarizing channel that, with relaxation, gives the error that is reported.

    There is none where relaxation alone exceeds that; and no channel takes more than it takes to turn signs round.
    """
    error, dim = target[name][wires].error, 2 ** len(wires)
    if not error:
        return 1.0
    kept = (1 - error - 1 / dim) / (relaxed_fidelity(target, name, wires) - 1 / dim)
    return min(1.0, max(kept, -1 / (dim * dim - 1)))


def _decays(target: Any, name: str, wires: tuple[int, ...], wire: int) -> tuple[float, float]:
    """What is left of an excitation, and of coherence, of a wire after a gate."""
    duration = target[name][wires].duration
    if not duration or target.qubit_properties is None:
        return 1.0, 1.0
    values = target.qubit_properties[wire]
    t1, t2 = (math.inf if t is None else t for t in (values.t1, values.t2))
    return math.exp(-duration / t1), math.exp(-duration / min(t2, 2 * t1))


def _check_fidelity(channel: Channel, target: Any, name: str, wires: tuple[int, ...]) -> None:
    """Raises where a channel changes a state by another amount than the device reports."""
    dim = 2 ** len(wires)
    found = (float(np.trace(channel.transfer())) / dim + 1) / (dim + 1)
    expected = reported_fidelity(target, name, wires)
    if not abs(found - expected) <= _TOLERANCE:
        raise ConfigError(
            f"The noise of {name} on {wires} leaves a fidelity of {found:.7g}, and the device reports {expected:.7g}; its "
            "numbers cannot be trusted. Use another snapshot."
        )
