"""Memory is reckoned before it is asked for."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import pytest
import torch

import qmoe
from qmoe.circuits import Circuit, Feature, Gate, Hamiltonian, Parity, Pauli, Probs
from qmoe.engines import NativeEngine, ReferenceEngine, TorchEngine, get_engine, memory
from qmoe.engines.native.plan.batch_plan import make_plan
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.errors import PerformanceWarning, QMoEError, UnsupportedError

GIB = 1 << 30


@pytest.fixture
def small(monkeypatch):
    """A machine of 4 GiB. Engines keep what they find, so that circuits here are of sizes of their own."""
    monkeypatch.setattr(memory, "machine_bytes", lambda: 4 * GIB)


@pytest.mark.parametrize(
    ("engine", "options", "state"),
    [
        (NativeEngine, {"n_qubits": 29}, "4 GiB"),
        (TorchEngine, {"n_qubits": 30}, "8 GiB"),
        (PennyLaneEngine, {"n_qubits": 31}, "16 GiB"),
        (TorchEngine, {"n_qubits": 15, "noise": 0.1}, "4 GiB"),
        (TorchEngine, {"n_qubits": 16, "noise": 0.02}, "16 GiB"),
    ],
    ids=str,
)
def test_a_state_beyond_the_machine_is_refused_in_words(small, engine, options, state):
    circuit = Circuit(**options, in_features=options["n_qubits"])
    x, weights = torch.rand(2, circuit.in_features), torch.rand(*circuit.weight_shape)
    with pytest.raises(UnsupportedError) as caught:
        engine().evaluate(circuit, x, weights)
    message = str(caught.value)
    for part in (f"n_qubits={circuit.n_qubits}", f"{state} for each sample", "there are 4 GiB", "Use fewer qubits"):
        assert part in message


def test_on_a_gpu_its_own_memory_counts(small, monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=17 * GIB))
    assert TorchEngine().why_not(Circuit(30), gpu) is None
    assert "there are 17 GiB on cuda" in TorchEngine().why_not(Circuit(31), gpu)
    assert "there are 4 GiB." in TorchEngine().why_not(Circuit(30), torch.device("cpu"))


@pytest.mark.parametrize(("n_qubits", "n_batch"), [(20, 600), (14, 40_000), (24, 40)])
def test_a_batch_that_the_torch_engine_holds_at_once_is_reckoned_too(small, n_qubits, n_batch):
    circuit = Circuit(n_qubits)
    with pytest.raises(UnsupportedError, match=rf"n_qubits={n_qubits} .*smaller batches"):
        TorchEngine().evaluate(circuit, torch.zeros(n_batch, n_qubits), torch.zeros(*circuit.weight_shape))


@pytest.mark.parametrize(("n_qubits", "n_batch"), [(20, 1_100), (21, 700), (18, 5_000)])
def test_read_outs_are_reckoned(small, n_qubits, n_batch):
    circuit = Circuit(n_qubits, readout="born")
    with pytest.raises(UnsupportedError, match="are needed at once"):
        NativeEngine().evaluate(circuit, torch.zeros(n_batch, n_qubits), torch.zeros(*circuit.weight_shape))


@pytest.mark.parametrize(
    ("readout", "n_qubits"),
    [
        (Probs(tuple(range(64))), 64),
        (Parity(), 28),
        ([Pauli("X0 X1"), "born"], 28),
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ["native", "torch"])
def test_tables_of_read_outs_are_reckoned(small, engine, readout, n_qubits):
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),))], n_qubits=n_qubits, readout=readout)
    with pytest.raises(
        UnsupportedError, match=r"basis states in 1 or more bases.* there are 4 GiB.*measure fewer wires"
    ):
        get_engine(engine).evaluate(circuit, torch.zeros(1, 1), torch.zeros(0))


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("readout", [Probs(tuple(range(14))), [Pauli("X0 X1"), "born"]], ids=str)
def test_probabilities_of_every_wire_take_no_table(small, engine, readout):
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),))], n_qubits=14, readout=readout)
    given = get_engine(engine).evaluate(circuit, torch.tensor([[0.8]]), torch.zeros(0))
    expected = torch.zeros(2**14)
    expected[0], expected[2**13] = math.cos(0.4) ** 2, math.sin(0.4) ** 2
    torch.testing.assert_close(given[0, -(2**14) :], expected)


def test_tables_of_many_bases_are_reckoned_as_they_come(monkeypatch):
    monkeypatch.setattr(memory, "machine_bytes", lambda: 200 * 1024)
    readout = Hamiltonian([1.0] * 9, [f"{a}0 {b}1" for a in "XYZ" for b in "XYZ"])
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),))], n_qubits=12, readout=readout)
    with pytest.raises(UnsupportedError, match="in 3 or more bases, and its tables take 256 KiB; there are 200 KiB"):
        NativeEngine().evaluate(circuit, torch.zeros(1, 1), torch.zeros(0))


@pytest.mark.parametrize("n_qubits", [13, 16, 25])
def test_the_reference_says_how_many_qubits_it_takes(n_qubits):
    circuit = Circuit(n_qubits)
    with pytest.raises(UnsupportedError, match=rf"up to 12 qubits, got n_qubits={n_qubits}"):
        ReferenceEngine().evaluate(circuit, torch.zeros(1, n_qubits), torch.zeros(*circuit.weight_shape))


@pytest.mark.parametrize(("n_qubits", "samples"), [(12, 16), (21, 16), (22, 1), (28, 1)])
def test_large_states_are_held_for_one_sample_at_a_time(n_qubits, samples):
    assert make_plan(Circuit(n_qubits), 64, 4).layout.samples == samples


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: qmoe.QuantumRouter(24, 2, n_layers=1), "128 MiB"),
        (lambda: qmoe.QuantumRouter(3, 2, n_qubits=21, n_layers=1), "16 MiB"),
        (lambda: qmoe.QuantumRouter(11, 2, n_layers=1, noise=0.1), "16 MiB"),
        (lambda: qmoe.QuantumExperts(3, 2, n_qubits=22, n_layers=1), "32 MiB"),
    ],
    ids=["features", "asked", "noisy", "experts"],
)
def test_many_qubits_are_announced_when_they_are_built(make, size):
    with pytest.warns(PerformanceWarning, match=f"one sample takes {size}.*n_qubits=4") as caught:
        make()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("options", [{"n_qubits": 20}, {"n_qubits": 10, "noise": 0.1}, {"n_qubits": 2}], ids=str)
def test_few_qubits_are_not(options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        qmoe.QuantumRouter(2, 2, n_layers=1, **options)
    assert caught == []


def test_what_the_machine_has_is_found_and_written_in_words():
    there = memory.machine_bytes()
    assert there is None or there > 1 << 28
    assert [memory.in_words(n) for n in (12, 2048, 3 << 29, 5 << 50)] == ["12 B", "2 KiB", "1.5 GiB", "5 PiB"]
    assert [memory.in_words(n << 20) for n in (999, 1010, 1024)] == ["999 MiB", "0.986 GiB", "1 GiB"]
    assert issubclass(UnsupportedError, QMoEError)
