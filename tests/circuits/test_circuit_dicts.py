"""Circuits as dictionaries."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.circuits import (
    Circuit,
    Expval,
    Feature,
    Gate,
    Hamiltonian,
    Parity,
    Pauli,
    Probs,
    Readout,
    Weight,
)
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.testing import random_circuit, random_operations

MADE = Circuit.from_operations(
    [Gate("RX", (0,), (2 * Weight(0) * Feature(1) + 0.5,)), Gate("CNOT", (0, 1)), Gate("RY", (1,), (Feature(0),))],
    readout=[Pauli("Z0"), Probs((1,)), Parity(), Hamiltonian([1, 2.5], ["X0", "Z1"])],
    weight_shape=(2, 1),
)


@given(st.integers(0, 10_000), st.sampled_from([random_circuit, random_operations]))
@settings(max_examples=100, deadline=None)
def test_a_circuit_comes_back_equal_through_json(seed: int, draw) -> None:
    circuit = draw(seed)
    back = Circuit.from_dict(json.loads(json.dumps(circuit.to_dict())))
    assert back == circuit
    assert hash(back) == hash(circuit)
    assert back.operations == circuit.operations


def test_the_format_is_this() -> None:
    assert MADE.to_dict() == {
        "format": "qmoe.circuit",
        "version": 1,
        "n_qubits": 2,
        "in_features": 2,
        "readout": {
            "name": "list",
            "parts": [
                {"name": "pauli", "word": "Z0"},
                {"name": "probs", "wires": [1]},
                {"name": "parity", "wires": None},
                {"name": "hamiltonian", "coeffs": [1.0, 2.5], "words": ["X0", "Z1"]},
            ],
        },
        "noise": None,
        "weight_shape": [2, 1],
        "operations": [
            {"gate": "RX", "wires": [0], "angles": [[[2.0, ["x1", "w0"]], [0.5, []]]]},
            {"gate": "CNOT", "wires": [0, 1], "angles": []},
            {"gate": "RY", "wires": [1], "angles": ["x0"]},
        ],
    }
    assert Circuit(2, 3).to_dict() == {
        "format": "qmoe.circuit",
        "version": 1,
        "n_qubits": 2,
        "in_features": 2,
        "readout": {"name": "expval"},
        "noise": None,
        "n_layers": 3,
        "encoding": {"name": "angle", "rotation": "X", "uploads": 1},
        "ansatz": {"name": "strongly_entangling"},
    }


CHANGES = [
    (lambda d: d.update(format="other"), "has format 'other', expected 'qmoe.circuit'"),
    (lambda d: d.update(version=2), "written in version 2, and this qmoe reads version 1"),
    (lambda d: d.update(extra=1), "has the unknown key 'extra'"),
    (lambda d: d.pop("noise"), "lacks 'noise'"),
    (lambda d: d.update(noise=0.1), "The noise is 0.1, expected a dictionary"),
    (lambda d: d.update(operations={}), "operations is {}, expected a list"),
    (lambda d: d.update(n_qubits="2"), "n_qubits is '2'"),
    (lambda d: d.update(weight_shape=[1.5]), "weight_shape has 1.5, expected a non-negative integer"),
    (lambda d: d["readout"].update(name="median"), "Unknown read-out 'median'"),
    (lambda d: d["readout"].update(parts=[{"name": "pauli"}]), "The read-out pauli lacks 'word'"),
    (lambda d: d["operations"][0].update(gate="cp"), "'cp' is no single gate"),
    (lambda d: d["operations"][0].update(power=2), "Operation 0 has the unknown key 'power'"),
    (lambda d: d["operations"][0].update(angles=["y0"]), "Operation 0 has 'y0' in an angle"),
    (lambda d: d["operations"][0].update(angles=[[[1.0]]]), "has the term"),
    (lambda d: d["operations"][0].update(angles=[[["2", []]]]), "got the angle '2'"),
    (lambda d: d["operations"][0].update(angles=[float("nan")]), "got the angle nan"),
    (lambda d: d["operations"][0].update(angles=[True]), "got the angle True"),
    (lambda d: d["operations"].append({"prepare": -1}), "Operation 3 has -1"),
    (lambda d: d["operations"].append({"dephase": [0], "axis": "W"}), "Unknown dephasing axis 'W'"),
    (lambda d: d["operations"].append(["h", 0]), "Operation 3 is"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message[:30] for _, message in CHANGES])
def test_what_is_no_circuit_is_refused(change, message: str) -> None:
    data = copy.deepcopy(MADE.to_dict())
    change(data)
    with pytest.raises(ConfigError, match=message):
        Circuit.from_dict(data)


def test_a_list_is_no_dictionary() -> None:
    with pytest.raises(ConfigError, match=r"expected a dictionary such as Circuit\.to_dict gives"):
        Circuit.from_dict([])


def test_classes_of_your_own_are_refused() -> None:
    class Own(Expval):
        pass

    class Other(Readout):
        name = "other"

        def n_outputs(self, n_qubits: int) -> int:
            return 1

    for readout in (Own(), Other()):
        with pytest.raises(UnsupportedError, match="is a class of your own, which a dictionary cannot hold"):
            Circuit(1, 1, readout=readout).to_dict()
