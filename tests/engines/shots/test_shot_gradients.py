"""Gradients by the parameter-shift rule: exact at exact probabilities, unbiased with shots."""

import pytest
import torch

from qmoe.circuits import (
    GATES,
    Circuit,
    Computed,
    Depolarizing,
    Feature,
    Gate,
    Hamiltonian,
    NoiseModel,
    OverRotation,
    Parity,
    Pauli,
    Probs,
    ReadoutError,
    Weight,
)
from qmoe.engines import NativeEngine, ReferenceEngine, TorchEngine, sampled
from qmoe.engines.shots import estimating
from qmoe.engines.shots.outcome_counts import Exact
from qmoe.engines.shots.shift_rules import RULES, rule_of
from qmoe.engines.shots.shot_sampling import estimated
from qmoe.errors import ConfigError, UnsupportedError

TURNING = [name for name, (_, n_angles) in GATES.items() if n_angles]
NOISY = NoiseModel(
    0.03,
    channels=[
        Depolarizing(0.05, 2).after("gate", gates=("CNOT",)),
        OverRotation(0.1, 0.02).after("gate"),
        ReadoutError(0.1, 0.03).before_readout(),
    ],
)
LISTED = [Pauli("X0 Y1"), Probs((2, 0)), Hamiltonian([1.0, 0.5], ["Z0", "X1"]), Parity()]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def circuit_of(name, readout="expval", noise=None):
    """A gate with weights, with features and with expressions of both, between others; weights stand several times."""
    n_wires, n_angles = GATES[name]
    angles = [
        (Weight(0), Weight(1), Weight(0)),
        (Feature(0), Feature(1), Weight(2)),
        (2 * Weight(0) - Feature(0) * Weight(2), Feature(1) * 0.5 + 0.3, Weight(2) * Weight(2)),
    ]
    turned = [Gate(name, ((0, 1), (1, 2), (2, 0))[k][:n_wires], angles[k][:n_angles]) for k in range(3)]
    mixers = [Gate("RY", (0,), (Weight(3),)), Gate("Hadamard", (1,)), Gate("RX", (2,), (Feature(1),))]
    ends = [Gate("CNOT", (0, 1)), Gate("CNOT", (1, 2)), Gate("RY", (1,), (0.7,)), Gate("RX", (0,), (Weight(1),))]
    return Circuit.from_operations([*mixers, *turned, *ends], readout=readout, noise=noise, weight_shape=5)


def inputs(circuit, *stack, n_batch=3):
    draw = {"generator": seeded(1), "dtype": torch.float64}
    x = 3 * torch.rand(*stack, n_batch, circuit.in_features, **draw)
    weights = 6 * torch.rand(*stack, *circuit.weight_shape, **draw)
    return x.requires_grad_(), weights.requires_grad_()


def gradients(out, x, weights):
    """Of a sum of the read-outs with fixed factors."""
    factors = torch.rand(out.shape[-1], generator=seeded(2), dtype=torch.float64)
    return torch.autograd.grad((out * factors).sum(), (x, weights), materialize_grads=True)


def at_exact_probabilities(engine, circuit, x, weights):
    return estimated(engine, circuit, x, weights, None, Exact(), "parameter-shift")


@pytest.mark.parametrize("name", TURNING)
@pytest.mark.parametrize("noise", [None, NOISY], ids=["pure", "noisy"])
def test_at_exact_probabilities_the_rule_is_the_gradient(name, noise):
    circuit = circuit_of(name, LISTED, noise)
    x, weights = inputs(circuit, 2)
    expected = ReferenceEngine().evaluate(circuit, x, weights)
    got = at_exact_probabilities(TorchEngine(), circuit, x, weights)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    for one, other in zip(gradients(got, x, weights), gradients(expected, x, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("readout", ["expval", "born", Parity(), LISTED], ids=["expval", "born", "parity", "list"])
def test_every_readout_has_the_gradient(readout):
    circuit = Circuit(3, 2, readout=readout)
    x, weights = inputs(circuit)
    expected = ReferenceEngine().evaluate(circuit, x, weights)
    got = at_exact_probabilities(NativeEngine(), circuit, x, weights)
    for one, other in zip(gradients(got, x, weights), gradients(expected, x, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_angles_that_a_function_computes_have_the_gradient():
    gates = [Gate("RX", (0,), (Computed(0),)), Gate("CRY", (0, 1), (2 * Computed(1) + Weight(0),))]
    circuit = Circuit.from_operations(
        gates, in_features=2, weight_shape=2, angles=lambda x, w: torch.sin(x * w) + w.cos().sum()
    )
    x, weights = inputs(circuit, 2)
    expected = TorchEngine().evaluate(circuit, x, weights)
    got = at_exact_probabilities(TorchEngine(), circuit, x, weights)
    for one, other in zip(gradients(got, x, weights), gradients(expected, x, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", TURNING)
def test_with_shots_the_gradient_is_unbiased(name):
    circuit = circuit_of(name)
    n_draws = 4_000
    x, weights = inputs(circuit, n_batch=2)
    exact = gradients(ReferenceEngine().evaluate(circuit, x, weights), x, weights)
    many = [tensor.detach().expand(n_draws, *tensor.shape).clone().requires_grad_() for tensor in (x, weights)]
    drawn = gradients(sampled(TorchEngine(), circuit, *many, shots=10, generator=seeded(3)), *many)
    for estimates, expected in zip(drawn, exact, strict=True):
        standard_error = estimates.std(0) / n_draws**0.5
        assert (standard_error > 1e-3).any()
        assert ((estimates.mean(0) - expected).abs() <= 4 * standard_error + 1e-12).all()


def test_with_noise_and_several_bases_the_gradient_is_unbiased():
    circuit = circuit_of("CRX", LISTED, NOISY)
    n_draws = 2_000
    x, weights = inputs(circuit, n_batch=1)
    exact = gradients(ReferenceEngine().evaluate(circuit, x, weights), x, weights)
    many = [tensor.detach().expand(n_draws, *tensor.shape).clone().requires_grad_() for tensor in (x, weights)]
    drawn = gradients(sampled(TorchEngine(), circuit, *many, shots=10, generator=seeded(3)), *many)
    for estimates, expected in zip(drawn, exact, strict=True):
        standard_error = estimates.std(0) / n_draws**0.5
        assert ((estimates.mean(0) - expected).abs() <= 4 * standard_error + 1e-12).all()


def test_a_model_of_a_stack_has_the_gradient_that_it_has_alone(monkeypatch):
    circuit = circuit_of("Rot", noise=NOISY)
    x, weights = inputs(circuit, 3)
    monkeypatch.setattr(estimating, "NUMBERS_OF_SOURCE", 4 * 3 * 8)  # 4 shifted circuits at once
    monkeypatch.setattr(estimating, "NUMBERS_AT_ONCE", 2 * 4 * 3 * 8)  # of 2 models
    sources = [seeded(seed) for seed in range(3)]
    stacked = gradients(sampled(TorchEngine(), circuit, x, weights, shots=50, generator=sources), x, weights)
    one_x, one_weights = x[2].detach().requires_grad_(), weights[2].detach().requires_grad_()
    out = sampled(TorchEngine(), circuit, one_x, one_weights, shots=50, generator=seeded(2))
    for whole, alone in zip(stacked, gradients(out, one_x, one_weights), strict=True):
        assert torch.equal(whole[2], alone)


def test_every_backward_pass_of_one_call_draws_the_same():
    circuit = circuit_of("RX")
    x, weights = inputs(circuit)
    out = sampled(TorchEngine(), circuit, x, weights, shots=50, generator=seeded(0))
    first, again = (torch.autograd.grad(out.sum(), weights, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again)


def test_the_estimates_do_not_depend_on_whether_gradients_are_asked_for():
    circuit = circuit_of("RX")
    x, weights = inputs(circuit)
    sources = seeded(0), seeded(0)
    for _ in range(2):
        with_graph = sampled(TorchEngine(), circuit, x, weights, shots=50, generator=sources[0])
        with torch.no_grad():
            without = sampled(TorchEngine(), circuit, x, weights, shots=50, generator=sources[1])
        assert torch.equal(with_graph, without)


def test_only_what_is_asked_for_is_shifted(monkeypatch):
    circuit = circuit_of("RX")
    shifted = []
    pull_back = estimating.Estimation.pull_back
    monkeypatch.setattr(
        estimating.Estimation, "pull_back", lambda self, *rest: (shifted.append(self.slots), pull_back(self, *rest))[1]
    )
    for of_x, of_weights, n_slots in ((True, False, 3), (False, True, 4), (True, True, 6)):
        x, weights = inputs(circuit)
        x.requires_grad_(of_x), weights.requires_grad_(of_weights)
        sampled(TorchEngine(), circuit, x, weights, shots=50, generator=seeded(0)).sum().backward()
        assert len(shifted[-1]) == n_slots


@pytest.mark.parametrize("gradient", ["parameter-shift", "exact"])
def test_weights_that_stand_nowhere_have_a_gradient_of_zero(gradient):
    circuit = circuit_of("RX")
    x, weights = inputs(circuit)
    sampled(TorchEngine(), circuit, x, weights, shots=50, generator=seeded(0), gradient=gradient).sum().backward()
    assert weights.grad[4] == 0
    assert weights.grad[0] != 0


def test_the_exact_gradient_is_that_of_exact_readouts():
    circuit = circuit_of("Rot", LISTED)
    x, weights = inputs(circuit)
    with torch.no_grad():
        estimates = sampled(TorchEngine(), circuit, x, weights, shots=50, generator=seeded(0))
    out = sampled(TorchEngine(), circuit, x, weights, shots=50, generator=seeded(0), gradient="exact")
    assert torch.equal(out, estimates)
    expected = gradients(TorchEngine().evaluate(circuit, x, weights), x, weights)
    for one, other in zip(gradients(out, x, weights), expected, strict=True):
        assert torch.equal(one, other)


def test_what_no_rule_gives_is_refused_and_has_an_exact_gradient():
    circuit = Circuit(2, 1, encoding="amplitude", noise=0.1)
    x, weights = inputs(circuit)
    strength = torch.tensor(0.1, dtype=torch.float64)
    draw = {"shots": 50, "generator": seeded(0)}
    with pytest.raises(UnsupportedError, match="Features are amplitudes here"):
        sampled(TorchEngine(), circuit, x, weights, **draw)
    sampled(TorchEngine(), circuit, x.detach(), weights, **draw).sum().backward()
    assert (weights.grad != 0).any()
    strength.requires_grad_()
    with pytest.raises(UnsupportedError, match="strength of noise"):
        sampled(TorchEngine(), circuit, x.detach(), weights, noise_strength=strength, **draw)
    sampled(TorchEngine(), circuit, x, weights, noise_strength=strength, gradient="exact", **draw).sum().backward()
    assert strength.grad != 0
    assert (x.grad != 0).any()


def test_every_gate_that_turns_has_a_rule_and_others_are_refused():
    assert sorted(RULES) == sorted(TURNING)
    with pytest.raises(UnsupportedError, match="No parameter-shift rule is known here for the gate Unheard"):
        rule_of("Unheard")


def test_unknown_gradients_and_second_derivatives_are_refused():
    circuit = circuit_of("RX")
    x, weights = inputs(circuit)
    with pytest.raises(ConfigError, match="did you mean 'parameter-shift'"):
        sampled(TorchEngine(), circuit, x, weights, shots=5, generator=seeded(0), gradient="parameter_shift")
    out = sampled(TorchEngine(), circuit, x, weights, shots=5, generator=seeded(0))
    with pytest.raises(UnsupportedError, match="second derivative"):
        torch.autograd.grad(out.sum(), weights, create_graph=True)
