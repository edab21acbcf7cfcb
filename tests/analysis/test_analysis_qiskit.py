"""The effective dimension beside that of qiskit-machine-learning, on one sampler network."""

import math

import numpy as np
import pytest
import torch

import qmoe
from qmoe.analysis import effective_dimension, fisher_matrices, global_effective_dimension, uniform_draws

qiskit = pytest.importorskip("qiskit", reason="qiskit-machine-learning is in the extra [test]")
networks = pytest.importorskip("qiskit_machine_learning.neural_networks", reason="it is in the extra [test]")

N_POINTS, N_DRAWS, N_DATA, SHOTS = 4, 5, 1000, 1024


@pytest.fixture(scope="module")
def peers():
    """Their effective dimension, and our draws and points of the same network: RX, then two layers of RY and CZ."""
    gates = [
        qmoe.Gate("RY", (0,), (qmoe.Weight(0),)),
        qmoe.Gate("RY", (1,), (qmoe.Weight(1),)),
        qmoe.Gate("CZ", (0, 1)),
    ]
    ours = qmoe.QuantumRouter(2, 4, n_layers=2, ansatz=gates, readout="born", dtype=torch.float64)
    draws = uniform_draws(ours, 0.0, 2 * math.pi, N_DRAWS, seed=1)
    points = np.random.default_rng(0).uniform(0, math.pi, (N_POINTS, 2))

    inputs = qiskit.circuit.ParameterVector("x", 2)
    weights = qiskit.circuit.ParameterVector("w", 4)
    circuit = qiskit.QuantumCircuit(2)
    for wire in range(2):
        circuit.rx(inputs[wire], wire)
    for layer in range(2):
        for wire in range(2):
            circuit.ry(weights[2 * layer + wire], wire)
        circuit.cz(0, 1)
    sampler = qiskit.primitives.StatevectorSampler(default_shots=SHOTS, seed=0)
    network = networks.SamplerQNN(
        circuit=circuit, sampler=sampler, input_params=list(inputs), weight_params=list(weights), input_gradients=False
    )
    values = draws.parameters["quantum.weights"].reshape(N_DRAWS, 4).numpy()
    return networks.EffectiveDimension(network, values, points), circuit, draws, points


def test_of_a_sampler_network(peers):
    theirs, _, draws, points = peers
    ours = global_effective_dimension(draws, points, N_DATA)
    # They estimate probabilities and gradients from shots; the next test has the digits.
    assert ours.value == pytest.approx(float(theirs.get_effective_dimension(N_DATA)), abs=0.03)


def test_of_the_same_network_without_shots(peers, monkeypatch):
    theirs, circuit, draws, points = peers

    def probabilities(x, w):
        order = dict(zip(circuit.parameters, [*w, *x], strict=True))
        assert [p.name[0] for p in order] == ["w"] * 4 + ["x"] * 2
        return qiskit.quantum_info.Statevector(circuit.assign_parameters(order)).probabilities()

    shifts = np.eye(4) * math.pi / 2
    at = [(x, w) for w in theirs.weight_samples for x in points]
    outputs = np.array([probabilities(x, w) for x, w in at])
    gradients = [[(probabilities(x, w + s) - probabilities(x, w - s)) / 2 for s in shifts] for x, w in at]
    gradients = np.array(gradients).swapaxes(1, 2)
    monkeypatch.setattr(theirs, "run_monte_carlo", lambda: (gradients, outputs))

    fishers = fisher_matrices(draws, points)
    expected = theirs.get_fisher_information(gradients, outputs).reshape(N_DRAWS, N_POINTS, 4, 4).mean(axis=1)
    assert fishers == pytest.approx(expected, abs=1e-10)
    for n_data in (100, N_DATA, 10**6):
        assert effective_dimension(fishers, n_data).value == pytest.approx(
            float(theirs.get_effective_dimension(n_data)), rel=1e-10
        )
