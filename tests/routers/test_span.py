"""What `qmoe.span` says about circuits, against closed forms and against random circuits."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import qmoe
from qmoe import AngleEncoding, Circuit, ConfigError, Gate, LinearRouter, QuantumRouter, Weight
from qmoe.circuits import BasicEntangler
from qmoe.engines import ReferenceEngine
from qmoe.engines.reference import gate_matrix
from qmoe.routers import circuit_basis
from qmoe.routers.functions import span as span_module
from qmoe.routers.functions.ranks import misfit
from qmoe.testing import random_circuit


def router_of(circuit: Circuit, n_experts: int = 2) -> QuantumRouter:
    return QuantumRouter(
        circuit.in_features,
        n_experts,
        n_qubits=circuit.n_qubits,
        n_layers=circuit.n_layers,
        encoding=circuit.encoding,
        ansatz=circuit.ansatz,
        readout=circuit.readout,
        noise=circuit.noise,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )


# --- the paper's router ---------------------------------------------------------------------------------------------


def test_papers_router_has_eight_functions_a_bias_rank_nine_of_24_and_two_dead_parameters() -> None:
    found = qmoe.span(QuantumRouter(in_features=2, n_experts=2))
    assert found.basis.names == (
        *("cos x0", "sin x0", "cos x1", "sin x1"),
        *("cos x0 cos x1", "cos x0 sin x1", "sin x0 cos x1", "sin x0 sin x1"),
    )
    assert found.theoretical_rank == found.numerical_rank == 3**2 - 1
    assert found.n_circuits == 200
    assert found.residual < 1e-10
    assert (found.n_parameters, found.jacobian_rank) == (24, 9)
    assert found.dead == ("quantum.weights[2, 0, 2]", "quantum.weights[2, 1, 2]")
    assert found.parity is None
    assert found.complete


def test_logits_of_the_papers_router_move_in_17_directions() -> None:
    # 16 circuit weights that live and 6 of the adapter: the two logits are each a function of their own, and what they
    # share does not reach the softmax.
    assert qmoe.span(QuantumRouter(2, 2)).logit_rank == 17


def test_dead_parameters_do_nothing() -> None:
    router = QuantumRouter(2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.rand(20, 2, dtype=torch.float64)
    before = router(x).detach()
    with torch.no_grad():
        router.quantum.weights[2, :, 2] += 1.0
    torch.testing.assert_close(router(x).detach(), before, rtol=0, atol=1e-14)


def test_values_of_the_weights_noise_and_dtype_do_not_count() -> None:
    plain = qmoe.span(QuantumRouter(2, 2))
    noisy = QuantumRouter(2, 2, noise=0.2, engine="reference", dtype=torch.float64)
    assert qmoe.span(noisy) == plain


# --- theory against numbers -----------------------------------------------------------------------------------------

NAMED = [
    Circuit(q, layers, AngleEncoding(rotation, uploads), ansatz, readout)
    for q, layers, rotation, uploads, ansatz, readout in itertools.chain(
        itertools.product((1, 2, 3), (2,), "XYZ", (1, 2), ("strongly_entangling",), ("expval", "born")),
        itertools.product((1, 2, 3), (1, 3), "XYZ", (1,), ("no_entangler",), ("expval",)),
        itertools.product((2, 3), (3,), "XZ", (1,), ("no_entangler",), ("born",)),
        itertools.product((2, 3), (2,), "XYZ", (1,), (BasicEntangler("Y"),), ("expval", "born")),
    )
] + [Circuit(q, 2, "amplitude", ansatz) for q in (1, 2, 3) for ansatz in ("strongly_entangling", "no_entangler")]


@pytest.mark.parametrize("circuit", NAMED, ids=lambda c: f"{c.n_qubits}-{c.encoding}-{c.ansatz.name}-{c.readout.name}")
def test_numerical_rank_is_the_theoretical_one(circuit: Circuit) -> None:
    found = qmoe.span(router_of(circuit), n_circuits=60)
    assert found.numerical_rank == found.theoretical_rank
    assert found.residual < 1e-10


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), n_experts=st.integers(1, 3))
def test_no_circuit_leaves_its_span(seed: int, n_experts: int) -> None:
    circuit = random_circuit(seed, max_qubits=3)
    found = qmoe.span(router_of(circuit, min(n_experts, 2**circuit.n_qubits)), n_circuits=20)
    assert found.residual < 1e-10
    assert found.numerical_rank is not None
    assert found.numerical_rank <= found.theoretical_rank


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_noisy_circuits_stay_in_the_span_of_the_noiseless_ones(seed: int) -> None:
    circuit = random_circuit(seed, max_qubits=2, noise=True)
    basis = circuit_basis(circuit)
    assert basis == circuit_basis(circuit.with_noise(None))
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2 * len(basis) + 8, circuit.in_features, generator=generator, dtype=torch.float64) * 6 - 3
    weights = torch.rand(circuit.weight_shape, generator=generator, dtype=torch.float64) * 6
    out = ReferenceEngine().evaluate(circuit, x, weights)
    design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), basis.values(x)], -1)
    fitted = design @ torch.linalg.lstsq(design, out, driver="gelsd").solution
    assert (fitted - out).abs().max() < 1e-10


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_qubits", [1, 2, 5, 12])
def test_without_entanglers_only_two_functions_a_qubit_remain(n_qubits: int) -> None:
    basis = circuit_basis(Circuit(n_qubits, 3, ansatz="no_entangler"))
    assert set(basis.names) == {f"{f} x{wire}" for f in ("cos", "sin") for wire in range(n_qubits)}
    assert len(basis) == 2 * n_qubits


@pytest.mark.parametrize(("n_qubits", "uploads"), [(1, 1), (1, 4), (2, 1), (2, 2), (2, 3), (3, 2), (4, 1)])
def test_deep_enough_circuits_reach_the_whole_lattice(n_qubits: int, uploads: int) -> None:
    circuit = Circuit(n_qubits, 3 * uploads, AngleEncoding("X", uploads))
    assert circuit.n_frequencies is not None
    assert len(circuit_basis(circuit)) == circuit.n_frequencies - 1 == (2 * uploads + 1) ** n_qubits - 1


@pytest.mark.parametrize(("n_qubits", "in_features"), [(1, 2), (2, 3), (2, 4), (3, 5), (3, 8)])
def test_amplitudes_give_all_quadratic_forms_less_the_constant(n_qubits: int, in_features: int) -> None:
    basis = circuit_basis(Circuit(n_qubits, 4, "amplitude", in_features=in_features))
    assert len(basis) == in_features * (in_features + 1) // 2 - 1
    assert basis.parity == "even"
    assert basis.names[0] == "y0^2"
    assert basis.names[1] == "2 y0 y1"


def test_amplitudes_without_entanglers_give_two_pauli_words_a_qubit() -> None:
    basis = circuit_basis(Circuit(3, 2, "amplitude", "no_entangler"))
    assert set(basis.names) == {f"<{letter}{wire}>" for letter in "XZ" for wire in range(3)}


def test_a_circuit_without_layers_holds_only_its_encoding() -> None:
    assert circuit_basis(Circuit(2, 0)).names == ("cos x0", "cos x1")
    assert circuit_basis(Circuit(2, 0, AngleEncoding("Z"))).names == ()
    assert circuit_basis(Circuit(2, 0, readout="born")).names == ("cos x0", "cos x1", "cos x0 cos x1")


def test_rotations_that_do_nothing_to_the_read_out_leave_the_encoding() -> None:
    found = qmoe.span(router_of(Circuit(2, 1, ansatz=BasicEntangler("Z"))))
    assert found.parity == "even"
    assert all("sin" not in name for name in found.basis.names)


def test_a_quarter_turn_makes_a_circuit_odd() -> None:
    circuit = Circuit(1, 1, ansatz=[Gate("RX", (0,), (math.pi / 2,)), Gate("RZ", (0,), (Weight(0),))])
    found = qmoe.span(router_of(circuit))
    assert found.basis.names == ("sin x0",)
    assert found.parity == "odd"
    assert found.dead == ("quantum.weights[0, 0]",)


def test_outcomes_that_all_experts_share_do_not_count() -> None:
    # Two experts, two qubits: P(00) - P(01) = <(1 + Z0) Z1> / 2, so Z0 by itself cancels.
    found = qmoe.span(QuantumRouter(2, 2, readout="born", ansatz="no_entangler"))
    assert "cos x0" not in found.basis.names
    assert found.numerical_rank == found.theoretical_rank == 6
    assert qmoe.span(QuantumRouter(2, 4, readout="born", ansatz="no_entangler")).numerical_rank == 8


def test_paths_that_cancel_show_in_the_numerical_rank() -> None:
    # Rotations about one axis add up, <Z> = cos(3x + w); the paths of words to cos x and sin x cancel.
    found = qmoe.span(router_of(Circuit(1, 3, AngleEncoding("X", 3), BasicEntangler("X"))))
    assert found.basis.names == ("cos x0", "sin x0", "cos 3x0", "sin 3x0")
    assert found.numerical_rank == 2
    shared = Circuit(1, 1, ansatz=[Gate("RZ", (0,), (Weight(0),)), Gate("RY", (0,), (Weight(0),))])
    assert qmoe.span(router_of(shared)).numerical_rank == 2


def test_a_shallow_circuit_of_many_qubits_holds_few_of_all_products() -> None:
    assert len(circuit_basis(Circuit(8, 1))) == 636


def test_projected_features_are_said_to_be_so() -> None:
    found = qmoe.span(QuantumRouter(5, 2, n_qubits=2))
    assert found.projected
    assert found.basis == circuit_basis(Circuit(2, 3))
    assert "x0, x1, ... are the projected features" in str(found)


def test_three_experts_have_two_differences() -> None:
    found = qmoe.span(QuantumRouter(2, 3))
    assert found.jacobian_rank is not None
    assert 9 < found.jacobian_rank <= 18
    assert qmoe.span(qmoe.twin(QuantumRouter(2, 3))).jacobian_rank == 18


# --- matrices of gates ----------------------------------------------------------------------------------------------


def test_gate_matrices_are_those_of_the_reference_engine() -> None:
    cnot = gate_matrix(Gate("CNOT", (0, 1)), torch.zeros(1, dtype=torch.float64))
    assert cnot.dtype == torch.complex128
    assert torch.equal(cnot.real, torch.eye(4, dtype=torch.float64)[[0, 1, 3, 2]])
    ry = gate_matrix(Gate("RY", (0,), (Weight(1),)), torch.tensor([0.0, 0.6]))
    expected = torch.tensor([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    torch.testing.assert_close(ry.real, expected)


# --- words and refusals ---------------------------------------------------------------------------------------------


def test_summary_says_what_matters() -> None:
    text = str(qmoe.span(QuantumRouter(2, 2)))
    assert "8 and a constant: cos x0, sin x0" in text
    assert "9 of 24 parameters" in text
    assert "quantum.weights[2, 0, 2], quantum.weights[2, 1, 2]" in text
    assert "routing weights" in str(qmoe.span(QuantumRouter(2, 2, readout="born")))
    assert "... (14 more)" in str(qmoe.span(QuantumRouter(3, 2)))


def test_ranks_too_large_to_compute_are_said_not_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_module, "MAX_NUMERICAL", 7)
    monkeypatch.setattr(span_module, "MAX_PARAMETERS", 23)
    found = qmoe.span(QuantumRouter(2, 2), n_circuits=2)
    assert found.theoretical_rank == 8
    assert found.numerical_rank is None
    assert found.jacobian_rank is None
    assert found.dead is None
    assert str(found).count("not computed") == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qmoe.span(LinearRouter(2, 2)), "takes a QuantumRouter or a TwinRouter, got a LinearRouter"),
        (
            lambda: qmoe.span(QuantumRouter(9, 2), max_functions=4096),
            r"19655 functions of its 9 features or more, more than max_functions=4096; .*max_weight=2",
        ),
        (lambda: qmoe.span(QuantumRouter(2, 2), n_circuits=0), "n_circuits is 0"),
        (lambda: circuit_basis(Circuit(7, 1, "amplitude")), "8255 quadratic forms of its 128 features"),
    ],
)
def test_bad_requests_are_refused_with_the_remedy(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


# --- what is left of columns that a design does not hold ------------------------------------------------------------


@pytest.mark.parametrize("columns", ["independent", "one twice", "a zero"])
def test_the_misfit_is_that_of_least_squares(columns: str) -> None:
    draw = np.random.default_rng(0)
    design = draw.normal(size=(50, 6))
    if columns == "one twice":
        design[:, 5] = design[:, 0]
    elif columns == "a zero":
        design[:, 5] = 0
    held = design @ draw.normal(size=(6, 3))
    assert misfit(design, held) < 1e-12
    beside = draw.normal(size=(50, 1))
    beside -= design @ np.linalg.lstsq(design, beside, rcond=None)[0]  # orthogonal to the design
    assert misfit(design, held + 1e-6 * beside) == pytest.approx(1e-6 * np.abs(beside).max(), rel=1e-6)
