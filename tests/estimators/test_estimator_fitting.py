"""What users of scikit-learn expect of `fit`: weights, early stopping, warm starts, and a word on progress."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight

import qmoe.training.loop as loop
from qmoe import ConfigError, LinearRouter
from qmoe.errors import EncodingRangeWarning, TrainingError
from qmoe.estimators import QMoEClassifier
from qmoe.routers import MeanRouting, QuadraticRouter, TwinRouter

X, Y = make_moons(60, noise=0.1, random_state=0)
IRIS, SPECIES = load_iris(return_X_y=True)


def quick(*args: Any, **options: Any) -> QMoEClassifier:
    return QMoEClassifier(*args, **{"epochs": 3, "random_state": 0, **options})


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each training of the test went through machine code."""
    seen: list[bool] = []
    for name in ("CompiledTrainer", "AutogradTrainer"):
        kind = getattr(loop, name)

        def made(*given: Any, kind: Any = kind, name: str = name) -> Any:
            seen.append(name == "CompiledTrainer")
            return kind(*given)

        monkeypatch.setattr(loop, name, made)
    return seen


# --- weights of rows ------------------------------------------------------------------------------------------------


def test_equal_weights_change_nothing_and_keep_the_compiled_path(compiled: list[bool]) -> None:
    expected = quick().fit(X, Y).predict_proba(X)
    for weights in (None, np.ones(60), np.full(60, 3.5), [2] * 60):
        np.testing.assert_array_equal(quick().fit(X, Y, sample_weight=weights).predict_proba(X), expected)
    np.testing.assert_array_equal(quick(class_weight={0: 2.0, 1: 2.0}).fit(X, Y).predict_proba(X), expected)
    assert compiled == [True] * 6


def test_only_the_ratios_of_weights_matter(compiled: list[bool]) -> None:
    weights = np.random.default_rng(0).uniform(0.1, 3, 60)
    first, second = (quick(dtype="float64").fit(X, Y, w).predict_proba(X) for w in (weights, 16 * weights))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)
    assert compiled == [False, False]


@pytest.mark.parametrize("scaling", ["minmax_pi", "standard"])
def test_weights_may_be_so_large_that_their_sum_is_infinite(scaling: str) -> None:
    weights = np.random.default_rng(0).uniform(0.1, 1, 60)
    first, second = (quick(scaling=scaling).fit(X, Y, w).predict_proba(X) for w in (weights, 2.0**1023 * weights))
    np.testing.assert_array_equal(first, second)
    huge = quick(class_weight={0: 1e308, 1: 1.5e308}).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(huge, quick(class_weight={0: 2, 1: 3}).fit(X, Y).predict_proba(X), rtol=0, atol=1e-12)


def test_weights_of_classes_are_finite() -> None:
    with pytest.raises(ConfigError, match=r"class_weight is \{0: inf, 1: 1\}, expected weights above 0 and finite"):
        quick(class_weight={0: np.inf, 1: 1}).fit(X, Y)


@pytest.mark.parametrize("router", ["quantum", "linear", "twin"])
def test_rows_of_weight_0_might_as_well_not_be_there(router: str) -> None:
    kept = np.random.default_rng(1).random(60) < 0.7
    without = quick(router).fit(X[kept], Y[kept])
    np.testing.assert_array_equal(
        quick(router).fit(X, Y, kept.astype(float)).predict_proba(X), without.predict_proba(X)
    )
    weights = np.where(kept, np.arange(60) + 1.0, 0.0)
    weighed = quick(router).fit(X, Y, weights).predict_proba(X)
    np.testing.assert_array_equal(weighed, quick(router).fit(X[kept], Y[kept], weights[kept]).predict_proba(X))


def test_gradient_of_a_weighted_step_is_that_of_the_weighted_mean() -> None:
    weights = np.random.default_rng(2).uniform(0.1, 3, 60)
    options: dict[str, Any] = {"epochs": 1, "batch_size": 60, "lr": 1e-3, "dtype": "float64"}
    start = quick("linear", **options).set_params(lr=1e-30).fit(X, Y).module_
    moved = quick("linear", **options).fit(X, Y, weights).module_
    rows = torch.from_numpy(quick("linear", **options).fit(X, Y).scaler_(X))
    entropy = torch.nn.functional.cross_entropy(start(rows), torch.from_numpy(Y), reduction="none")
    (entropy * torch.from_numpy(weights)).sum().backward()
    # Adam's first step goes by the sign of the gradient.
    for name, p in start.named_parameters():
        torch.testing.assert_close(moved.get_parameter(name), p - 1e-3 * p.grad.sign(), rtol=0, atol=1e-6)


def test_a_heavy_class_is_predicted_more_often() -> None:
    shares = []
    for weight in (0.02, 1.0, 50.0):
        clf = quick("linear", epochs=20, class_weight={0: 1.0, 1: weight}).fit(X, Y)
        shares.append((clf.predict(X) == 1).mean())
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("weights", ["balanced", {"setosa": 1.0, "versicolor": 3.0, "virginica": 0.5}])
def test_weights_of_classes_are_weights_of_their_rows(weights: Any) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[SPECIES][:120]
    by_class = quick("linear", class_weight=weights).fit(IRIS[:120], names)
    by_row = quick("linear").fit(IRIS[:120], names, compute_sample_weight(weights, names))
    np.testing.assert_array_equal(by_class.predict_proba(IRIS), by_row.predict_proba(IRIS))
    both = quick("linear", class_weight=weights).fit(IRIS[:120], names, np.arange(1.0, 121))
    assert not np.array_equal(both.predict_proba(IRIS), by_class.predict_proba(IRIS))


@pytest.mark.parametrize(
    ("options", "weights", "message"),
    [
        ({}, np.where(np.arange(60) == 7, -1.0, 1.0), r"sample_weight is -1.0 at row 7, expected"),
        ({"class_weight": {0: 1.0, 7: 1.0}}, None, "class_weight is .*7.* expected None, 'balanced'"),
        ({"class_weight": "equal"}, None, "class_weight is 'equal'"),
        ({"class_weight": {0: 1.0, 1: 0.0}}, None, "expected weights above 0"),
        ({"class_weight": {0: -1.0, 1: 1.0}}, None, "expected weights above 0"),
    ],
)
def test_bad_weights_are_refused(options: Any, weights: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quick(**options).fit(X, Y, weights)


@pytest.mark.parametrize(
    "weights", [np.zeros(60), np.ones(59), np.ones((60, 2)), np.full(60, np.nan), np.full(60, np.inf)]
)
def test_weights_that_are_no_weights_are_scikit_learns_to_refuse(weights: Any) -> None:
    with pytest.raises(ValueError, match=r"sample_weight|Sample weights|NaN|infinity"):
        quick().fit(X, Y, weights)


# --- early stopping ---------------------------------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_epoch_and_the_compiled_path(compiled: list[bool]) -> None:
    clf = quick(epochs=200, lr=0.1, early_stopping=True, validation_fraction=0.3, n_iter_no_change=5).fit(X, Y)
    assert compiled == [True]
    scores = clf.validation_scores_
    assert len(scores) == len(clf.loss_curve_) == len(clf.history_["loss"]) == clf.n_iter_ < 200
    best = int(np.argmax(scores))
    assert clf.best_validation_score_ == max(scores)
    assert clf.n_iter_ == best + 1 + 6  # as MLPClassifier: more than 5 epochs without a rise
    again = quick(epochs=best + 1, lr=0.1, early_stopping=True, validation_fraction=0.3, n_iter_no_change=500).fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


@pytest.mark.parametrize(
    "options", [{}, {"top_k": 1}, {"class_weight": {0: 1.0, 1: 3.0}}, {"circuit__engine": "torch"}]
)
def test_early_stopping_goes_with_every_way_to_train(options: Any) -> None:
    clf = quick("quantum", "mlp", epochs=40, lr=0.1, early_stopping=True, n_iter_no_change=3, **options).fit(X, Y)
    assert len(clf.validation_scores_) == clf.n_iter_
    assert clf.best_validation_score_ == max(clf.validation_scores_)


def test_rows_set_aside_are_not_trained_on_nor_scaled_by() -> None:
    wide = X.copy()
    wide[5] = 40.0
    for seed in range(6):
        clf = quick("linear", early_stopping=True, validation_fraction=0.5, random_state=seed).fit(wide, Y)
        if clf.scaler_.high[0] < 40:
            return
    pytest.fail("row 5 was trained on for each of six seeds")


def test_without_early_stopping_nothing_is_set_aside() -> None:
    clf = quick().fit(X, Y)
    assert clf.validation_scores_ is None
    assert clf.best_validation_score_ is None
    assert clf.n_iter_ == 3


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"validation_fraction": 0.0}, Y, "validation_fraction is 0.0, expected"),
        ({"validation_fraction": 1}, Y, "validation_fraction is 1, expected"),
        ({"validation_fraction": 0.01}, Y, "cannot be set aside for early stopping: .* another share"),
        ({}, np.arange(60) // 59, r"cannot be set aside .* early_stopping=False"),
        ({"n_iter_no_change": 0}, Y, "n_iter_no_change is 0"),
        ({"n_iter_no_change": None}, Y, "n_iter_no_change is None"),
        ({"tol": -1.0}, Y, "tol is -1.0"),
    ],
)
def test_early_stopping_that_cannot_be_is_refused(options: Any, y: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quick(early_stopping=True, **options).fit(X, y)


# --- warm starts -------------------------------------------------------------------------------------------------------


def test_a_warm_start_goes_on_where_the_last_fit_ended() -> None:
    clf = quick(warm_start=True, lr=0.1).fit(X, Y)
    module, loss = clf.module_, clf.history_["loss"][-1]
    before = [p.clone() for p in module.parameters()]
    clf.set_params(lr=1e-9).fit(X, Y)
    assert clf.module_ is module
    for p, q in zip(module.parameters(), before, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    assert clf.n_iter_ == len(clf.loss_curve_) == len(clf.history_["loss"]) == 6
    assert clf.history_["loss"][3] < loss * 1.5
    cold = quick(lr=0.1).fit(X, Y)
    np.testing.assert_array_equal(cold.fit(X, Y).predict_proba(X), quick(lr=0.1).fit(X, Y).predict_proba(X))


def test_a_warm_start_that_fails_leaves_the_model_as_it_was() -> None:
    clf = quick("linear", warm_start=True, scaling="none").fit(X, Y)
    before, module = clf.decision_function(X), clf.module_
    with pytest.raises(TrainingError):
        clf.set_params(lr=1e10).fit(X * 8e307, Y)
    assert clf.module_ is module
    assert not any(part.training for part in module.modules())
    assert np.array_equal(clf.decision_function(X), before)


def test_a_warm_start_keeps_scaling_and_classes() -> None:
    clf = quick("linear", warm_start=True).fit(X, Y)
    high = clf.scaler_.high.copy()
    clf.fit(X * 0.5, Y)
    np.testing.assert_array_equal(clf.scaler_.high, high)
    for y in (Y + 1, np.array(["a", "b"])[Y], np.arange(60) % 3):
        with pytest.raises(ConfigError, match="warm_start goes on with a module for the classes"):
            clf.fit(X, y)
    with pytest.raises(ValueError, match="3 features"):
        clf.fit(np.hstack([X, X[:, :1]]), Y)
    assert clf.predict(X).shape == (60,)
    fresh = clone(clf)
    assert not hasattr(fresh, "module_")


# --- progress, devices, routers by name ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"circuit__engine": "torch"}])
def test_verbose_prints_a_line_for_each_epoch(options: Any, capsys: pytest.CaptureFixture[str]) -> None:
    clf = quick(verbose=2, **options).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"Epoch (\d+), loss = (\d+\.\d{8})", line) for line in lines]
    assert [int(m[1]) for m in found if m] == [1, 2, 3]
    np.testing.assert_allclose([float(m[2]) for m in found if m], clf.loss_curve_, rtol=0, atol=1e-7)
    quick(**options).fit(X, Y)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "cpu:0"])
def test_a_device_that_is_there_is_used(device: Any) -> None:
    clf = quick(device=device).fit(X, Y)
    assert {p.device.type for p in clf.module_.parameters()} == {"cpu"}
    np.testing.assert_array_equal(clf.predict_proba(X), quick().fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("device", ["meta", "gpu", "xpu" if not torch.xpu.is_available() else "nowhere", 3.5])
def test_a_device_that_is_not_there_is_refused(device: Any) -> None:
    with pytest.raises(ConfigError, match=r"device is .* cannot be used here"):
        quick(device=device).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "n_functions"),
    [
        ({}, 8),
        ({"circuit__encoding": "amplitude"}, 2),
        ({"circuit__ansatz": "no_entangler"}, 4),
        ({"circuit__n_qubits": 3}, 26),
    ],
)
def test_the_twin_is_that_of_the_circuit_with_the_same_options(options: Any, n_functions: int) -> None:
    clf = quick("twin", **options).fit(X, Y)
    assert isinstance(clf.module_.router, TwinRouter)
    assert clf.module_.router.n_functions == n_functions
    assert clf.module_.router.circuit == quick(**options).fit(X, Y).module_.router.circuit
    wide = quick("twin", epochs=1).fit(np.random.default_rng(0).random((12, 6)), np.arange(12) % 2)
    assert wide.module_.router.n_functions == 80
    assert (wide.module_.router.projection.weight.shape, wide.module_.router.circuit.n_qubits) == ((4, 6), 4)


def standardised_by(clf: QMoEClassifier, x: np.ndarray) -> bool:
    """Whether the functions of the twin inside have mean 0 and deviation 1 over ``x``."""
    router = clf.module_.double().router
    values = router.functions(torch.from_numpy(clf.scaler_(x)))
    off = (values.mean(0).abs() + (values.std(0, correction=0) - 1).abs()).max()
    return float(off) < 1e-5


def test_fixed_functions_are_standardised_on_the_scaled_training_rows() -> None:
    assert standardised_by(quick("twin").fit(X, Y), X)
    assert standardised_by(quick("twin", scaling="minmax_centred").fit(X, Y, np.arange(60) >= 20), X[20:])
    held = quick("twin", early_stopping=True, validation_fraction=0.3).fit(X, Y)
    assert not standardised_by(held, X)


def test_functions_that_move_in_training_stay_raw() -> None:
    wide = np.random.default_rng(0).random((40, 6))
    labels = (wide.sum(1) > 3).astype(int)
    options = {"circuit": {"n_qubits": 2}, "epochs": 1}
    moving = quick("twin", **options).fit(wide, labels).module_.router
    assert moving.functions_train
    assert not moving.is_standardised
    moving.projection.requires_grad_(False)
    assert quick(moving, **options).fit(wide, labels).module_.router.is_standardised


def test_a_warm_start_keeps_the_standardisation_of_the_first_fit() -> None:
    clf = quick("twin", warm_start=True).fit(X, Y)
    centre = clf.module_.router.centre.clone()
    clf.fit(X[:30], Y[:30])
    assert torch.equal(clf.module_.router.centre, centre)
    assert standardised_by(clf, X)


@pytest.mark.parametrize("wrap", [lambda router: router, MeanRouting])
def test_a_given_router_of_fixed_functions_starts_from_what_it_computes(wrap: Any) -> None:
    given = wrap(QuadraticRouter(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    trained = quick(given, epochs=1, lr=1e-12, dtype="float64").fit(X, Y)
    x = torch.from_numpy(trained.scaler_(X))
    torch.testing.assert_close(trained.module_.router(x), given(x), rtol=0, atol=1e-9)
    found = getattr(trained.module_.router, "router", trained.module_.router)
    assert found.is_standardised
    assert not getattr(given, "router", given).is_standardised


def test_the_default_scaling_no_longer_keeps_a_twin_from_learning() -> None:
    x, y = make_moons(300, noise=0.1, random_state=0)
    scores = [QMoEClassifier("twin", lr=0.1, random_state=seed).fit(x, y).score(x, y) for seed in range(6)]
    assert sum(score > 0.98 for score in scores) >= 5


@pytest.mark.parametrize("choice", [None, False, np.bool_(False)])
def test_the_router_trains_at_top_1(choice: Any) -> None:
    start = LinearRouter(2, 2, generator=torch.Generator().manual_seed(0))
    moved = quick(start, epochs=30, lr=0.1, top_k=1, norm_topk_prob=choice).fit(X, Y).module_.router
    assert float((moved.weight - start.weight).detach().abs().max()) > 0.1
    with pytest.raises(ConfigError, match="norm_topk_prob=True with top_k=1"):
        quick(top_k=1, norm_topk_prob=np.bool_(True)).fit(X, Y)


def test_top_1_routing_that_trains_beats_routing_that_cannot() -> None:
    x, y = make_moons(150, noise=0.1, random_state=0)
    options: dict[str, Any] = {"epochs": 40, "lr": 0.1, "dtype": "float32"}
    routed, alike = (
        np.mean([QMoEClassifier(**options, **kind, random_state=seed).fit(x, y).score(x, y) for seed in range(3)])
        for kind in ({"top_k": 1}, {"router": "uniform"})
    )
    assert routed > alike + 0.02


def test_all_of_it_goes_through_a_grid_search() -> None:
    grid = {"class_weight": [None, "balanced"], "early_stopping": np.array([False, True]), "tol": np.array([1e-3])}
    search = GridSearchCV(quick("twin", epochs=2), grid, cv=2).fit(X, Y, sample_weight=np.arange(1.0, 61))
    assert search.best_estimator_.predict(X).shape == Y.shape


def test_rows_far_outside_are_told_of_once_for_each_model() -> None:
    clf = quick().fit(X, Y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            clf.predict(X * 100)
    assert [w.category for w in caught] == [EncodingRangeWarning]
    assert caught[0].filename == __file__


# --- what failed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "rows"), [({"lr": -1.0}, X), ({"scaling": "none", "router": "linear", "lr": 1e10}, X * 8e307)]
)
def test_after_a_fit_that_failed_nothing_is_fitted(options: dict[str, Any], rows: np.ndarray) -> None:
    model = quick(warm_start=True)
    for _ in range(2):  # the first call, and one that starts anew
        model.set_params(**options)
        with pytest.raises((ConfigError, TrainingError)):
            model.fit(rows, Y)
        with pytest.raises(NotFittedError):
            model.predict(X)
        model.set_params(lr=0.05, scaling="minmax_pi", router="quantum", warm_start=True)
        assert model.fit(X, Y).n_iter_ == 3
        model.set_params(warm_start=False)
