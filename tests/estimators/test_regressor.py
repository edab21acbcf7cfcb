"""The regressor: what it learns, its targets, weights, early stopping and warm starts; `route` of both kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score

from qmoe import ConfigError, LinearExperts, MLPRouter, QMoEClassifier, QMoERegressor, ShapeError
from qmoe.routers import ROUTERS

X, Y = make_friedman1(80, n_features=5, noise=0.1, random_state=0)


def quick(*args: Any, **options: Any) -> QMoERegressor:
    return QMoERegressor(*args, **{"epochs": 2, "random_state": 0, **options})


@pytest.mark.parametrize("router", ["quantum", "mlp"])
def test_it_learns_on_new_rows(router: str) -> None:
    x, y = make_friedman1(300, n_features=5, noise=0.1, random_state=1)
    model = QMoERegressor(router, random_state=0).fit(x[:150], y[:150])
    assert model.score(x[150:], y[150:]) > 0.75
    assert model.score(x, y) == r2_score(y, model.predict(x))


@pytest.mark.parametrize("router", sorted(ROUTERS))
@pytest.mark.parametrize("kind", [QMoEClassifier, QMoERegressor])
def test_every_router_by_name(kind: Any, router: str) -> None:
    model = kind(router, epochs=1, random_state=0).fit(X[:30, :2], Y[:30] > 14)
    weights = model.route(X[:, :2])
    assert weights.shape == (80, 2)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=0, atol=1e-12)


def test_router_and_experts_may_be_objects() -> None:
    router = MLPRouter(5, 3, hidden=4, generator=torch.Generator().manual_seed(0))
    experts = LinearExperts(5, 7, n_experts=3, generator=torch.Generator().manual_seed(1))
    model = quick(router, experts, n_experts=3).fit(X, Y)
    assert model.module_.head.weight.shape == (1, 7)
    assert model.module_.router.hidden == 4
    assert {p.dtype for p in (*router.parameters(), *experts.parameters())} == {torch.float32}


def test_what_routes_where_is_what_the_mixture_uses() -> None:
    model = quick("mlp", n_experts=4, top_k=2, epochs=5).fit(X, Y)
    weights = model.route(X)
    assert ((weights > 0).sum(1) == 2).all()
    np.testing.assert_allclose(weights.sum(1), 1, rtol=0, atol=1e-12)
    rows = torch.from_numpy(model.scaler_(X))
    with torch.no_grad():
        mixed = np.einsum("ne,neo->no", weights, model.module_.experts(rows).numpy())
    expected = mixed[:, 0] * model.target_scale_ + model.target_mean_
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-10)


def test_several_targets_are_fitted_at_once_and_come_back_in_shape() -> None:
    both = np.c_[Y, 1000.0 - 50.0 * Y]
    model = quick(epochs=40, lr=0.1).fit(X, both)
    assert model.predict(X).shape == (80, 2)
    assert model.score(X, both) > 0.8
    assert quick().fit(X, Y[:, None]).predict(X).shape == (80, 1)
    np.testing.assert_allclose(model.target_mean_, both.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.target_scale_, both.std(0), rtol=1e-12)


def test_range_of_the_targets_does_not_matter() -> None:
    # A factor of a power of two moves no digit.
    plain, moved = quick().fit(X, Y).predict(X), quick().fit(X, Y * 2.0**30).predict(X)
    np.testing.assert_array_equal(moved, plain * 2.0**30)


def test_constant_and_whole_targets_are_targets() -> None:
    np.testing.assert_allclose(quick("linear", epochs=200, lr=0.05).fit(X, np.full(80, 7)).predict(X), 7, atol=0.1)
    whole = np.arange(80) % 5
    np.testing.assert_array_equal(quick().fit(X, whole).predict(X), quick().fit(X, whole.astype(float)).predict(X))


@pytest.mark.parametrize("scaling", ["minmax_pi", "standard"])
@pytest.mark.parametrize("router", ["quantum", "twin"])
def test_weights_are_repetitions(router: str, scaling: str) -> None:
    counts = np.random.default_rng(0).integers(0, 4, 80)
    options: dict[str, Any] = {"epochs": 3, "batch_size": 400, "scaling": scaling}
    weighted = quick(router, **options).fit(X, Y, sample_weight=counts)
    repeated = quick(router, **options).fit(X.repeat(counts, 0), Y.repeat(counts))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=0, atol=1e-9)
    assert not np.allclose(weighted.predict(X), quick(router, **options).fit(X, Y).predict(X), rtol=0, atol=1e-3)


def test_early_stopping_goes_back_to_the_epoch_of_the_lowest_held_out_loss() -> None:
    options: dict[str, Any] = {"early_stopping": True, "validation_fraction": 0.3, "lr": 0.2}
    model = quick("mlp", epochs=200, n_iter_no_change=4, **options).fit(X, Y)
    best = int(np.argmax(model.validation_scores_))
    assert len(model.validation_scores_) == model.n_iter_ < 200
    assert model.best_validation_score_ == model.validation_scores_[best]
    again = quick("mlp", epochs=best + 1, n_iter_no_change=500, **options).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_history_is_the_loss_in_units_of_the_variance() -> None:
    model = quick("linear", epochs=3, batch_size=80, lr=1e-12).fit(X, Y)
    share = ((Y - model.predict(X)) ** 2).mean() / Y.var()
    np.testing.assert_allclose(model.loss_curve_, [share] * 3, rtol=1e-6)
    np.testing.assert_allclose(model.history_["running_score"], [1 - share] * 3, rtol=0, atol=1e-6)


def test_a_warm_start_goes_on_and_refuses_other_targets() -> None:
    model = quick("linear", warm_start=True, lr=0.1).fit(X, Y)
    scale, module = model.target_scale_, model.module_
    assert model.fit(X, Y * 3).module_ is module
    assert (model.n_iter_, model.target_scale_) == (4, scale)
    with pytest.raises(ConfigError, match="warm_start goes on with a module for targets of the shape"):
        model.fit(X, np.c_[Y, Y])
    assert model.predict(X).shape == (80,)


def test_verbose_prints_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    model = quick("linear", verbose=2).fit(X, Y)
    expected = [f"Epoch {i + 1}, loss = {loss:.8f}" for i, loss in enumerate(model.loss_curve_)]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_regressor_has_no_classes() -> None:
    assert not hasattr(quick(), "predict_proba")
    assert not hasattr(quick(), "decision_function")
    assert "class_weight" not in quick().get_params()


@pytest.mark.parametrize("factor", [2.0**700, 2.0**-700])
def test_squares_of_targets_may_leave_the_range_of_floats(factor: float) -> None:
    np.testing.assert_array_equal(quick().fit(X, Y * factor).predict(X), quick().fit(X, Y).predict(X) * factor)


def test_targets_beyond_the_range_of_floats_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"y holds values of the size 1e\+302, expected at most 1e\+300; rescale y"):
        quick().fit(X, np.where(Y > 14, 1e302, -1e302))
