"""Spans, twins and distilled routers of circuits that no engine could run, and what products of few features hold."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.spans import brick
from dense_words import bases_are_known

import qmoe
from helpers import generator
from qmoe.circuits import (
    AngleEncoding,
    Circuit,
    Dephase,
    Feature,
    Gate,
    Hamiltonian,
    NoiseModel,
    Pauli,
    Prepare,
    Weight,
)
from qmoe.errors import ConfigError, PerformanceWarning, ShapeError, UnsupportedError
from qmoe.routers import DistilledRouter, QuantumRouter, circuit_basis
from qmoe.routers.functions.certificate import weight_certificate
from qmoe.routers.functions.feature_blocks import Blocks
from qmoe.routers.functions.information import Information, information, mean_square_moves
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.propagation.valued import coefficients_of
from qmoe.testing import random_circuit, random_operations


def angles(n: int, n_features: int, seed: int = 0) -> torch.Tensor:
    return (torch.rand(n, n_features, generator=generator(seed), dtype=torch.float64) - 0.5) * (2 * math.pi)


# --- 50 qubits ------------------------------------------------------------------------------------------------------


def test_a_brick_of_50_qubits_is_a_sum_of_bricks_of_14() -> None:
    """A read-out spreads to at most eight qubits, so wires 18 to 31 of 50 compute what 14 wires with these weights do."""
    router, small = brick(50, 4), brick(14, 4)
    assert router.adapter is not None
    assert small.adapter is not None
    with torch.no_grad():
        for half in range(2):
            picked = router.quantum.weights.reshape(2, 2, 50, 3)[half, :, 18:32]
            small.quantum.weights.reshape(2, 2, 14, 3)[half].copy_(picked)
        router.adapter.weight.zero_()
        router.adapter.weight[:, 24:26] = torch.tensor([[1.0, -0.5], [0.3, 2.0]], dtype=torch.float64)
        small.adapter.weight.zero_()
        small.adapter.weight[:, 6:8] = router.adapter.weight[:, 24:26]
        small.adapter.bias.copy_(router.adapter.bias)
    x = angles(6, 50)
    distilled = qmoe.distill(router)
    torch.testing.assert_close(distilled.logits(x), small.logits(x[:, 18:32]).detach(), rtol=0, atol=1e-10)
    terms = {t for t in circuit_basis(router.circuit, 2).terms if {f for f, _, _ in t.factors} <= set(range(20, 30))}
    shifted = {
        type(t)(tuple((f + 18, k, s) for f, k, s in t.factors))  # type: ignore[operator]
        for t in circuit_basis(small.circuit, 2).terms
    }
    assert terms <= shifted
    assert {t for t in shifted if {f for f, _, _ in t.factors} <= set(range(20, 30))} == terms


def test_a_brick_of_50_qubits_has_a_twin_that_holds_it() -> None:
    router = brick(50, 4)
    twin, distilled = qmoe.twin(router, generator=generator()), qmoe.distill(router)
    assert twin.n_functions == 63464
    assert distilled.products is not None
    place = {name: i for i, name in enumerate(zip(*_rows(twin.basis.terms), strict=True))}
    weights = torch.zeros_like(twin.weight)
    coefficients = distilled.get_buffer("coefficients")
    for column, row in enumerate(zip(*_rows(distilled.products), strict=True)):
        if row in place:
            weights[:, place[row]] = coefficients[:, column]
        else:  # what no path of words reaches is rounding
            assert coefficients[:, column].abs().max() < 1e-14
    with torch.no_grad():
        twin.weight.copy_(weights)
        twin.bias.copy_(distilled.get_buffer("constant"))
    x = angles(5, 50)
    torch.testing.assert_close(twin.logits(x).detach(), distilled.logits(x), rtol=0, atol=1e-10)
    listed = torch.nn.functional.linear(twin.functions(x), twin.weight, twin.bias)
    torch.testing.assert_close(twin.logits(x), listed, rtol=0, atol=1e-10)


def _rows(products: object) -> tuple[list[bytes], list[bytes]]:
    assert isinstance(products, Products)
    return [row.tobytes() for row in products.features], [row.tobytes() for row in products.waves]


def test_a_span_of_50_qubits_says_what_it_did_not_run() -> None:
    text = str(qmoe.span(brick(50, 4)))
    assert "63464 and a constant" in text
    assert text.count("not computed (more than 12 qubits)") == 4
    assert "of a read-out's mean square of at most 1 depends on x" in text


def test_sparse_distilled_routers_keep_everything_in_their_file(tmp_path: Path) -> None:
    distilled = qmoe.distill(brick(20, 2), threshold=1e-6)
    distilled.save(tmp_path / "r.safetensors")
    loaded = DistilledRouter.load(tmp_path / "r.safetensors")
    x = angles(3, 20)
    assert torch.equal(loaded(x), distilled(x))
    assert repr(loaded) == repr(distilled)
    assert (loaded.dropped, loaded.certificate) == (distilled.dropped, distilled.certificate)


def test_routers_of_operations_have_twins_and_distil() -> None:
    gates = [Gate("RX", (w,), (2 * Feature(w % 3) + Weight(w),)) for w in range(5)]
    gates += [Gate("CRY", (w, w + 1), (Weight(5),)) for w in range(4)]
    circuit = Circuit.from_operations(gates, readout=[Pauli("Z0 X1"), Hamiltonian([0.5, 1.0], ["Z4", "Y2 Z3"])])
    router = QuantumRouter(3, 2, circuit=circuit, generator=generator(), dtype=torch.float64)
    x, twin = angles(40, 3), qmoe.twin(router, generator=generator())
    distilled = qmoe.distill(router)
    torch.testing.assert_close(distilled(x), router(x).detach(), rtol=0, atol=1e-10)
    design = torch.cat([twin.features(x), torch.ones(40, 1, dtype=torch.float64)], -1)
    logits = router.logits(x).detach()
    fit = torch.linalg.lstsq(design, logits, driver="gelsd").solution
    assert (design @ fit - logits).abs().max() < 1e-8
    assert "5 qubit(s), 9 operations, <Z0 X1>, <0.5 Z4 + Y2 Z3>" in str(qmoe.span(router))
    with pytest.warns(PerformanceWarning):
        wide = QuantumRouter(100, 2, circuit=brick(100, 2).circuit.with_readout([Pauli("Z0 Z1"), Pauli("X99")]))
    assert qmoe.twin(wide).n_functions == len(circuit_basis(wide.circuit, 2))


def test_read_outs_that_join_qubits_distil() -> None:
    for noise, ansatz in ((None, "no_entangler"), (0.1, "no_entangler"), (None, "strongly_entangling")):
        circuit = Circuit(3, 1, ansatz=ansatz, readout=[Pauli("Z0 X1"), Pauli("Y2")], noise=noise)
        router = QuantumRouter(3, 2, circuit=circuit, generator=generator(), dtype=torch.float64)
        x = angles(10, 3)
        torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-12)


def test_channels_in_a_list_of_operations_do_not_count_for_the_span() -> None:
    ops = [Gate("RX", (0,), (Feature(0),)), Gate("RY", (0,), (Weight(0),))]
    plain, noisy = (
        Circuit.from_operations(o, noise=n) for o, n in ((ops, None), ([ops[0], Dephase((0,)), ops[1]], 0.1))
    )
    spans = [qmoe.span(QuantumRouter(1, 2, circuit=c, engine="torch")) for c in (plain, noisy)]
    assert spans[0].basis == spans[1].basis
    assert spans[0].numerical_rank == spans[1].numerical_rank


@pytest.mark.parametrize("seed", range(25))
def test_routers_of_random_operations_distil(seed: int) -> None:
    circuit = random_operations(seed, max_qubits=3)
    router = QuantumRouter(
        circuit.in_features, 2, circuit=circuit, engine="torch", generator=generator(), dtype=torch.float64
    )
    if not bases_are_known(circuit):
        with pytest.raises(UnsupportedError, match="Measure words that share a basis"):
            qmoe.distill(router)
        return
    x = angles(10, circuit.in_features)
    torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-10)


# --- sums as bilinear forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "circuit", [Circuit(6, 3), Circuit(3, 4, AngleEncoding("Y", 4)), brick(16, 4).circuit], ids=str
)
def test_blocks_sum_what_is_listed(circuit: Circuit) -> None:
    products = circuit_basis(circuit).terms
    assert isinstance(products, Products)
    blocks = Blocks.of(products)
    assert blocks is not None
    coefficients = torch.rand(2, 3, len(products), generator=generator(), dtype=torch.float64)
    constant = torch.rand(2, 3, generator=generator(1), dtype=torch.float64)
    x = torch.stack([angles(7, circuit.in_features, seed) for seed in (1, 2)])
    expected = products.values(x) @ coefficients.mT + constant.unsqueeze(1)
    torch.testing.assert_close(blocks.sums(x, blocks.spread(coefficients, constant)), expected, rtol=0, atol=1e-10)


def test_listed_products_are_single_products() -> None:
    for seed in range(20):
        circuit = random_circuit(seed, encoding="angle", readout="expval")
        x, basis = angles(4, circuit.in_features, seed), circuit_basis(circuit)
        for column, term in enumerate(basis.terms):
            product = torch.ones(4, dtype=torch.float64)
            for feature, k, function in term.factors:  # type: ignore[union-attr]
                product = product * getattr(torch, function)(k * x[:, feature])
            torch.testing.assert_close(basis.values(x)[:, column], product, rtol=0, atol=1e-14)


def test_products_are_evaluated_with_gaps_as_without() -> None:
    whole = circuit_basis(Circuit(5, 3)).terms
    assert isinstance(whole, Products)
    kept = np.random.default_rng(0).random(len(whole)) < 0.1
    x = angles(6, 5)
    torch.testing.assert_close(whole.taken(kept).values(x), whole.values(x)[:, kept], rtol=0, atol=1e-15)


# --- products of few features ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
def test_what_few_features_leave_out_is_below_the_certificate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, k = int(rng.integers(2, 6)), int(rng.integers(1, 4))
    ansatz = (
        "strongly_entangling",
        "basic_entangler",
        [Gate("RY", (0,), (Weight(0),)), Gate("CRX", (0, 1), (Weight(1),)), Gate("T", (1,)), Gate("ISWAP", (1, 0))],
    )[seed % 3]
    readout = ("expval", [Pauli("Z0 Z1"), Pauli("X1")])[seed % 2]
    noise = (None, NoiseModel(0.1), NoiseModel(dephasing="layers", dephasing_axis="X"))[seed % 5 % 3]
    circuit = Circuit(q, int(rng.integers(1, 5)), AngleEncoding("XYZ"[seed % 3]), ansatz, readout, noise)
    certificate, why = weight_certificate(circuit, k)
    assert (certificate, why) == (0.5 ** (k + 1), None)
    products, values = coefficients_of(circuit, rng.uniform(0, 6, circuit.n_weights)).summed()
    left_out = (values[:, :-1] ** 2 * (products.weights > k) * 0.5**products.weights).sum(1)
    assert (left_out <= certificate + 1e-12).all()


def test_the_certificate_is_reached() -> None:
    # A CNOT makes Z of the second qubit Z Z: cos x0 cos x1, of mean square 1/4, which no single feature holds any of.
    circuit = Circuit(2, 1, ansatz=[Gate("CNOT", (0, 1))])
    products, values = coefficients_of(circuit, np.zeros(0)).summed()
    left_out = (values[:, :-1] ** 2 * (products.weights > 1) * 0.5**products.weights).sum(1)
    assert left_out.max() == weight_certificate(circuit, 1)[0] == 0.25


X0, X1 = Feature(0), Feature(1)


@pytest.mark.parametrize(
    ("circuit", "why"),
    [
        (Circuit(3, 4, AngleEncoding("X", 2)), "features enter again after the trainable Rot"),
        (Circuit(2, 2, "amplitude"), "amplitudes are no angles"),
        (Circuit(2, 2, readout="born"), "Born read-out"),
        (Circuit.from_operations([Gate("RX", (0,), (X0,))], n_qubits=2), "qubit 1, which no feature enters"),
        (Circuit.from_operations([Gate("RX", (0,), (X0,)), Gate("RX", (1,), (X0,))]), "x0 enters on qubits"),
        (Circuit.from_operations([Gate("RX", (0,), (0.5 * X0 + 0.3 * X0 * X1,))]), "no whole multiple of one feature"),
        (Circuit.from_operations([Gate("RX", (0,), (0.5 * X0,))]), "0.5 x0, which is no whole multiple"),
        (Circuit.from_operations([Gate("RX", (0,), (X0 + Weight(0),))]), "mixes features and weights"),
        (Circuit.from_operations([Gate("RX", (0,), (0.4,)), Gate("RZ", (0,), (X0,))]), "singular value 1.3"),
        (Circuit(2, 1, AngleEncoding("Z"), noise=NoiseModel(0.1, "gate")), "features enter after noise"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_certificate_is_refused_where_its_conditions_fail(circuit: Circuit, why: str) -> None:
    found, reason = weight_certificate(circuit, 2)
    assert found is None
    assert reason is not None
    assert why in reason


def test_several_features_on_one_qubit_and_sums_of_words_have_certificates() -> None:
    two = Circuit.from_operations(
        [Gate("RX", (0,), (X0,)), Gate("RY", (0,), (3 * X1,)), Gate("RZ", (0,), (Weight(0),))]
    )
    assert weight_certificate(two, 1) == (0.25, None)
    weighted = Circuit(2, 1, readout=[Pauli("Z0"), Hamiltonian([3.0, 4.0, 7.0], ["Z0", "X1", "I"])])
    assert weight_certificate(weighted, 2) == (25 * 0.125, None)


def test_twins_of_few_features_carry_their_certificate() -> None:
    router = QuantumRouter(4, 2, generator=generator())
    x = angles(2000, 4).float()
    twin = qmoe.twin(router, max_weight=2, x=x)
    assert max(len(term.factors) for term in twin.basis.terms) == 2  # type: ignore[union-attr]
    assert (twin.certificate, twin.why_no_certificate, twin.n_functions) == (0.125, None, 2 * 4 + 4 * 6)
    assert twin.rms is not None
    assert 0 < twin.rms**2 < 0.125
    assert "of up to 2 feature(s), not a superset (mean square left out 0.12)" in repr(twin)
    whole = qmoe.twin(router, max_weight=4)
    assert (whole.certificate, whole.n_functions) == (0.0, 80)
    again = qmoe.twin(QuantumRouter(3, 2, encoding=AngleEncoding("X", 2)), max_weight=1)
    assert again.certificate is None
    assert "no certificate found" in repr(again)
    assert "more than one upload" in str(again.why_no_certificate)


def test_the_rms_is_that_of_the_missing_products() -> None:
    router = QuantumRouter(3, 2, generator=generator(), dtype=torch.float64)
    x = angles(30, 3)
    products, values = coefficients_of(router.circuit, router.quantum.weights.detach().reshape(-1).numpy()).summed()
    few = products.weights <= 1
    f_k = products.values(x).numpy()[:, few] @ values[:, :-1][:, few].T + values[:, -1]
    expected = np.sqrt(((router.measure(x).detach().numpy() - f_k) ** 2).mean())
    assert qmoe.twin(router, max_weight=1, x=x).rms == pytest.approx(expected, abs=1e-12)


def test_options_that_do_not_go_together_are_refused() -> None:
    router = QuantumRouter(3, 2)
    with pytest.raises(ConfigError, match="x measures what max_weight leaves out"):
        qmoe.twin(router, x=torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="leave out sampling"):
        qmoe.twin(router, max_weight=1, sampling=qmoe.routers.Sampling(4))
    with pytest.raises(ConfigError, match="amplitudes give quadratic forms"):
        qmoe.twin(QuantumRouter(4, 2, encoding="amplitude"), max_weight=1)
    with pytest.raises(ConfigError, match="max_weight and threshold drop Pauli words"):
        qmoe.distill(QuantumRouter(2, 2, readout="born"), max_weight=1)
    with pytest.raises(ConfigError, match="threshold is -1"):
        qmoe.distill(router, threshold=-1)


def test_truncated_distillation_says_what_it_dropped() -> None:
    router = QuantumRouter(4, 2, generator=generator(), dtype=torch.float64)
    x = angles(4000, 4, 3)
    distilled = qmoe.distill(router, max_weight=2, x=x)
    off = (distilled.logits(x) - router.logits(x)).detach()
    assert distilled.rms == pytest.approx(float(off.square().mean().sqrt()))
    assert 0 < distilled.rms < distilled.dropped
    assert distilled.certificate is not None
    exact = qmoe.distill(router)
    assert (exact.dropped, exact.rms) == (0.0, None)
    twice = qmoe.distill(QuantumRouter(3, 2, encoding=AngleEncoding("X", 2)), max_weight=2)
    assert twice.certificate is None
    assert "more than one upload" in str(twice.why_no_certificate)


# --- how much there is to see ---------------------------------------------------------------------------------------


def told(circuit: Circuit) -> Information:
    found = information(circuit, generator())
    assert found is not None
    return found


def test_a_qubit_by_itself_tells_a_third() -> None:
    # After Rot by uniform angles the mean square of Z's coefficient on Z is 1/2 and on Y 1/4; cos and sin are worth 1/2.
    found = told(Circuit(1, 1))
    assert found.by_weight == pytest.approx((0.0, 0.375))
    assert found.shots == pytest.approx((1 - 0.375) / 0.375)
    assert found.n_circuits is None


@pytest.mark.parametrize("circuit", [Circuit(3, 2), Circuit(2, 2, AngleEncoding("Z"), "basic_entangler")], ids=str)
def test_means_over_all_weights_are_those_of_many_random_weights(circuit: Circuit) -> None:
    rng, n = np.random.default_rng(0), 200
    squares = np.zeros((n, circuit.in_features + 1))
    for row in squares:
        products, values = coefficients_of(circuit, rng.uniform(0, 2 * math.pi, circuit.n_weights)).summed()
        row += np.bincount(products.weights, (values[:, :-1] ** 2).mean(0) * 0.5**products.weights, len(row))
        row[0] += (values[:, -1] ** 2).mean()
    found = told(circuit)
    assert found.n_circuits is None
    error = squares.std(0) / math.sqrt(n)
    assert (np.abs(squares.mean(0) - found.by_weight) <= 4 * error + 1e-12).all()


def test_means_of_squares_are_those_of_all_quarter_turns() -> None:
    """Squares of cos and sin have the same mean over four angles as over all, so the mean over a grid is exact."""
    gates = [
        Gate("RY", (0,), (Weight(0),)),
        Gate("CNOT", (0, 1)),
        Gate("RX", (1,), (Weight(1),)),
        Gate("IsingZZ", (0, 1), (Weight(2),)),
    ]
    circuit = Circuit(2, 1, ansatz=gates)
    grid = [np.array(w) for w in np.ndindex(4, 4, 4)]
    squares = np.zeros(3)
    for place in grid:
        products, values = coefficients_of(circuit, place * (math.pi / 2) + 0.3).summed()
        squares += np.bincount(products.weights, (values[:, :-1] ** 2).mean(0) * 0.5**products.weights, 3)
    np.testing.assert_allclose(told(circuit).by_weight, squares / len(grid), atol=1e-12)


def test_shared_weights_and_uploads_between_are_drawn() -> None:
    shared = Circuit(2, 1, ansatz=[Gate("RY", (0,), (Weight(0),)), Gate("RX", (1,), (Weight(0),))])
    for circuit in (shared, Circuit(2, 2, AngleEncoding("X", 2)), Circuit(2, 1, ansatz=[Gate("T", (0,))])):
        assert mean_square_moves(circuit) is None
        assert told(circuit).n_circuits == 20


def test_read_outs_that_tell_nothing_take_infinitely_many_shots() -> None:
    blind = Circuit(1, 0, AngleEncoding("Z"))
    assert (told(blind).signal, told(blind).shots) == (0.0, math.inf)
    assert information(Circuit(2, 1, "amplitude"), generator()) is None
    assert told(Circuit(2, 1, readout=[Hamiltonian([0.5, 0.5], ["Z0", "Z1"])])).shots is None


def test_rows_of_zeros_have_no_amplitudes_for_twins_either():
    circuit = Circuit.from_operations([Prepare(2), Gate("RY", (0,), (Weight(0),)), Gate("CNOT", (0, 1))])
    router = qmoe.QuantumRouter(4, 2, circuit=circuit, generator=generator())
    for other in (router, qmoe.twin(router), qmoe.distill(router)):
        with pytest.raises(ShapeError, match="all zeros"):
            other(torch.zeros(3, 4))


@pytest.mark.parametrize("max_weight", [True, 0, 1.0])
def test_a_number_of_features_that_is_none_is_refused(max_weight):
    with pytest.raises(ConfigError, match=f"max_weight is {max_weight}"):
        qmoe.twin(qmoe.QuantumRouter(3, 2, generator=generator()), max_weight=max_weight)


def test_no_rows_differ_by_nothing():
    router = qmoe.QuantumRouter(3, 2, generator=generator())
    assert qmoe.distill(router, max_weight=2, x=torch.zeros(0, 3)).rms == 0
    assert qmoe.twin(router, max_weight=2, x=torch.zeros(0, 3), generator=generator()).rms == 0
