"""L-BFGS on the loss of all rows."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn

from qmoe import ConfigError, LinearExperts, LinearRouter, MixtureOfExperts, QuantumRouter, ShapeError
from qmoe.routers import UniformRouter
from qmoe.training import LBFGSConfig, lbfgs, minimize_stack


def options(seed: int) -> dict[str, Any]:
    return {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}


def rows(n_models: int, n: int = 60) -> tuple[Tensor, Tensor]:
    """Two classes that overlap."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, 2, generator=generator, dtype=torch.float64) * math.pi
    y = (x.sum(-1) + 1.5 * torch.randn(n, generator=generator, dtype=torch.float64) > math.pi).long()
    return x.expand(n_models, -1, -1), y.expand(n_models, -1)


def test_one_linear_expert_becomes_a_logistic_regression() -> None:
    model = MixtureOfExperts(UniformRouter(2, 1), LinearExperts(2, 2, 1, **options(0)))
    x, y = rows(1)
    result = minimize_stack([model], x, y, LBFGSConfig(tolerance=1e-9), x, y)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x[0].numpy(), y[0].numpy())
    weight, bias = model.experts.weight[0].detach(), model.experts.bias[0].detach()
    np.testing.assert_allclose(weight[1] - weight[0], theirs.coef_[0], rtol=0, atol=1e-6)
    assert float(bias[1] - bias[0]) == pytest.approx(theirs.intercept_[0], abs=1e-6)
    assert result.converged.all()
    assert result.gradient[0] <= 1e-9
    assert result.train_accuracy[0] == result.test_accuracy[0] == theirs.score(x[0].numpy(), y[0].numpy())
    assert result.failures == {}


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_losses_and_gradients_reported_are_those_of_the_models(engine: str) -> None:
    models = [
        MixtureOfExperts(QuantumRouter(2, 2, engine=engine, **options(s)), LinearExperts(2, 2, 2, **options(s + 9)))
        for s in range(2)
    ]
    x, y = rows(2)
    finished: list[int] = []
    result = minimize_stack(models, x, y, LBFGSConfig(max_iterations=15), on_model=finished.append)
    assert finished == [1, 2]
    assert (result.n_iterations == 15).all()
    assert not result.converged.any()
    for m, model in enumerate(models):
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(x[m]), y[m])
        loss.backward()
        largest = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
        assert result.loss[m] == pytest.approx(loss.item(), abs=1e-12)
        assert result.gradient[m] == pytest.approx(largest, abs=1e-12)
        assert result.train_accuracy[m] == float((model(x[m]).argmax(-1) == y[m]).double().mean())
        assert math.isnan(result.test_accuracy[m])


def test_it_comes_lower_than_it_began_and_needs_no_seed() -> None:
    def train() -> tuple[float, list[Tensor]]:
        model = MixtureOfExperts(LinearRouter(2, 2, **options(1)), LinearExperts(2, 2, 2, **options(2)))
        x, y = rows(1)
        return float(minimize_stack([model], x, y).loss[0]), list(model.parameters())

    (loss, values), (again, others) = train(), train()
    assert loss == again < 0.6
    assert all(torch.equal(a, b) for a, b in zip(values, others, strict=True))


def test_a_model_whose_loss_is_not_finite_is_named_and_keeps_its_weights() -> None:
    models = [MixtureOfExperts(LinearRouter(2, 2, **options(s)), LinearExperts(2, 2, 2, **options(s))) for s in (0, 1)]
    with torch.no_grad():
        models[0].experts.bias[0, 0] = math.nan
    before = [p.detach().clone() for p in models[0].parameters()]
    x, y = rows(2)
    result = minimize_stack(models, x, y, LBFGSConfig(50))
    assert list(result.failures) == [0]
    assert math.isnan(result.loss[0])
    assert math.isnan(result.train_accuracy[0])
    assert result.loss[1] < 0.7
    for value, old in zip(models[0].parameters(), before, strict=True):
        torch.testing.assert_close(value.detach(), old, equal_nan=True)


def test_frozen_parts_stay() -> None:
    model = MixtureOfExperts(QuantumRouter(2, 2, frozen=True, **options(0)), LinearExperts(2, 2, 2, **options(1)))
    before = model.router.quantum.weights.detach().clone()
    x, y = rows(1)
    minimize_stack([model], x, y, LBFGSConfig(20))
    assert torch.equal(model.router.quantum.weights, before)


def test_float32_is_refused_with_the_remedy() -> None:
    model = MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2))
    x, y = rows(1)
    with pytest.raises(ConfigError, match=r"torch.float32.*dtype=torch.float64"):
        minimize_stack([model], x.float(), y)


def test_data_that_do_not_fit_are_refused() -> None:
    model = MixtureOfExperts(LinearRouter(2, 2, **options(0)), LinearExperts(2, 2, 2, **options(0)))
    x, y = rows(1)
    with pytest.raises(ShapeError, match="y runs from 1 to 2"):
        minimize_stack([model], x, y + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_iterations": 0}, "max_iterations is 0"),
        ({"memory": 0}, "memory is 0"),
        ({"tolerance": 0}, "tolerance is 0, expected a number between 0 and 1"),
        ({"tolerance": math.nan}, "tolerance is nan"),
        ({"tolerance": True}, "tolerance is True"),
    ],
)
def test_bad_options_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LBFGSConfig(**change)


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_one_thread_while_scipy_searches_and_its_own_setting_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside: list[set[int]] = []
    outside: list[set[int]] = []
    search = lbfgs.minimum
    monkeypatch.setattr(lbfgs, "minimum", lambda *args, **kw: inside.append(blas_threads()) or search(*args, **kw))
    model = MixtureOfExperts(LinearRouter(2, 2, **options(0)), LinearExperts(2, 2, 2, **options(1)))
    config = LBFGSConfig(max_iterations=3)
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        minimize_stack([model], *rows(1), config, on_model=lambda _: outside.append(blas_threads()))
        assert inside == [{1}]
        assert outside == [before] == [blas_threads()]
        monkeypatch.setattr(lbfgs, "minimum", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            minimize_stack([model], *rows(1), config)
        assert blas_threads() == before
