"""The circuits that are imported, as the users of PennyLane and of Qiskit write them.

What qmoe imports is the very object that the peer runs.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from qmoe.circuits import Circuit

if TYPE_CHECKING:
    from qiskit.circuit import QuantumCircuit

#: A quantum function of PennyLane: ``(inputs, weights)`` to what is measured.
Function = Callable[[Any, Any], Any]


class QiskitSource(NamedTuple):
    """A circuit of Qiskit.

    Attributes:
        features: the circuit of the input parameters.
        ansatz: the circuit of the weights, which follows it; each weight is the angle of one rotation.
        observables: what is measured: one observable for each output.
    """

    features: QuantumCircuit
    ansatz: QuantumCircuit
    observables: list[Any]

    @property
    def network(self) -> dict[str, Any]:
        """The arguments of ``EstimatorQNN``, which are those of `qmoe.QuantumLayer.from_qiskit` too."""
        return {
            "circuit": self.features.compose(self.ansatz),
            "input_params": list(self.features.parameters),
            "weight_params": list(self.ansatz.parameters),
            "observables": self.observables,
        }


@dataclass(frozen=True)
class Source(ABC):
    """A circuit in both libraries.

    Attributes:
        n_qubits: as many as there are features.
    """

    n_qubits: int

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights in PennyLane; in Qiskit they stand in one row."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Expectation values of a sample."""

    @abstractmethod
    def function(self) -> Function:
        """The circuit in PennyLane; features may be a batch ``(..., Q)``."""

    @abstractmethod
    def in_qiskit(self) -> QiskitSource:
        """The circuit in Qiskit."""

    @property
    def n_weights(self) -> int:
        """How many numbers are trained."""
        return math.prod(self.weight_shape)

    def qnode(self, device: str = "default.qubit") -> Any:
        """A QNode in torch: backpropagation on default.qubit, the adjoint method on lightning.qubit."""
        import numpy as np
        import pennylane as qml

        lightning = device == "lightning.qubit"
        options = {"c_dtype": np.complex64} if lightning else {}
        simulator = qml.device(device, wires=self.n_qubits, **options)
        return qml.QNode(
            self.function(), simulator, interface="torch", diff_method="adjoint" if lightning else "backprop"
        )


@dataclass(frozen=True)
class FeatureMap(Source):
    """ZZFeatureMap and RealAmplitudes of Qiskit's library, and ``<Z...Z>``, which ``EstimatorQNN`` measures by default.

    Attributes:
        map_reps, ansatz_reps: repetitions of both, as Qiskit counts them.
    """

    map_reps: int = 2
    ansatz_reps: int = 3

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """One row, as in Qiskit."""
        return ((self.ansatz_reps + 1) * self.n_qubits,)

    @property
    def n_outputs(self) -> int:
        """The parity alone."""
        return 1

    def function(self) -> Function:
        """Gate by gate, as Qiskit decomposes both."""
        import pennylane as qml

        n = self.n_qubits

        def function(inputs: Any, weights: Any) -> Any:
            for _ in range(self.map_reps):
                for i in range(n):
                    qml.Hadamard(i)
                    qml.PhaseShift(2 * inputs[..., i], wires=i)
                for i, j in itertools.combinations(range(n), 2):
                    qml.CNOT([i, j])
                    qml.PhaseShift(2 * (math.pi - inputs[..., i]) * (math.pi - inputs[..., j]), wires=j)
                    qml.CNOT([i, j])
            for layer in range(self.ansatz_reps + 1):
                for i in reversed(range(n - 1)) if layer else ():
                    qml.CNOT([i, i + 1])
                for i in range(n):
                    qml.RY(weights[layer * n + i], wires=i)
            return qml.expval(qml.prod(*(qml.Z(i) for i in range(n))))

        return function

    def in_qiskit(self) -> QiskitSource:
        """Both by their functions in Qiskit's library."""
        from qiskit.circuit.library import real_amplitudes, zz_feature_map
        from qiskit.quantum_info import SparsePauliOp

        return QiskitSource(
            zz_feature_map(self.n_qubits, reps=self.map_reps),
            real_amplitudes(self.n_qubits, reps=self.ansatz_reps),
            [SparsePauliOp("Z" * self.n_qubits)],
        )


@dataclass(frozen=True)
class Template(Source):
    """AngleEmbedding, StronglyEntanglingLayers and every ``<Z>``: what `qmoe.Circuit` has without an import.

    Attributes:
        n_layers: L.
    """

    n_layers: int

    @property
    def circuit(self) -> Circuit:
        """The same as qmoe's own template."""
        return Circuit(self.n_qubits, self.n_layers)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Layers, qubits and the angles of Rot."""
        return (self.n_layers, self.n_qubits, 3)

    @property
    def n_outputs(self) -> int:
        """One for each qubit."""
        return self.n_qubits

    def function(self) -> Function:
        """PennyLane's templates."""
        import pennylane as qml

        wires = range(self.n_qubits)

        def function(inputs: Any, weights: Any) -> Any:
            qml.AngleEmbedding(inputs, wires=wires)
            qml.StronglyEntanglingLayers(weights, wires=wires)
            return [qml.expval(qml.Z(i)) for i in wires]

        return function

    def in_qiskit(self) -> QiskitSource:
        """Gate by gate."""
        from qiskit.circuit import ParameterVector, QuantumCircuit
        from qiskit.quantum_info import SparsePauliOp

        n = self.n_qubits
        x, w = ParameterVector("x", n), ParameterVector("w", self.n_weights)
        features, ansatz = QuantumCircuit(n), QuantumCircuit(n)
        for i in range(n):
            features.rx(x[i], i)
        for layer in range(self.n_layers):
            for i in range(n):
                phi, theta, omega = w[3 * (layer * n + i) : 3 * (layer * n + i) + 3]
                ansatz.rz(phi, i)
                ansatz.ry(theta, i)
                ansatz.rz(omega, i)
            for i in range(n) if n > 1 else ():
                ansatz.cx(i, (i + layer % (n - 1) + 1) % n)
        return QiskitSource(features, ansatz, [SparsePauliOp.from_sparse_list([("Z", [i], 1.0)], n) for i in range(n)])
