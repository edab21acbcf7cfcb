"""Spans, twins and distilled routers of circuits with channels of noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_words import bases_are_known
from torch import Tensor

import qmoe
from qmoe import QuantumRouter, UnsupportedError
from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    Channel,
    Circuit,
    Dephase,
    Depolarizing,
    Disturb,
    Feature,
    Gate,
    Hamiltonian,
    Kraus,
    NoiseModel,
    OverRotation,
    Parity,
    Pauli,
    PauliError,
    Probs,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
    Weight,
)
from qmoe.engines import NativeEngine, ReferenceEngine
from qmoe.engines.interpolation import n_nodes
from qmoe.errors import PerformanceWarning
from qmoe.routers import Sampling, TwinRouter, circuit_basis
from qmoe.routers.functions.bare import adds_words, bare, is_unital
from qmoe.routers.functions.certificate import weight_certificate
from qmoe.routers.functions.propagation.valued import coefficients_of
from qmoe.testing import random_circuit, random_operations, random_placed

CONFUSION = ReadoutConfusion(((0.9, 0.1, 0.0, 0.0), (0.0, 0.8, 0.2, 0.0), (0.0, 0.1, 0.9, 0.0), (0.2, 0.0, 0.0, 0.8)))
#: Of a pair whose errors do not hang together.
APART = ReadoutConfusion(tuple(map(tuple, np.kron([[0.9, 0.1], [0.3, 0.7]], [[0.8, 0.2], [0.4, 0.6]]).tolist())))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def angles(n: int, n_features: int, seed: int = 0) -> Tensor:
    return (torch.rand(n, n_features, generator=generator(seed), dtype=torch.float64) - 0.5) * (2 * math.pi)


def router_of(circuit: Circuit, seed: int = 0) -> QuantumRouter:
    return QuantumRouter(circuit.in_features, 2, circuit=circuit, generator=generator(seed), dtype=torch.float64)


def drawn(seed: int) -> Circuit:
    rng, n_qubits = np.random.default_rng([51, seed]), 1 + seed % 3
    draw = random_operations if seed % 2 else random_circuit
    circuit = draw(rng, n_qubits=n_qubits, noise=True)
    assert circuit.noise is not None
    placed = tuple(random_placed(rng, n_qubits) for _ in range(rng.integers(1, 4)))
    return circuit.with_noise(replace(circuit.noise, channels=placed))


def residual(circuit: Circuit, x: Tensor, weights: Tensor) -> float:
    """What is left of the read-outs after least squares on the functions of the span."""
    basis = circuit_basis(circuit)
    design = torch.cat([torch.ones(len(x), 1, dtype=x.dtype), basis.values(x)], -1)
    out = NativeEngine().evaluate(circuit, x, weights)
    return float((design @ torch.linalg.lstsq(design, out, driver="gelsd").solution - out).abs().max())


@pytest.mark.parametrize("first", range(0, 60, 12))
def test_random_noisy_circuits_distil_and_stay_within_their_span(first: int) -> None:
    for seed in range(first, first + 12):
        circuit = drawn(seed)
        router, x = router_of(circuit, seed), angles(20, circuit.in_features, seed)
        if not bases_are_known(circuit):
            with pytest.raises(UnsupportedError, match="Measure words that share a basis"):
                qmoe.distill(router)
            continue
        torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-10)
        try:
            n_functions = len(circuit_basis(circuit))
        except UnsupportedError as error:
            assert "features times weights" in str(error)  # noqa: PT017  # most circuits have a span
            continue
        points = angles(3 * n_functions + 8, circuit.in_features, seed)
        assert residual(circuit, points, router.quantum.weights.detach()) < 1e-8, f"seed {seed}"


# --- what a span holds -----------------------------------------------------------------------------------------------


def test_channels_that_damp_words_leave_the_span_as_it_is() -> None:
    placed = [BitFlip(0.1).after("gate"), Depolarizing(0.1, 2).after("two_qubit_gate")]
    clean, noisy = Circuit(2, 3), Circuit(2, 3, noise=NoiseModel(0.1, channels=placed))
    assert bare(noisy) == clean
    assert circuit_basis(noisy) == circuit_basis(clean)
    assert qmoe.span(router_of(noisy)).circuit == clean
    assert qmoe.twin(router_of(noisy)).circuit == clean


def test_relaxation_lets_functions_of_fewer_features_through() -> None:
    # <Z0 Z1> after two RX is cos cos; relaxation of either wire leaves a part of the other's cosine.
    gates = [Gate("RX", (0,), (Feature(0),)), Gate("RX", (1,), (Feature(1),))]
    clean = Circuit.from_operations(gates, readout=[Pauli("Z0 Z1")])
    noisy = clean.with_noise(NoiseModel(channels=[AmplitudeDamping(0.36).after("gate")]))
    assert circuit_basis(clean).names == ("cos x0 cos x1",)
    assert set(circuit_basis(noisy).names) == {"cos x0", "cos x1", "cos x0 cos x1"}
    assert bare(noisy) == noisy
    products, values = coefficients_of(noisy, np.zeros(0)).summed()
    found = {term.name: value for term, value in zip(products, values[0], strict=False) if value}
    assert found == pytest.approx({"cos x0": 0.36 * 0.64, "cos x1": 0.36 * 0.64, "cos x0 cos x1": 0.64**2}, abs=1e-12)
    assert values[0, -1] == pytest.approx(0.36**2, abs=1e-12)


def test_a_span_with_relaxation_is_checked_on_the_noisy_circuit() -> None:
    placed = [ThermalRelaxation(50, 70, 5, 0.1).after("gate"), BitFlip(0.1).after("layer")]
    found = qmoe.span(router_of(Circuit(2, 2, noise=NoiseModel(0.1, channels=placed))), n_circuits=20)
    assert [one.channel.name for one in found.circuit.noise.channels] == ["thermal_relaxation"]
    assert found.circuit.noise.depolarizing == 0
    assert found.residual < 1e-10
    assert found.numerical_rank == len(found.basis) == 8


def test_channels_in_a_list_that_damp_words_are_left_aside() -> None:
    gates = [Gate("RX", (0,), (Feature(0),)), Gate("RY", (0,), (Weight(0),))]
    damping = [gates[0], Dephase((0,), "Y"), Disturb(BitFlip(0.1), (0,)), gates[1]]
    relaxing = [gates[0], Dephase((0,), "Y"), Disturb(AmplitudeDamping(0.1), (0,)), gates[1]]
    assert bare(Circuit.from_operations(damping, noise=0.1)) == Circuit.from_operations(gates)
    left = bare(Circuit.from_operations(relaxing, noise=0.1))
    assert left.body.operations == (gates[0], relaxing[2], gates[1])


def test_gates_that_turn_too_far_have_frequencies_of_their_own() -> None:
    circuit = Circuit(2, 1, noise=NoiseModel(channels=[OverRotation(0.1).after("gate")]))
    assert (circuit.max_frequency, circuit.period, circuit.frequencies, n_nodes(circuit)) == (None,) * 4
    plain = circuit_basis(circuit.with_noise(None)).names
    assert set(circuit_basis(circuit).names) == {name.replace("x", "1.1x") for name in plain}
    for readout in ("expval", "born"):
        router = router_of(circuit.with_readout(readout))
        x = angles(10, 2)
        torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-10)
    with pytest.raises(UnsupportedError, match="turn too far by a share of their angle"):
        TwinRouter(circuit, 2, sampling=Sampling(n_functions=4))
    with pytest.raises(UnsupportedError, match="turn too far by a share of their angle"):
        qmoe.analysis.circuit_spectrum(circuit, torch.zeros(circuit.weight_shape))


def test_gates_that_turn_too_far_by_a_fixed_angle_keep_their_frequencies() -> None:
    circuit = Circuit(2, 1, noise=NoiseModel(channels=[OverRotation(angle=0.1).after("gate")]))
    assert (circuit.max_frequency, n_nodes(circuit)) == (1, 9)
    assert set(circuit_basis(circuit).names) == set(circuit_basis(Circuit(2, 1)).names)


def test_a_channel_joins_the_wires_of_a_pair() -> None:
    circuit = Circuit(2, 1, ansatz="no_entangler")
    noisy = circuit.with_noise(NoiseModel(channels=[CONFUSION.before_readout((0, 1))]))
    assert "cos x0 cos x1" not in circuit_basis(circuit).names
    assert "cos x0 cos x1" in circuit_basis(noisy).names
    router, x = router_of(noisy), angles(10, 2)
    torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-12)


def test_a_twin_learns_the_noisy_router_that_its_functions_hold() -> None:
    noise = NoiseModel(
        0.05, channels=[ThermalRelaxation(50, 30, 5).after("gate"), ReadoutError(0.02, 0.06).before_readout()]
    )
    router = router_of(Circuit(2, 2, noise=noise))
    twin, x = qmoe.twin(router, generator=generator(1)), angles(200, 2)
    design = torch.cat([twin.basis.values(x), torch.ones(len(x), 1, dtype=x.dtype)], -1)
    wanted = router.logits(x).detach()
    off = design @ torch.linalg.lstsq(design, wanted).solution - wanted
    assert float(off.abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("channel", "adds", "unital"),
    [
        (BitFlip(0.1), False, True),
        (AmplitudeDamping(0.1), True, False),
        (AmplitudeDamping(0.1, 0.5), False, True),
        (ReadoutError(0.1), False, True),
        (ReadoutError(0.1, 0.2), True, False),
        (Kraus((((0, -1j), (1j, 0)),)), False, True),
        (Kraus((((1, 0), (0, 1j)),)), True, True),
    ],
)
def test_channels_that_add_words_are_told_from_others(channel: Channel, adds: bool, unital: bool) -> None:
    assert adds_words(channel) == adds
    assert is_unital(channel) == unital


# --- the measurement -------------------------------------------------------------------------------------------------

READOUTS = {
    "one basis": [Pauli("X0 Y1"), Pauli("Y1")],
    "two bases": [Pauli("X0"), Hamiltonian([0.5, 2.0], ["Z0", "Y1"])],
    "beside probabilities": [Pauli("X0 X1"), Probs((1,))],
    "pairs of letters": [Pauli("X0 X1"), Pauli("Y0 Z1")],
    "parity": [Parity(), Pauli("Y0")],
}


@pytest.mark.parametrize("readout", list(READOUTS))
@pytest.mark.parametrize(
    "errors",
    [
        (ReadoutError(0.1, 0.3).before_readout(),),
        (ReadoutError(0.1, 0.3).before_readout((1,)), ReadoutError(0.05, 0.0).before_readout()),
        (APART.before_readout((1, 0)),),
        (APART.before_readout((0, 1)), ReadoutError(0.1, 0.3).before_readout()),
    ],
    ids=["all", "twice", "pair", "both"],
)
def test_errors_of_the_measurement_strike_in_the_basis_of_each_word(readout: str, errors: tuple) -> None:
    circuit = Circuit(2, 2, noise=NoiseModel(channels=errors)).with_readout(READOUTS[readout])
    router, x = router_of(circuit), angles(8, 2)
    expected = ReferenceEngine().evaluate(circuit, x, router.quantum.weights)
    torch.testing.assert_close(router.quantum(x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", ["one basis", "pairs of letters"])
def test_a_confusion_that_hangs_together_is_followed_where_bases_are_known(readout: str) -> None:
    circuit = Circuit(2, 2, noise=NoiseModel(channels=[CONFUSION.before_readout((1, 0))])).with_readout(
        READOUTS[readout]
    )
    router, x = router_of(circuit), angles(8, 2)
    torch.testing.assert_close(qmoe.distill(router)(x), router(x).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("readout", "errors"),
    [
        ("two bases", (CONFUSION.before_readout((1, 0)),)),
        ("pairs of letters", (CONFUSION.before_readout((1, 0)), ReadoutError(0.1, 0.3).before_readout((0,)))),
    ],
)
def test_a_confusion_that_depends_on_an_unknown_basis_is_refused(readout: str, errors: tuple) -> None:
    router = router_of(Circuit(2, 2, noise=NoiseModel(channels=errors)).with_readout(READOUTS[readout]))
    for ask in (qmoe.distill, qmoe.twin, qmoe.span):
        with pytest.raises(UnsupportedError, match=r"readout_confusion on wires \(1, 0\) .* Measure words that share"):
            ask(router)


# --- sizes that no engine runs ---------------------------------------------------------------------------------------


def test_pauli_noise_on_fifty_qubits_damps_each_word_by_its_factor() -> None:
    n, p, q = 50, 0.03, 0.02
    gates = [Gate("RX", (wire,), (Feature(wire),)) for wire in range(n)]
    gates += [Gate("CNOT", (wire, wire + 1)) for wire in range(n - 1)]
    error = PauliError((("XI", 0.01), ("ZZ", 0.005)))
    placed = [BitFlip(p).after("encoding"), Depolarizing(q).before_readout(), error.after("two_qubit_gate")]
    clean = Circuit.from_operations(gates, readout=[Pauli(f"Z{wire}") for wire in (0, 2, n - 1)])
    noisy = clean.with_noise(NoiseModel(channels=placed))
    products, values = coefficients_of(noisy, np.zeros(0)).summed()
    # CNOTs take Z of wire w back to Z of wires 0 to w; behind each CNOT Z of its first wire meets an X of 1%.
    found = {len(term.factors): values[:, column] for column, term in enumerate(products)}
    assert sorted(found) == [1, 3, n]
    last = 1 - 4 * q / 3
    for row, wires in enumerate((1, 3, n)):
        n_met = n_first_wires(wires, n)
        expected = last * (1 - 2 * p) ** wires * (1 - 2 * 0.01) ** n_met
        assert found[wires][row] == pytest.approx(expected, rel=1e-12)
    with pytest.warns(PerformanceWarning, match="50 qubits with noise"):
        router = router_of(noisy)
    x = angles(5, n)
    cosines = torch.stack([x[:, :wires].cos().prod(-1) for wires in (1, 3, n)], -1)
    damped = cosines * torch.tensor([found[wires][row] for row, wires in enumerate((1, 3, n))], dtype=x.dtype)
    torch.testing.assert_close(qmoe.distill(router).logits(x), router.adapter(damped).detach(), rtol=0, atol=1e-12)


def n_first_wires(wires: int, n_qubits: int) -> int:
    """How many CNOTs (w, w + 1), going backwards, leave Z on their first wire of the word that began as Z of the last."""
    word, met = {wires - 1}, 0
    for control in reversed(range(n_qubits - 1)):
        met += control in word
        word ^= {control} if control + 1 in word else set()
    return met


# --- certificates ----------------------------------------------------------------------------------------------------


def test_a_certificate_holds_for_channels_that_leave_the_mixed_state_alone() -> None:
    circuit = Circuit(3, 2, noise=NoiseModel(0.1, channels=[Depolarizing(0.1, 2).after("two_qubit_gate")]))
    assert weight_certificate(circuit, 1) == (0.25, None)
    relaxing = circuit.with_noise(NoiseModel(channels=[AmplitudeDamping(0.1).after("layer")]))
    bound, why = weight_certificate(relaxing, 1)
    assert bound is None
    assert "amplitude_damping does not leave the fully mixed state alone" in why
