"""Noise of IBM's devices from snapshots: the channels of qiskit-aer, for circuits in the gates of the device alone."""

import dataclasses
import json
import math
import pickle
import sys

import numpy as np
import pytest
from qiskit.quantum_info import SuperOp
from qiskit_aer.noise import NoiseModel as AerNoiseModel
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke

from qmoe import Circuit, Gate, NoiseModel
from qmoe.circuits import AmplitudeDamping, BitFlip, SourceDevice
from qmoe.circuits.noise import ibm_noise as importing
from qmoe.circuits.noise.ibm_snapshots import narrowed, snapshot_names
from qmoe.circuits.noise.noise_dicts import noise_from_dict, noise_to_dict
from qmoe.errors import ConfigError, UnsupportedError

MANILA = NoiseModel.from_ibm("fake_manila", qubits=(0, 1))
NATIVE = [Gate("SX", (0,)), Gate("RZ", (0,), (0.3,)), Gate("CNOT", (0, 1)), Gate("PauliX", (1,))]
THEIRS = {"CNOT": "cx", "ECR": "ecr", "PauliX": "x", "SX": "sx"}


def superoperator(channel):
    """Of our Kraus operators, as Qiskit has it: column vectors, the first qubit counting least."""
    operators = channel.kraus()
    if channel.n_wires == 2:
        operators = operators.reshape(-1, 2, 2, 2, 2).transpose(0, 2, 1, 4, 3).reshape(-1, 4, 4)
    return sum(np.kron(k.conj(), k) for k in operators)


@pytest.mark.parametrize(("kind", "qubits"), [(FakeManilaV2, (0, 1, 2, 3, 4)), (FakeSherbrooke, (2, 1, 0))])
def test_channels_are_those_of_qiskit_aer(kind, qubits) -> None:
    backend = kind()
    noise = NoiseModel.from_ibm(backend, qubits)
    listed = AerNoiseModel.from_backend(backend)
    errors, readouts = listed._local_quantum_errors, listed._local_readout_errors
    gates = [placed for placed in noise.channels if placed.place != "readout"]
    expected = {
        (name, on) for name in errors for on in errors[name] if name in THEIRS.values() and set(on) <= set(qubits)
    }
    found = {(THEIRS[placed.gates[0]], tuple(qubits[w] for w in placed.wires)): placed.channel for placed in gates}
    assert found.keys() == expected
    for (name, on), channel in found.items():
        np.testing.assert_allclose(superoperator(channel), SuperOp(errors[name][on]).data, atol=1e-12)
    read = {placed.wires[0]: placed.channel.confusion() for placed in noise.channels if placed.place == "readout"}
    assert read.keys() == set(range(len(qubits)))
    for wire, table in read.items():
        np.testing.assert_allclose(table, readouts[(qubits[wire],)].probabilities, atol=1e-15)


def test_every_snapshot_is_imported_and_keeps_its_errors_of_the_measurement() -> None:
    assert len(snapshot_names()) > 60
    for name in snapshot_names():
        qubits = (0,) if name == "fake_armonk" else (0, 1)
        noise = NoiseModel.from_ibm(name, qubits)
        assert noise.device.name == name
        assert noise.device.qubits == qubits
        assert [placed.wires for placed in noise.channels if placed.place == "readout"] == [(w,) for w in qubits]


def test_a_name_that_there_is_not_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Unknown IBM snapshot 'fake_manilla'; did you mean 'fake_manila'"):
        NoiseModel.from_ibm("fake_manilla")
    with pytest.raises(ConfigError, match="Got 3, expected the name of a snapshot"):
        NoiseModel.from_ibm(3)


@pytest.mark.parametrize("qubits", [(5,), (-1,), (0, 0), (), "01", (True,), (0.5,), 7])
def test_qubits_that_there_are_not_are_refused(qubits) -> None:
    with pytest.raises(ConfigError, match="expected different numbers from 0 to 4, the qubits of fake_manila"):
        NoiseModel.from_ibm("fake_manila", qubits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_qubits": 2}, "has the gate RX, and fake_manila has CNOT, PauliX, RZ, SX: its noise would be missing"),
        ({"n_qubits": 2, "encoding": "amplitude"}, "prepares amplitudes, and fake_manila has no noise for that"),
        ({"n_qubits": 3}, r"of 2 qubit\(s\) of fake_manila, and the circuit has 3; qmoe.interop.on_device\(circuit"),
        ({"n_qubits": 1}, r"NoiseModel.from_ibm\('fake_manila', qubits=\(0,\)\)"),
    ],
)
def test_a_circuit_whose_noise_would_be_missing_is_refused(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Circuit(**options, noise=MANILA)


def test_pairs_that_are_not_coupled_are_refused_and_gates_of_the_device_have_their_noise() -> None:
    noise = NoiseModel.from_ibm("fake_manila", qubits=(0, 1, 3))
    with pytest.raises(ConfigError, match=r"CNOT on the wires \(1, 2\), and fake_manila does not couple them"):
        Circuit.from_operations([Gate("CNOT", (1, 2))], noise=noise)
    with pytest.raises(ConfigError, match="has the gate CZ"):
        Circuit.from_operations([Gate("CZ", (0, 1))], noise=MANILA)
    made = Circuit.from_operations(NATIVE, noise=MANILA)
    struck = [(type(op).__name__, op.wires) for op in made.operations if not hasattr(op, "depolarizing")]
    assert struck.count(("Disturb", (0, 1))) == 1
    assert struck.count(("Disturb", (0,))) == 2  # after SX and when it is read, and not after RZ
    assert made.with_noise(None).operations == tuple(NATIVE)


def test_a_model_with_a_device_goes_through_dictionaries_pickles_and_sums() -> None:
    assert noise_from_dict(json.loads(json.dumps(noise_to_dict(MANILA)))) == MANILA
    assert pickle.loads(pickle.dumps(MANILA)) == MANILA
    more = MANILA + NoiseModel(channels=[BitFlip(0.1).after("gate")])
    assert more.device == MANILA.device
    assert len(more.channels) == len(MANILA.channels) + 1
    circuit = Circuit.from_operations(NATIVE, noise=more)
    assert Circuit.from_dict(json.loads(json.dumps(circuit.to_dict()))) == circuit
    with pytest.raises(ConfigError, match="those of fake_manila and of fake_lima; take one of them"):
        MANILA + NoiseModel.from_ibm("fake_lima", qubits=(0, 1))


def test_models_without_a_device_are_written_and_hashed_as_before() -> None:
    plain = NoiseModel(0.1, channels=[AmplitudeDamping(0.2).after("gate")])
    assert "device" not in repr(plain)
    assert "device" not in noise_to_dict(plain)
    parts = (plain.depolarizing, plain.placement, plain.dephasing, plain.dephasing_axis, plain.channels)
    assert hash(plain) == hash(parts)


def test_the_text_of_a_model_is_short_and_tells_models_apart() -> None:
    other = dataclasses.replace(MANILA, channels=MANILA.channels[1:])
    assert len(repr(MANILA)) < 200
    assert "device='fake_manila', qubits=(0, 1)" in repr(MANILA)
    assert repr(MANILA) != repr(other)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x"}, "expected a table of name, qubits, gates, couplings"),
        ({"name": "x", "qubits": [0], "gates": ["CNOTT"], "couplings": []}, "Unknown gate of a device 'CNOTT'"),
        ({"name": "x", "qubits": [0], "gates": ["CNOT"], "couplings": [["CNOT", 0, 1]]}, r"couples wires \[0, 1\]"),
        ({"name": "x", "qubits": "a", "gates": ["CNOT"], "couplings": [[1]]}, "makes none"),
    ],
)
def test_a_damaged_device_is_refused(data, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        noise_from_dict({**noise_to_dict(NoiseModel()), "device": data})
    with pytest.raises(ConfigError, match="expected a SourceDevice"):
        NoiseModel(device="fake_manila")


def test_numbers_by_formula_are_those_of_a_case_done_by_hand() -> None:
    target = narrowed(FakeManilaV2().target, (0, 1))
    values = target["cx"][(0, 1)]
    assert importing.reported_fidelity(target, "cx", (0, 1)) == pytest.approx(1 - values.error, abs=1e-12)
    x, qubit = target["x"][(0,)], target.qubit_properties[0]
    decay, coherence = math.exp(-x.duration / qubit.t1), math.exp(-x.duration / qubit.t2)
    # Relaxation alone takes more than the error that is reported.
    assert ((1 + decay + 2 * coherence) / 2 + 1) / 3 < 1 - x.error
    assert importing.known_excitation(target, "x", 0) == pytest.approx(decay, abs=1e-12)


def test_a_channel_that_contradicts_what_the_device_reports_is_refused(monkeypatch) -> None:
    fair = importing.gate_channels

    def doubled(target):
        return [(name, on, error.compose(error) if name == "sx" else error) for name, on, error in fair(target)]

    monkeypatch.setattr(importing, "gate_channels", doubled)
    with pytest.raises(ConfigError, match=r"The noise of sx on \(0,\) leaves a fidelity of .* Use another snapshot"):
        NoiseModel.from_ibm("fake_manila", (0, 1))


def test_a_missing_package_is_told(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "qiskit_aer"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qiskit_aer", None)
    with pytest.raises(UnsupportedError, match=r"This needs qiskit_aer .*pip install 'qmoe\[ibm\]'"):
        NoiseModel.from_ibm("fake_manila", (0, 1))


def test_old_devices_have_rotations_for_their_pulses() -> None:
    noise = NoiseModel.from_ibm("fake_london", (0, 1))
    assert noise.device.gates == ("CNOT", "PhaseShift", "Rot")
    assert isinstance(noise.device, SourceDevice)
