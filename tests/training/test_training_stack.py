"""What a stack promises: a trial gives the same numbers alone and in any company."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers import generator
from qmoe import (
    ConfigError,
    LinearExperts,
    LinearRouter,
    MixtureOfExperts,
    MLPExperts,
    MLPRouter,
    NoiseModel,
    QuantumExperts,
    QuantumRouter,
    ShapeError,
    UniformRouter,
)
from qmoe.layers import Linear
from qmoe.training import ModelStack, TrainingConfig, TrainingResult, train_stack

CONFIG = TrainingConfig(epochs=4, batch_size=8, lr=0.1)
NOISE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.75)


def make(kind: str, seed: int, dtype: torch.dtype) -> MixtureOfExperts:
    """Trial ``seed`` of a kind of model; noisy ones differ in the strength of their noise too."""
    options: dict[str, Any] = {"generator": generator(100 + seed), "dtype": dtype}
    if kind == "linear":
        return MixtureOfExperts(LinearRouter(2, 2, **options), LinearExperts(2, 2, 2, **options))
    if kind == "mlp":
        return MixtureOfExperts(MLPRouter(2, 2, hidden=4, **options), MLPExperts(2, 2, 2, hidden=4, **options), top_k=1)
    if kind == "experts":
        crew = QuantumExperts(2, 3, **options)
        return MixtureOfExperts(UniformRouter(2, 3), crew, Linear(crew.out_features, 2, **options))
    noise = NOISE[seed] if kind == "noisy" else None
    return MixtureOfExperts(QuantumRouter(2, 2, noise=noise, **options), LinearExperts(2, 2, 2, **options))


def data(seeds: list[int], dtype: torch.dtype, n: int = 27) -> tuple[Tensor, Tensor]:
    """Two interleaved classes for each trial; 27 rows leave a last batch of 3."""
    rows = [torch.rand(n, 2, generator=generator(seed), dtype=torch.float64) * math.pi for seed in seeds]
    x = torch.stack(rows)
    return x.to(dtype), ((x[..., 0] - math.pi / 2) * (x[..., 1] - math.pi / 2) > 0).long()


def train(kind: str, seeds: list[int], dtype: torch.dtype = torch.float64) -> tuple[list[nn.Module], TrainingResult]:
    models: list[nn.Module] = [make(kind, seed, dtype) for seed in seeds]
    x, y = data(seeds, dtype)
    x_test, y_test = data([seed + 50 for seed in seeds], dtype, 11)
    return models, train_stack(models, x, y, CONFIG, seeds, x_test, y_test)


KINDS = pytest.mark.parametrize("kind", ["linear", "mlp", "quantum", "noisy", "experts"])


@KINDS
def test_a_trial_gives_the_same_numbers_alone_and_at_any_place_of_a_stack(kind: str) -> None:
    (alone,), expected = train(kind, [3])
    for seeds in ([3, 0], [0, 1, 3, 2, 4], [5, 4, 2, 1, 0, 3]):
        models, result = train(kind, seeds)
        place = seeds.index(3)
        np.testing.assert_allclose(result.loss[place], expected.loss[0], rtol=0, atol=1e-9)
        for history in ("running_accuracy", "test_accuracy", "train_accuracy"):
            np.testing.assert_array_equal(getattr(result, history)[place], getattr(expected, history)[0])
        for name, value in alone.named_parameters():
            torch.testing.assert_close(models[place].get_parameter(name), value, rtol=0, atol=1e-9)


@KINDS
def test_in_float32_a_trial_has_the_same_accuracy_in_any_stack(kind: str) -> None:
    _, expected = train(kind, [3], torch.float32)
    for seeds in ([3, 0], [0, 1, 3, 2, 4]):
        _, result = train(kind, seeds, torch.float32)
        assert result.train_accuracy[seeds.index(3)] == expected.train_accuracy[0]
        assert result.test_accuracy[seeds.index(3), -1] == expected.test_accuracy[0, -1]


def test_noise_of_each_model_is_its_own() -> None:
    models = [make("noisy", seed, torch.float64) for seed in range(6)]
    x, _ = data(list(range(6)), torch.float64)
    out = ModelStack(models)(x)
    for i, model in enumerate(models):
        torch.testing.assert_close(out[i], model(x[i]), rtol=0, atol=1e-13)


def test_two_runs_are_equal_to_the_last_bit() -> None:
    (first, *_), a = train("quantum", [0, 1])
    (again, *_), b = train("quantum", [0, 1])
    np.testing.assert_array_equal(a.loss, b.loss)
    assert all(torch.equal(p, again.get_parameter(n)) for n, p in first.named_parameters())


# --- the stack itself -----------------------------------------------------------------------------------------------


def test_models_are_left_alone_until_written_back() -> None:
    models = [make("quantum", seed, torch.float64) for seed in range(2)]
    before = [[p.clone() for p in model.parameters()] for model in models]
    stack = ModelStack(models)
    with torch.no_grad():
        for value in stack.parameters.values():
            value += 1
    for model, values in zip(models, before, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(model.parameters(), values, strict=True))
    stack.write_back(skip={1})
    assert all(torch.equal(p, q + 1) for p, q in zip(models[0].parameters(), before[0], strict=True))
    assert all(torch.equal(p, q) for p, q in zip(models[1].parameters(), before[1], strict=True))
    assert len(stack) == 2


def quantum(**options: Any) -> QuantumRouter:
    return QuantumRouter(2, 2, **options)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "at least one model"),
        ([LinearRouter(2, 2), LinearRouter(2, 3)], "Model 1 has other parameters than model 0"),
        ([LinearRouter(2, 2), LinearRouter(2, 2, dtype=torch.float64)], "other parameters"),
        ([LinearRouter(2, 2), LinearRouter(2, 2), UniformRouter(2, 2)], "Model 2 has other parameters"),
    ],
)
def test_models_of_different_shapes_are_refused(models: list[nn.Module], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelStack(models)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (quantum(), quantum(ansatz="no_entangler"), "ansatz=NoEntangler"),
        (quantum(), quantum(encoding="amplitude", n_qubits=2), "AmplitudeEncoding"),
        (quantum(noise=0.1), quantum(noise=NoiseModel(0.1, "gate")), "placement='gate'"),
        (quantum(noise=0.1), quantum(noise=NoiseModel(0.1, dephasing="all")), "dephasing='all'"),
        (
            quantum(noise=NoiseModel(dephasing="encoding")),
            quantum(noise=NoiseModel(dephasing="layers")),
            "dephasing='layers'",
        ),
        (MLPRouter(2, 2), MLPRouter(2, 2, activation="tanh"), "activation=tanh, model 0 has relu"),
        (
            MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2)),
            MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2), top_k=1),
            "top_k=1, model 0 has None",
        ),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "type=Tanh"),
    ],
)
def test_models_that_compute_differently_are_refused(first: nn.Module, second: nn.Module, message: str) -> None:
    # Parameters of one shape: as one stack, both would run as the first.
    with pytest.raises(ConfigError, match=message):
        ModelStack([first, second])


# --- what a stack must not lose -------------------------------------------------------------------------------------


def test_frozen_parameters_stay_as_they_are() -> None:
    models = [make("quantum", seed, torch.float64) for seed in range(2)]
    for model in models:
        model.router.requires_grad_(False)
    before = [p.clone() for p in models[0].router.parameters()]
    experts = [p.clone() for p in models[0].experts.parameters()]
    x, y = data([0, 1], torch.float64)
    train_stack(models, x, y, CONFIG, [0, 1])
    assert all(torch.equal(p, q) for p, q in zip(models[0].router.parameters(), before, strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(models[0].experts.parameters(), experts, strict=True))


def test_models_of_which_one_is_frozen_are_refused() -> None:
    models = [make("quantum", seed, torch.float64) for seed in range(2)]
    models[1].router.requires_grad_(False)
    with pytest.raises(ConfigError, match="requires_grad=False, model 0 has True"):
        ModelStack(models)


def test_nothing_to_train_is_said() -> None:
    model = make("linear", 0, torch.float64)
    model.requires_grad_(False)
    x, y = data([0], torch.float64)
    with pytest.raises(ConfigError, match="nothing to train"):
        train_stack([model], x, y, CONFIG, [0])


class Powers(LinearRouter):
    """A router of someone else's, with an option in a list; it makes no promise about stacks."""

    def __init__(self, powers: list[int], **options: Any) -> None:
        super().__init__(2, 2, **options)
        self.powers = powers

    def logits(self, x: Tensor) -> Tensor:
        return super().logits(x ** self.powers[0])


def test_a_router_of_a_user_runs_in_a_stack_as_it_does_alone() -> None:
    options = [{"generator": generator(seed), "dtype": torch.float64} for seed in range(3)]
    models = [Powers([2], **o) for o in options]
    x, _ = data([0, 1, 2], torch.float64)
    out = ModelStack(models)(x)
    for i, model in enumerate(models):
        torch.testing.assert_close(out[i], model(x[i]), rtol=0, atol=1e-13)


def test_options_in_lists_and_tensors_count_as_options() -> None:
    with pytest.raises(ConfigError, match=r"powers=\[3\], model 0 has \[2\]"):
        ModelStack([Powers([2]), Powers([3])])
    first, second = LinearRouter(2, 2), LinearRouter(2, 2)
    first.scale, second.scale = torch.ones(2), torch.zeros(2)  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="scale"):
        ModelStack([first, second])


def test_hooks_and_tied_parameters_are_refused() -> None:
    hooked = LinearRouter(2, 2)
    hooked.register_forward_hook(lambda *_: None)
    with pytest.raises(ConfigError, match="hooks"):
        ModelStack([hooked])
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    with pytest.raises(ConfigError, match="one tensor"):
        ModelStack([tied])


def test_one_model_may_do_what_a_batch_of_them_cannot() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 2)).double()
    x, y = data([0], torch.float64)
    assert np.isfinite(train_stack([model], x, y, CONFIG, [0]).loss).all()


def test_a_row_that_cannot_be_encoded_is_named_before_training() -> None:
    model = MixtureOfExperts(UniformRouter(2, 2), QuantumExperts(2, 2, n_qubits=1), Linear(1, 2))
    x, y = data([0], torch.float32)
    x[0, 5] = 0
    with pytest.raises(ShapeError, match="all zeros"):
        train_stack([model], x, y, CONFIG, [0])
