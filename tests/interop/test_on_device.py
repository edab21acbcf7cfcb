"""Circuits compiled for devices give what qiskit-aer gives with the same snapshot, the error of the measurement included."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel as AerNoiseModel
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke

import qmoe
from qmoe import Circuit, NoiseModel, QuantumLayer, QuantumRouter
from qmoe.circuits import AngleEncoding, Born, Feature, Gate, Hamiltonian, Pauli, Probs, Weight
from qmoe.engines import NativeEngine, ReferenceEngine, TorchEngine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop import compiled_facts, on_device, to_qiskit
from qmoe.interop.qiskit.on_device import check_known

SHOTS = 1_000_000
X = torch.tensor([[0.4, 2.1], [1.9, 0.3], [3.0, 1.2]], dtype=torch.float64)


def weights_for(circuit: Circuit, seed: int = 0) -> torch.Tensor:
    drawn = torch.rand(circuit.weight_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn * 6


def theirs(circuit: Circuit, backend, sample: torch.Tensor, weights: torch.Tensor):
    """A compiled circuit on the whole device, as Qiskit's, with numbers for parameters; wire i is measured by bit i."""
    bare = to_qiskit(circuit.with_noise(None))
    values = {
        p: float(sample[p.index] if p.vector.name == "x" else weights.flatten()[p.index]) for p in bare.parameters
    }
    whole = QuantumCircuit(backend.num_qubits, circuit.n_qubits)
    whole.compose(bare.assign_parameters(values), list(circuit.noise.device.qubits), inplace=True)
    return whole


def sampled(circuit: Circuit, backend, sample, weights, seed: int) -> np.ndarray:
    whole = theirs(circuit, backend, sample, weights)
    n = circuit.n_qubits
    whole.measure(list(circuit.noise.device.qubits)[::-1], range(n))
    simulator = AerSimulator(
        noise_model=AerNoiseModel.from_backend(backend), method="density_matrix", seed_simulator=seed
    )
    counts = simulator.run(whole, shots=SHOTS).result().get_counts()
    found = np.zeros(2**n)
    for outcome, times in counts.items():
        found[int(outcome, 2)] = times / SHOTS
    return found


def exact(circuit: Circuit, backend, sample, weights) -> np.ndarray:
    """Before the error of the measurement."""
    whole = theirs(circuit, backend, sample, weights)
    whole.save_probabilities(list(circuit.noise.device.qubits)[::-1])
    simulator = AerSimulator(noise_model=AerNoiseModel.from_backend(backend), method="density_matrix")
    return np.asarray(simulator.run(whole, shots=1).result().data(0)["probabilities"])


def without_readout(circuit: Circuit) -> Circuit:
    noise = circuit.noise
    return circuit.with_noise(
        dataclasses.replace(noise, channels=[placed for placed in noise.channels if placed.place != "readout"])
    )


def deviations(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """In standard deviations of the shots."""
    return np.abs(ours - theirs) / np.sqrt(ours * (1 - ours) / SHOTS)


CASES = {
    "router": (Circuit(2, 3, readout="born"), None),
    "three qubits": (Circuit(3, 2, readout="born"), None),
    "two uploads": (Circuit(2, 4, AngleEncoding("Y", uploads=2), readout="born"), (3, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_probabilities_are_within_4_sigma_of_qiskit_aer_at_a_million_shots(name: str) -> None:
    circuit, qubits = CASES[name]
    backend = FakeManilaV2()
    there = on_device(circuit, "fake_manila", qubits)
    weights = weights_for(circuit)
    x = torch.rand(3, circuit.in_features, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    ours = TorchEngine().evaluate(there, x, weights).numpy()
    for row, sample in enumerate(x):
        found = sampled(there, backend, sample, weights, seed=row)
        assert deviations(ours[row], found).max() < 4, name


def test_the_comparison_sees_a_measurement_without_errors() -> None:
    circuit, backend = Circuit(2, 3, readout="born"), FakeManilaV2()
    there, weights = on_device(circuit, "fake_manila"), weights_for(circuit)
    blind = TorchEngine().evaluate(without_readout(there), X[:1], weights).numpy()[0]
    assert deviations(blind, sampled(there, backend, X[0], weights, seed=0)).max() > 20


@pytest.mark.parametrize(
    ("kind", "circuit"),
    [
        (FakeManilaV2, Circuit(2, 3, readout="born")),
        (FakeManilaV2, Circuit(4, 1, readout="born")),
        (FakeSherbrooke, Circuit(2, 3, readout="born")),
    ],
)
def test_probabilities_before_they_are_read_equal_qiskit_aer(kind, circuit: Circuit) -> None:
    backend = kind()
    qubits = (0, 1, 2, 3)[: circuit.n_qubits]
    there, weights = on_device(circuit, backend, qubits), weights_for(circuit)
    x = torch.rand(2, circuit.in_features, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    ours = TorchEngine().evaluate(without_readout(there), x, weights).numpy()
    read = TorchEngine().evaluate(there, x, weights).numpy()
    tables = {
        placed.wires[0]: placed.channel.confusion() for placed in there.noise.channels if placed.place == "readout"
    }
    joint = np.ones((1, 1))
    for wire in range(circuit.n_qubits):
        joint = np.kron(joint, tables[wire])
    for row, sample in enumerate(x):
        narrow = exact(there, backend, sample, weights)
        np.testing.assert_allclose(ours[row], narrow, atol=1e-6)
        np.testing.assert_allclose(read[row], ours[row] @ joint, atol=1e-12)
    np.testing.assert_allclose(ReferenceEngine().evaluate(there, x, weights).numpy(), read, atol=1e-10)


@pytest.mark.parametrize("device", ["fake_manila", "fake_sherbrooke", "fake_torino", "fake_london"])
@pytest.mark.parametrize("readout", ["expval", "born", [Pauli("X0 Y1"), Pauli("X0")], [Probs((1,)), Pauli("Z0")]])
def test_without_noise_a_compiled_circuit_is_the_circuit(device: str, readout) -> None:
    circuit = Circuit(2, 2, readout=readout)
    there, weights = on_device(circuit, device), weights_for(circuit)
    clean = NativeEngine().evaluate(there.with_noise(None), X, weights)
    torch.testing.assert_close(clean, NativeEngine().evaluate(circuit, X, weights), rtol=0, atol=1e-10)
    assert there.noise.device.name == device
    assert there.n_two_qubit_gates >= 2


@pytest.mark.parametrize("readout", ["expval", "born", "parity", [Probs((2, 0)), Pauli("Z1")]])
def test_wires_that_routing_takes_stand_behind_and_are_not_measured(readout) -> None:
    if readout == "parity":
        from qmoe.circuits import Parity

        readout = Parity()
    circuit = Circuit(3, 2, readout=readout)
    there = on_device(circuit, "fake_manila", (0, 2, 4, 1, 3))
    assert there.n_qubits > 3
    assert there.n_outputs == circuit.n_outputs
    x, weights = torch.rand(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)), weights_for(circuit)
    clean = NativeEngine().evaluate(there.with_noise(None), x, weights)
    torch.testing.assert_close(clean, NativeEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-10)


def test_a_router_keeps_its_parameters_and_gains_noise() -> None:
    router = QuantumRouter(2, 2, generator=torch.Generator().manual_seed(0))
    there = on_device(router, "fake_manila")
    assert isinstance(there, QuantumRouter)
    assert [name for name, _ in there.named_parameters()] == [name for name, _ in router.named_parameters()]
    for ours, before in zip(there.parameters(), router.parameters(), strict=True):
        assert torch.equal(ours, before)
    assert router.circuit.noise is None
    x = X.float()
    z, noisy = router.measure(x), there.measure(x)
    shrunk = noisy / z
    assert ((shrunk > 0.5) & (shrunk < 1.2)).all()
    assert (noisy.abs().sum() < 0.97 * z.abs().sum()).item()
    assert "noise of fake_manila" in repr(there)
    again = copy.deepcopy(there)
    assert torch.equal(again(x), there(x))
    there(x).sum().backward()
    assert torch.isfinite(there.quantum.weights.grad).all()


def test_what_came_out_is_told() -> None:
    router = QuantumRouter(2, 2, generator=torch.Generator().manual_seed(0))
    (facts,) = compiled_facts(on_device(router, "fake_manila", (3, 4)))
    assert facts.device == "fake_manila"
    assert facts.qubits == (3, 4)
    # Three layers of two CNOT each on one coupled pair need no more.
    assert facts.n_two_qubit_gates == 6
    assert facts.depth == on_device(router.circuit, "fake_manila", (3, 4)).depth > 6
    with pytest.raises(ConfigError, match="not compiled for a device"):
        compiled_facts(router)


def test_depth_and_pairs_are_counted() -> None:
    circuit = Circuit.from_operations(
        [Gate("RX", (0,), (Feature(0),)), Gate("RX", (1,), (0.1,)), Gate("CNOT", (0, 1)), Gate("RZ", (2,), (0.1,))]
    )
    assert (circuit.depth, circuit.n_two_qubit_gates) == (2, 1)


def test_layers_and_whole_mixtures_run_on_a_device() -> None:
    g = torch.Generator().manual_seed(0)
    layer = QuantumLayer(Circuit(2, 1, readout=Born()), generator=g)
    assert on_device(layer, "fake_lima")(X.float()).shape == (3, 4)
    moe = qmoe.MixtureOfExperts(QuantumRouter(2, 2, generator=g), experts=qmoe.LinearExperts(2, 2, n_experts=2))
    there = on_device(moe, "fake_lima")
    assert there(X.float()).shape == (3, 2)
    assert len(compiled_facts(there)) == 1
    born = on_device(QuantumRouter(2, 2, readout="born", generator=g), "fake_lima")
    torch.testing.assert_close(born(X.float()).sum(-1), torch.ones(3))


def test_noise_of_its_own_is_refused_or_dropped() -> None:
    router = QuantumRouter(2, 2, noise=0.05, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UnsupportedError, match=r"noise of its own.*drop_noise=True"):
        on_device(router, "fake_manila")
    there = on_device(router, "fake_manila", drop_noise=True)
    assert there.circuit.noise.device.name == "fake_manila"
    assert float(there.quantum.noise_strength) == 0


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (Circuit(2), {"backend": "fake_lisa"}, ConfigError, "did you mean 'fake_lima'"),
        (Circuit(2), {"qubits": (0,)}, ConfigError, r"has 2 qubit\(s\), and there are 1 of fake_lima"),
        (Circuit(6), {}, ConfigError, r"there are 5 of fake_lima"),
        (Circuit(2), {"optimization_level": 4}, ConfigError, "expected 0, 1, 2 or 3"),
        (Circuit(2, encoding="amplitude"), {}, UnsupportedError, "prepares amplitudes"),
        (Circuit(1, readout=[Pauli("X0"), Pauli("Z0")]), {}, UnsupportedError, "measurements in 2 bases"),
        (torch.nn.Linear(1, 1), {}, ConfigError, "Linear holds no circuit"),
        ("router", {}, ConfigError, "Got a str"),
    ],
)
def test_what_no_device_runs_is_refused_with_the_remedy(given, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        on_device(given, **{"backend": "fake_lima", **options})


def test_a_sum_of_words_of_one_basis_is_measured_along_z() -> None:
    gates = [Gate("RY", (0,), (Weight(0),)), Gate("CNOT", (0, 1)), Gate("RX", (1,), (Feature(0),))]
    circuit = Circuit.from_operations(gates, readout=Hamiltonian([0.5, -1.0], ["X0 Y1", "Y1"]))
    there = on_device(circuit, "fake_lima")
    x, weights = X[:, :1], weights_for(circuit)
    clean = NativeEngine().evaluate(there.with_noise(None), x, weights)
    torch.testing.assert_close(clean, NativeEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-10)


# --- the canary -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["fake_manila", "fake_london", "fake_torino"])
def test_the_known_answer_is_given(device: str) -> None:
    there = on_device(Circuit(2, 1), device)
    check_known(there, device)
    check_known(there, device, ReferenceEngine())
    assert there.noise.device.name == device


@pytest.mark.parametrize("place", ["readout", "one_qubit_gate"])
def test_dropped_noise_is_seen(place: str) -> None:
    there = on_device(Circuit(2, 1), "fake_manila")
    kept = [placed for placed in there.noise.channels if placed.place != place]
    assert len(kept) < len(there.noise.channels)
    less = there.with_noise(dataclasses.replace(there.noise, channels=kept))
    with pytest.raises(UnsupportedError, match=r"fails a check with a known answer: qubit . is turned over"):
        check_known(less, "fake_manila")
    twice = there.with_noise(there.noise + NoiseModel(channels=[p for p in there.noise.channels if p.place == place]))
    with pytest.raises(UnsupportedError, match="fails a check"):
        check_known(twice, "fake_manila")


def test_an_engine_that_drops_the_error_of_the_measurement_is_seen() -> None:
    class Blind(TorchEngine):
        def evaluate(self, circuit, *given):
            return super().evaluate(without_readout(circuit), *given)

    with pytest.raises(UnsupportedError, match="fails a check with a known answer"):
        on_device(QuantumRouter(2, 2, generator=torch.Generator()), "fake_manila", engine=Blind())


def test_what_qiskit_cannot_compile_is_told_with_its_remedy():
    circuit = Circuit(2, 1)
    with pytest.raises(ConfigError, match=r"cannot compile the circuit for the qubits \(0, 3\).*route through"):
        on_device(circuit, "fake_manila", qubits=[0, 3])
    for seed in (-1, "a"):
        with pytest.raises(ConfigError, match="seed is"):
            on_device(circuit, "fake_manila", seed=seed)
