"""Circuits of PennyLane's tutorials and templates come in, and agree with default.qubit: values and gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
import pytest
import torch
from unitaries import with_gradients

from qmoe.circuits import Born, Expval, Prepare
from qmoe.engines import NativeEngine, TorchEngine
from qmoe.interop import from_pennylane


class Tutorial(NamedTuple):
    """A quantum function with its numbers of wires and features, and the shapes of its weights."""

    function: Callable[..., Any]
    n_wires: int
    n_features: int
    shapes: dict[str, Any]
    #: What the import is told: a slice takes any number of features.
    in_features: int | None = None


def torch_layer(inputs, weights):
    # Turning quantum nodes into Torch layers
    qml.AngleEmbedding(inputs, wires=range(2))
    qml.BasicEntanglerLayers(weights, wires=range(2))
    return [qml.expval(qml.PauliZ(wires=i)) for i in range(2)]


def torch_layer_of_two_names(inputs, weights_0, weight_1):
    # The example of qml.qnn.TorchLayer
    qml.RX(inputs[..., 0], wires=0)
    qml.RX(inputs[..., 1], wires=1)
    qml.Rot(*weights_0, wires=0)
    qml.RY(weight_1, wires=1)
    qml.CNOT(wires=[0, 1])
    return [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]


def variational_classifier(inputs, weights):
    # Variational classifier: amplitudes, then Rot and a ring of CNOT
    qml.AmplitudeEmbedding(inputs, wires=range(2), normalize=True, pad_with=0.0)
    for layer in weights:
        for wire in range(2):
            qml.Rot(*layer[wire], wires=wire)
        qml.CNOT(wires=[0, 1])
    return qml.expval(qml.PauliZ(0))


def data_reuploading(inputs, params):
    # Data-reuploading classifier, with the density matrix of a class as observable
    for p in params:
        qml.Rot(inputs[..., 0], inputs[..., 1], inputs[..., 2], wires=0)
        qml.Rot(*p, wires=0)
    return qml.expval(qml.Hermitian(np.array([[0.5, 0.5j], [-0.5j, 0.5]]), wires=[0]))


def fourier_series(inputs, weights):
    # Quantum models as Fourier series
    for theta in weights[:-1]:
        qml.StronglyEntanglingLayers(theta, wires=range(2))
        for wire in range(2):
            qml.RX(0.5 * inputs[..., 0], wires=wire)
    qml.StronglyEntanglingLayers(weights[-1], wires=range(2))
    return qml.expval(qml.PauliZ(wires=0))


def iqp_embedding(inputs, weights):
    qml.IQPEmbedding(inputs, wires=range(3), n_repeats=2)
    qml.StronglyEntanglingLayers(weights, wires=range(3), imprimitive=qml.CZ)
    return qml.probs(wires=range(3))


def qaoa_embedding(inputs, weights):
    qml.QAOAEmbedding(features=inputs, weights=weights, wires=range(3))
    return [qml.expval(qml.Z(i)) for i in range(3)]


def transfer_learning(inputs, weights):
    # Quantum transfer learning: Hadamards, RY of features, entangling and RY layers
    for wire in range(4):
        qml.Hadamard(wires=wire)
        qml.RY(inputs[..., wire] * np.pi / 2.0, wires=wire)
    for layer in weights:
        for first in (0, 2, 1):
            qml.CNOT(wires=[first, first + 1])
        for wire in range(4):
            qml.RY(layer[wire], wires=wire)
    return [qml.expval(qml.PauliZ(position)) for position in range(4)]


def kernel(inputs, scale):
    # Kernel-based training: the embedding of one sample, and the adjoint one of another
    qml.AngleEmbedding(scale * inputs[..., :3], wires=range(3))
    qml.adjoint(qml.AngleEmbedding)(scale * inputs[..., 3:], wires=range(3))
    return qml.expval(qml.Projector([0, 0, 0], wires=range(3)))


def convolutional_network(inputs, kernels, last):
    # Generalization from few data: convolutions of U3 and Ising gates, pooling by controlled U3
    qml.AngleEmbedding(inputs, wires=range(4), rotation="Y")
    for first, second in ((0, 1), (2, 3), (1, 2)):
        for position, wire in enumerate((first, second)):
            qml.U3(*kernels[position * 3 : position * 3 + 3], wires=wire)
        qml.IsingXX(kernels[6], wires=[first, second])
        qml.IsingYY(kernels[7], wires=[first, second])
        qml.IsingZZ(kernels[8], wires=[first, second])
    for wire in (1, 3):
        qml.ctrl(qml.U3, control=wire)(*kernels[9:12], wires=wire - 1)
    qml.ArbitraryUnitary(last, wires=[0, 2])
    return qml.probs(wires=[0, 2])


def quanvolution(inputs, weights):
    # Quanvolutional neural networks: pixels, then random layers
    for wire in range(4):
        qml.RY(np.pi * inputs[..., wire], wires=wire)
    qml.RandomLayers(weights, wires=list(range(4)), seed=11)
    return [qml.expval(qml.PauliZ(wire)) for wire in range(4)]


def maxcut(inputs, gamma, alpha):
    # QAOA for MaxCut by qml.qaoa; inputs scale the first edge
    cost = qml.Z(0) @ qml.Z(1) + qml.Z(1) @ qml.Z(2) + qml.Z(2) @ qml.Z(3) + qml.Z(3) @ qml.Z(0)
    mixer = qml.X(0) + qml.X(1) + qml.X(2) + qml.X(3)
    for wire in range(4):
        qml.Hadamard(wire)
    qml.IsingZZ(inputs[..., 0], wires=[0, 1])
    for layer in range(2):
        qml.qaoa.cost_layer(gamma[layer], cost)
        qml.qaoa.mixer_layer(alpha[layer], mixer)
    return qml.expval(cost)


def chemistry(inputs, weights):
    # Givens rotations for quantum chemistry: excitations of a Hartree-Fock state
    qml.BasisState(np.array([1, 1, 0, 0]), wires=range(4))
    qml.DoubleExcitation(inputs[..., 0], wires=[0, 1, 2, 3])
    qml.SingleExcitation(weights[0], wires=[0, 2])
    qml.ctrl(qml.SingleExcitation, control=0)(weights[1], wires=[1, 3])
    return qml.expval(0.2 * qml.Z(0) - 0.4 * qml.X(1) @ qml.X(3) + 0.1 * qml.I(0))


def simplified_two_design(inputs, first, layers):
    qml.AngleEmbedding(inputs, wires=range(3), rotation="Y")
    qml.SimplifiedTwoDesign(first, layers, wires=range(3))
    return [qml.expval(qml.X(0)), qml.expval(qml.Y(1) @ qml.Z(2))]


def trainable_frequencies(inputs, scaling, weights):
    # Trainable frequency feature maps: each input times a weight
    for wire in range(3):
        qml.RX(scaling[wire] * inputs[..., 0], wires=wire)
    qml.StronglyEntanglingLayers(weights, wires=range(3))
    return qml.expval(qml.sum(qml.Z(0), qml.Z(1), qml.Z(2)))


def time_evolution(inputs, weights):
    # Hamiltonians in time, by the Trotter formula and by one exponential
    qml.Hadamard(0)
    qml.ApproxTimeEvolution(qml.Z(0) @ qml.Z(1) + 0.5 * qml.X(1), inputs[..., 0], 2)
    qml.evolve(qml.X(0) @ qml.Y(1), weights[0])
    qml.PauliRot(weights[1], "XZ", wires=[0, 1])
    return qml.probs(wires=[1])


def grid_of_unitaries(inputs, weights):
    # A matrix product state, with a Fourier transform behind it
    def block(weights, wires):
        qml.RX(weights[0], wires=wires[0])
        qml.RY(weights[1], wires=wires[1])
        qml.CNOT(wires=wires)

    qml.AngleEmbedding(inputs, wires=range(4))
    qml.MPS(wires=range(4), n_block_wires=2, block=block, n_params_block=2, template_weights=weights)
    qml.QFT(wires=range(2))
    return qml.expval(qml.Z(3))


TUTORIALS = [
    Tutorial(torch_layer, 2, 2, {"weights": (6, 2)}),
    Tutorial(torch_layer_of_two_names, 2, 2, {"weights_0": 3, "weight_1": 1}),
    Tutorial(variational_classifier, 2, 4, {"weights": (2, 2, 3)}),
    Tutorial(data_reuploading, 1, 3, {"params": (4, 3)}),
    Tutorial(fourier_series, 2, 1, {"weights": (3, 1, 2, 3)}),
    Tutorial(iqp_embedding, 3, 3, {"weights": (2, 3, 3)}),
    Tutorial(qaoa_embedding, 3, 3, {"weights": (2, 6)}),
    Tutorial(transfer_learning, 4, 4, {"weights": (3, 4)}),
    Tutorial(kernel, 3, 6, {"scale": ()}, in_features=6),
    Tutorial(convolutional_network, 4, 4, {"kernels": 12, "last": 15}),
    Tutorial(quanvolution, 4, 4, {"weights": (2, 4)}),
    Tutorial(maxcut, 4, 1, {"gamma": 2, "alpha": 2}),
    Tutorial(chemistry, 4, 1, {"weights": 2}),
    Tutorial(simplified_two_design, 3, 3, {"first": 3, "layers": (2, 2, 2)}),
    Tutorial(trainable_frequencies, 3, 1, {"scaling": 3, "weights": (2, 3, 3)}),
    Tutorial(time_evolution, 2, 1, {"weights": 2}),
    Tutorial(grid_of_unitaries, 4, 4, {"weights": (3, 2)}),
]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda tutorial: tutorial.function.__name__)
def test_a_tutorial_comes_in_and_has_pennylanes_values_and_gradients(tutorial: Tutorial) -> None:
    node = qml.QNode(tutorial.function, qml.device("default.qubit", wires=tutorial.n_wires))
    imported = from_pennylane(node, tutorial.shapes, in_features=tutorial.in_features)
    circuit = imported.circuit
    assert (circuit.n_qubits, circuit.in_features) == (tutorial.n_wires, tutorial.n_features)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, tutorial.n_features, dtype=torch.float64, generator=generator).add(0.1).requires_grad_()
    w = (torch.rand(circuit.n_weights, dtype=torch.float64, generator=generator) * 4 - 2).requires_grad_()
    rows = []
    for row in x:
        results = node(inputs=row, **imported.named(w))
        listed = results if isinstance(results, list | tuple) else [results]
        rows.append(torch.cat([result.reshape(-1) for result in listed]))
    expected = with_gradients(torch.stack(rows), x, w)
    found = with_gradients(TorchEngine().evaluate(circuit, x, w), x, w)
    for theirs, mine in zip(expected, found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("tutorial", [TUTORIALS[2], TUTORIALS[5], TUTORIALS[14]], ids=lambda t: t.function.__name__)
def test_imported_circuits_run_on_the_native_engine(tutorial: Tutorial) -> None:
    circuit = from_pennylane(
        qml.QNode(tutorial.function, qml.device("default.qubit", wires=tutorial.n_wires)), tutorial.shapes
    ).circuit
    x = torch.linspace(0.1, 1.7, 2 * circuit.in_features, dtype=torch.float64).reshape(2, -1).requires_grad_()
    w = torch.linspace(-2, 2, circuit.n_weights, dtype=torch.float64).requires_grad_()
    runs = [with_gradients(engine.evaluate(circuit, x, w), x, w) for engine in (NativeEngine(), TorchEngine())]
    for mine, theirs in zip(*runs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


def test_what_the_engines_have_special_paths_for_is_seen() -> None:
    def imported(tutorial: Tutorial):
        return from_pennylane(
            qml.QNode(tutorial.function, qml.device("default.qubit", wires=tutorial.n_wires)), tutorial.shapes
        ).circuit

    assert imported(TUTORIALS[0]).readout == Expval()
    assert imported(TUTORIALS[5]).readout == Born()
    assert imported(TUTORIALS[2]).operations[0] == Prepare(2)
