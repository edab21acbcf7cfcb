"""Circuits of Qiskit's library and of qiskit-machine-learning's tutorials come in, and agree with Qiskit's simulators."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from qiskit.circuit import ClassicalRegister, Parameter, ParameterVector, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import (
    PauliEvolutionGate,
    QFTGate,
    efficient_su2,
    excitation_preserving,
    n_local,
    pauli_feature_map,
    qaoa_ansatz,
    real_amplitudes,
    z_feature_map,
    zz_feature_map,
)
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp, Statevector
from unitaries import with_gradients

from qmoe.engines import NativeEngine, TorchEngine
from qmoe.interop import from_qiskit


class Tutorial(NamedTuple):
    """A circuit with its parameters and what is measured; None for all probabilities."""

    circuit: QuantumCircuit
    inputs: Any
    weights: Any
    observables: Any = None


def composed(features: QuantumCircuit, ansatz: QuantumCircuit, observables: Any = None) -> Tutorial:
    return Tutorial(features.compose(ansatz), features.parameters, ansatz.parameters, observables)


def estimator_qnn() -> Tutorial:
    return composed(zz_feature_map(2), real_amplitudes(2, reps=1), SparsePauliOp("ZZ"))


def sampler_qnn() -> Tutorial:
    return composed(zz_feature_map(3, reps=1), real_amplitudes(3, reps=2))


def pauli_features_and_efficient_su2() -> Tutorial:
    features = pauli_feature_map(3, reps=1, paulis=["Z", "YY", "ZXZ"])
    return composed(features, efficient_su2(3, reps=1, entanglement="circular"), ["IIZ", "XIY"])


def z_features_and_two_local() -> Tutorial:
    ansatz = n_local(3, ["ry", "rz"], "cz", entanglement="linear", reps=2)
    return composed(z_feature_map(3, reps=2), ansatz, SparsePauliOp(["ZII", "IXX"], [0.5, -2.0]))


def excitations() -> Tutorial:
    return composed(z_feature_map(3, reps=1), excitation_preserving(3, reps=1, mode="fsim"), "ZZZ")


def qaoa() -> Tutorial:
    cost = SparsePauliOp.from_list([("IIZZ", 1.0), ("IZZI", 0.5), ("ZIIZ", -1.0)])
    features = z_feature_map(4, reps=1)
    return composed(features, qaoa_ansatz(cost, reps=2), cost)


def convolutional_network() -> Tutorial:
    # The Quantum Convolution Neural Network
    def convolution(target, q, params):
        target.rz(-np.pi / 2, q[1])
        target.cx(q[1], q[0])
        target.rz(params[0], q[0])
        target.ry(params[1], q[1])
        target.cx(q[0], q[1])
        target.ry(params[2], q[1])
        target.cx(q[1], q[0])
        target.rz(np.pi / 2, q[0])

    features = z_feature_map(4)
    params = ParameterVector("c", 12)
    layers = QuantumCircuit(4, name="Ansatz")
    for number, pair in enumerate(((0, 1), (2, 3), (1, 2))):
        part = QuantumCircuit(2, name=f"conv{number}")
        own = ParameterVector("θ", 3)
        convolution(part, [0, 1], own)
        bound = part.assign_parameters(dict(zip(own, params[3 * number : 3 * number + 3], strict=True)))
        layers.append(bound.to_instruction(), list(pair))
        layers.barrier()
    layers.rz(-np.pi / 2, 3)
    layers.cx(3, 1)
    layers.rz(params[9], 1)
    layers.ry(params[10], 3)
    layers.cx(1, 3)
    layers.ry(params[11], 3)
    return Tutorial(features.compose(layers), features.parameters, params, SparsePauliOp("ZIII"))


def autoencoder() -> Tutorial:
    # The Quantum Autoencoder: a swap test, whose auxiliary qubit alone is measured
    features = z_feature_map(3, reps=1)
    ansatz = real_amplitudes(3, reps=1)
    q, auxiliary, bits = QuantumRegister(4, "q"), QuantumRegister(1, "a"), ClassicalRegister(1, "c")
    circuit = QuantumCircuit(q, auxiliary, bits)
    circuit.compose(features, [0, 1, 2], inplace=True)
    circuit.compose(ansatz, [0, 1, 2], inplace=True)
    circuit.barrier()
    circuit.h(auxiliary[0])
    circuit.cswap(auxiliary[0], 2, 3)
    circuit.h(auxiliary[0])
    circuit.measure(auxiliary[0], bits[0])
    return Tutorial(circuit, features.parameters, ansatz.parameters)


def fidelity_kernel() -> Tutorial:
    # Quantum kernels: compute-uncompute; the second sample are the weights
    first, second = zz_feature_map(2, parameter_prefix="a"), zz_feature_map(2, parameter_prefix="b")
    return Tutorial(first.compose(second.inverse()), first.parameters, second.parameters)


def reuploading() -> Tutorial:
    x, w = ParameterVector("x", 2), ParameterVector("w", 12)
    circuit = QuantumCircuit(2)
    for layer in range(3):
        for qubit in range(2):
            circuit.rx(x[qubit] * w[4 * layer + qubit] + w[4 * layer + 2 + qubit], qubit)
        circuit.ecr(0, 1)
    return Tutorial(circuit, x, w, [SparsePauliOp("IZ"), SparsePauliOp("ZI")])


def time_evolution() -> Tutorial:
    t, w = Parameter("t"), ParameterVector("w", 2)
    circuit = QuantumCircuit(3)
    circuit.initialize("01+")
    circuit.append(PauliEvolutionGate(SparsePauliOp(["ZZI", "XXI", "YYI"], [1.0, 0.5, 2.0]), time=t), range(3))
    circuit.append(QFTGate(3), range(3))
    circuit.mcp(w[0], [0, 1], 2)
    circuit.cu(w[1], 0.1, 0.2, 0.3, 2, 0)
    return Tutorial(circuit, [t], w, "XYZ")


def many_gates() -> Tutorial:
    x, w = ParameterVector("x", 1), ParameterVector("w", 1)
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    for name in ("sdg", "tdg", "sxdg", "id"):
        getattr(circuit, name)(0)
    circuit.u(x[0], w[0], 0.3, 1)
    circuit.r(w[0], x[0], 2)
    for name in ("ch", "csx", "cs", "csdg", "dcx", "ecr", "iswap"):
        getattr(circuit, name)(1, 3)
    circuit.rzx(x[0], 3, 0)
    circuit.cp(w[0], 0, 2)
    circuit.ccx(0, 1, 2)
    circuit.ccz(1, 3, 0)
    circuit.rccx(3, 1, 2)
    circuit.mcx([0, 1, 2], 3)
    circuit.unitary(np.array([[0, 1], [1j, 0]]), 2)
    circuit.cx(0, 1, ctrl_state=0)
    circuit.append(QuantumCircuit(1, name="h").to_gate(), [0])  # a gate of one's own with a standard name
    return Tutorial(circuit, x, w)


TUTORIALS: list[Callable[[], Tutorial]] = [
    estimator_qnn,
    sampler_qnn,
    pauli_features_and_efficient_su2,
    z_features_and_two_local,
    excitations,
    qaoa,
    convolutional_network,
    autoencoder,
    fidelity_kernel,
    reuploading,
    time_evolution,
    many_gates,
]


def theirs(tutorial: Tutorial, x: np.ndarray, w: np.ndarray) -> list[float]:
    """Expectation values by Qiskit's estimator, or the probabilities of the measured qubits, in Qiskit's order."""
    names = [*tutorial.inputs, *tutorial.weights]
    bound = tutorial.circuit.assign_parameters(dict(zip(names, [*x, *w], strict=True)))
    if tutorial.observables is None:
        measured = [bound.find_bit(i.qubits[0]).index for i in bound.data if i.operation.name == "measure"]
        state = Statevector(bound.remove_final_measurements(inplace=False))
        return list(state.probabilities(measured or None))
    listed = tutorial.observables if isinstance(tutorial.observables, list) else [tutorial.observables]
    if bound.data[0].operation.name == "initialize":  # with its resets, which a state vector has no need of
        return [
            Statevector.from_label("0" * bound.num_qubits)
            .evolve(unreset(bound))
            .expectation_value(SparsePauliOp(o))
            .real
            for o in listed
        ]
    return [float(StatevectorEstimator().run([(bound, o)]).result()[0].data.evs) for o in listed]


def unreset(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with state preparation in place of initialize."""
    made = QuantumCircuit(circuit.num_qubits)
    made.prepare_state("01+")
    for instruction in circuit.data[1:]:
        made.append(instruction.operation, [circuit.find_bit(q).index for q in instruction.qubits])
    return made


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")  # of Qiskit's exponential of a sum of words
@pytest.mark.parametrize("make", TUTORIALS, ids=lambda make: make.__name__)
def test_a_tutorial_comes_in_and_has_qiskits_values(make: Callable[[], Tutorial]) -> None:
    tutorial = make()
    circuit = from_qiskit(
        tutorial.circuit,
        input_params=tutorial.inputs,
        weight_params=tutorial.weights,
        observables=tutorial.observables,
    ).circuit
    assert circuit.n_qubits == tutorial.circuit.num_qubits
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, len(list(tutorial.inputs))))
    w = rng.uniform(-2, 2, len(list(tutorial.weights)))
    expected = torch.tensor(np.array([theirs(tutorial, row, w) for row in x]))
    found = [engine.evaluate(circuit, torch.tensor(x), torch.tensor(w)) for engine in (TorchEngine(), NativeEngine())]
    for mine in found:
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-10)


def test_gradients_are_those_of_central_differences_of_qiskits_values() -> None:
    tutorial = reuploading()
    circuit = from_qiskit(
        tutorial.circuit, input_params=tutorial.inputs, weight_params=tutorial.weights, observables=tutorial.observables
    ).circuit
    rng = np.random.default_rng(1)
    x, w = rng.uniform(-1, 1, 2), rng.uniform(-2, 2, 12)
    step = 1e-5
    moves = np.eye(14) * step
    factors = np.linspace(0.5, 1.5, 2)

    def value(move: np.ndarray) -> float:
        return float(np.dot(factors, theirs(tutorial, x + move[:2], w + move[2:])))

    expected = torch.tensor([(value(move) - value(-move)) / (2 * step) for move in moves], dtype=torch.float64)
    leaves = torch.tensor(x[None]).requires_grad_(), torch.tensor(w).requires_grad_()
    _, of_x, of_w = with_gradients(TorchEngine().evaluate(circuit, *leaves), *leaves)
    torch.testing.assert_close(torch.cat([of_x.reshape(-1), of_w]), expected, rtol=0, atol=1e-8)
