"""Names of OpenQASM 3, Qiskit and PennyLane for gates."""

import numpy as np
import pennylane as qml
import pytest
import torch
from qiskit.circuit.library import get_standard_gate_name_mapping

from qmoe.circuits import GATES, Feature, Gate, Weight
from qmoe.circuits.decompositions import DECOMPOSITIONS, gates, inverted
from qmoe.circuits.gates import ALIASES
from qmoe.engines.reference import gate_matrix
from qmoe.errors import ConfigError

STANDARD = get_standard_gate_name_mapping()
ANGLES = (0.7, -1.9, 2.6, 0.4)


def matrix_of(listed, n_wires: int) -> np.ndarray:
    total = np.eye(2**n_wires, dtype=complex).reshape((2,) * n_wires + (-1,))
    for gate in listed:
        n = len(gate.wires)
        matrix = gate_matrix(gate, torch.empty(0, dtype=torch.float64)).numpy().reshape((2,) * (2 * n))
        total = np.moveaxis(np.tensordot(matrix, total, (range(n, 2 * n), gate.wires)), range(n), gate.wires)
    return total.reshape(2**n_wires, 2**n_wires)


def differ(some: np.ndarray, other: np.ndarray) -> float:
    overlap = np.vdot(some, other)
    return float(np.abs(some * (overlap / abs(overlap)) - other).max())


def sizes(name: str) -> tuple[int, int]:
    return GATES[ALIASES[name]] if name in ALIASES else DECOMPOSITIONS[name][:2]


def reversed_bits(matrix: np.ndarray, n: int) -> np.ndarray:
    """Qiskit's matrix with its qubit 0 as the most significant bit."""
    axes = [*reversed(range(n)), *reversed(range(n, 2 * n))]
    return matrix.reshape((2,) * (2 * n)).transpose(axes).reshape(2**n, 2**n)


@pytest.mark.parametrize("name", sorted((ALIASES.keys() | DECOMPOSITIONS.keys()) & STANDARD.keys()))
def test_a_name_of_qiskit_is_qiskits_gate(name: str) -> None:
    n_wires, n_angles = sizes(name)
    theirs = STANDARD[name].base_class(*ANGLES[:n_angles]).to_matrix()
    mine = matrix_of(gates(name, range(n_wires), ANGLES[:n_angles]), n_wires)
    assert differ(mine, reversed_bits(theirs, n_wires)) < 1e-12


@pytest.mark.parametrize("name", sorted(name for name in ALIASES.keys() | DECOMPOSITIONS.keys() if hasattr(qml, name)))
def test_a_name_of_pennylane_is_pennylanes_gate(name: str) -> None:
    n_wires, n_angles = sizes(name)
    theirs = qml.matrix(getattr(qml, name)(*ANGLES[:n_angles], wires=range(n_wires)), wire_order=range(n_wires))
    assert differ(matrix_of(gates(name, range(n_wires), ANGLES[:n_angles]), n_wires), theirs) < 1e-12


def test_nearly_all_standard_gates_of_qiskit_are_known() -> None:
    known = ALIASES.keys() | DECOMPOSITIONS.keys()
    rest = {"global_phase", "measure", "reset", "delay", "xx_minus_yy", "xx_plus_yy"}
    assert {name for name in STANDARD if name not in known} - rest <= {"rccx", "rcccx", "c3sx", "mcx", "mcphase"}


def test_single_gates_keep_their_canonical_name() -> None:
    assert Gate("cx", (0, 1)) == Gate("CNOT", (0, 1))
    assert Gate("rzz", (1, 0), (Feature(0),)).name == "IsingZZ"
    assert gates("h", [2]) == (Gate("Hadamard", (2,)),)
    assert gates("id", [0]) == ()
    assert {*ALIASES.values()} <= GATES.keys()
    assert not DECOMPOSITIONS.keys() & (GATES.keys() | ALIASES.keys())


def test_angles_of_several_gates_stay_expressions() -> None:
    assert gates("cp", (0, 1), (Feature(0) * Weight(1),)) == (
        Gate("CRZ", (0, 1), (Feature(0) * Weight(1),)),
        Gate("PhaseShift", (0,), (0.5 * Feature(0) * Weight(1),)),
    )


@pytest.mark.parametrize("name", sorted([*GATES, *DECOMPOSITIONS]))
def test_a_gate_and_its_inverse_do_nothing(name: str) -> None:
    n_wires, n_angles = GATES[name] if name in GATES else DECOMPOSITIONS[name][:2]
    listed = gates(name, range(n_wires), ANGLES[:n_angles])
    assert differ(matrix_of([*listed, *inverted(listed)], n_wires), np.eye(2**n_wires)) < 1e-12


def test_unknown_names_and_wrong_numbers_are_told() -> None:
    with pytest.raises(ConfigError, match=r"'cp' is no single gate here; qmoe\.interop\.gates\('cp', wires, angles\)"):
        Gate("cp", (0, 1), (1.0,))
    with pytest.raises(ConfigError, match="Unknown gate 'cxx'"):
        gates("cxx", (0, 1))
    with pytest.raises(ConfigError, match=r"Gate cp on wires \(0, 0\): expected 2 different"):
        gates("cp", (0, 0), (1.0,))
    with pytest.raises(ConfigError, match=r"Gate u3 got 2 angle\(s\), expected 3"):
        gates("u3", (0,), (1.0, 2.0))


@pytest.mark.parametrize("name", ["cp", "cx"])
def test_wires_and_angles_that_are_no_tuples_are_told(name: str) -> None:
    with pytest.raises(ConfigError, match=r"wires is 0, expected a tuple such as \(0,\)"):
        gates(name, 0, (1.0,))
    with pytest.raises(ConfigError, match=r"angles is 1\.0, expected a tuple such as \(1\.0,\)"):
        gates(name, (0, 1), 1.0)
