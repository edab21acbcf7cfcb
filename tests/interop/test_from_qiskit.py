"""Qubit order, observables, outcomes, and what is refused, where."""

import warnings

import pytest
import torch
from qiskit.circuit import ClassicalRegister, Gate, Parameter, ParameterVector, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import real_amplitudes, zz_feature_map
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import Pauli as QiskitPauli
from qiskit.quantum_info import SparseObservable, SparsePauliOp

import qmoe
from qmoe.circuits import Born, Feature, Hamiltonian, Pauli, Probs, Readouts, Weight
from qmoe.engines import TorchEngine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop import from_qiskit, layer_from


def imported(circuit: QuantumCircuit, inputs=(), weights=(), **options):
    return from_qiskit(circuit, input_params=inputs, weight_params=weights, **options)


def values(circuit) -> list[float]:
    """Outputs of a circuit without parameters."""
    x, w = torch.zeros(circuit.in_features, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    return [round(value, 12) for value in TorchEngine().evaluate(circuit, x, w).tolist()]


def test_qubit_i_is_wire_i_and_outcomes_come_in_qiskits_order() -> None:
    circuit = QuantumCircuit(3)
    circuit.x(0)
    found = imported(circuit).circuit
    assert found.operations[0].wires == (0,)
    assert found.readout == Probs((2, 1, 0))
    assert values(found) == [0, 1, 0, 0, 0, 0, 0, 0]  # outcome 001 is 1: qubit 0 is the last digit
    assert values(found.with_readout(Born())) == [0, 0, 0, 0, 1, 0, 0, 0]  # ours: wire 0 is the first


def test_labels_of_observables_are_read_from_their_end() -> None:
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.h(2)
    for observable, expected in (
        ("IIZ", Pauli("Z0")),
        ("Z0", Pauli("Z0")),
        ("XIZ", Pauli("Z0 X2")),
        (QiskitPauli("-YII"), Hamiltonian([-1], ["Y2"])),
        (SparsePauliOp(["XII", "IIZ", "III"], [2, 0.5, 1]), Hamiltonian([2, 0.5, 1], ["X2", "Z0", "I"])),
        (SparseObservable("IIZ"), Pauli("Z0")),
    ):
        assert imported(circuit, observables=observable).circuit.readout == expected
    listed = imported(circuit, observables=["IIZ", "XII", SparsePauliOp("ZII")]).circuit
    assert listed.readout == Readouts((Pauli("Z0"), Pauli("X2"), Pauli("Z2")))
    assert values(listed) == [-1, 1, 0]


def test_measurements_say_which_qubits_make_up_an_outcome() -> None:
    bits = ClassicalRegister(2)
    circuit = QuantumCircuit(QuantumRegister(3), bits)
    circuit.x(2)
    circuit.measure(2, bits[0])
    circuit.measure(1, bits[1])
    found = imported(circuit).circuit
    assert found.readout == Probs((1, 2))
    assert values(found) == [0, 1, 0, 0]
    everything = QuantumCircuit(2)
    everything.measure_all()
    assert imported(everything).circuit.readout == Probs((1, 0))


def test_interpret_adds_probabilities_up() -> None:
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.ry(1.0, 2)
    parity = imported(circuit, interpret=lambda outcome: outcome.bit_count() % 2, output_shape=2).circuit
    assert parity.readout == Readouts(
        (Hamiltonian([0.5, 0.5], ["I", "Z0 Z1 Z2"]), Hamiltonian([0.5, -0.5], ["I", "Z0 Z1 Z2"]))
    )
    plain = values(imported(circuit).circuit)
    thirds = values(imported(circuit, interpret=lambda outcome: outcome % 3).circuit)
    assert thirds == pytest.approx([sum(plain[k::3]) for k in range(3)], abs=1e-12)
    table = imported(circuit, interpret=lambda outcome: (outcome // 4, outcome % 2), output_shape=(2, 2)).circuit
    sums = [sum(p for o, p in enumerate(plain) if (o // 4, o % 2) == (a, b)) for a in (0, 1) for b in (0, 1)]
    assert values(table) == pytest.approx(sums, abs=1e-12)
    assert imported(circuit, interpret=lambda outcome: outcome).circuit.readout == Probs((2, 1, 0))
    spare = values(imported(circuit, interpret=lambda outcome: 0, output_shape=2).circuit)
    assert spare == [1, 0]


def test_expressions_become_polynomials() -> None:
    a, b = Parameter("a"), Parameter("b, with any name")
    circuit = QuantumCircuit(1)
    circuit.rx(2 * a + a * b / 3 - 0.5, 0)
    circuit.p((1 - a) ** 2, 0)
    circuit.rz(b, 0)
    x, w = Feature(0), Weight(0)
    gates = imported(circuit, [a], [b]).circuit.operations
    assert [gate.angles[0] for gate in gates] == [2 * x + x * w * (1 / 3) - 0.5, (1 - x) * (1 - x), w]
    by_name = imported(circuit, ["a"], ["b, with any name"])
    assert by_name.circuit.operations == gates
    assert by_name.parameters == (("weight", (1,)),)


def test_loops_over_fixed_values_are_written_out_and_resets_at_the_start_do_nothing() -> None:
    circuit = QuantumCircuit(2)
    circuit.reset(0)
    index = Parameter("i")
    with circuit.for_loop(range(3), index):
        circuit.rx(index * 0.5, 1)
    assert [gate.angles for gate in imported(circuit).circuit.operations] == [(0.0,), (0.5,), (1.0,)]


def test_all_that_cannot_be_converted_is_named_in_one_error() -> None:
    a = Parameter("a")
    circuit = QuantumCircuit(2, 1)
    circuit.rx(a.sin(), 0)
    circuit.append(Gate("mystery", 1, []), [1])
    circuit.measure(0, 0)
    circuit.h(0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.reset(1)
    wrapped = QuantumCircuit(1, name="wrapped")
    wrapped.append(Gate("inner", 1, []), [0])
    circuit.append(wrapped.to_gate(), [1])
    with pytest.raises(UnsupportedError) as error:
        imported(circuit, [a])
    text = str(error.value)
    for part in (
        "instruction 0 (rx on qubits [0]): rx has the angle sin(a), which is no polynomial",
        "instruction 1 (mystery on qubits [1]): mystery has no definition",
        "instruction 3 (h on qubits [0]): it acts on qubit 0, which was measured before",
        "instruction 4 (if_else on qubits [1])",
        "instruction 6 (wrapped on qubits [1]): inner has no definition",
    ):
        assert part in text
    assert text.count("Circuits here have no classical bits") == 1
    assert text.count("Angles are polynomials") == 1


def test_arguments_that_do_not_fit_are_refused() -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(x[0], 0)
    circuit.rx(x[1], 1)
    for options, message in (
        ({"inputs": [x[0]]}, r"parameters x\[1\], which stand neither in input_params nor in weight_params"),
        ({"inputs": x, "weights": [x[0]]}, "stands in input_params and in weight_params"),
        ({"inputs": ["x[0]", "x[2]"]}, r"input_params has 'x\[2\]', which is no parameter"),
        ({"inputs": [*x, x[0]]}, "names a parameter twice"),
        ({"inputs": "x"}, "expected a list of parameters"),
        ({"inputs": x, "observables": "ZZZ"}, r"has 3 qubit\(s\), the circuit 2"),
        ({"inputs": x, "observables": "ZQ"}, "is no sum of Pauli labels"),
        ({"inputs": x, "observables": "ZZ", "interpret": int}, "give one of both"),
        (
            {"inputs": x, "interpret": lambda o: o, "output_shape": 2},
            "interpret gives 2 for outcome 2, expected an output of output_shape=2",
        ),
        ({"inputs": x, "interpret": lambda o: (o, o)}, "say how many there are"),
        ({"inputs": x, "interpret": lambda o: -o}, "interpret gives -1 for outcome 1, expected numbers from 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            imported(circuit, **options)
    with pytest.raises(ConfigError, match=r"expected a qiskit\.QuantumCircuit"):
        imported("circuit")
    with pytest.raises(UnsupportedError, match="not Hermitian"):
        imported(circuit, x, observables=SparsePauliOp(["ZZ"], [1j]))
    with pytest.raises(UnsupportedError, match=r"2\*\*13 outcomes"):
        imported(QuantumCircuit(13), interpret=lambda outcome: outcome % 2)


@pytest.fixture(scope="module")
def network() -> tuple[QuantumCircuit, dict]:
    features, ansatz = zz_feature_map(2, reps=1), real_amplitudes(2, reps=1)
    given = {"input_params": features.parameters, "weight_params": ansatz.parameters}
    return features.compose(ansatz), given


@pytest.mark.filterwarnings("ignore")  # of qiskit-machine-learning
def test_a_torch_connector_comes_in_with_its_weights(network) -> None:
    from qiskit_machine_learning.connectors import TorchConnector
    from qiskit_machine_learning.neural_networks import EstimatorQNN, SamplerQNN

    circuit, given = network
    x = torch.tensor([[0.3, -0.8], [1.0, 0.2]])
    observables = [SparsePauliOp("IZ"), SparsePauliOp(["XY", "ZI"], [0.5, 2])]
    exact = StatevectorEstimator()
    qnn = EstimatorQNN(circuit=circuit, estimator=exact, observables=observables, default_precision=0.0, **given)
    connector = TorchConnector(qnn)
    found, weights = layer_from(connector)
    mine = TorchEngine().evaluate(found.circuit, x.double(), weights.double())
    torch.testing.assert_close(mine, connector(x).double(), rtol=0, atol=1e-6)  # theirs is rounded to float32
    layer = qmoe.QuantumLayer.from_qiskit(circuit, observables=observables, **given)
    layer.load_state_dict(connector.state_dict(), strict=False)
    assert torch.equal(layer.weight, connector.weight)

    sampler = StatevectorSampler(default_shots=20_000, seed=1)
    sampled = SamplerQNN(circuit=circuit, sampler=sampler, interpret=lambda o: o % 2, output_shape=2, **given)
    found, weights = layer_from(TorchConnector(sampled))
    truth = TorchConnector(sampled, initial_weights=weights.numpy())(x)
    torch.testing.assert_close(TorchEngine().evaluate(found.circuit, x, weights), truth, rtol=0, atol=0.02)
    found, _ = layer_from(TorchConnector(SamplerQNN(circuit=circuit, sampler=sampler, **given)))
    assert found.circuit.readout == Probs((1, 0))


def test_a_torch_layer_comes_in_with_its_weights_and_other_modules_are_refused() -> None:
    import pennylane as qml

    def function(inputs, a, b):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.Rot(*a, wires=0)
        qml.CRX(b, wires=[0, 1])
        return [qml.expval(qml.Z(0)), qml.expval(qml.X(1))]

    module = qml.qnn.TorchLayer(qml.QNode(function, qml.device("default.qubit", wires=2)), {"a": 3, "b": 1})
    found, weights = layer_from(module)
    x = torch.rand(3, 2)
    torch.testing.assert_close(TorchEngine().evaluate(found.circuit, x, weights), module(x), rtol=0, atol=1e-6)
    assert found.parameters == (("a", (3,)), ("b", ()))
    assert not weights.requires_grad
    with pytest.raises(ConfigError, match=r"Got a Linear, expected a pennylane\.qnn\.TorchLayer"):
        layer_from(torch.nn.Linear(1, 1))


def test_the_estimator_gives_the_gradients_that_we_give(network) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient

    circuit, given = network
    found = imported(circuit, given["input_params"], given["weight_params"], observables=SparsePauliOp("ZX")).circuit
    w = torch.tensor([0.1, -0.4, 0.9, 1.3], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.3, -0.8], dtype=torch.float64)
    TorchEngine().evaluate(found, x, w).sum().backward()
    bound = circuit.assign_parameters(dict(zip(given["input_params"], x.tolist(), strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shift = ParamShiftEstimatorGradient(StatevectorEstimator(default_precision=0.0))
        theirs = shift.run([bound], [SparsePauliOp("ZX")], [w.tolist()], precision=0.0).result().gradients[0]
    assert w.grad.tolist() == pytest.approx(list(theirs), abs=1e-10)


def test_a_shape_without_what_it_is_the_shape_of_is_refused(network) -> None:
    circuit, given = network
    for options in ({}, {"observables": ["IZ"]}):
        with pytest.raises(ConfigError, match="output_shape is 2, the shape of what interpret gives"):
            from_qiskit(circuit, output_shape=2, **options, **given)
