"""Circuits as Qiskit's."""

from __future__ import annotations

from typing import Any

from qmoe.circuits import Angle, Circuit, Gate, Prepare, angle_value
from qmoe.circuits.gates import QISKIT_METHODS
from qmoe.errors import UnsupportedError, needed
from qmoe.interop.optional import check_circuit


def to_qiskit(circuit: Circuit) -> Any:
    """A ``QuantumCircuit`` with the parameter vectors ``x`` (features) and ``w`` (weights), without measurements.

    Qubit i is wire i, so that outcomes read from the other end: wire 0 is our most significant bit, and Qiskit's least.
    `to_qiskit_observables` has what is measured.

    Raises:
        UnsupportedError: for amplitude encoding, whose features are no angles; noise; angles by a function; or where Qiskit
            is missing.

    Example:
        >>> from qmoe.interop import to_qiskit
        >>> to_qiskit(qmoe.Circuit(2, 1)).num_qubits
        2
    """
    qiskit = needed("qiskit.circuit", "qmoe[ibm]")
    operations = plain_gates(circuit, "Qiskit")
    made = qiskit.QuantumCircuit(circuit.n_qubits)
    x, w = qiskit.ParameterVector("x", circuit.in_features), qiskit.ParameterVector("w", circuit.n_weights)

    def value(angle: Angle) -> Any:
        return angle_value(angle, lambda index: x[index], lambda index: w[index], float)

    for op in operations:
        angles = [value(angle) for angle in op.angles]
        if op.name == "Rot":
            phi, theta, omega = angles
            made.u(theta, omega, phi, *op.wires)  # equal up to a global phase
        else:
            getattr(made, QISKIT_METHODS[op.name])(*angles, *op.wires)
    return made


def plain_gates(circuit: Circuit, target: str) -> list[Gate]:
    """The gates of a circuit that has nothing but gates.

    Raises:
        UnsupportedError: for noise, amplitude encoding, or angles by a function, which ``target`` cannot hold.
    """
    check_circuit(circuit)
    if circuit.noise is not None:
        raise UnsupportedError(
            f"The circuit has noise, which {target} does not hold here; use circuit.with_noise(None)."
        )
    if circuit.body is not None and circuit.body.function is not None:
        raise UnsupportedError(f"The circuit has angles by a function of torch, which {target} cannot compute.")
    gates: list[Gate] = []
    for number, op in enumerate(circuit.operations):
        if isinstance(op, Prepare):
            raise UnsupportedError(
                f"Operation {number} prepares amplitudes from features, and parameters of {target} are angles; encode "
                "features by rotations, or prepare each sample's state there."
            )
        assert isinstance(op, Gate)
        gates.append(op)
    return gates
