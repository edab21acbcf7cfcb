"""The circuits of published models are those of their definitions, written out here in PennyLane."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import pennylane as qml
import pytest
import torch
from torch import Tensor

import qmoe
from qmoe.circuits import Circuit
from qmoe.circuits.published_circuits import data_reuploading, dressed, iqp, iqp_kernel
from qmoe.errors import ConfigError


def _data(circuit: Circuit, rows: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(rows, circuit.in_features, generator=generator, dtype=torch.float64) * math.pi - math.pi / 2
    weights = torch.rand(circuit.n_weights, generator=generator, dtype=torch.float64) * 2 * math.pi
    return x.requires_grad_(), weights.requires_grad_()


def _values_and_gradients(model: Callable[[Tensor, Tensor], Tensor], x: Tensor, weights: Tensor) -> list[Tensor]:
    values = model(x, weights)
    generator = torch.Generator().manual_seed(9)
    total = (values * torch.rand(values.shape, generator=generator, dtype=torch.float64)).sum()
    return [values, *torch.autograd.grad(total, (x, weights))]


def assert_equal_to(circuit: Circuit, theirs: Callable[[Tensor, Tensor], list[object]]) -> None:
    """Compares values and gradients; ``theirs`` applies gates to one row and returns measurements."""
    x, weights = _data(circuit)
    layer = qmoe.QuantumLayer(circuit, dtype=torch.float64)
    qnode = qml.QNode(theirs, qml.device("default.qubit", wires=circuit.n_qubits), interface="torch")

    def ours(x: Tensor, weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weights": weights.reshape(circuit.weight_shape)}, (x,))

    def expected(x: Tensor, weights: Tensor) -> Tensor:
        return torch.stack([torch.stack(tuple(qnode(row, weights))) for row in x])

    for one, other in zip(
        _values_and_gradients(ours, x, weights), _values_and_gradients(expected, x, weights), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("in_features", "n_layers", "measured"), [(2, 1, "single"), (7, 2, "half"), (10, 3, "full")])
def test_data_reuploading_is_that_of_its_definition(in_features: int, n_layers: int, measured: str) -> None:
    n_qubits = math.ceil(in_features / 3)

    def theirs(x: Tensor, weights: Tensor) -> list[object]:
        padded = torch.cat([x, torch.zeros(3 * n_qubits - in_features, dtype=x.dtype)])
        omega, theta = weights.reshape(2, n_layers + 1, n_qubits, 3)
        turned = padded.reshape(n_qubits, 3) * omega
        for layer in range(n_layers):
            for wire in range(n_qubits):
                qml.Rot(*turned[layer, wire], wires=wire)
                qml.Rot(*theta[layer, wire], wires=wire)
            pairs = [(0, 1), (2, 3)] if layer % 2 == 0 else [(1, 2), (3, 4)]
            for pair in pairs:
                if pair[1] < n_qubits:
                    qml.CZ(wires=pair)
        for wire in range(n_qubits):
            qml.Rot(*(turned[n_layers, wire] + theta[n_layers, wire]), wires=wire)
        n_measured = {"single": 1, "half": max(n_qubits // 2, 1), "full": n_qubits}[measured]
        return [qml.expval(qml.Z(wire)) for wire in range(n_measured)]

    assert_equal_to(data_reuploading(in_features, n_layers, measured), theirs)  # type: ignore[arg-type]


@pytest.mark.parametrize(("in_features", "n_layers", "n_qubits"), [(2, 1, None), (3, 2, None), (5, 2, 4)])
def test_dressed_circuit_is_that_of_its_definition(in_features: int, n_layers: int, n_qubits: int | None) -> None:
    q = in_features if n_qubits is None else n_qubits

    def theirs(x: Tensor, weights: Tensor) -> list[object]:
        matrix, layers = weights[: q * in_features].reshape(q, -1), weights[q * in_features :].reshape(n_layers, q)
        angles = torch.tanh(matrix @ x) * math.pi / 2
        for wire in range(q):
            qml.Hadamard(wire)
            qml.RY(angles[wire], wires=wire)
        for layer in range(n_layers):
            for wire in range(q):
                qml.RY(layers[layer, wire], wires=wire)
            for wire in range(q if q > 2 else 1):
                qml.CNOT(wires=(wire, (wire + 1) % q))
        return [qml.expval(qml.Z(wire)) for wire in range(q)]

    assert_equal_to(dressed(in_features, n_layers, n_qubits), theirs)


@pytest.mark.parametrize(("n_qubits", "n_layers", "repeats"), [(2, 1, 1), (4, 3, 2)])
def test_iqp_classifier_is_that_of_its_definition(n_qubits: int, n_layers: int, repeats: int) -> None:
    def theirs(x: Tensor, weights: Tensor) -> list[object]:
        wires = range(n_qubits)
        qml.IQPEmbedding(x, wires=wires, n_repeats=repeats)
        qml.StronglyEntanglingLayers(weights.reshape(n_layers, n_qubits, 3), wires=wires, imprimitive=qml.CZ)
        return [qml.expval(qml.Z(0) @ qml.Z(1))]

    assert_equal_to(iqp(n_qubits, n_layers, repeats), theirs)


@pytest.mark.parametrize(("n_qubits", "repeats"), [(2, 1), (3, 2)])
def test_iqp_kernel_is_the_fidelity_of_two_encodings(n_qubits: int, repeats: int) -> None:
    def theirs(x: Tensor, weights: Tensor) -> list[object]:
        del weights
        qml.IQPEmbedding(x[:n_qubits], wires=range(n_qubits), n_repeats=repeats)
        qml.adjoint(qml.IQPEmbedding(x[n_qubits:], wires=range(n_qubits), n_repeats=repeats))
        return [qml.probs(wires=range(n_qubits))]

    circuit = iqp_kernel(n_qubits, repeats)
    x, weights = _data(circuit)
    qnode = qml.QNode(theirs, qml.device("default.qubit", wires=n_qubits), interface="torch")
    layer = qmoe.QuantumLayer(circuit, dtype=torch.float64)
    expected = torch.stack([qnode(row, weights)[0] for row in x])
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-10)
    same = torch.cat([x[:, :n_qubits], x[:, :n_qubits]], 1)
    torch.testing.assert_close(layer(same)[:, 0], torch.ones(3, dtype=torch.float64))


MODELS = [data_reuploading(4, 2), dressed(4, 2), iqp(4, 2)]


@pytest.mark.parametrize("circuit", MODELS, ids=["data_reuploading", "dressed", "iqp"])
def test_a_mixture_trains_with_it_as_router(circuit: Circuit) -> None:
    generator = torch.Generator().manual_seed(0)
    router = qmoe.QuantumRouter(4, 2, circuit=circuit, generator=generator)
    moe = qmoe.MixtureOfExperts(router, qmoe.LinearExperts(4, 2, n_experts=2, generator=generator))
    x = torch.rand(64, 4, generator=generator)
    y = (x[:, 0] * x[:, 1] > 0.25).long()
    optimiser = torch.optim.Adam(moe.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(moe(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    torch.testing.assert_close(router(x).sum(-1), torch.ones(64))


@pytest.mark.parametrize("circuit", MODELS, ids=["data_reuploading", "dressed", "iqp"])
def test_equal_descriptions_are_equal_and_pickle(circuit: Circuit) -> None:
    assert pickle.loads(pickle.dumps(circuit)) == circuit
    assert (data_reuploading(4, 2), dressed(4, 2), iqp(4, 2))[MODELS.index(circuit)] == circuit


def test_impossible_sizes_and_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_layers is 0, expected an integer of at least 1"):
        data_reuploading(3, 0)
    with pytest.raises(ConfigError, match=r"Unknown measured 'some'. Known: full, half, single"):
        data_reuploading(3, 1, "some")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="in_features is 0"):
        dressed(0)
    with pytest.raises(ConfigError, match="repeats is 0"):
        iqp(2, repeats=0)
    with pytest.raises(ConfigError, match="it takes two features or more, or another read-out"):
        iqp(1)
