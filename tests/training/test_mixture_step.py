"""The compiled step against the same by autograd and `torch.optim.Adam`."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qmoe import LinearExperts, LinearRouter, MixtureOfExperts, MLPExperts, MLPRouter, QuantumExperts, QuantumRouter
from qmoe import UniformRouter as Uniform
from qmoe.compiled.cache import kernel
from qmoe.layers import LinearHead
from qmoe.routers import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    SingleExpertRouter,
    TrigonometricRouter,
)
from qmoe.training import ModelStack
from qmoe.training.mixture_step import KERNELS, MixtureStep, compiles
from qmoe.training.step import AutogradStep

Make = Callable[[dict[str, Any]], MixtureOfExperts]

#: Mixtures that the compiled step covers: every router with some experts, and all experts, with a head and without.
MIXTURES: dict[str, Make] = {
    "linear": lambda o: MixtureOfExperts(LinearRouter(2, 2, **o), LinearExperts(2, 2, 2, **o)),
    "linear, head": lambda o: MixtureOfExperts(
        LinearRouter(3, 2, **o), LinearExperts(3, 4, 2, **o), LinearHead(4, 3, **o)
    ),
    "mlp": lambda o: MixtureOfExperts(MLPRouter(2, 3, 5, **o), MLPExperts(2, 2, 3, 4, **o)),
    "mlp, tanh": lambda o: MixtureOfExperts(
        MLPRouter(2, 3, 5, "tanh", **o), MLPExperts(2, 2, 3, 4, "silu", **o), LinearHead(2, 3, **o)
    ),
    "quantum": lambda o: MixtureOfExperts(QuantumRouter(2, 3, **o), LinearExperts(2, 2, 3, **o)),
    "quantum, projected": lambda o: MixtureOfExperts(
        QuantumRouter(3, 2, n_qubits=2, **o), MLPExperts(3, 3, 2, 4, **o), top_k=2
    ),
    "quantum, noisy": lambda o: MixtureOfExperts(QuantumRouter(2, 2, noise=0.1, **o), LinearExperts(2, 2, 2, **o)),
    "quantum, torch": lambda o: MixtureOfExperts(QuantumRouter(2, 2, engine="torch", **o), LinearExperts(2, 2, 2, **o)),
    "experts": lambda o: MixtureOfExperts(LinearRouter(3, 3, **o), QuantumExperts(3, 3, **o), LinearHead(2, 2, **o)),
    "one expert": lambda o: MixtureOfExperts(Uniform(3, 1), QuantumExperts(3, 1, **o), LinearHead(2, 2, **o)),
    "quantum, no layers": lambda o: MixtureOfExperts(QuantumRouter(2, 2, n_layers=0, **o), LinearExperts(2, 2, 2, **o)),
    "uniform": lambda o: MixtureOfExperts(Uniform(2, 3), LinearExperts(2, 2, 3, **o)),
    "constant": lambda o: MixtureOfExperts(ConstantRouter(2, 3, **o), LinearExperts(2, 2, 3, **o)),
    "random": lambda o: MixtureOfExperts(RandomRouter(2, 3, o["generator"]), LinearExperts(2, 2, 3, **o)),
    "mean": lambda o: MixtureOfExperts(MeanRouting(QuantumRouter(2, 3, **o)), LinearExperts(2, 2, 3, **o)),
    "permuted": lambda o: MixtureOfExperts(PermutedRouting(QuantumRouter(2, 3, **o)), LinearExperts(2, 2, 3, **o)),
    "quadratic": lambda o: MixtureOfExperts(QuadraticRouter(2, 3, **o), LinearExperts(2, 2, 3, **o)),
    "fourier": lambda o: MixtureOfExperts(RandomFourierRouter(2, 3, 5, **o), MLPExperts(2, 2, 3, 4, **o)),
    "trigonometric": lambda o: MixtureOfExperts(TrigonometricRouter(2, 3, 2, **o), LinearExperts(2, 2, 3, **o)),
}
KINDS = pytest.mark.parametrize("kind", MIXTURES)
LR = 0.1


def models(kind: str, n: int, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    return [MIXTURES[kind]({"generator": torch.Generator().manual_seed(seed), "dtype": dtype}) for seed in range(n)]


def batch(stack: ModelStack, n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Slices of longer tensors, as the loop passes them."""
    assert isinstance(stack.module, MixtureOfExperts)
    generator = torch.Generator().manual_seed(7)
    x = torch.rand(len(stack), n + 5, stack.module.router.in_features, generator=generator, dtype=torch.float64)
    n_classes = stack(x.to(dtype)).shape[-1]
    y = torch.randint(n_classes, (len(stack), n + 5), generator=generator)
    return (x + 0.1).to(dtype)[:, 3 : n + 3], y[:, 3 : n + 3]


# --- against autograd -----------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(("n_models", "n"), [(1, 1), (3, 7), (2, 33)])
def test_values_and_gradients_are_those_of_autograd(kind: str, n_models: int, n: int) -> None:
    ours, reference = ModelStack(models(kind, n_models)), ModelStack(models(kind, n_models))
    step, plain = MixtureStep(ours, LR), AutogradStep(reference, LR)
    x, y = batch(ours, n)
    for _ in range(2):  # gradients of the first batch must not be left in those of the second
        for got, expected in zip(step.differentiate(x, y), plain.differentiate(x, y), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(step.logits(x), plain.logits(x), rtol=0, atol=1e-13)
    for name, value in ours.parameters.items():
        assert value.grad is not None
        torch.testing.assert_close(value.grad, reference.parameters[name].grad, rtol=0, atol=1e-13, msg=name)


@KINDS
def test_training_is_that_of_autograd_and_torchs_adam(kind: str) -> None:
    ours, reference = ModelStack(models(kind, 3)), ModelStack(models(kind, 3))
    step, plain = MixtureStep(ours, LR), AutogradStep(reference, LR)
    x, y = batch(ours, 19)
    for _ in range(10):
        for each in (step, plain):
            each.differentiate(x, y)
            each.update()
    for name, value in ours.parameters.items():
        torch.testing.assert_close(value, reference.parameters[name], rtol=0, atol=1e-9, msg=name)


@KINDS
def test_in_float32_too(kind: str) -> None:
    ours, exact = ModelStack(models(kind, 2, torch.float32)), ModelStack(models(kind, 2))
    with torch.no_grad():
        for name, value in {**exact.parameters, **exact.buffers}.items():
            value.copy_({**ours.parameters, **ours.buffers}[name])
    x, y = batch(ours, 33, torch.float32)
    MixtureStep(ours, LR).differentiate(x, y)
    AutogradStep(exact, LR).differentiate(x.double(), y)
    for name, value in ours.parameters.items():
        assert exact.parameters[name].grad is not None
        torch.testing.assert_close(value.grad, exact.parameters[name].grad.float(), rtol=1e-5, atol=3e-6, msg=name)


class _Loss(torch.autograd.Function):
    """The mean cross-entropies as a function of all parameters, with the gradient that the step gives."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, step: MixtureStep, x: Tensor, y: Tensor) -> Tensor:
        step.vector.data.copy_(values)
        _, entropy = step.differentiate(x, y)
        assert step.vector.grad is not None
        ctx.gradient = step.vector.grad.clone()
        return entropy.mean(1).sum()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return cotangent * ctx.gradient, None, None, None


@KINDS
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    stack = ModelStack(models(kind, 2))
    step = MixtureStep(stack, LR)
    x, y = batch(stack, 5)
    start = step.vector.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: _Loss.apply(values, step, x, y), start)


# --- what a stack promises ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "linear, head", "mlp", "uniform"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_classical_model_gets_the_same_bits_alone_and_at_any_place(kind: str, dtype: torch.dtype) -> None:
    whole = ModelStack(models(kind, 5, dtype))
    x, y = batch(whole, 21, dtype)
    step = MixtureStep(whole, LR)
    alone = [ModelStack([model]) for model in models(kind, 5, dtype)]
    steps = [MixtureStep(stack, LR) for stack in alone]
    for _ in range(3):
        logits, entropy = step.differentiate(x, y)
        step.update()
        for m, single in enumerate(steps):
            own = single.differentiate(x[m : m + 1], y[m : m + 1])
            single.update()
            assert torch.equal(logits[m], own[0][0])
            assert torch.equal(entropy[m], own[1][0])
    for m, stack in enumerate(alone):
        assert all(torch.equal(value[0], whole.parameters[name][m]) for name, value in stack.parameters.items())


@KINDS
def test_a_model_that_is_not_finite_leaves_the_others_alone(kind: str) -> None:
    good, bad = ModelStack(models(kind, 3)), ModelStack(models(kind, 3))
    x, y = batch(good, 9)
    with torch.no_grad():
        for value in bad.parameters.values():
            value[1] = math.nan
    (_, expected), (_, entropy) = (MixtureStep(stack, LR).differentiate(x, y) for stack in (good, bad))
    assert entropy[1].isnan().all()
    for m in (0, 2):
        torch.testing.assert_close(entropy[m], expected[m], rtol=0, atol=1e-14)
        for name, value in good.parameters.items():
            assert value.grad is not None
            assert bad.parameters[name].grad is not None
            torch.testing.assert_close(value.grad[m], bad.parameters[name].grad[m], rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["linear, head", "mlp", "mlp, tanh", "quantum", "quantum, projected", "experts"])
@pytest.mark.parametrize("part", ["router", "experts", "head"])
def test_frozen_parts_are_passed_over(kind: str, part: str) -> None:
    stacks = []
    for _ in range(2):
        members = models(kind, 2)
        for model in members:
            if getattr(model, part) is not None:
                getattr(model, part).requires_grad_(False)
        stacks.append(ModelStack(members))
    step, plain = MixtureStep(stacks[0], LR), AutogradStep(stacks[1], LR)
    x, y = batch(stacks[0], 7)
    before = {name: value.detach().clone() for name, value in stacks[0].parameters.items()}
    for each in (step, plain):
        each.differentiate(x, y)
        each.update()
    for name, value in stacks[0].parameters.items():
        assert value.requires_grad != torch.equal(value, before[name])
        torch.testing.assert_close(value, stacks[1].parameters[name], rtol=0, atol=1e-9)


def test_a_frozen_circuit_stays_as_drawn_while_its_adapter_trains() -> None:
    stacks = []
    for _ in range(2):
        members: list[nn.Module] = []
        for seed in range(2):
            o: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
            members.append(MixtureOfExperts(QuantumRouter(2, 2, frozen=True, **o), LinearExperts(2, 2, 2, **o)))
        stacks.append(ModelStack(members))
    assert compiles(stacks[0].module)
    x, y = batch(stacks[0], 7)
    before = {name: value.detach().clone() for name, value in stacks[0].parameters.items()}
    for each in (MixtureStep(stacks[0], LR), AutogradStep(stacks[1], LR)):
        for _ in range(3):
            each.differentiate(x, y)
            each.update()
    for name, value in stacks[0].parameters.items():
        assert torch.equal(value, before[name]) == (name == "router.quantum.weights")
        torch.testing.assert_close(value, stacks[1].parameters[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("frozen", [["quantum.weights"], ["project_weight", "project_bias", "quantum.weights"]])
def test_circuits_of_which_nothing_is_trained(frozen: list[str]) -> None:
    members = models("quantum, projected", 2)
    for model in members:
        for name in frozen:
            model.get_parameter(f"router.{name}").requires_grad_(False)
    stack, reference = ModelStack(members), ModelStack(members)
    step, plain = MixtureStep(stack, LR), AutogradStep(reference, LR)
    x, y = batch(stack, 7)
    for each in (step, plain):
        each.differentiate(x, y)
        each.update()
    for name, value in stack.parameters.items():
        torch.testing.assert_close(value, reference.parameters[name], rtol=0, atol=1e-9)


# --- Adam -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_updates_are_those_of_torchs_adam(dtype: torch.dtype, tolerance: float) -> None:
    stack = ModelStack(models("mlp", 3, dtype))
    step = MixtureStep(stack, LR)
    expected = nn.Parameter(step.vector.detach().clone())
    optimizer = torch.optim.Adam([expected], lr=LR, foreach=False)
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 1e-6, 0.0, 1e3, 1.0):
        for _ in range(10):
            gradient = torch.randn(len(expected), generator=generator, dtype=dtype) * scale
            assert step.vector.grad is not None
            step.vector.grad.copy_(gradient)
            expected.grad = gradient
            step.update()
            optimizer.step()
            torch.testing.assert_close(step.vector.data, expected.data, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_update_does_not_depend_on_the_place_in_the_vector(dtype: type) -> None:
    state = np.abs(np.random.default_rng(0).normal(size=(4, 37))).astype(dtype)
    factors = np.array([0.1, 0.999, 0.001, 0.2, 0.03, 1e-8])
    adam = kernel(KERNELS[1], state.itemsize)

    def update(rows: list[np.ndarray], n: int) -> None:
        addresses = np.array([row.ctypes.data for row in rows])
        adam(n, addresses.ctypes.data, factors.ctypes.data)

    one_by_one = state.copy()
    for i in range(37):
        update([row[i:] for row in one_by_one], 1)
    update(list(state), 37)
    np.testing.assert_array_equal(state, one_by_one)


# --- the rule -------------------------------------------------------------------------------------------------------


@KINDS
def test_what_the_compiled_step_covers(kind: str) -> None:
    assert compiles(ModelStack(models(kind, 2)).module)


class Squared(LinearRouter):
    """Promises to run stacked, and computes something else than its parent."""

    runs_stacked = True

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x * x)


class Doubled(QuadraticRouter):
    """A gate on functions, but not only that."""

    runs_stacked = True

    def logits(self, x: Tensor) -> Tensor:
        return 2 * super().logits(x)


class Stretched(QuadraticRouter):
    """A gate on functions of which something is trained."""

    runs_stacked = True

    def __init__(self, in_features: int, n_experts: int) -> None:
        super().__init__(in_features, n_experts)
        self.scale = nn.Parameter(torch.ones(1))

    def features(self, x: Tensor) -> Tensor:
        return super().features(self.scale.unsqueeze(-1) * x)


@pytest.mark.parametrize(
    "model",
    [
        MixtureOfExperts(LinearRouter(2, 3), LinearExperts(2, 2, 3), top_k=1),
        MixtureOfExperts(QuantumRouter(2, 2, readout="born"), LinearExperts(2, 2, 2)),
        MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2), head=nn.Linear(2, 2)),
        MixtureOfExperts(Squared(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(Doubled(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(Stretched(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(MeanRouting(Squared(2, 2)), LinearExperts(2, 2, 2)),
        MixtureOfExperts(PermutedRouting(QuantumRouter(2, 2, readout="born")), LinearExperts(2, 2, 2)),
        MixtureOfExperts(SingleExpertRouter(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2)).to("meta"),
        MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2)).half(),
        LinearRouter(2, 2),
    ],
    ids=[
        "top-k",
        "born",
        "head",
        "subclass",
        "gate",
        "functions",
        "mean",
        "permuted",
        "single",
        "device",
        "dtype",
        "router",
    ],
)
def test_what_it_leaves_to_autograd(model: nn.Module) -> None:
    assert not compiles(ModelStack([model]).module)
