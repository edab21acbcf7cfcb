"""qiskit-aer as an engine: the numbers of the others, by one job, and only with noise that gives known answers."""

import copy
import pickle

import numpy as np
import pytest
import torch
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from helpers import modules_after
from qmoe import Circuit, NoiseModel, QuantumLayer, QuantumRouter
from qmoe.circuits import (
    AmplitudeDamping,
    Depolarizing,
    Gate,
    Pauli,
    Probs,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
    Weight,
)
from qmoe.engines import ReferenceEngine, TorchEngine, get_engine
from qmoe.engines.aer import AerEngine
from qmoe.engines.aer import aer_program as programs
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop import on_device
from qmoe.testing import random_circuit

NOISE = NoiseModel(
    0.05,
    "gate",
    "encoding",
    channels=[
        AmplitudeDamping(0.1, 0.2).after("one_qubit_gate"),
        Depolarizing(0.1, n_wires=2).after("two_qubit_gate"),
        ThermalRelaxation(50.0, 30.0, 2.0).after("layer"),
        ReadoutError(0.02, 0.05).before_readout(),
    ],
)


def inputs(circuit: Circuit, stack=(), batch=(4,), dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(*stack, *batch, circuit.in_features, generator=g, dtype=dtype) * 3
    return x, torch.rand(*stack, *circuit.weight_shape, generator=g, dtype=dtype) * 6


@pytest.mark.parametrize("seed", range(40))
def test_random_circuits_equal_the_reference(seed: int) -> None:
    circuit = random_circuit(seed, max_qubits=3)
    if circuit.prepares:
        circuit = Circuit(2, 1)
    x, weights = inputs(circuit)
    torch.testing.assert_close(
        AerEngine().evaluate(circuit, x, weights), ReferenceEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("readout", ["expval", "born", [Pauli("X0 Y1"), Probs((1,)), Pauli("Z0")]])
@pytest.mark.parametrize("noise", [None, NOISE])
def test_any_read_out_any_stack_any_noise(readout, noise) -> None:
    circuit = Circuit(2, 2, readout=readout, noise=noise)
    x, weights = inputs(circuit, (3,), (2, 2))
    strength = None if noise is None else torch.tensor([0.0, 0.1, 0.1], dtype=torch.float64)
    ours, truth = (e.evaluate(circuit, x, weights, strength) for e in (AerEngine(), ReferenceEngine()))
    torch.testing.assert_close(ours, truth, rtol=0, atol=1e-9)


def test_dtypes_are_kept_and_an_empty_batch_is_empty() -> None:
    circuit = Circuit(2, 1)
    x, weights = inputs(circuit, dtype=torch.float32)
    assert AerEngine().evaluate(circuit, x, weights).dtype == torch.float32
    assert AerEngine().evaluate(circuit, x[:0], weights).shape == (0, 2)


def test_a_batch_of_models_and_bases_is_one_job(monkeypatch) -> None:
    jobs = []
    run = AerSimulator.run

    def counted(self, circuits, *given, **options):
        jobs.append(len(circuits))
        return run(self, circuits, *given, **options)

    circuit = Circuit(2, 2, readout=[Pauli("X0"), Pauli("Z0")])
    x, weights = inputs(circuit, (3,), (5,))
    monkeypatch.setattr(AerSimulator, "run", counted)
    engine = AerEngine()
    engine.evaluate(circuit, x, weights)
    assert jobs == [2]  # a circuit for each basis, all samples and models as values of its parameters
    jobs.clear()
    noisy, strength = circuit.with_noise(0.1), torch.tensor([0.0, 0.1, 0.1], dtype=torch.float64)
    AerEngine("fake_manila").evaluate(Circuit(2, 2), x, weights)
    engine.evaluate(noisy, x, weights, strength)
    engine.evaluate(noisy, x, weights, strength)
    assert jobs[-1] == 4  # two strengths
    assert jobs[-2] == 4
    assert max(jobs[:-2]) == 1  # known answers, and the device's circuit


def test_a_trained_router_runs_with_a_devices_noise_by_name() -> None:
    g = torch.Generator().manual_seed(0)
    router = QuantumRouter(2, 2, generator=g)
    there = on_device(router, "fake_manila")
    x = torch.rand(4, 2, generator=g) * 3
    by_name = QuantumRouter(2, 2, engine="aer:fake_manila", generator=g)
    by_name.load_state_dict(router.state_dict())
    torch.testing.assert_close(by_name(x), there(x), rtol=0, atol=1e-6)
    own = QuantumRouter(2, 2, engine=AerEngine(AerSimulator.from_backend(FakeManilaV2())), generator=g)
    own.load_state_dict(router.state_dict())
    # Qiskit may place it on another pair there: near, and not the same.
    assert (own(x) - there(x)).abs().max() < 0.05
    assert (own(x) - router(x)).abs().max() > 1e-3


def test_shots_have_the_spread_of_a_binomial_and_follow_the_seed() -> None:
    circuit = Circuit(2, 2, noise=NOISE)
    x, weights = inputs(circuit, batch=(60,))
    truth = ReferenceEngine().evaluate(circuit, x, weights)
    first = AerEngine(shots=2000, seed=1)
    found = first.evaluate(circuit, x, weights)
    z = (found - truth) / ((1 - truth**2) / 2000).sqrt()
    assert 0.8 < float(z.std()) < 1.2
    assert abs(float(z.mean())) < 0.45  # 5 standard deviations of 120 numbers
    assert torch.equal(AerEngine(shots=2000, seed=1).evaluate(circuit, x, weights), found)
    assert not torch.equal(first.evaluate(circuit, x, weights), found)


def test_probabilities_by_shots_are_in_the_order_of_wires() -> None:
    circuit = Circuit.from_operations([Gate("PauliX", (0,))], n_qubits=3, readout="born")
    x, weights = inputs(circuit, batch=(1,))
    assert AerEngine(shots=10, seed=0).evaluate(circuit, x, weights)[0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_gradients_are_refused_when_they_are_asked_for() -> None:
    layer = QuantumLayer(Circuit(2, 1), engine="aer", generator=torch.Generator().manual_seed(0))
    out = layer(torch.rand(3, 2))
    assert out.shape == (3, 2)
    with pytest.raises(UnsupportedError, match="'aer' has no gradients: it is for inference"):
        out.sum().backward()
    with pytest.raises(UnsupportedError, match="takes no transforms"):
        torch.func.vmap(layer)(torch.rand(3, 1, 2))


@pytest.mark.parametrize(
    ("engine", "circuit", "message"),
    [
        (AerEngine("fake_manila"), Circuit(2, noise=0.1), "fake_manila has noise of its own, and so has the circuit"),
        (AerEngine(), Circuit(2, encoding="amplitude"), "features are amplitudes here"),
        (
            AerEngine(shots=10),
            Circuit(2, noise=NoiseModel(channels=[ReadoutConfusion(np.eye(4).tolist()).before_readout((0, 1))])),
            "the circuit confuses pairs; use shots=None",
        ),
    ],
)
def test_what_it_cannot_run_is_refused_with_the_remedy(engine, circuit: Circuit, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        engine.evaluate(circuit, *inputs(circuit))


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="shots is 0"):
        AerEngine(shots=0)
    with pytest.raises(ConfigError, match="did you mean 'fake_manila'"):
        get_engine("aer:fake_manilla")
    with pytest.raises(ConfigError, match="Unknown engine 'eer'; did you mean 'aer'"):
        get_engine("eer")
    assert repr(AerEngine("fake_lima", shots=5, seed=2)) == "AerEngine('fake_lima', shots=5, seed=2)"


def test_it_copies_and_pickles_and_is_imported_without_qiskit() -> None:
    circuit = Circuit(2, 1)
    x, weights = inputs(circuit)
    engine = AerEngine("fake_lima")
    found = engine.evaluate(circuit, x, weights)
    for other in (copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))):
        assert torch.equal(other.evaluate(circuit, x, weights), found)
    (modules,) = modules_after("import qmoe.engines.aer")
    assert not modules & {"qiskit", "qiskit_aer", "qiskit_ibm_runtime"}


# --- known answers --------------------------------------------------------------------------------------------------


def test_a_simulator_that_drops_channels_is_not_trusted(monkeypatch) -> None:
    circuit = Circuit(2, 1, noise=NoiseModel(channels=[AmplitudeDamping(0.2).after("gate")]))
    monkeypatch.setattr(programs, "_add_channel", lambda *given: None)
    with pytest.raises(UnsupportedError, match="known answer: with amplitude_damping it gives the probabilities"):
        AerEngine().evaluate(circuit, *inputs(circuit))


def test_a_simulator_that_reads_without_errors_is_not_trusted(monkeypatch) -> None:
    circuit = Circuit(2, 1, noise=NoiseModel(channels=[ReadoutError(0.1).before_readout()]))
    monkeypatch.setattr("qmoe.engines.aer.engine.confused", lambda rows, errors: rows)
    with pytest.raises(UnsupportedError, match="known answer: with readout_error"):
        AerEngine().evaluate(circuit, *inputs(circuit))
    monkeypatch.undo()
    monkeypatch.setattr("qmoe.engines.aer.engine.reading_noise", lambda errors: None)
    with pytest.raises(UnsupportedError, match="known answer: with readout_error"):
        AerEngine(shots=10_000, seed=0).evaluate(circuit, *inputs(circuit))


def test_a_simulator_of_your_own_must_do_what_its_noise_model_says(monkeypatch) -> None:
    circuit = Circuit(2, 1)
    simulator = AerSimulator.from_backend(FakeManilaV2())
    AerEngine(simulator).evaluate(circuit, *inputs(circuit))
    run = AerSimulator.run

    def ideal(self, circuits, *given, **options):
        return run(AerSimulator(), circuits, *given, **options)

    monkeypatch.setattr(AerSimulator, "run", ideal)
    with pytest.raises(UnsupportedError, match=r"after an X gate it reads 1 with probability .* its noise model says"):
        AerEngine(simulator).evaluate(circuit, *inputs(circuit))


def test_weights_that_do_nothing_are_bound_all_the_same() -> None:
    circuit = Circuit.from_operations([Gate("RZ", (0,), (Weight(0),))], n_qubits=1)
    x, weights = inputs(circuit)
    assert TorchEngine().evaluate(circuit, x, weights).shape == AerEngine().evaluate(circuit, x, weights).shape
