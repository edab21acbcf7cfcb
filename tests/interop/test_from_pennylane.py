"""What comes in from PennyLane, how inputs are found, and what is refused, where."""

import math
import re

import numpy as np
import pennylane as qml
import pytest
import torch
from torch.nn import init
from unitaries import with_gradients

import qmoe
from qmoe.circuits import Computed, Expression, Feature, Gate, Hamiltonian, Pauli, Probs, Readouts, Weight
from qmoe.engines import TorchEngine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop import from_pennylane, to_pennylane


def node_of(function, wires=2, **options) -> qml.QNode:
    return qml.QNode(function, qml.device("default.qubit", wires=wires, **options))


def test_angles_stay_symbols_and_are_exact() -> None:
    def function(inputs, a, b):
        qml.RX(2 * inputs[0] + a[1, 0] * inputs[1] - np.pi, wires=0)
        qml.RY(b / 4, wires=1)
        qml.PhaseShift((np.pi - inputs[0]) * (np.pi - inputs[1]), wires=1)
        return qml.expval(qml.Z(0) @ qml.X(1)), qml.probs(wires=[1, 0]), qml.expval(2 * qml.Y(1) - 0.5)

    imported = from_pennylane(node_of(function), {"a": (2, 2), "b": 1})
    x0, x1 = Feature(0), Feature(1)
    assert imported.circuit.operations == (
        Gate("RX", (0,), (2 * x0 + Weight(2) * x1 - np.pi,)),
        Gate("RY", (1,), (0.25 * Weight(4),)),
        Gate("PhaseShift", (1,), ((np.pi - x0) * (np.pi - x1),)),
    )
    assert imported.circuit.readout == Readouts((Pauli("Z0 X1"), Probs((1, 0)), Hamiltonian((2, -0.5), ("Y1", "I"))))
    assert imported.parameters == (("a", (2, 2)), ("b", ()))
    assert imported.slices == {"a": slice(0, 4), "b": slice(4, 5)}
    assert imported.initial is None


@pytest.mark.parametrize(
    "angle",
    [
        lambda x: torch.pi * x[..., 0] ** 2 + x[..., 1],
        lambda x: torch.cat([x, x], -1)[..., 2] * x[..., 0] * torch.pi + x.sum(-1) - x[..., 0],
        lambda x: torch.einsum("...i,...i->...", torch.stack([x[..., 0], x[..., 1] / x.shape[-1]], -1), x),
    ],
)
def test_code_that_computes_with_torch_gives_the_same_polynomials(angle) -> None:
    def function(inputs, w):
        qml.RX(angle(inputs), wires=0)
        return qml.expval(qml.Z(0))

    (gate,) = from_pennylane(node_of(function), {"w": 1}, in_features=2).circuit.operations
    expected = gate.angles[0]
    assert isinstance(expected, Expression)
    point = torch.tensor([0.3, -1.2], dtype=torch.float64)
    total = sum(c * np.prod([float(point[f.index]) for f in factors]) for c, factors in expected.terms)
    assert float(angle(point)) == pytest.approx(total, abs=1e-12)
    assert len(expected.terms) == 2


@pytest.mark.parametrize("rows", [lambda x: x[:, 1], lambda x: x[..., 1], lambda x: x.T[1]])
def test_inputs_of_one_sample_and_of_batches_are_understood(rows) -> None:
    def function(inputs, w):
        qml.RX(rows(inputs), wires=0)
        return qml.expval(qml.Z(0))

    assert from_pennylane(node_of(function), {"w": 1}).circuit.operations == (Gate("RX", (0,), (Feature(1),)),)


@pytest.mark.parametrize(("used", "wires", "found"), [(7, 2, 8), (0, 4, 1), (2, 3, 3)])
def test_the_number_of_features_is_the_last_that_is_used(used: int, wires: int, found: int) -> None:
    def function(inputs, w):
        qml.RX(inputs[..., used], wires=0)
        return qml.expval(qml.Z(0))

    assert from_pennylane(node_of(function, wires), {"w": 1}).circuit.in_features == found
    assert from_pennylane(node_of(function, wires), {"w": 1}, in_features=9).circuit.in_features == 9


def test_amplitudes_take_as_many_features_as_there_are_and_idle_wires_stay_zero() -> None:
    def function(inputs, w):
        qml.AmplitudeEmbedding(inputs, wires=["b", "a"], pad_with=0.0, normalize=True)
        qml.RY(w, wires="c")
        qml.CNOT(["a", "c"])
        return qml.probs()

    node = qml.QNode(function, qml.device("default.qubit", wires=["a", "b", "c"]))
    imported = from_pennylane(node, {"w": ()})
    assert imported.circuit.in_features == 4
    x = torch.tensor([0.1, -0.7, 0.4, 0.9], dtype=torch.float64)
    w = torch.tensor([0.6], dtype=torch.float64)
    torch.testing.assert_close(TorchEngine().evaluate(imported.circuit, x, w), node(x, w[0]), rtol=0, atol=1e-12)
    padded = from_pennylane(node, {"w": ()}, in_features=3).circuit
    torch.testing.assert_close(TorchEngine().evaluate(padded, x[:3], w), node(x[:3], w[0]), rtol=0, atol=1e-12)


def test_wires_have_the_order_of_the_device_and_those_without_gates_are_left_out() -> None:
    def function(inputs, w):
        qml.RX(inputs[0], wires="last")
        qml.CNOT(["last", 7])
        return qml.expval(qml.Z(7))

    given = from_pennylane(
        qml.QNode(function, qml.device("default.qubit", wires=[7, "idle", "last"])), {"w": 1}
    ).circuit
    free = from_pennylane(qml.QNode(function, qml.device("default.qubit")), {"w": 1}).circuit
    assert (given.n_qubits, given.operations[1].wires, given.readout) == (2, (1, 0), Pauli("Z0"))
    assert (free.n_qubits, free.operations[1].wires, free.readout) == (2, (0, 1), Pauli("Z1"))


def test_a_layer_has_the_state_dict_of_torch_layer_and_its_values() -> None:
    def function(inputs, first, second):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.BasicEntanglerLayers(first, wires=range(2))
        qml.RZ(second, wires=1)
        return [qml.expval(qml.X(i)) for i in range(2)]

    shapes = {"first": (3, 2), "second": 1}
    theirs = qml.qnn.TorchLayer(node_of(function), shapes)
    mine = qmoe.QuantumLayer.from_pennylane(node_of(function), shapes)
    mine.load_state_dict(theirs.state_dict())
    x = torch.rand(5, 2)
    torch.testing.assert_close(mine(x), theirs(x), rtol=0, atol=1e-6)


def test_init_method_is_that_of_torch_layer() -> None:
    def function(inputs, a, b):
        qml.Rot(*a, wires=0)
        qml.RX(b, wires=0)
        return qml.probs(wires=[0])

    ones = from_pennylane(node_of(function), {"a": 3, "b": 1}, init.ones_).initial
    assert {name: value.tolist() for name, value in ones.items()} == {"a": [1.0, 1.0, 1.0], "b": 1.0}
    mixed = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": init.zeros_}
    layer = qmoe.QuantumLayer.from_pennylane(node_of(function), {"a": 3, "b": 1}, mixed)
    assert layer.a.tolist() == [1.0, 2.0, 3.0]
    assert layer.b.item() == 0.0
    with pytest.raises(ConfigError, match=r"init_method\['a'\] has the shape \(2,\), expected \(3,\)"):
        from_pennylane(node_of(function), {"a": 3, "b": 1}, {"a": torch.ones(2), "b": init.ones_})
    with pytest.raises(ConfigError, match="init_method lacks the argument 'b'"):
        from_pennylane(node_of(function), {"a": 3, "b": 1}, {"a": init.ones_})


def test_all_that_has_no_decomposition_is_named_in_one_error() -> None:
    class Mystery(qml.operation.Operation):
        num_wires = 1

    def function(inputs, w):
        qml.RX(inputs[0], wires=0)
        outcome = qml.measure(0)
        qml.cond(outcome, qml.X)(1)
        qml.DepolarizingChannel(0.1, wires=1)
        Mystery(wires=1)
        return qml.expval(qml.Z(0))

    with pytest.raises(UnsupportedError) as error:
        from_pennylane(node_of(function), {"w": 1})
    text = str(error.value)
    for place in ("operation 1 (MidMeasure", "operation 2 (Conditional", "operation 3 (Depol", "operation 4 (Mystery"):
        assert place in text
    assert text.count("Circuits here have no classical bits") == 1
    assert "circuit.with_noise" in text


COMPUTED = {
    "activations": lambda x, w: [torch.tanh(x[..., 0]) * torch.pi / 2, torch.sin(x[..., 1]) * w[0]],
    "quotients": lambda x, w: [x[..., 0] / w[0], 1 / (1 + abs(x[..., 1]))],
    "powers": lambda x, w: [x[..., 0] ** 4, (2 + x[..., 1]) ** 0.5],
    "columns": lambda x, w: [torch.atan(x[:, 0]), w[1] * x[:, 1]],
}


@pytest.mark.parametrize("name", COMPUTED)
def test_other_functions_of_torch_become_the_function_of_the_circuit(name: str) -> None:
    def function(inputs, w):
        first, second = COMPUTED[name](inputs, w)
        qml.RX(first, wires=0)
        qml.CNOT([0, 1])
        qml.ctrl(qml.U3, control=1)(second, w[0], w[1], wires=0)
        return [qml.expval(qml.Z(0)), qml.expval(qml.X(1))]

    node = node_of(function, 4)
    circuit = from_pennylane(node, {"w": 2}).circuit
    assert circuit.in_features == 2
    assert circuit.operations[0].angles == (Computed(0),)
    x = torch.tensor([[0.3, -0.8], [1.4, 0.2], [-0.6, 1.1]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([0.7, -1.3], dtype=torch.float64, requires_grad=True)
    expected = with_gradients(torch.stack(node(x, w), -1), x, w)
    for mine, theirs in zip(with_gradients(TorchEngine().evaluate(circuit, x, w), x, w), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)
    out = torch.stack([*to_node(circuit)(x, w)], -1)
    torch.testing.assert_close(out, expected[0], rtol=0, atol=1e-10)


def to_node(circuit) -> qml.QNode:
    return node_of(to_pennylane(circuit), circuit.n_qubits)


REFUSED = {
    "sine of NumPy": (
        lambda x, w: qml.RX(np.sin(x[0]), wires=0),
        r"line \d+ of .*computes sin of an input or a weight, which is no polynomial.*functions by torch's operations",
    ),
    "sine of Python": (lambda x, w: qml.RX(math.sin(x[0]), wires=0), "asks for the value of an input"),
    "values of torch": (
        lambda x, w: qml.RX(torch.sin(x[0]).item(), wires=0),
        r"operation 0 \(RX on wires \[0\]\): an angle is no polynomial, nor a function that torch can trace",
    ),
    "a condition": (
        lambda x, w: qml.RX(x[0], wires=0) if x[0] > 0 else qml.RY(x[0], wires=0),
        r"line \d+ of .*asks for the value of an input or a weight .*Write out each case",
    ),
    "a condition in torch": (
        lambda x, w: qml.RX(x[0], wires=0) if torch.sum(x) > 0 else qml.RY(x[0], wires=0),
        "what it is depends on the values of inputs or weights",
    ),
    "bits": (lambda x, w: qml.BasisEmbedding((x > 0) * 1, wires=[0, 1]), "asks for the value"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_or_depends_on_values_is_refused_with_its_place(name: str) -> None:
    gate, message = REFUSED[name]

    def function(inputs, w):
        gate(inputs, w)
        return qml.expval(qml.Z(0))

    with pytest.raises(UnsupportedError, match=message):
        from_pennylane(node_of(function), {"w": 2})


MEASURED = {
    "state": (lambda w: qml.state(), "measurement 0 (State): is no expectation value and no probabilities"),
    "variance": (lambda w: qml.var(qml.Z(0)), "measurement 0 (Variance)"),
    "basis": (lambda w: qml.probs(op=qml.X(0)), "change the basis with gates"),
    "trained": (
        lambda w: qml.expval(w[0] * qml.Z(0)),
        "what is measured depends on the values of inputs or weights. Multiply",
    ),
}


@pytest.mark.parametrize("name", MEASURED)
def test_other_measurements_are_refused_with_the_remedy(name: str) -> None:
    measure, message = MEASURED[name]

    def function(inputs, w):
        qml.RX(inputs[..., 0], wires=0)
        return measure(w)

    with pytest.raises(UnsupportedError, match=re.escape(message)):
        from_pennylane(node_of(function), {"w": 2})


def embedded(inputs, w):
    qml.AngleEmbedding(inputs, wires=range(2))
    return qml.expval(qml.Z(0))


def test_arguments_that_do_not_fit_are_refused() -> None:
    node = node_of(embedded)
    for arguments, message in (
        ((embedded, {"w": 1}), "expected a PennyLane QNode"),
        ((qml.qnn.TorchLayer(node, {"w": 1}), {"w": 1}), "a TorchLayer holds its weights; leave it out"),
        ((torch.nn.Linear(1, 1), {"w": 1}), "Got a Linear, expected a QNode or a pennylane.qnn.TorchLayer"),
        ((node,), "weight_shapes is missing.*A pennylane.qnn.TorchLayer holds its own"),
        ((node, {}), r"weight_shapes lacks the argument\(s\) w"),
        ((node, {"w": 1, "v": 2}), "argument of the QNode 'v'"),
        ((node, {"w": "many"}), r"weight_shapes\['w'\] is 'many'"),
        ((node, [3]), "expected a dictionary"),
        ((node_of(lambda x, w: None), {"w": 1}), "none named 'inputs'"),
    ):
        with pytest.raises(ConfigError, match=message):
            from_pennylane(*arguments)
    with pytest.raises(UnsupportedError, match=r"draws 100 shots.*set_shots\(qnode, None\)"):
        from_pennylane(qml.set_shots(node, shots=100), {"w": 1})
    with pytest.raises(UnsupportedError, match="has transforms"):
        from_pennylane(qml.transforms.cancel_inverses(node), {"w": 1})
    with pytest.raises(UnsupportedError, match=r"QNode embedded cannot be run .*ValueError"):
        from_pennylane(node, {"w": 1}, in_features=5)


def test_a_shape_of_one_is_a_number_as_in_pennylane_and_an_index_into_it_says_so() -> None:
    def indexed(inputs, w):
        qml.RX(inputs[..., 0] + w[0], wires=0)
        return qml.expval(qml.Z(0))

    with pytest.raises(UnsupportedError, match=r"'w' is a single number, .* a vector of one has the shape \(1,\)"):
        from_pennylane(node_of(indexed), {"w": 1})
    assert from_pennylane(node_of(indexed), {"w": (1,)}).parameters == (("w", (1,)),)


def test_imported_weights_go_back_and_forth() -> None:
    imported = from_pennylane(node_of(embedded), {"w": (2, 3)})
    flat = torch.arange(6.0)
    assert imported.named(flat)["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(imported.flat({"w": flat.reshape(2, 3), "other": flat}), flat)
    with pytest.raises(qmoe.ShapeError, match="No values for the parameter 'w'"):
        imported.flat({})
    with pytest.raises(qmoe.ShapeError, match=r"Parameter 'w' has the shape \(6,\)"):
        imported.flat({"w": flat})
    with pytest.raises(qmoe.ShapeError, match=r"weights has the shape \(5,\)"):
        imported.named(flat[:5])


@pytest.mark.parametrize("batched", [False, True])
def test_a_single_expectation_value_has_no_axis_as_in_torch_layer(batched) -> None:
    @qml.qnode(qml.device("default.qubit", wires=2))
    def single(inputs, weights):
        for wire in range(2):
            qml.RX(inputs[..., wire] if batched else inputs.T[wire], wires=wire)
        qml.BasicEntanglerLayers(weights, wires=range(2))
        return qml.expval(qml.Z(0) @ qml.Z(1))

    theirs = qml.qnn.TorchLayer(single, {"weights": (2, 2)})
    mine = qmoe.QuantumLayer.from_pennylane(single, {"weights": (2, 2)})
    mine.load_state_dict(theirs.state_dict())
    x = torch.rand(5, 2)
    torch.testing.assert_close(mine(x), theirs(x), rtol=0, atol=1e-6)
    assert mine(x[0]).shape == theirs(x[0]).shape == ()


def test_a_list_of_one_expectation_value_keeps_its_axis() -> None:
    @qml.qnode(qml.device("default.qubit", wires=1))
    def listed(inputs, weights):
        qml.RX(inputs[0] * weights[0], wires=0)
        return [qml.expval(qml.Z(0))]

    assert qmoe.QuantumLayer.from_pennylane(listed, {"weights": (1,)})(torch.rand(5, 1)).shape == (5, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_torch_layer_comes_with_its_weights(dtype: torch.dtype) -> None:
    theirs = qml.qnn.TorchLayer(node_of(layered), {"weights": (2, 2)}).to(dtype)
    mine = qmoe.QuantumLayer.from_pennylane(theirs)
    x = torch.rand(5, 2, dtype=dtype)
    torch.testing.assert_close(mine(x), theirs(x))
    assert mine.state_dict().keys() == theirs.state_dict().keys()
    with torch.no_grad():
        mine.weights.zero_()
    assert theirs.weights.abs().sum() > 0
    drawn = qmoe.QuantumLayer.from_pennylane(theirs, init_method=init.ones_, dtype=torch.float32)
    assert torch.equal(drawn.weights, torch.ones(2, 2))
    assert from_pennylane(theirs).parameters == (("weights", (2, 2)),)
    mine.reset_parameters(torch.Generator().manual_seed(0))
    assert not torch.equal(mine.weights, theirs.qnode_weights["weights"])


def layered(inputs, weights):
    qml.AngleEmbedding(inputs, wires=range(2))
    qml.BasicEntanglerLayers(weights, wires=range(2))
    return [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]
