"""Early stopping and weights of rows in stacks: each model by its own numbers alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import generator
from qmoe import ConfigError, LinearExperts, MixtureOfExperts, MLPExperts, MLPRouter, QuantumRouter, ShapeError
from qmoe.training import TrainingConfig, train_stack

CONFIG = TrainingConfig(epochs=30, batch_size=8, lr=0.1, patience=3)


def make(kind: str, seed: int) -> MixtureOfExperts:
    options: dict[str, Any] = {"generator": generator(seed), "dtype": torch.float64}
    if kind == "quantum":
        return MixtureOfExperts(QuantumRouter(2, 2, **options), LinearExperts(2, 2, 2, **options))
    return MixtureOfExperts(MLPRouter(2, 2, hidden=4, **options), MLPExperts(2, 2, 2, hidden=4, **options), top_k=1)


def data(seeds: list[int], n: int) -> tuple[Tensor, Tensor]:
    x = torch.stack([torch.rand(n, 2, generator=generator(seed), dtype=torch.float64) * math.pi for seed in seeds])
    return x, ((x[..., 0] - math.pi / 2) * (x[..., 1] - math.pi / 2) > 0).long()


def run(kind: str, seeds: list[int], config: TrainingConfig = CONFIG, **options: Any) -> Any:
    models = [make(kind, seed) for seed in seeds]
    x, y = data([100 + s for s in seeds], 40)
    x_test, y_test = data([200 + s for s in seeds], 20)
    return models, train_stack(models, x, y, config, seeds, x_test, y_test, **options), (x, y, x_test, y_test)


KINDS = pytest.mark.parametrize("kind", ["quantum", "mlp"])


@KINDS
def test_a_model_stops_alike_alone_and_in_any_stack(kind: str) -> None:
    models, together, _ = run(kind, [0, 1, 2, 3])
    assert len(set(together.n_epochs.tolist())) > 1, "the test needs models that stop at different epochs"
    for seed in range(4):
        (alone,), result, _ = run(kind, [seed])
        assert result.n_epochs[0] == together.n_epochs[seed]
        assert result.best_epoch[0] == together.best_epoch[seed]
        for name, value in alone.named_parameters():
            torch.testing.assert_close(models[seed].get_parameter(name), value, rtol=0, atol=1e-9)


@KINDS
def test_histories_end_where_models_stop_and_weights_are_those_of_the_best_epoch(kind: str) -> None:
    models, result, (x, y, x_test, y_test) = run(kind, [0, 1, 2])
    assert not result.failures
    for i, model in enumerate(models):
        n, best = int(result.n_epochs[i]), int(result.best_epoch[i])
        scores = result.test_accuracy[i]
        assert np.isfinite(scores[:n]).all()
        assert np.isnan(scores[n:]).all()
        assert np.isnan(result.loss[i, n:]).all()
        assert best == int(np.argmax(scores[:n]))
        assert n in (best + 1 + 4, 30)
        for rows, labels, expected in ((x, y, result.train_accuracy[i]), (x_test, y_test, scores[best])):
            assert float((model(rows[i]).argmax(-1) == labels[i]).double().mean()) == expected


def test_without_patience_all_epochs_are_run() -> None:
    _, result, _ = run("quantum", [0, 1], TrainingConfig(epochs=3, batch_size=8))
    assert result.n_epochs.tolist() == [3, 3]
    assert result.best_epoch is None


def test_a_model_that_fails_is_told_from_one_that_stops() -> None:
    wild = TrainingConfig(epochs=12, batch_size=8, lr=1e30, patience=2)
    _, result, _ = run("mlp", [0, 1], wild)
    assert set(result.failures) <= {0, 1}
    for index in result.failures:
        assert np.isnan(result.train_accuracy[index])


@pytest.mark.parametrize("given", [{"patience": 0}, {"patience": 1.5}, {"tolerance": -1.0}, {"tolerance": "little"}])
def test_bad_rules_are_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        TrainingConfig(**given)


def test_stopping_needs_something_to_stop_by() -> None:
    x, y = data([0], 12)
    with pytest.raises(ConfigError, match="patience is 3, but there is no test part"):
        train_stack([make("quantum", 0)], x, y, CONFIG, [0])


# --- weights ---------------------------------------------------------------------------------------------------------


@KINDS
def test_weights_of_1_are_no_weights(kind: str) -> None:
    config = TrainingConfig(epochs=3, batch_size=8)
    models, weighed, _ = run(kind, [0, 1], config, sample_weight=torch.ones(2, 40, dtype=torch.float64))
    plain, expected, _ = run(kind, [0, 1], config)
    np.testing.assert_allclose(weighed.loss, expected.loss, rtol=0, atol=1e-9)
    for one, other in zip(models, plain, strict=True):
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-9)


def test_weights_in_a_batch_of_all_rows_count_rows_twice() -> None:
    x, y = data([3], 10)
    twice = torch.cat([x, x[:, :4]], 1), torch.cat([y, y[:, :4]], 1)
    weight = torch.ones(1, 10, dtype=torch.float64)
    weight[:, :4] = 2
    config = TrainingConfig(epochs=5, batch_size=14, lr=0.1)
    first, second = make("quantum", 3), make("quantum", 3)
    train_stack([first], x, y, config, [0], sample_weight=weight * 10 / 14)
    train_stack([second], *twice, config, [0])
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(1, 39, dtype=torch.float64), r"shape \(1, 39\), expected .*\(1, 40\)"),
        (torch.ones(1, 40), "torch.float32 of shape .*, expected torch.float64"),
        (torch.full((1, 40), -1.0, dtype=torch.float64), "at least 0"),
        (torch.full((1, 40), math.nan, dtype=torch.float64), "finite"),
        (torch.zeros(1, 40, dtype=torch.float64), "one above 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weight: Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        run("quantum", [0], sample_weight=weight)
