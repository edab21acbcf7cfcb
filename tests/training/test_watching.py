"""``on_epoch``: sees every epoch, may end the training there, and changes no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
import torch
from test_stopping import KINDS, make, run

from qmoe.training import TrainingConfig

PLAIN = TrainingConfig(epochs=6, batch_size=8)
NAMES = "loss", "running_accuracy", "test_accuracy", "train_accuracy", "n_epochs"


class Watch:
    """Keeps what it is told, and answers True at one epoch."""

    def __init__(self, until: int | None = None) -> None:
        self.until, self.seen = until, list[tuple[int, np.ndarray, np.ndarray]]()

    def __call__(self, epoch: int, losses: np.ndarray, accuracies: np.ndarray) -> bool:
        self.seen.append((epoch, losses, accuracies))
        return epoch == self.until


def same(one: Any, other: Any) -> None:
    """Models of two runs have equal weights, to the last bit."""
    for p, q in zip(one, other, strict=True):
        for name, value in p.state_dict().items():
            assert torch.equal(value, q.state_dict()[name])


@KINDS
@pytest.mark.parametrize("config", [PLAIN, TrainingConfig(epochs=30, batch_size=8, patience=3)])
def test_every_epoch_is_seen_and_no_number_changes(kind: str, config: TrainingConfig) -> None:
    watch = Watch()
    watched, result, _ = run(kind, [0, 1], config, on_epoch=watch)
    plain, expected, _ = run(kind, [0, 1], config)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
    same(watched, plain)
    n = int(expected.n_epochs.max())
    assert [epoch for epoch, _, _ in watch.seen] == list(range(1, n + 1))
    np.testing.assert_array_equal(np.stack([losses for _, losses, _ in watch.seen], 1), result.loss[:, :n])
    np.testing.assert_array_equal(np.stack([shares for _, _, shares in watch.seen], 1), result.test_accuracy[:, :n])


@KINDS
def test_where_nothing_is_evaluated_by_epochs_the_running_accuracies_are_seen(kind: str) -> None:
    watch = Watch()
    _, result, _ = run(kind, [0, 1], TrainingConfig(epochs=4, batch_size=8, evaluate="end"), on_epoch=watch)
    np.testing.assert_array_equal(np.stack([shares for _, _, shares in watch.seen], 1), result.running_accuracy)


@KINDS
@pytest.mark.parametrize("evaluate", ["epoch", "end"])
def test_true_ends_the_training_as_if_it_had_been_that_long(kind: str, evaluate: Any) -> None:
    config = TrainingConfig(epochs=6, batch_size=8, evaluate=evaluate)
    stopped, result, _ = run(kind, [0, 1], config, on_epoch=Watch(until=2))
    short, expected, _ = run(kind, [0, 1], TrainingConfig(epochs=2, batch_size=8, evaluate=evaluate))
    same(stopped, short)
    assert result.failures == {}
    assert result.n_epochs.tolist() == [2, 2]
    np.testing.assert_array_equal(result.train_accuracy, expected.train_accuracy)
    for name in ("loss", "running_accuracy", "test_accuracy"):
        assert getattr(result, name).shape == (2, 6)
        np.testing.assert_array_equal(getattr(result, name)[:, :2], getattr(expected, name))
        assert np.isnan(getattr(result, name)[:, 2:]).all()


def test_stopped_with_patience_the_best_epoch_so_far_is_kept() -> None:
    config = TrainingConfig(epochs=30, batch_size=8, patience=20)
    _, result, _ = run("quantum", [0, 1], config, on_epoch=Watch(until=5))
    assert result.n_epochs.tolist() == [5, 5]
    assert result.best_epoch.tolist() == np.argmax(result.test_accuracy[:, :5], 1).tolist()


@KINDS
def test_what_it_raises_comes_through_and_leaves_the_first_weights(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("test_stopping.make", lambda kind, seed: made.append(make(kind, seed)) or made[-1])

    def fail(epoch: int, losses: np.ndarray, accuracies: np.ndarray) -> None:
        raise optuna.TrialPruned(f"at {epoch}")

    with pytest.raises(optuna.TrialPruned, match="at 1"):
        run(kind, [0, 1], PLAIN, on_epoch=fail)
    same(made, [make(kind, 0), make(kind, 1)])
