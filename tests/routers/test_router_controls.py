"""What the controls compute."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from qmoe import ConfigError, LinearExperts, LinearRouter, MixtureOfExperts, MLPRouter, QuantumRouter, UnsupportedError
from qmoe.layers import runs_stacked
from qmoe.routers import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    Router,
    SingleExpertRouter,
    SoftmaxRouter,
    TrigonometricRouter,
    UniformRouter,
)
from qmoe.training import ModelStack

F64 = torch.float64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=F64) * math.pi


ROUTERS: dict[str, Any] = {
    "uniform": lambda g: UniformRouter(3, 4),
    "quadratic": lambda g: QuadraticRouter(3, 4, generator=g, dtype=F64),
    "trigonometric": lambda g: TrigonometricRouter(3, 4, max_frequency=2, generator=g, dtype=F64),
    "fourier": lambda g: RandomFourierRouter(3, 4, n_functions=5, generator=g, dtype=F64),
    "constant": lambda g: ConstantRouter(3, 4, generator=g, dtype=F64),
    "single": lambda g: SingleExpertRouter(3, 4, expert=2),
    "random": lambda g: RandomRouter(3, 4, generator=g),
    "mean": lambda g: MeanRouting(QuantumRouter(3, 4, generator=g, dtype=F64)),
    "permuted": lambda g: PermutedRouting(QuantumRouter(3, 4, generator=g, dtype=F64)),
    "frozen": lambda g: QuantumRouter(3, 4, frozen=True, generator=g, dtype=F64),
    "embedding": lambda g: QuantumRouter(3, 4, n_layers=0, generator=g, dtype=F64),
}


@pytest.mark.parametrize("kind", ROUTERS)
def test_in_a_stack_every_model_routes_as_by_itself(kind: str) -> None:
    routers: list[Router] = [ROUTERS[kind](generator(seed)) for seed in range(3)]
    assert all(runs_stacked(router) for router in routers)
    mixtures = [
        MixtureOfExperts(router, LinearExperts(3, 2, 4, generator=generator(seed), dtype=F64))
        for seed, router in enumerate(routers)
    ]
    stack = ModelStack(mixtures)
    assert stack.module is not None, "this stack needs vmap"
    x = inputs(3, 6, 3)
    for out, mixture, rows in zip(stack(x), mixtures, x, strict=True):
        torch.testing.assert_close(out, mixture(rows), rtol=0, atol=1e-13)


# --- gates on fixed functions ---------------------------------------------------------------------------------------


def test_quadratic_functions_are_the_features_and_their_products() -> None:
    x = inputs(5, 3)
    a, b, c = x.unbind(-1)
    expected = torch.stack([a, b, c, a * a, a * b, a * c, b * b, b * c, c * c], -1)
    router = QuadraticRouter(3, 2)
    assert router.n_functions == 9
    torch.testing.assert_close(router.features(x), expected, rtol=0, atol=0)


def test_trigonometric_functions_are_cosines_and_sines_up_to_a_frequency() -> None:
    x = inputs(5, 2)
    expected = torch.cat([x.cos(), (2 * x).cos(), x.sin(), (2 * x).sin()], -1)
    router = TrigonometricRouter(2, 2, max_frequency=2)
    assert router.n_functions == 8
    torch.testing.assert_close(router.features(x), expected, rtol=0, atol=0)


def test_a_circuit_without_entanglers_is_a_trigonometric_gate() -> None:
    quantum = QuantumRouter(2, 2, ansatz="no_entangler", generator=generator(), dtype=F64)
    gate = TrigonometricRouter(2, 2, dtype=F64)
    x = inputs(200, 2)
    design = torch.cat([gate.features(x), torch.ones(200, 1, dtype=F64)], -1)
    fit = torch.linalg.lstsq(design, quantum.logits(x).detach()).solution
    torch.testing.assert_close(design @ fit, quantum.logits(x).detach(), rtol=0, atol=1e-12)


def test_random_fourier_gates_approximate_a_gaussian_kernel() -> None:
    length = 0.8
    router = RandomFourierRouter(2, 2, n_functions=40_000, length_scale=length, generator=generator(), dtype=F64)
    x = inputs(20, 2)
    phi = router.features(x) * math.sqrt(2 / router.n_functions)
    expected = torch.exp(-(torch.cdist(x, x) ** 2) / (2 * length**2))
    # 40,000 terms of variance at most 1: five standard deviations of their mean.
    torch.testing.assert_close(phi @ phi.mT, expected, rtol=0, atol=5 / math.sqrt(40_000))
    with pytest.raises(ConfigError, match="length_scale is 0"):
        RandomFourierRouter(2, 2, n_functions=8, length_scale=0)


# --- routers that do less -------------------------------------------------------------------------------------------


def test_a_constant_router_is_a_linear_router_without_weights() -> None:
    router, linear = ConstantRouter(2, 3, generator=generator(), dtype=F64), LinearRouter(2, 3, dtype=F64)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(router.bias)
    x = inputs(4, 2)
    assert sum(p.numel() for p in router.parameters()) == 3
    torch.testing.assert_close(router(x), linear(x), rtol=0, atol=1e-15)


def test_a_single_expert_has_all_the_weight() -> None:
    router = SingleExpertRouter(2, 3, expert=1)
    assert router(inputs(4, 2)).tolist() == [[0, 1, 0]] * 4
    assert router.as_softmax() is None
    assert not isinstance(router, SoftmaxRouter)
    with pytest.raises(UnsupportedError, match="SingleExpertRouter has no logits: its weights are not a softmax"):
        MeanRouting(router).logits(inputs(4, 2))
    with pytest.raises(ConfigError, match="from 0 to 2"):
        SingleExpertRouter(2, 3, expert=3)


def test_a_random_router_is_uniform_on_the_simplex_and_blind_to_neighbourhood() -> None:
    router = RandomRouter(2, 3, generator=generator())
    x = inputs(20_000, 2)
    weights = router(x)
    # Uniform on the triangle: mean 1/3, variance 1/18, covariance -1/36.
    torch.testing.assert_close(weights.mean(0), torch.full((3,), 1 / 3, dtype=F64), rtol=0, atol=0.01)
    expected = (3 * torch.eye(3, dtype=F64) - 1) / 36
    torch.testing.assert_close(weights.T.cov(), expected, rtol=0, atol=0.002)
    near = router(x + 0.002) - weights
    far = router(inputs(20_000, 2, seed=2)) - weights
    assert float(near.var()) == pytest.approx(float(far.var()), rel=0.05)


def test_a_random_router_routes_a_point_always_alike() -> None:
    router, x = RandomRouter(2, 3, generator=generator()), inputs(50, 2)
    assert torch.equal(router(x.flip(0)), router(x).flip(0))
    assert torch.equal(router(torch.zeros(2)), router(-torch.zeros(2)))
    assert not torch.equal(RandomRouter(2, 3, generator=generator(1))(x), router(x))


# --- controls of the routing ----------------------------------------------------------------------------------------


def test_mean_routing_is_a_constant_router_for_each_batch() -> None:
    inner = MLPRouter(2, 3, hidden=5, generator=generator(), dtype=F64)
    router, x = MeanRouting(inner), inputs(6, 2)
    weights = router(x)
    torch.testing.assert_close(weights, inner(x).mean(0).expand(6, 3), rtol=0, atol=1e-15)
    torch.testing.assert_close(router(x[0]), inner(x[0]), rtol=0, atol=0)
    torch.testing.assert_close(router.logits(x).exp(), weights, rtol=0, atol=1e-15)


def test_logits_of_a_mean_are_finite_where_its_weights_vanish() -> None:
    inner = LinearRouter(2, 2)
    with torch.no_grad():
        inner.bias.copy_(torch.tensor([0.0, 1000.0]))
    router, x = MeanRouting(inner), inputs(6, 2).float()
    assert router(x)[0, 0] == 0
    assert router.logits(x).isfinite().all()


@pytest.mark.parametrize("n", [2, 3, 32, 1001])
def test_permuted_routing_keeps_the_weights_and_gives_none_to_its_owner(n: int) -> None:
    inner = MLPRouter(2, 3, hidden=5, activation="tanh", generator=generator(), dtype=F64)
    x = inputs(n, 2)
    own, given = inner(x), PermutedRouting(inner)(x)
    assert torch.equal(given, PermutedRouting(inner)(x))
    assert torch.equal(own.sort(0).values, given.sort(0).values)
    assert bool((own != given).any(-1).all())


def test_permuted_routing_mixes_rows_that_stand_in_order() -> None:
    inner = LinearRouter(1, 2, generator=generator(), dtype=F64)
    x = torch.linspace(0, 1, 1000, dtype=F64).unsqueeze(1)
    own, given = (weights[:, 0].detach() for weights in (inner(x), PermutedRouting(inner)(x)))
    assert abs(float(torch.stack([own, given]).corrcoef()[0, 1])) < 0.1


def test_a_batch_of_one_has_nobody_to_exchange_with() -> None:
    inner = MLPRouter(2, 3, hidden=5, generator=generator(), dtype=F64)
    x = inputs(1, 2)
    assert torch.equal(PermutedRouting(inner)(x), inner(x))


@pytest.mark.parametrize("wrap", [MeanRouting, PermutedRouting])
def test_wrapping_leaves_first_weights_and_checks_to_the_router(wrap: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected a qmoe\.routers\.Router"):
        wrap(torch.nn.Linear(2, 2))
    born = wrap(QuantumRouter(2, 2, readout="born", dtype=F64))
    weights = born(inputs(5, 2))
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, dtype=F64))
    assert born.as_softmax() is None
    with pytest.raises(UnsupportedError, match="QuantumRouter has no logits"):
        born.logits(inputs(5, 2))


# --- frozen circuits ------------------------------------------------------------------------------------------------


def test_a_frozen_circuit_starts_as_the_free_one_and_shares_its_state() -> None:
    free, frozen = (QuantumRouter(2, 2, frozen=flag, generator=generator(), dtype=F64) for flag in (False, True))
    assert torch.equal(free(inputs(5, 2)), frozen(inputs(5, 2)))
    assert free.state_dict().keys() == frozen.state_dict().keys()
    assert [name for name, p in frozen.named_parameters() if not p.requires_grad] == ["quantum.weights"]
    other = QuantumRouter(2, 2, frozen=True, generator=generator(1), dtype=F64)
    other.load_state_dict(free.state_dict())
    assert torch.equal(other(inputs(5, 2)), free(inputs(5, 2)))
    with pytest.raises(ConfigError, match="requires_grad"):
        ModelStack([free, frozen])


def test_the_encoding_alone_measures_cosines() -> None:
    router, x = QuantumRouter(2, 2, n_layers=0, generator=generator(), dtype=F64), inputs(5, 2)
    torch.testing.assert_close(router.measure(x), x.cos(), rtol=0, atol=1e-12)
