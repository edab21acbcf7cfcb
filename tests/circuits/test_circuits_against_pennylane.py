"""The circuits are PennyLane's templates, operation by operation."""

import numpy as np
import pennylane as qml
import pytest

from qmoe.circuits import GATES, AngleEncoding, BasicEntangler, Circuit, Feature, Gate, Weight

QUBITS = [1, 2, 3, 4, 5]
ROTATIONS = {"X": qml.RX, "Y": qml.RY, "Z": qml.RZ}
Listing = list[tuple[str, tuple[int, ...], tuple[float, ...]]]


def ours(circuit: Circuit, features: np.ndarray, weights: np.ndarray) -> Listing:
    listing = []
    for op in circuit.operations:
        assert isinstance(op, Gate)
        values = []
        for angle in op.angles:
            if isinstance(angle, Feature):
                values.append(features[angle.index])
            else:
                assert isinstance(angle, Weight)
                values.append(weights.reshape(-1)[angle.index])
        listing.append((op.name, op.wires, tuple(map(float, values))))
    return listing


def theirs(template: qml.operation.Operation) -> Listing:
    return [
        (op.name, tuple(op.wires), tuple(float(value) for value in op.parameters)) for op in template.decomposition()
    ]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-3, 3, shape)


@pytest.mark.parametrize("n_qubits", QUBITS)
@pytest.mark.parametrize("n_layers", [1, 2, 4, 6])
def test_strongly_entangling_layers(n_qubits: int, n_layers: int) -> None:
    circuit = Circuit(n_qubits, n_layers)
    assert circuit.weight_shape == qml.StronglyEntanglingLayers.shape(n_layers, n_qubits)
    weights = drawn(*circuit.weight_shape)
    template = qml.StronglyEntanglingLayers(weights, wires=range(n_qubits))
    assert ours(circuit, drawn(n_qubits), weights)[n_qubits:] == theirs(template)


@pytest.mark.parametrize("n_qubits", QUBITS)
@pytest.mark.parametrize("rotation", list(ROTATIONS))
def test_basic_entangler_layers(n_qubits: int, rotation: str) -> None:
    circuit = Circuit(n_qubits, 3, ansatz=BasicEntangler(rotation))
    assert circuit.weight_shape == qml.BasicEntanglerLayers.shape(3, n_qubits)
    weights = drawn(*circuit.weight_shape)
    template = qml.BasicEntanglerLayers(weights, wires=range(n_qubits), rotation=ROTATIONS[rotation])
    assert ours(circuit, drawn(n_qubits), weights)[n_qubits:] == theirs(template)


@pytest.mark.parametrize("n_qubits", QUBITS)
@pytest.mark.parametrize("rotation", list(ROTATIONS))
def test_angle_embedding(n_qubits: int, rotation: str) -> None:
    circuit, features = Circuit(n_qubits, 0, AngleEncoding(rotation)), drawn(n_qubits)
    template = qml.AngleEmbedding(features, wires=range(n_qubits), rotation=rotation)
    listing = ours(circuit, features, drawn(0))
    # RZ does nothing to |0>, so each of ours follows a Hadamard.
    assert [op for op in listing if op[0] != "Hadamard"] == theirs(template)
    assert sum(op[0] == "Hadamard" for op in listing) == (n_qubits if rotation == "Z" else 0)


@pytest.mark.parametrize("name", list(GATES))
def test_gates_have_the_wires_and_angles_of_pennylane(name: str) -> None:
    gate = getattr(qml, name)
    assert GATES[name] == (gate.num_wires, gate.num_params)
