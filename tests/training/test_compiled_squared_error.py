"""Squared error in machine code: the same numbers as by autograd, for every kind of mixture that compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import qmoe.training.loop as loop
from qmoe import LinearExperts, MixtureOfExperts, MLPExperts, MLPRouter, QuantumExperts, QuantumRouter
from qmoe.circuits import Circuit
from qmoe.layers import Linear
from qmoe.routers import MeanRouting, PermutedRouting, StochasticRouter, TwinRouter
from qmoe.training import SquaredError, TrainingConfig, TrainingResult, train_stack

X = torch.rand(2, 50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.pi
Y = torch.stack([X.sin().prod(-1), X.cos().sum(-1), X[..., 0]], -1)


def make(seed: int, kind: str, dtype: torch.dtype) -> MixtureOfExperts:
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "dtype": dtype}
    router = QuantumRouter(2, 2, **options)
    routers = {
        "mlp": lambda: MLPRouter(2, 2, hidden=4, **options),
        "twin": lambda: TwinRouter(router.circuit, 2, **options),
        "projected": lambda: TwinRouter(Circuit(3, 2), 2, 2, **options),
        "chain": lambda: StochasticRouter(2, 2, n_layers=2, **options),
        "mean": lambda: MeanRouting(router),
        "permuted": lambda: PermutedRouting(router),
    }
    chosen = routers[kind]() if kind in routers else router
    if kind == "circuits":
        return MixtureOfExperts(chosen, QuantumExperts(2, 2, n_layers=1, **options), Linear(1, 3, **options))
    experts = MLPExperts(2, 3, n_experts=2, hidden=4, **options) if kind == "mlp" else LinearExperts(2, 3, 2, **options)
    return MixtureOfExperts(chosen, experts)


def train(kind: str) -> tuple[list[MixtureOfExperts], TrainingResult]:
    models = [make(seed, kind, torch.float64) for seed in range(2)]
    config = TrainingConfig(epochs=4, batch_size=16, lr=0.05, loss=SquaredError())
    return models, train_stack(models, X[:, :40], Y[:, :40], config, [5, 6], X[:, 40:], Y[:, 40:])


@pytest.mark.parametrize("kind", ["quantum", "mlp", "twin", "projected", "chain", "mean", "permuted", "circuits"])
def test_it_gives_the_numbers_of_autograd(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    kernel = loop.CompiledTrainer
    monkeypatch.setattr(loop, "CompiledTrainer", lambda *given: seen.append(kind) or kernel(*given))
    ours, found = train(kind)
    assert seen == [kind]
    monkeypatch.setattr(loop, "compiles", lambda loss: False)
    theirs, expected = train(kind)
    assert seen == [kind]
    for name in ("loss", "running_accuracy", "test_accuracy", "train_accuracy"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-11, atol=1e-12)
    for one, other in zip(ours, theirs, strict=True):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=1e-9)


def test_single_precision_follows_double() -> None:
    config = TrainingConfig(epochs=3, batch_size=16, lr=0.05, loss=SquaredError())
    low, high = (
        train_stack([make(0, "quantum", torch.float32).to(dtype)], X[:1].to(dtype), Y[:1].to(dtype), config, [5])
        for dtype in (torch.float32, torch.float64)
    )
    np.testing.assert_allclose(low.loss, high.loss, rtol=1e-5)
    np.testing.assert_allclose(low.running_accuracy, high.running_accuracy, rtol=0, atol=1e-5)


def test_targets_are_read_by_their_strides() -> None:
    config = TrainingConfig(epochs=2, batch_size=16, lr=0.05, loss=SquaredError())
    moved = Y.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert moved.stride() != Y.stride()
    results = [
        train_stack([make(s, "quantum", torch.float64) for s in range(2)], X, y, config, [5, 6]) for y in (Y, moved)
    ]
    np.testing.assert_array_equal(results[0].loss, results[1].loss)


class HalfSquaredError(SquaredError):
    """A loss of the user's own: half of the squared error."""

    def of_rows(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return super().of_rows(outputs, y) / 2


def test_a_loss_of_ones_own_goes_through_autograd() -> None:
    config = TrainingConfig(epochs=1, batch_size=50, lr=1e-9, loss=HalfSquaredError())
    half = train_stack([make(0, "quantum", torch.float64)], X[:1], Y[:1], config, [5])
    whole = train_stack(
        [make(0, "quantum", torch.float64)], X[:1], Y[:1], TrainingConfig(1, 50, 1e-9, loss=SquaredError()), [5]
    )
    np.testing.assert_allclose(2 * half.loss, whole.loss, rtol=1e-12)
