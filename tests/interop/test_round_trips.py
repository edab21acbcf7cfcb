"""Out of qmoe and back: the same unitary, and the same numbers in the other library."""

import pennylane as qml
import pytest
import torch
from qiskit import qasm3
from qiskit.quantum_info import Operator, Statevector
from unitaries import bound, distance, random_gates, random_point, unitary_of, with_gradients

import qmoe
from qmoe.circuits import Circuit, Computed, Gate, NoiseModel, Pauli, ReadoutError
from qmoe.engines import TorchEngine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop import (
    from_pennylane,
    from_qasm3,
    from_qiskit,
    to_pennylane,
    to_qasm3,
    to_qiskit,
    to_qiskit_observables,
)
from qmoe.testing import random_operations, random_placed

#: A hundred circuits, ten at a time.
TENS = [range(start, start + 10) for start in range(0, 100, 10)]


def node_of(circuit: Circuit) -> qml.QNode:
    return qml.QNode(to_pennylane(circuit), qml.device("default.qubit", wires=circuit.n_qubits))


def flat(results) -> torch.Tensor:
    """All results of a QNode for one sample, one after another."""
    return torch.cat([r.reshape(-1) for r in results]) if isinstance(results, list | tuple) else results.reshape(-1)


def unitary_at(circuit: Circuit, seed: int):
    x, w = random_point(circuit, seed)
    return unitary_of(bound(circuit, x[0], w), circuit.n_qubits)


@pytest.mark.parametrize("seeds", TENS, ids=str)
def test_pennylane_and_back_is_the_same_unitary(seeds: range) -> None:
    for seed in seeds:
        circuit = random_gates(seed)
        back = from_pennylane(node_of(circuit), {"weights": circuit.weight_shape}, in_features=3).circuit
        assert (back.n_qubits, back.weight_shape, back.readout) == (circuit.n_qubits, (4,), circuit.readout)
        assert distance(unitary_at(circuit, seed), unitary_at(back, seed)) < 1e-10


@pytest.mark.parametrize("seeds", TENS, ids=str)
def test_qiskit_and_back_is_the_same_unitary(seeds: range) -> None:
    for seed in seeds:
        circuit = random_gates(seed)
        made = to_qiskit(circuit)
        names = [parameter.name for parameter in made.parameters]
        x, w = random_point(circuit, seed)
        values = {f"{k}[{i}]": float(v) for k, vector in (("x", x[0]), ("w", w)) for i, v in enumerate(vector.tolist())}
        theirs = Operator(made.assign_parameters({name: values[name] for name in names}).reverse_bits()).data
        inputs, weights = ([name for name in names if name[0] == kind] for kind in "xw")
        back = from_qiskit(made, input_params=inputs, weight_params=weights, observables="I" * circuit.n_qubits).circuit
        again = unitary_of(
            bound(back, [values[name] for name in inputs], [values[name] for name in weights]), back.n_qubits
        )
        mine = unitary_at(circuit, seed)
        assert distance(mine, theirs) < 1e-10
        assert distance(mine, again) < 1e-10


@pytest.mark.parametrize("seeds", TENS, ids=str)
def test_openqasm_and_back_is_the_same_unitary_and_qiskit_reads_it_too(seeds: range) -> None:
    for seed in seeds:
        circuit = random_gates(seed)
        text = to_qasm3(circuit)
        imported = from_qasm3(text, inputs=["x0", "x1", "x2"])
        assert imported.parameters == tuple((f"w{index}", ()) for index in range(4))
        x, w = random_point(circuit, seed)
        loaded = qasm3.loads(text)
        values = {p: (x[0] if p.name[0] == "x" else w)[int(p.name[1:])].item() for p in loaded.parameters}
        mine = unitary_at(circuit, seed)
        assert distance(mine, unitary_at(imported.circuit, seed)) < 1e-10
        assert distance(mine, Operator(loaded.assign_parameters(values).reverse_bits()).data) < 1e-10


@pytest.mark.parametrize("seed", range(12))
def test_a_quantum_function_has_our_values_and_gradients_and_so_has_what_it_becomes(seed: int) -> None:
    circuit = random_operations(seed, noise=False)
    x, w = random_point(circuit, seed)
    given = {"weights": circuit.weight_shape}
    back = from_pennylane(node_of(circuit), given, in_features=circuit.in_features).circuit
    node = node_of(circuit)
    theirs = torch.stack([flat(node(row, w)) for row in x])
    expected = with_gradients(theirs, x, w)
    for other in (circuit, back):
        found = with_gradients(TorchEngine().evaluate(other, x, w), x, w)
        assert max(float((a - b).detach().abs().max()) for a, b in zip(expected, found, strict=True)) < 1e-10


@pytest.mark.parametrize("seed", range(8))
def test_qiskits_observables_of_a_circuit_have_its_values(seed: int) -> None:
    circuit = next(c for c in map(random_gates, range(100 * seed, 100 * seed + 99)) if c.n_qubits == 3)
    circuit = circuit.with_readout(random_operations(seed, n_qubits=3, noise=False).readout)
    if circuit.readout.words(3) is None:
        with pytest.raises(UnsupportedError, match="holds probabilities"):
            to_qiskit_observables(circuit)
        return
    x, w = random_point(circuit, seed)
    made = to_qiskit(circuit)
    values = {p: (x[0] if p.name[0] == "x" else w)[p.index].item() for p in made.parameters}
    state = Statevector(made.assign_parameters(values))
    theirs = [state.expectation_value(observable).real for observable in to_qiskit_observables(circuit)]
    mine = TorchEngine().evaluate(circuit, x, w)[0].detach()
    torch.testing.assert_close(torch.tensor(theirs), mine, rtol=0, atol=1e-10)


def test_noise_becomes_channels_in_pennylane() -> None:
    circuit = next(c for c in (random_operations(s, noise=True) for s in range(50)) if not c.prepares)
    circuit = circuit.with_readout("born")
    x, w = random_point(circuit, 0)
    node = qml.QNode(to_pennylane(circuit), qml.device("default.mixed", wires=circuit.n_qubits))
    theirs = torch.stack([node(row, w) for row in x])
    mine = TorchEngine().evaluate(circuit, x, w)
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-7)  # default.mixed has some phases in complex64


@pytest.mark.parametrize("seed", range(12))
def test_channels_become_those_of_pennylane(seed: int) -> None:
    noise = NoiseModel(0.05, channels=[random_placed(seed, 2), random_placed(seed + 100, 2)])
    circuit = Circuit(2, 1, noise=noise, readout="born" if seed % 2 else "expval")
    x, w = random_point(circuit, seed)
    node = qml.QNode(to_pennylane(circuit), qml.device("default.mixed", wires=2))
    theirs = torch.stack([torch.stack(list(node(row, w))) for row in x])
    mine = TorchEngine().evaluate(circuit, x, w.reshape(circuit.weight_shape))
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-7)


def test_errors_of_the_measurement_in_another_basis_are_refused() -> None:
    noise = NoiseModel(channels=[ReadoutError(0.1).before_readout()])
    to_pennylane(Circuit(2, 1, noise=noise, readout=[Pauli("Z0 Z1"), Pauli("Z1")]))
    with pytest.raises(UnsupportedError, match=r"strike behind the change to the basis .* engine='pennylane'"):
        to_pennylane(Circuit(2, 1, noise=noise, readout=[Pauli("Z0"), Pauli("X1")]))


@pytest.mark.parametrize("convert", [to_qiskit, to_qasm3, Circuit.to_dict])
def test_functions_of_torch_are_refused(convert) -> None:
    circuit = Circuit.from_operations(
        [Gate("RX", (0,), (Computed(0),))], in_features=1, weight_shape=1, angles=lambda x, w: torch.sin(x) * w
    )
    with pytest.raises(UnsupportedError, match="has angles by a function"):
        convert(circuit)


@pytest.mark.parametrize("convert", [to_qiskit, to_qasm3])
def test_what_has_no_parameters_there_is_refused(convert) -> None:
    with pytest.raises(UnsupportedError, match=r"Operation 0 prepares amplitudes .* encode features by rotations"):
        convert(Circuit(2, 1, encoding="amplitude"))
    with pytest.raises(UnsupportedError, match=r"has noise.*circuit\.with_noise\(None\)"):
        convert(Circuit(2, 1, noise=0.1))


@pytest.mark.parametrize("convert", [to_pennylane, to_qiskit, to_qasm3, to_qiskit_observables])
@pytest.mark.parametrize("given", [None, "x", qmoe.QuantumLayer(Circuit(2, 1))], ids=["None", "text", "layer"])
def test_what_is_no_circuit_does_not_go_out(convert, given) -> None:
    with pytest.raises(ConfigError, match=r"expected a qmoe\.Circuit; of a layer or router give its \.circuit"):
        convert(given)
