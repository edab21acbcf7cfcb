"""Losses as data: what they check, what they are, and training by squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qmoe import ConfigError, LinearExperts, LinearRouter, MixtureOfExperts, ShapeError
from qmoe.training import CrossEntropy, SquaredError, TrainingConfig, train_stack

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(2, 40, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.stack([X.sin().sum(-1), X.prod(-1)], -1)


def model(seed: int) -> MixtureOfExperts:
    make: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
    return MixtureOfExperts(LinearRouter(3, 2, **make), LinearExperts(3, 2, n_experts=2, **make))


def train(models: list[MixtureOfExperts], y: torch.Tensor = Y, x: torch.Tensor = X, **options: Any) -> Any:
    config = TrainingConfig(**{"epochs": 5, "batch_size": 16, "lr": 0.05, "loss": SquaredError(), **options})
    return train_stack(models, x, y, config, range(len(models)), x, y)


def test_squared_error_is_minimised_by_plain_adam() -> None:
    ours, theirs = model(0), model(0)
    result = train([ours], Y[:1], X[:1])
    adam, losses = torch.optim.Adam(theirs.parameters(), lr=0.05), []
    order = np.random.default_rng(0)
    for _ in range(5):
        rows, total = torch.from_numpy(order.permuted(np.arange(40))), 0.0
        for batch in rows.split(16):
            adam.zero_grad()
            loss = ((theirs(X[0, batch]) - Y[0, batch]) ** 2).mean()
            loss.backward()
            adam.step()
            total += float(loss.detach())
        losses.append(total)
    np.testing.assert_allclose(result.loss[0], losses, rtol=1e-10)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=0, atol=1e-10)
    with torch.no_grad():
        score = 1 - float(((ours(X[0]) - Y[0]) ** 2).mean())
    assert result.train_accuracy[0] == result.test_accuracy[0, -1] == pytest.approx(score, abs=1e-12)


def test_a_model_ends_with_the_same_numbers_in_any_stack() -> None:
    both, alone = [model(0), model(1)], model(1)
    together = train(both)
    config = TrainingConfig(epochs=5, batch_size=16, lr=0.05, loss=SquaredError())
    single = train_stack([alone], X[1:], Y[1:], config, [1], X[1:], Y[1:])
    np.testing.assert_array_equal(together.loss[1], single.loss[0])
    for name, value in both[1].state_dict().items():
        assert torch.equal(value, alone.state_dict()[name])


def test_models_stop_by_the_held_out_loss() -> None:
    result = train([model(0), model(1)], epochs=60, lr=0.5, patience=2)
    for scores, epoch, n in zip(result.test_accuracy, result.best_epoch, result.n_epochs, strict=True):
        assert epoch == np.nanargmax(scores)
        assert n == min(60, epoch + 4) or n == 60


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y.float(), "y is torch.float32 of shape .*, expected torch.float64"),
        (Y[..., :1], r"expected torch.float64 \(that of x\) of \(2, 40, 2\)"),
        (Y[..., 0], "a number for each output of the models"),
        (torch.where(Y > 1, torch.inf, Y), "y holds values that are not finite"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        train([model(0), model(1)], y)


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"loss is 'mse', expected one of qmoe.training: CrossEntropy\(\) or SquaredError"
    ):
        TrainingConfig(loss="mse")  # type: ignore[arg-type]


def test_losses_are_data() -> None:
    assert TrainingConfig() == TrainingConfig(loss=CrossEntropy())
    assert TrainingConfig(loss=SquaredError()) != TrainingConfig()
    assert hash(SquaredError()) == hash(SquaredError())
