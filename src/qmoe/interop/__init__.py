"""PennyLane, Qiskit and OpenQASM 3, in and out. Each is imported on use."""

from qmoe.circuits.decompositions import gates
from qmoe.interop.imported import Imported
from qmoe.interop.layers_in import layer_from
from qmoe.interop.openqasm.qasm_in import from_qasm3
from qmoe.interop.openqasm.qasm_out import to_qasm3
from qmoe.interop.pennylane.pennylane_in import from_pennylane
from qmoe.interop.pennylane.pennylane_out import to_pennylane
from qmoe.interop.qiskit.on_device import Compiled, compiled_facts, on_device
from qmoe.interop.qiskit.qiskit_in import from_qiskit
from qmoe.interop.qiskit.qiskit_out import to_qiskit
from qmoe.interop.qiskit.qiskit_readouts import to_qiskit_observables

__all__ = [
    "Compiled",
    "Imported",
    "compiled_facts",
    "from_pennylane",
    "from_qasm3",
    "from_qiskit",
    "gates",
    "layer_from",
    "on_device",
    "to_pennylane",
    "to_qasm3",
    "to_qiskit",
    "to_qiskit_observables",
]
