"""The loop: against plain PyTorch, its histories, failures and refusals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers import generator
from qmoe import ConfigError, LinearExperts, LinearRouter, MixtureOfExperts, QuantumRouter, ShapeError
from qmoe.seeding import child, numpy_generator
from qmoe.training import ModelStack, TrainingConfig, accuracy, train_stack


def mixture(seed: int = 0, dtype: torch.dtype = torch.float64) -> MixtureOfExperts:
    options: dict[str, Any] = {"generator": generator(seed), "dtype": dtype}
    return MixtureOfExperts(LinearRouter(2, 2, **options), LinearExperts(2, 2, 2, **options))


def blobs(n_models: int, n: int, n_classes: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    y = torch.randint(n_classes, (n_models, n), generator=generator(seed))
    x = torch.randn(n_models, n, 2, generator=generator(seed + 1), dtype=torch.float64) * 0.3
    return x + torch.stack([y, -y], -1), y


# --- against plain PyTorch ------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """The mixture of two linear experts, written out."""

    def __init__(self, moe: MixtureOfExperts) -> None:
        super().__init__()
        self.gate, self.a, self.b = (nn.Linear(2, 2, dtype=torch.float64) for _ in range(3))
        state = moe.state_dict()
        self.gate.load_state_dict({"weight": state["router.weight"], "bias": state["router.bias"]})
        for e, expert in enumerate((self.a, self.b)):
            expert.load_state_dict({"weight": state["experts.weight"][e], "bias": state["experts.bias"][e]})

    def forward(self, x: Tensor) -> Tensor:
        g = torch.softmax(self.gate(x), 1)
        return g[:, :1] * self.a(x) + g[:, 1:] * self.b(x)


@pytest.mark.parametrize("batch_size", [8, 10, 30, 64])
def test_training_equals_a_plain_pytorch_loop(batch_size: int) -> None:
    epochs, n = 5, 30
    models = [mixture(seed) for seed in range(3)]
    plain = [Plain(model) for model in models]
    x, y = blobs(3, n)
    seeds = [child(7, k) for k in range(3)]
    result = train_stack(models, x, y, TrainingConfig(epochs, batch_size, 0.1), seeds)
    for m, net in enumerate(plain):
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        order = numpy_generator(seeds[m])
        for epoch in range(epochs):
            total, right = 0.0, 0
            permutation = torch.from_numpy(order.permuted(np.arange(n)))
            for start in range(0, n, batch_size):
                rows = permutation[start : start + batch_size]
                logits = net(x[m, rows])
                loss = nn.functional.cross_entropy(logits, y[m, rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
                right += int((logits.argmax(1) == y[m, rows]).sum())
            assert result.loss[m, epoch] == pytest.approx(total, abs=1e-9)
            assert result.running_accuracy[m, epoch] == pytest.approx(right / n, abs=1e-15)
        assert result.train_accuracy[m] == float((net(x[m]).argmax(1) == y[m]).double().mean())
        trained = models[m].state_dict()
        for name, expected in (
            ("router.weight", net.gate.weight),
            ("router.bias", net.gate.bias),
            ("experts.weight", torch.stack([net.a.weight, net.b.weight])),
            ("experts.bias", torch.stack([net.a.bias, net.b.bias])),
        ):
            torch.testing.assert_close(trained[name], expected.detach(), rtol=0, atol=1e-9)


def test_a_quantum_router_learns_xor() -> None:
    x = torch.rand(1, 200, 2, generator=generator(0), dtype=torch.float64) * math.pi
    y = ((x[..., 0] - math.pi / 2) * (x[..., 1] - math.pi / 2) > 0).long()
    model = MixtureOfExperts(
        QuantumRouter(2, 2, generator=generator(1), dtype=torch.float64),
        LinearExperts(2, 2, 2, generator=generator(2), dtype=torch.float64),
    )
    result = train_stack([model], x[:, :150], y[:, :150], TrainingConfig(30), [0], x[:, 150:], y[:, 150:])
    assert result.test_accuracy[0, -1] >= 0.88


# --- histories ------------------------------------------------------------------------------------------------------


def test_histories_have_a_row_per_model_and_a_column_per_epoch() -> None:
    (x, y), (x_test, y_test), finished = blobs(2, 20), blobs(2, 7, seed=5), []
    models = [mixture(seed) for seed in range(2)]
    result = train_stack(
        models, x, y, TrainingConfig(3, 8), [0, 1], x_test, y_test, lambda epoch, *_: finished.append(epoch)
    )
    assert result.loss.shape == result.running_accuracy.shape == result.test_accuracy.shape == (2, 3)
    assert result.train_accuracy.shape == (2,)
    assert finished == [1, 2, 3]
    assert result.failures == {}
    assert result.seconds > 0
    for m, model in enumerate(models):
        assert result.test_accuracy[m, -1] == float((model(x_test[m]).argmax(1) == y_test[m]).double().mean())
        assert result.train_accuracy[m] == float((model(x[m]).argmax(1) == y[m]).double().mean())


@pytest.mark.parametrize("rows", [None, 0])
def test_without_a_test_part_there_is_no_test_accuracy(rows: int | None) -> None:
    x, y = blobs(1, 20)
    test = (None, None) if rows is None else (x[:, :0], y[:, :0])
    result = train_stack([mixture()], x, y, TrainingConfig(2), [0], *test)
    assert np.isnan(result.test_accuracy).all()


@pytest.mark.parametrize("wrapped", [False, True], ids=["compiled", "autograd"])
def test_evaluation_at_the_end_finds_the_last_accuracy_alone_and_changes_nothing_else(wrapped: bool) -> None:
    x, y = blobs(3, 30)
    x_test, y_test = blobs(3, 77, seed=5)
    results = []
    for evaluate in ("epoch", "end"):
        models: list[nn.Module] = [mixture(seed) for seed in range(2)] + [poisoned()]
        models = [nn.Sequential(model) for model in models] if wrapped else models
        config = TrainingConfig(4, 8, 0.1, evaluate=evaluate)  # type: ignore[arg-type]
        results.append(train_stack(models, x, y, config, [0, 1, 2], x_test, y_test))
    each, end = results
    np.testing.assert_array_equal(end.loss, each.loss)
    np.testing.assert_array_equal(end.running_accuracy, each.running_accuracy)
    np.testing.assert_array_equal(end.train_accuracy, each.train_accuracy)
    np.testing.assert_array_equal(end.test_accuracy[:, -1], each.test_accuracy[:, -1])
    assert np.isnan(end.test_accuracy[:, :-1]).all()
    assert np.isfinite(end.test_accuracy[:2, -1]).all()
    assert list(end.failures) == list(each.failures) == [2]


def test_stopping_needs_an_accuracy_after_every_epoch() -> None:
    with pytest.raises(ConfigError, match=r"patience is 3, .* drop evaluate='end'"):
        TrainingConfig(patience=3, evaluate="end")
    with pytest.raises(ConfigError, match="'never', expected 'epoch' or 'end'"):
        TrainingConfig(evaluate="never")  # type: ignore[arg-type]


def test_held_out_rows_do_not_influence_training() -> None:
    x, y = blobs(1, 20)
    a, b = mixture(), mixture()
    train_stack([a], x, y, TrainingConfig(2), [0])
    train_stack([b], x, y, TrainingConfig(2), [0], *blobs(1, 9, seed=5))
    assert all(torch.equal(p, b.get_parameter(n)) for n, p in a.named_parameters())


def test_data_are_left_alone() -> None:
    x, y = blobs(1, 20)
    before = x.clone(), y.clone()
    train_stack([mixture()], x, y, TrainingConfig(2), [0])
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_order_seeds_decide_the_batches() -> None:
    x, y = blobs(1, 20)
    losses = [train_stack([mixture()], x, y, TrainingConfig(2, 4), [seed]).loss for seed in (0, 0, 1)]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_accuracy_in_chunks_equals_accuracy_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs(3, 50)
    stack = ModelStack([mixture(seed) for seed in range(3)])
    at_once = accuracy(stack, x, y)
    monkeypatch.setattr("qmoe.training.autograd_trainer.EVALUATION_ROWS", 7)
    np.testing.assert_array_equal(accuracy(stack, x, y), at_once)


# --- failures -------------------------------------------------------------------------------------------------------


def poisoned(seed: int = 0) -> MixtureOfExperts:
    model = mixture(seed)
    with torch.no_grad():
        model.router.get_parameter("bias")[0] = math.nan
    return model


def test_a_failing_model_is_named_and_leaves_the_others_alone() -> None:
    x, y = blobs(3, 20)
    config = TrainingConfig(4, 8)
    good = [mixture(0), mixture(1), mixture(2)]
    expected = train_stack(good, x, y, config, [0, 1, 2])
    models = [mixture(0), poisoned(1), mixture(2)]
    result = train_stack(models, x, y, config, [0, 1, 2], x, y)
    assert result.failures == {1: "the loss was nan in epoch 0; try a lower lr."}
    for m in (0, 2):
        np.testing.assert_allclose(result.loss[m], expected.loss[m], rtol=0, atol=1e-12)
        assert result.train_accuracy[m] == expected.train_accuracy[m]
        for name, value in good[m].named_parameters():
            torch.testing.assert_close(models[m].get_parameter(name), value, rtol=0, atol=1e-12)
    for history in (result.loss, result.running_accuracy, result.test_accuracy, result.train_accuracy):
        assert np.isnan(history[1]).all()


class Root(nn.Module):
    """Finite from 0 on; its gradient is not finite at 0."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), start, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.sqrt() * x


def test_a_failure_gives_the_same_alone_and_in_a_stack() -> None:
    x, y = blobs(2, 40)
    y[0] = 1 - y[0]  # these labels drive the weights up, the others down, through 0
    config = TrainingConfig(5, 8)
    alone, (first, second) = Root(1.0), (Root(1.0), Root(1.0))
    expected = train_stack([alone], x[1:], y[1:], config, [1])
    result = train_stack([first, second], x, y, config, [0, 1])
    assert list(result.failures) == [1]
    assert result.failures[1] == expected.failures[0]
    failed = int(np.isnan(expected.loss[0]).argmax())
    assert f"in epoch {failed}" in result.failures[1]
    assert 0 < failed < 4
    for history in ("loss", "running_accuracy", "train_accuracy"):
        np.testing.assert_array_equal(getattr(result, history)[1], getattr(expected, history)[0])
    assert np.isnan(result.running_accuracy[1, failed:]).all()
    assert torch.equal(alone.weight, second.weight)
    assert np.isfinite(result.loss[0]).all()


def test_a_failed_model_keeps_its_first_weights() -> None:
    x, y = blobs(1, 20)
    model, before = poisoned(), poisoned().state_dict()
    train_stack([model], x, y, TrainingConfig(2), [0])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


def test_training_stops_once_every_model_failed() -> None:
    (x, y), seen = blobs(2, 20), []
    models, watch = [poisoned(), poisoned()], lambda *given: seen.append(given)
    result = train_stack(models, x, y, TrainingConfig(50), [0, 1], on_epoch=watch)
    assert [epoch for epoch, _, _ in seen] == [1]
    assert np.isnan(seen[0][1:]).all()
    assert set(result.failures) == {0, 1}
    assert np.isnan(result.loss).all(), "epochs that did not happen must not have a loss of 0"


def test_weights_that_break_in_the_last_step_are_a_failure() -> None:
    x, y = blobs(1, 20)
    result = train_stack([Root(0.0)], x, y, TrainingConfig(1, 20), [0])
    assert np.isfinite(result.loss).all()
    assert result.failures == {0: "the outputs were not finite after the last epoch; try a lower lr."}
    assert np.isnan(result.train_accuracy).all()


# --- refusals -------------------------------------------------------------------------------------------------------

X, Y = blobs(2, 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[0]}, r"x has shape \(20, 2\), expected \(2, N, F\)"),
        ({"x": X[:1]}, r"x has shape \(1, 20, 2\), expected \(2, N, F\)"),
        ({"x": X[:, :0], "y": Y[:, :0]}, "N of at least 1"),
        ({"x": X[..., :1]}, "one column per feature"),
        ({"x": X.float()}, "x is torch.float32, the parameter router.weight is torch.float64"),
        ({"x": X.log()}, r"x holds \d+ value\(s\) that are not finite, the first is nan at index \(0, "),
        ({"y": Y[:, :-1]}, r"y is torch.int64 of shape \(2, 19\), expected torch.int64 of \(2, 20\)"),
        ({"y": Y.double()}, "y is torch.float64"),
        ({"y": Y + 1}, r"y runs from 1 to 2, but the models have 2 output\(s\)"),
        ({"y": Y - 1}, "y runs from -1 to 0"),
        ({"order_seeds": [0]}, r"1 order_seeds for 2 model\(s\)"),
        ({"x_test": X}, "Got one of x_test and y_test"),
        ({"x_test": X, "y_test": Y[:, :3]}, "y_test is torch.int64 of shape"),
        ({"x_test": X[:1], "y_test": Y[:1]}, "x_test has shape"),
        ({"x_test": X.float(), "y_test": Y}, "x_test is torch.float32"),
        ({"x_test": X, "y_test": Y * 5}, "y_test runs from 0 to 5"),
    ],
)
def test_data_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"x": X, "y": Y, "config": TrainingConfig(1), "order_seeds": [0, 1], **change}
    with pytest.raises(ShapeError, match=message):
        train_stack([mixture(0), mixture(1)], **arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"lr": 0.0}, "lr is 0.0, expected a positive number"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": math.inf}, "lr is inf"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**options)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(ConfigError, match=f"A seed is {seed!r}, expected an integer of at least 0"):
        train_stack([mixture()], X[:1], Y[:1], TrainingConfig(epochs=1), [seed])
