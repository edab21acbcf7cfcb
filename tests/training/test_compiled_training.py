"""Training in machine code against the same by autograd and `torch.optim.Adam`."""

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qmoe import LinearExperts, LinearRouter, MixtureOfExperts, MLPExperts, MLPRouter, QuantumExperts, QuantumRouter
from qmoe import UniformRouter as Uniform
from qmoe.circuits import (
    AngleEncoding,
    BitFlip,
    Circuit,
    Depolarizing,
    Feature,
    Gate,
    NoiseModel,
    ReadoutError,
    ThermalRelaxation,
    Weight,
)
from qmoe.engines import NativeEngine
from qmoe.layers import Linear
from qmoe.routers import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    Sampling,
    SingleExpertRouter,
    StochasticRouter,
    TrigonometricRouter,
    TwinRouter,
)
from qmoe.training import ModelStack, TrainingConfig, TrainingResult, train_stack
from qmoe.training.autograd_trainer import AutogradTrainer
from qmoe.training.compiled import layout as at
from qmoe.training.compiled import step as compiled_step
from qmoe.training.compiled.step import CompiledTrainer, Runner, compiled_parts
from qmoe.training.orders import Orders
from qmoe.training.trainer import Part

Make = Callable[[dict[str, Any]], MixtureOfExperts]

CHANNELS = NoiseModel(
    0.05, channels=[ThermalRelaxation(50, 70, 5, 0.1).after("gate"), ReadoutError(0.02, 0.05).before_readout()]
)
FLIPS = NoiseModel(channels=[BitFlip(0.05).after("layer"), Depolarizing(0.02, 2).after("two_qubit_gate")])

#: Two uploads of two features.
TWO_UPLOADS = Circuit(2, 3, AngleEncoding("X", 2))
#: Angles that multiply features and numbers.
MULTIPLIED = Circuit.from_operations(
    [
        Gate("RX", (0,), (Feature(0),)),
        Gate("RX", (1,), (0.7 * Feature(0) * Feature(1),)),
        Gate("CNOT", (0, 1)),
        Gate("RY", (0,), (Weight(0),)),
        Gate("RX", (1,), (0.4 * Feature(1) * Feature(1),)),
        Gate("RY", (1,), (Weight(1),)),
        Gate("CNOT", (1, 0)),
    ],
    n_qubits=2,
    in_features=2,
)


def standardised(router: TwinRouter) -> TwinRouter:
    rows = torch.rand(20, router.in_features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return router.standardise(rows.to(router.weight.dtype))


#: Mixtures that compile: every router with some experts, and all experts, with a head and without.
MIXTURES: dict[str, Make] = {
    "linear": lambda o: MixtureOfExperts(LinearRouter(2, 2, **o), LinearExperts(2, 2, 2, **o)),
    "linear, head": lambda o: MixtureOfExperts(LinearRouter(3, 2, **o), LinearExperts(3, 4, 2, **o), Linear(4, 3, **o)),
    "mlp": lambda o: MixtureOfExperts(MLPRouter(2, 3, hidden=5, **o), MLPExperts(2, 2, 3, hidden=4, **o)),
    "mlp, tanh": lambda o: MixtureOfExperts(
        MLPRouter(2, 3, hidden=5, activation="tanh", **o),
        MLPExperts(2, 2, 3, hidden=4, activation="silu", **o),
        Linear(2, 3, **o),
    ),
    "quantum": lambda o: MixtureOfExperts(QuantumRouter(2, 3, **o), LinearExperts(2, 2, 3, **o)),
    "quantum, projected": lambda o: MixtureOfExperts(
        QuantumRouter(3, 2, n_qubits=2, **o), MLPExperts(3, 3, 2, hidden=4, **o), top_k=2
    ),
    "quantum, noisy": lambda o: MixtureOfExperts(QuantumRouter(2, 2, noise=0.1, **o), LinearExperts(2, 2, 2, **o)),
    "quantum, amplitudes": lambda o: MixtureOfExperts(
        QuantumRouter(3, 2, encoding="amplitude", noise=0.05, **o), LinearExperts(3, 2, 2, **o)
    ),
    "quantum, channels": lambda o: MixtureOfExperts(
        QuantumRouter(2, 2, noise=CHANNELS, **o), LinearExperts(2, 2, 2, **o)
    ),
    "quantum, pauli errors": lambda o: MixtureOfExperts(
        QuantumRouter(3, 2, encoding="amplitude", noise=FLIPS, **o), LinearExperts(3, 2, 2, **o)
    ),
    "born": lambda o: MixtureOfExperts(QuantumRouter(2, 3, readout="born", **o), LinearExperts(2, 2, 3, **o)),
    "born, projected": lambda o: MixtureOfExperts(
        QuantumRouter(3, 4, n_qubits=2, readout="born", noise=0.1, **o), LinearExperts(3, 2, 4, **o)
    ),
    "experts, noisy": lambda o: MixtureOfExperts(
        MLPRouter(3, 2, hidden=4, activation="silu", **o),
        QuantumExperts(3, 2, noise=0.1, readout="born", **o),
        Linear(4, 2, **o),
    ),
    "both": lambda o: MixtureOfExperts(
        QuantumRouter(2, 2, **o), QuantumExperts(2, 2, encoding="angle", **o), Linear(2, 3, **o)
    ),
    "experts": lambda o: MixtureOfExperts(LinearRouter(3, 3, **o), QuantumExperts(3, 3, **o), Linear(2, 2, **o)),
    "one expert": lambda o: MixtureOfExperts(Uniform(3, 1), QuantumExperts(3, 1, **o), Linear(2, 2, **o)),
    "quantum, no layers": lambda o: MixtureOfExperts(QuantumRouter(2, 2, n_layers=0, **o), LinearExperts(2, 2, 2, **o)),
    "uniform": lambda o: MixtureOfExperts(Uniform(2, 3), LinearExperts(2, 2, 3, **o)),
    "constant": lambda o: MixtureOfExperts(ConstantRouter(2, 3, **o), LinearExperts(2, 2, 3, **o)),
    "random": lambda o: MixtureOfExperts(RandomRouter(2, 3, generator=o["generator"]), LinearExperts(2, 2, 3, **o)),
    "mean": lambda o: MixtureOfExperts(MeanRouting(QuantumRouter(2, 3, **o)), LinearExperts(2, 2, 3, **o)),
    "permuted": lambda o: MixtureOfExperts(PermutedRouting(QuantumRouter(2, 3, **o)), LinearExperts(2, 2, 3, **o)),
    "mean, born": lambda o: MixtureOfExperts(
        MeanRouting(QuantumRouter(2, 3, readout="born", **o)), LinearExperts(2, 2, 3, **o)
    ),
    "mean, functions": lambda o: MixtureOfExperts(MeanRouting(QuadraticRouter(2, 3, **o)), LinearExperts(2, 2, 3, **o)),
    "permuted, projected": lambda o: MixtureOfExperts(
        PermutedRouting(QuantumRouter(3, 2, n_qubits=2, **o)), LinearExperts(3, 2, 2, **o)
    ),
    "permuted, functions": lambda o: MixtureOfExperts(
        PermutedRouting(TrigonometricRouter(2, 3, **o)), LinearExperts(2, 2, 3, **o)
    ),
    "permuted, mlp": lambda o: MixtureOfExperts(
        PermutedRouting(MLPRouter(2, 3, hidden=4, **o)), MLPExperts(2, 2, 3, hidden=4, **o)
    ),
    "single": lambda o: MixtureOfExperts(SingleExpertRouter(2, 3, expert=1), LinearExperts(2, 2, 3, **o)),
    "quadratic": lambda o: MixtureOfExperts(QuadraticRouter(2, 3, **o), LinearExperts(2, 2, 3, **o)),
    "stochastic": lambda o: MixtureOfExperts(StochasticRouter(2, 3, n_layers=2, **o), LinearExperts(2, 2, 3, **o)),
    "mean, stochastic": lambda o: MixtureOfExperts(
        MeanRouting(StochasticRouter(1, 2, **o)), MLPExperts(1, 2, 2, hidden=3, **o), Linear(2, 3, **o)
    ),
    "permuted, stochastic": lambda o: MixtureOfExperts(
        PermutedRouting(StochasticRouter(3, 2, n_layers=1, **o)), LinearExperts(3, 2, 2, **o)
    ),
    "fourier": lambda o: MixtureOfExperts(
        RandomFourierRouter(2, 3, n_functions=5, **o), MLPExperts(2, 2, 3, hidden=4, **o)
    ),
    "trigonometric": lambda o: MixtureOfExperts(
        TrigonometricRouter(2, 3, max_frequency=2, **o), LinearExperts(2, 2, 3, **o)
    ),
    "twin, projected": lambda o: MixtureOfExperts(TwinRouter(Circuit(2, 3), 3, 3, **o), LinearExperts(3, 2, 3, **o)),
    "twin, standardised": lambda o: MixtureOfExperts(
        standardised(TwinRouter(TWO_UPLOADS, 2, 3, **o)), MLPExperts(3, 4, 2, hidden=4, **o), Linear(4, 3, **o)
    ),
    # Products that are left out lead to others that are not.
    "twin, functions left out": lambda o: MixtureOfExperts(
        standardised(TwinRouter(TWO_UPLOADS, 2, 3, without=["cos x0", (2, 0), "sin 2x1"], **o)),
        LinearExperts(3, 2, 2, **o),
    ),
    "mean, twin of products": lambda o: MixtureOfExperts(
        MeanRouting(standardised(TwinRouter(MULTIPLIED, 2, 3, **o))), LinearExperts(3, 2, 2, **o)
    ),
    "permuted, twin of waves": lambda o: MixtureOfExperts(
        PermutedRouting(standardised(TwinRouter(TWO_UPLOADS, 2, 3, sampling=Sampling(6), **o))),
        LinearExperts(3, 2, 2, **o),
    ),
}
KINDS = pytest.mark.parametrize("kind", MIXTURES)
LR = 0.1


def models(kind: str, n: int, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    return [MIXTURES[kind]({"generator": torch.Generator().manual_seed(seed), "dtype": dtype}) for seed in range(n)]


def batch(stack: ModelStack, n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Slices of longer tensors, which are not contiguous."""
    assert isinstance(stack.module, MixtureOfExperts)
    generator = torch.Generator().manual_seed(7)
    x = torch.rand(len(stack), n + 5, stack.module.router.in_features, generator=generator, dtype=torch.float64)
    n_classes = stack(x.to(dtype)).shape[-1]
    y = torch.randint(n_classes, (len(stack), n + 5), generator=generator)
    return (x + 0.1).to(dtype)[:, 3 : n + 3], y[:, 3 : n + 3]


def orders(n_models: int, n: int) -> Orders:
    return Orders(range(n_models), n)


def trainers(
    kind: str, n_models: int, n: int, batch_size: int, dtype: torch.dtype = torch.float64, lr: float = LR
) -> tuple[tuple[ModelStack, CompiledTrainer], tuple[ModelStack, AutogradTrainer]]:
    """Both ways of training, for the same models and rows."""
    ours, reference = ModelStack(models(kind, n_models, dtype)), ModelStack(models(kind, n_models, dtype))
    x, y = batch(ours, n, dtype)
    train, test, config = Part(x, y), Part(x[:, : n // 2 + 1], y[:, : n // 2 + 1]), TrainingConfig(3, batch_size, lr)
    parts = compiled_parts(ours, n, batch_size)
    assert parts is not None
    compiled = CompiledTrainer(ours, parts, train, test, config)
    return (ours, compiled), (reference, AutogradTrainer(reference, train, test, config))


class Loss:
    """The mean cross-entropy of each model on all rows, in machine code."""

    def __init__(self, stack: ModelStack, x: Tensor, y: Tensor) -> None:
        parts = compiled_parts(stack, y.shape[1], y.shape[1])
        assert parts is not None
        self.runner, self.stack = Runner(stack, parts, [(Part(x, y), y.shape[1])]), stack
        self.runner.plan[at.BATCHES] = self.runner.passes[0].ctypes.data
        self.values = self.runner.values.rows[:, : self.runner.values.n_trained]

    def __call__(self) -> tuple[np.ndarray, np.ndarray]:
        """Losses ``(M,)`` and gradients ``(M, n)``."""
        losses, gradients = np.empty(len(self.stack)), []
        for m in range(len(self.stack)):
            self.runner.run(at.FIND_GRADIENT, m, losses[m:].ctypes.data)
            gradients.append(self.runner.gradient().copy())
        return losses, np.stack(gradients)

    def of_parameters(self, gradients: np.ndarray) -> list[tuple[Tensor, Tensor]]:
        """The stack's parameters, each with its part of the gradients."""
        places = self.runner.values.trained()
        return [(value, torch.from_numpy(gradients[:, place]).view_as(value)) for value, place in places]


# --- against autograd -----------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(("n_models", "n"), [(1, 1), (3, 7), (2, 33)])
def test_losses_and_gradients_are_those_of_autograd(kind: str, n_models: int, n: int) -> None:
    stack, reference = ModelStack(models(kind, n_models)), ModelStack(models(kind, n_models))
    x, y = batch(stack, n)
    names = {id(value): name for name, value in stack.parameters.items()}
    loss = Loss(stack, x, y)
    plain = AutogradTrainer(reference, Part(x, y), None, TrainingConfig())
    _, entropy = plain.differentiate(x, y)
    for _ in range(2):  # what a batch leaves behind must not be read by the next
        losses, gradients = loss()
        np.testing.assert_allclose(losses, entropy.mean(1).numpy(), rtol=0, atol=1e-13)
        compared = set()
        for value, gradient in loss.of_parameters(gradients):
            expected = reference.parameters[names[id(value)]].grad
            torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-13, msg=names[id(value)])
            compared.add(names[id(value)])
        assert compared == set(stack.parameters)


@KINDS
@pytest.mark.parametrize(("n", "batch_size"), [(45, 16), (19, 32), (12, 12), (5, 1)])
def test_training_is_that_of_autograd_and_torchs_adam(kind: str, n: int, batch_size: int) -> None:
    (ours, compiled), (reference, plain) = trainers(kind, 3, n, batch_size)
    of_compiled, of_plain = orders(3, n), orders(3, n)
    for epochs in (2, 1):
        got, expected = compiled.run(of_compiled, epochs), plain.run(of_plain, epochs)
        np.testing.assert_allclose(got.loss, expected.loss, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(got.running, expected.running)
        np.testing.assert_array_equal(got.test, expected.test)
    np.testing.assert_array_equal(compiled.train_accuracy(), plain.train_accuracy())
    compiled.write_back()
    for name, value in ours.parameters.items():
        torch.testing.assert_close(value, reference.parameters[name], rtol=0, atol=1e-9, msg=name)


@KINDS
def test_in_float32_too(kind: str) -> None:
    stack, exact = ModelStack(models(kind, 2, torch.float32)), ModelStack(models(kind, 2))
    with torch.no_grad():
        for name, value in {**exact.parameters, **exact.buffers}.items():
            value.copy_({**stack.parameters, **stack.buffers}[name])
    x, y = batch(stack, 33, torch.float32)
    names = {id(value): name for name, value in stack.parameters.items()}
    loss = Loss(stack, x, y)
    losses, gradients = loss()
    plain = AutogradTrainer(exact, Part(x.double(), y), None, TrainingConfig())
    _, entropy = plain.differentiate(x.double(), y)
    np.testing.assert_allclose(losses, entropy.mean(1).numpy(), rtol=0, atol=1e-6)
    for value, gradient in loss.of_parameters(gradients):
        expected = exact.parameters[names[id(value)]].grad
        torch.testing.assert_close(gradient, expected.float(), rtol=1e-5, atol=3e-6, msg=names[id(value)])


@KINDS
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    stack = ModelStack(models(kind, 1))
    loss = Loss(stack, *batch(stack, 5))
    start, (_, gradients) = loss.values[0].copy(), loss()
    step = 1e-6
    for i in range(len(start)):
        sides = []
        for sign in (1, -1):
            loss.values[0] = start
            loss.values[0, i] += sign * step
            sides.append(loss()[0][0])
        assert gradients[0, i] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=2e-8)


@pytest.mark.parametrize("batch_size", [64, 150, 300])
def test_batches_of_several_chunks_are_those_of_autograd(batch_size: int) -> None:
    # In float64 a chunk has 64 samples; the gradients of chunks are added up one after another.
    for kind in ("quantum", "experts", "quantum, noisy"):
        (ours, compiled), (reference, plain) = trainers(kind, 2, 301, batch_size)
        got, expected = (each.run(orders(2, 301), 1) for each in (compiled, plain))
        np.testing.assert_allclose(got.loss, expected.loss, rtol=0, atol=1e-12)
        compiled.write_back()
        for name, value in ours.parameters.items():
            torch.testing.assert_close(value, reference.parameters[name], rtol=0, atol=1e-12, msg=name)


def test_circuits_of_seven_qubits_on_few_and_on_many_samples() -> None:
    # Few samples are run with basis states in the lanes of a vector.
    def make(seed: int) -> MixtureOfExperts:
        o: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
        return MixtureOfExperts(QuantumRouter(7, 2, n_layers=1, **o), LinearExperts(7, 2, 2, **o))

    stacks = [ModelStack([make(0), make(1)]) for _ in range(2)]
    x, y = batch(stacks[0], 19)
    config, parts = TrainingConfig(1, 16), compiled_parts(stacks[0], 19, 16)
    assert parts is not None
    compiled = CompiledTrainer(stacks[0], parts, Part(x, y), None, config)
    got = compiled.run(orders(2, 19), 1)
    expected = AutogradTrainer(stacks[1], Part(x, y), None, config).run(orders(2, 19), 1)
    np.testing.assert_allclose(got.loss, expected.loss, rtol=0, atol=1e-12)
    compiled.write_back()
    for name, value in stacks[0].parameters.items():
        torch.testing.assert_close(value, stacks[1].parameters[name], rtol=0, atol=1e-12, msg=name)


# --- what a stack promises ------------------------------------------------------------------------------------------


def train(kind: str, seeds: list[int], dtype: torch.dtype, epochs: int = 4) -> tuple[list[nn.Module], TrainingResult]:
    members = [MIXTURES[kind]({"generator": torch.Generator().manual_seed(seed), "dtype": dtype}) for seed in seeds]
    n_features = members[0].router.in_features
    drawn = [torch.rand(37, n_features, generator=torch.Generator().manual_seed(seed + 90)) + 0.1 for seed in seeds]
    x = torch.stack(drawn).to(dtype)
    y = (x.sum(-1) > x.sum(-1).mean(1, keepdim=True)).long()
    return list(members), train_stack(members, x, y, TrainingConfig(epochs, 16), seeds, x[:, :9], y[:, :9])


@KINDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_gets_the_same_bits_alone_and_at_any_place(kind: str, dtype: torch.dtype) -> None:
    (alone,), expected = train(kind, [3], dtype)
    for seeds in ([3, 0], [0, 1, 2, 3]):
        members, result = train(kind, seeds, dtype)
        place = seeds.index(3)
        for history in ("loss", "running_accuracy", "test_accuracy", "train_accuracy"):
            np.testing.assert_array_equal(getattr(result, history)[place], getattr(expected, history)[0])
        for name, value in alone.named_parameters():
            assert torch.equal(members[place].get_parameter(name), value)


@pytest.mark.parametrize("kind", ["linear", "quantum", "experts"])
def test_threads_change_no_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    members, expected = train(kind, list(range(7)), torch.float32)
    began: list[int] = []
    shares = compiled_step.run_shares
    monkeypatch.setattr(compiled_step, "THREAD_OPERATIONS", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(compiled_step, "run_shares", lambda calls: began.append(len(calls)) or shares(calls))
    again, result = train(kind, list(range(7)), torch.float32)
    assert set(began) == {3}
    np.testing.assert_array_equal(result.loss, expected.loss)
    np.testing.assert_array_equal(result.test_accuracy, expected.test_accuracy)
    for model, other in zip(members, again, strict=True):
        assert all(torch.equal(value, other.get_parameter(name)) for name, value in model.named_parameters())


def test_work_that_is_small_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self) or start(self))
    train("quantum", list(range(5)), torch.float32)
    assert started == []


@pytest.mark.parametrize("at_once", [1, 2, 3, 50])
def test_how_many_epochs_run_at_once_changes_no_bit(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = train("quantum", [0, 1], torch.float32, epochs=5)
    monkeypatch.setattr(CompiledTrainer, "epochs_at_once", lambda self, left: min(left, at_once))
    members, result = train("quantum", [0, 1], torch.float32, epochs=5)
    np.testing.assert_array_equal(result.loss, expected.loss)
    np.testing.assert_array_equal(result.running_accuracy, expected.running_accuracy)
    assert result.train_accuracy.tolist() == expected.train_accuracy.tolist()
    assert len(members) == 2


@KINDS
def test_a_model_that_is_not_finite_leaves_the_others_alone(kind: str) -> None:
    good, bad = ModelStack(models(kind, 3)), ModelStack(models(kind, 3))
    x, y = batch(good, 9)
    with torch.no_grad():
        for value in bad.parameters.values():
            value[1] = math.nan
    (expected, _), (losses, gradients) = Loss(good, x, y)(), Loss(bad, x, y)()
    assert np.isnan(losses[1])
    assert np.isfinite(gradients[[0, 2]]).all()
    np.testing.assert_array_equal(losses[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize(
    "kind",
    ["linear, head", "mlp", "mlp, tanh", "quantum", "quantum, projected", "experts", "both", "twin, projected"],
)
@pytest.mark.parametrize("part", ["router", "experts", "head"])
def test_frozen_parts_stay_as_they_are(kind: str, part: str) -> None:
    stacks = []
    for _ in range(2):
        members = models(kind, 2)
        for model in members:
            if getattr(model, part) is not None:
                getattr(model, part).requires_grad_(False)
        stacks.append(ModelStack(members))
    assert_frozen_parts_stay(*stacks)


@pytest.mark.parametrize("frozen", [["quantum.weights"], ["projection.weight", "projection.bias", "quantum.weights"]])
def test_circuits_of_which_nothing_is_trained(frozen: list[str]) -> None:
    members = models("quantum, projected", 2)
    for model in members:
        for name in frozen:
            model.get_parameter(f"router.{name}").requires_grad_(False)
    assert_frozen_parts_stay(ModelStack(members), ModelStack(members))


def assert_frozen_parts_stay(ours: ModelStack, reference: ModelStack) -> None:
    """Trains both ways: what is frozen stays, all else becomes the same."""
    x, y = batch(ours, 7)
    before = {name: value.detach().clone() for name, value in ours.parameters.items()}
    config, parts = TrainingConfig(1, 4), compiled_parts(ours, 7, 4)
    assert parts is not None
    compiled = CompiledTrainer(ours, parts, Part(x, y), None, config)
    compiled.run(orders(2, 7), 2)
    compiled.write_back()
    AutogradTrainer(reference, Part(x, y), None, config).run(orders(2, 7), 2)
    for name, value in ours.parameters.items():
        assert value.requires_grad != torch.equal(value, before[name])
        torch.testing.assert_close(value, reference.parameters[name], rtol=0, atol=1e-9)


def test_accuracies_and_orders_are_looked_at_by_rows_of_any_stride() -> None:
    stack = ModelStack(models("quantum", 2))
    x, y = batch(stack, 20)
    apart = torch.empty(2, 2, 40, dtype=x.dtype).mT[:, ::2]
    apart.copy_(x)
    labels = torch.empty(20, 2, dtype=torch.int64).T
    labels.copy_(y)
    assert not apart.is_contiguous()
    assert not labels.is_contiguous()
    results = [
        train_stack(models("quantum", 2), *part, TrainingConfig(2, 8), [0, 1]) for part in ((x, y), (apart, labels))
    ]
    np.testing.assert_array_equal(results[0].loss, results[1].loss)
    np.testing.assert_array_equal(results[0].train_accuracy, results[1].train_accuracy)


# --- the rule -------------------------------------------------------------------------------------------------------


@KINDS
def test_what_compiles(kind: str) -> None:
    parts = compiled_parts(ModelStack(models(kind, 2)), 100, 32)
    assert {len(tensor) for tensor in parts.values.values()} == {2}


class Slow(NativeEngine):
    """Computes something else than its parent."""

    def evaluate(self, circuit: Circuit, *inputs: Any, **others: Any) -> Tensor:
        return super().evaluate(circuit, *inputs, **others).square()


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


class Folded(TwinRouter):
    """Other functions than its parent's, behind a map."""

    runs_stacked = True

    def features(self, x: Tensor) -> Tensor:
        return super().features(x.abs())


class Stretched(QuadraticRouter):
    """A gate on functions of which something is trained."""

    runs_stacked = True

    def __init__(self, in_features: int, n_experts: int) -> None:
        super().__init__(in_features, n_experts)
        self.stretch = nn.Parameter(torch.ones(1))

    def features(self, x: Tensor) -> Tensor:
        return super().features(self.stretch.unsqueeze(-1) * x)


@pytest.mark.parametrize(
    "model",
    [
        MixtureOfExperts(LinearRouter(2, 3), LinearExperts(2, 2, 3), top_k=1),
        MixtureOfExperts(QuantumRouter(2, 2, engine="torch"), LinearExperts(2, 2, 2)),
        MixtureOfExperts(QuantumRouter(2, 2, engine=Slow()), LinearExperts(2, 2, 2)),
        MixtureOfExperts(QuantumRouter(14, 2, n_layers=1), LinearExperts(14, 2, 2)),
        MixtureOfExperts(QuantumRouter(8, 2, n_layers=1, noise=0.1), LinearExperts(8, 2, 2)),
        MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2), head=nn.Linear(2, 2)),
        MixtureOfExperts(Squared(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(Doubled(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(Stretched(2, 2), LinearExperts(2, 2, 2)),
        MixtureOfExperts(Folded(Circuit(2, 3), 2, 3), LinearExperts(3, 2, 2)),
        MixtureOfExperts(MeanRouting(Squared(2, 2)), LinearExperts(2, 2, 2)),
        MixtureOfExperts(PermutedRouting(MeanRouting(LinearRouter(2, 2))), LinearExperts(2, 2, 2)),
        MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2)).to("meta"),
        MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2)).half(),
        LinearRouter(2, 2),
    ],
    ids=[
        "top-k",
        "torch engine",
        "own engine",
        "large circuit",
        "large noisy circuit",
        "head",
        "subclass",
        "gate",
        "functions",
        "functions behind a map",
        "mean",
        "permuted mean",
        "device",
        "dtype",
        "router",
    ],
)
def test_what_it_leaves_to_autograd(model: nn.Module) -> None:
    assert compiled_parts(ModelStack([model]), 100, 32) is None


def test_gates_on_more_functions_than_memory_should_hold_are_left_to_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = ModelStack(models("trigonometric", 1))
    assert compiled_parts(stack, compiled_step.MAX_GIVEN // 8, 32).router.n_given == 8
    assert compiled_parts(stack, compiled_step.MAX_GIVEN // 8 + 1, 32) is None


def test_batches_of_many_functions_behind_a_map_are_left_to_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = ModelStack(models("twin, projected", 1))
    monkeypatch.setattr(compiled_step, "MAX_BATCH_PRODUCTS", 8 * 300)
    assert compiled_parts(stack, 300, 1_000).router.n_inputs == 8
    assert compiled_parts(stack, 301, 301) is None
    assert compiled_parts(stack, 10_000, 32).router.n_inputs == 8
    monkeypatch.setattr(compiled_step, "MAX_BATCH_PRODUCTS", 8 * 127)  # more rows than a batch are evaluated at once
    assert compiled_parts(stack, 10_000, 32) is None


def test_batches_that_are_work_for_several_threads_are_left_to_autograd() -> None:
    stack = ModelStack([MixtureOfExperts(QuantumRouter(8, 2), LinearExperts(8, 2, 2))])
    assert compiled_parts(stack, 10_000, 32).n_features == 8
    assert compiled_parts(stack, 10_000, 4_096) is None
