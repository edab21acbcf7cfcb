"""Pauli words followed through circuits: against dense matrices, the slow way, and another implementation."""

from __future__ import annotations

import math
from typing import Any

import dense_words
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.circuits import (
    GATES,
    AngleEncoding,
    Circuit,
    Feature,
    Gate,
    Hamiltonian,
    NoiseModel,
    Pauli,
    Prepare,
    Probs,
    Readout,
    Weight,
)
from qmoe.circuits.angles.expressions import Computed
from qmoe.engines import ReferenceEngine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.routers import circuit_basis
from qmoe.routers.functions.certificate import weight_certificate
from qmoe.routers.functions.propagation import masks, reached, valued
from qmoe.routers.functions.propagation.letters import LETTERS, transfer, wave_products
from qmoe.routers.functions.propagation.masks import TooManyTermsError, Truncation, follow_masks
from qmoe.routers.functions.propagation.moves import moves_of
from qmoe.routers.functions.propagation.valued import coefficients_of
from qmoe.testing import random_circuit, random_operations

SEEDS = st.integers(0, 2**32 - 1)


def values_at(circuit: Circuit, x: np.ndarray, weights: np.ndarray, **options: Any) -> np.ndarray:
    """``(N, outputs)`` from the coefficients of all products."""
    products, values = coefficients_of(circuit, weights.reshape(-1), **options).summed()
    features = products.values(torch.from_numpy(x)).numpy() if len(products) else np.zeros((len(x), 0))
    return features @ values[:, :-1].T + values[:, -1]


def drawn(circuit: Circuit, seed: int, n: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random inputs and weights, and what the dense matrices make of them."""
    rng = np.random.default_rng(seed)
    x, weights = rng.uniform(-4, 4, (n, circuit.in_features)), rng.uniform(0, 6, circuit.weight_shape)
    expected = ReferenceEngine().evaluate(circuit, torch.from_numpy(x), torch.from_numpy(weights))
    return x, weights, expected.numpy()


# --- what gates do --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GATES)
def test_transfer_matrices_keep_lengths_and_the_identity(name: str) -> None:
    n_wires, n_angles = GATES[name]
    table = transfer(Gate(name, tuple(range(n_wires)), (0.7, -1.3, 2.1)[:n_angles]), np.zeros(0))
    np.testing.assert_allclose(table @ table.T, np.eye(4**n_wires), atol=1e-12)
    np.testing.assert_allclose(table[0], np.eye(4**n_wires)[0], atol=1e-12)


def test_products_of_waves_are_those_of_trigonometry() -> None:
    table, x = wave_products(5, 7), 0.83

    def waves(n: int) -> np.ndarray:
        return np.array([1.0, *(f(k * x) for k in range(1, n // 2 + 1) for f in (math.cos, math.sin))])

    np.testing.assert_allclose(table @ waves(11), np.outer(waves(5), waves(7)), atol=1e-14)


# --- values ---------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_values_are_those_of_dense_matrices(seed: int) -> None:
    circuit = random_circuit(seed, encoding="angle", max_qubits=4)
    x, weights, expected = drawn(circuit, seed)
    np.testing.assert_allclose(values_at(circuit, x, weights), expected, atol=1e-10)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_circuits_of_any_operations_have_the_values_of_dense_matrices(seed: int) -> None:
    circuit = random_operations(seed, max_qubits=4)
    if circuit.prepares or not dense_words.bases_are_known(circuit):
        return
    x, weights, expected = drawn(circuit, seed)
    np.testing.assert_allclose(values_at(circuit, x, weights), expected, atol=1e-10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_masks_and_tables_agree(seed: int) -> None:
    circuit = random_operations(seed, max_qubits=4)
    if circuit.prepares or not dense_words.bases_are_known(circuit):
        return
    x, weights, expected = drawn(circuit, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(valued, "MAX_CELLS", 0)
        patch.setattr(masks, "BITS", 17)  # several numbers for each word
        np.testing.assert_allclose(values_at(circuit, x, weights), expected, atol=1e-10)


def test_another_strength_than_the_circuits_own_counts() -> None:
    circuit = Circuit(2, 2, noise=NoiseModel(0.1, "gate"))
    x, weights, _ = drawn(circuit, 0)
    _, _, expected = drawn(circuit.with_noise(NoiseModel(0.25, "gate")), 0)
    np.testing.assert_allclose(values_at(circuit, x, weights, strength=0.25), expected, atol=1e-12)


def test_mixtures_of_read_outs_are_followed_at_once() -> None:
    circuit, mixture = Circuit(3, 2), np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]])
    x, weights, expected = drawn(circuit, 1)
    np.testing.assert_allclose(values_at(circuit, x, weights, mixture=mixture), expected @ mixture.T, atol=1e-12)


# --- supports -------------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None, derandomize=True)
@given(seed=SEEDS, n_experts=st.integers(1, 5))
def test_spans_are_those_of_one_dense_table(seed: int, n_experts: int) -> None:
    circuit = random_circuit(seed, encoding="angle", max_qubits=4)
    n_experts = min(n_experts, circuit.dim)
    expected = dense_words.all_terms(circuit, n_experts)
    assert set(circuit_basis(circuit, n_experts).terms) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reached, "MAX_CELLS", 0)
        found, left_out = reached.reached_products(circuit, n_experts, 10**6)
        assert set(found) == expected
        assert not left_out


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_no_circuit_of_operations_leaves_its_span(seed: int) -> None:
    circuit = random_operations(seed, max_qubits=3)
    if not dense_words.bases_are_known(circuit):
        return
    try:
        basis = circuit_basis(circuit)
    except UnsupportedError as error:
        assert "features times weights" in str(error)  # noqa: PT017  # most circuits have a span
        return
    x, _, _ = drawn(circuit, seed, 2 * len(basis) + 8)
    weights = np.random.default_rng(seed).uniform(0, 6, circuit.weight_shape)
    out = ReferenceEngine().evaluate(circuit, torch.from_numpy(x[:40]), torch.from_numpy(weights))
    if circuit.prepares or len(basis) > 15:
        x = x[:40]
    design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), basis.values(torch.from_numpy(x))], -1)[: len(out)]
    off = design @ torch.linalg.lstsq(design, out, driver="gelsd").solution - out
    assert off.abs().max() < 1e-8


def test_beyond_seven_qubits_spans_are_exact_too() -> None:
    circuit = Circuit(8, 1)
    basis = circuit_basis(circuit)
    assert len(basis) < 3**8 - 1
    rng = np.random.default_rng(0)
    products, values = coefficients_of(circuit, rng.uniform(0, 6, circuit.n_weights)).summed()
    occurring = {term for term, column in zip(products, np.abs(values[:, :-1]).max(0), strict=True) if column > 1e-12}
    assert occurring == set(basis.terms)


def test_where_words_are_too_many_all_products_of_the_light_cone_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = set(circuit_basis(Circuit(3, 1)).terms)
    monkeypatch.setattr(reached, "MAX_CELLS", 0)
    monkeypatch.setattr(reached, "MAX_TERMS", 3)
    found, left_out = reached.reached_products(Circuit(3, 1), 2, 100)
    assert exact < set(found)
    assert (len(found), left_out) == (3**3 - 1, False)
    light, left_out = reached.reached_products(Circuit(3, 1), 2, 100, max_weight=1)
    assert (len(light), left_out) == (6, True)
    with pytest.raises(ConfigError, match=r"26 functions .* more than max_functions=20; .*max_weight=2"):
        reached.reached_products(Circuit(3, 1), 2, 20)


# --- angles that are expressions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gates", "names"),
    [
        ([Gate("RX", (0,), (2 * Feature(0) + Weight(0),))], {"cos 2x0", "sin 2x0"}),
        ([Gate("RX", (0,), (2 * Feature(0) + math.pi / 2,))], {"sin 2x0"}),
        ([Gate("RX", (0,), (Feature(0) * Feature(1),))], {"cos x0*x1"}),
        ([Gate("RX", (0,), (Feature(0) * Feature(0),))], {"cos x0*x0"}),
        ([Gate("RX", (0,), (0.5 * Feature(0) + 1.5 * Feature(0),))], {"cos 2x0"}),
        ([Gate("RX", (0,), (0.3 * Feature(0),)), Gate("RY", (0,), (0.6 * Feature(0),))],
         {"cos 0.3x0", "cos 0.9x0"}),
        ([Gate("RX", (0,), (0.3 * Feature(0),)), Gate("RY", (0,), (0.5 * Feature(0),))], {"cos 0.3x0 cos 0.5x0"}),
        # The two rotations of which a controlled one is made may cancel, so that its span is larger than need be.
        ([Gate("CRX", (1, 0), (Feature(0),))], {"cos x0"}),
    ],
    ids=["sum", "quarter", "product", "square", "added", "multiples", "two-factors", "controlled"],
)  # fmt: skip
def test_functions_of_expressions_are_named(gates: list[Gate], names: set[str]) -> None:
    circuit = Circuit.from_operations(gates, n_qubits=2, readout=Pauli("Z0"), in_features=2)
    assert set(circuit_basis(circuit).names) == names


def test_features_times_weights_have_no_span_but_values() -> None:
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0) * Weight(0) + 0.2,))])
    with pytest.raises(UnsupportedError, match=r"RX on \(0,\) turns by features times weights"):
        circuit_basis(circuit)
    x = np.array([[0.4]])
    np.testing.assert_allclose(values_at(circuit, x, np.array([1.7])), [[math.cos(1.7 * 0.4 + 0.2)]], atol=1e-14)


def test_angles_that_a_function_computes_are_refused() -> None:
    circuit = Circuit.from_operations(
        [Gate("CRX", (0, 1), (Computed(0),))], angles=lambda x, w: x.sin() + w, in_features=1, weight_shape=1
    )
    for ask in (circuit_basis, lambda c: coefficients_of(c, np.zeros(1))):
        with pytest.raises(UnsupportedError, match=r"CRX on \(0, 1\) turns by an angle that a function"):
            ask(circuit)
    assert "an angle that a function" in str(weight_certificate(circuit, 1)[1])


@pytest.mark.parametrize("readout", [Probs(range(9)), Probs((0,))], ids=["many", "one"])
def test_probabilities_of_few_wires_are_followed(readout: Readout) -> None:
    circuit = Circuit(9, 1, readout=readout)
    if len(readout.named_wires()) > 8:
        with pytest.raises(UnsupportedError, match="probabilities of up to 8 wires"):
            circuit_basis(circuit)
    else:
        assert len(circuit_basis(circuit)) > 2


# --- truncation -----------------------------------------------------------------------------------------------------


def test_what_is_dropped_is_bounded_on_the_mean_square_over_angles() -> None:
    circuit, rng = Circuit(4, 3), np.random.default_rng(3)
    for max_weight, threshold in ((2, 0.0), (3, 0.0), (None, 0.05), (3, 0.02)):
        weights = rng.uniform(0, 6, circuit.n_weights)
        exact, cut = (
            coefficients_of(circuit, weights, truncation=t) for t in (None, Truncation(max_weight, threshold))
        )
        products, values = exact.summed()
        fewer, kept = cut.summed()
        place = dict(zip(fewer, kept.T, strict=False))
        off = np.array([values[:, i] - place.get(term, 0) for i, term in enumerate(products)])
        rms = np.sqrt((off**2 * 0.5 ** products.weights[:, None]).sum(0) + (values[:, -1] - kept[:, -1]) ** 2)
        (part,) = cut.parts
        assert (rms > 0).all()
        assert (rms <= part.dropped + 1e-12).all()
        assert (part.dropped <= part.dropped_sum + 1e-12).all()


def test_a_truncation_that_drops_nothing_is_exact() -> None:
    circuit = Circuit(3, 2)
    x, weights, expected = drawn(circuit, 2)
    np.testing.assert_allclose(values_at(circuit, x, weights, truncation=Truncation(6, 1e-18)), expected, atol=1e-12)


def test_too_many_words_are_refused() -> None:
    moves = moves_of(Circuit(4, 3), np.random.default_rng(0).uniform(0, 6, 36))
    met, _ = moves.cone([0])
    with pytest.raises(TooManyTermsError):
        follow_masks([((0, "Z"),)], np.ones((1, 1)), met, max_terms=20)


# --- another implementation -----------------------------------------------------------------------------------------

_QISKIT = {
    "Hadamard": "h", "PauliX": "x", "PauliY": "y", "PauliZ": "z", "S": "s", "SX": "sx", "RX": "rx", "RY": "ry", "RZ": "rz",
    "CNOT": "cx", "CY": "cy", "CZ": "cz", "SWAP": "swap", "ISWAP": "iswap", "ECR": "ecr",
    "IsingXX": "rxx", "IsingYY": "ryy", "IsingZZ": "rzz",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Casting complex values to real:numpy.exceptions.ComplexWarning")  # pauli-prop's own
@pytest.mark.parametrize("seed", range(12))
def test_coefficients_of_words_are_those_of_pauli_prop(seed: int) -> None:
    rng, n = np.random.default_rng(seed), (3, 5, 50)[seed % 3]
    names = [str(name) for name in rng.choice(list(_QISKIT), 40 if n < 50 else 250)]
    gates = []
    for name in names:
        n_wires, n_angles = GATES[name]
        first = int(rng.integers(0, n - 1))
        wires = rng.permutation([first, first + 1])[:n_wires]
        gates.append(Gate(name, tuple(int(w) for w in wires), tuple(rng.uniform(-3, 3, n_angles))))
    ours = _followed([Hamiltonian([0.5, -1.5], ["Z0 Y1", f"X{n - 1}"])], gates, n)
    theirs = _propagated([("Z0 Y1", 0.5), (f"X{n - 1}", -1.5)], gates, n)
    assert {word for word, c in theirs.items() if abs(c) > 1e-12} == {
        word for word, c in ours.items() if abs(c) > 1e-12
    }
    for word, coefficient in theirs.items():
        assert ours.get(word, 0.0) == pytest.approx(coefficient, abs=1e-12)


def _followed(readout: list[Readout], gates: list[Gate], n: int) -> dict[tuple[tuple[int, str], ...], float]:
    """Coefficients of words; a circuit that prepares a state does not say which, so words stay as they are."""
    circuit = Circuit.from_operations([Prepare(n), *gates], n_qubits=n, readout=readout, in_features=2)
    moves = moves_of(circuit, np.zeros(0))
    terms = [(word, c) for output in circuit.readout.words(n) for c, word in output]
    met, _ = moves.cone({wire for word, _ in terms for wire, _ in word})
    found = follow_masks([word for word, _ in terms], np.array([[c] for _, c in terms]), met)
    assert found.values is not None
    words = [
        tuple((w, LETTERS[k]) for w, k in zip(found.wires, row, strict=True) if k) for row in found.letters.tolist()
    ]
    return dict(zip(words, found.values[:, 0].tolist(), strict=True))


def _propagated(words: list[tuple[str, float]], gates: list[Gate], n: int) -> dict[tuple[tuple[int, str], ...], float]:
    import pauli_prop
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    circuit = QuantumCircuit(n)
    for gate in gates:
        getattr(circuit, _QISKIT[gate.name])(*gate.angles, *gate.wires)
    sparse = [("".join(part[0] for part in word.split()), [int(p[1:]) for p in word.split()], c) for word, c in words]
    operator = SparsePauliOp.from_sparse_list(sparse, num_qubits=n)
    out, _ = pauli_prop.propagate_through_circuit(operator, circuit, max_terms=2**16, atol=0.0, frame="h")
    out = out.simplify(atol=0)
    letters = np.array(list(LETTERS.replace("XYZ", "XZY")))[out.paulis.x + 2 * out.paulis.z]
    found = [tuple((int(w), str(row[w])) for w in np.flatnonzero(row != "I")) for row in letters]
    return dict(zip(found, out.coeffs.real.tolist(), strict=True))


def test_uploads_between_layers_are_followed_at_any_size() -> None:
    gates = [Gate("RY", (w,), (Weight(w),)) for w in range(30)] + [Gate("CZ", (w, w + 1)) for w in range(0, 29, 2)]
    circuit = Circuit(30, 2, AngleEncoding("X", 2), gates)
    basis = circuit_basis(circuit)
    pair = circuit_basis(
        Circuit(2, 2, AngleEncoding("X", 2), [Gate("RY", (w,), (Weight(w),)) for w in range(2)] + [Gate("CZ", (0, 1))])
    )
    assert len(basis) == 15 * len(pair)
    assert {f for term in basis.terms for f, _, _ in term.factors} == set(range(30))
