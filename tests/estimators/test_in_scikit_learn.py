"""The estimators inside the tools of scikit-learn, and kept on disk."""

from __future__ import annotations

import inspect
import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import matplotlib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_moons
from sklearn.ensemble import BaggingClassifier, StackingRegressor, VotingClassifier
from sklearn.inspection import DecisionBoundaryDisplay, PartialDependenceDisplay, permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score, cross_validate
from sklearn.multioutput import MultiOutputClassifier, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import qmoe
from qmoe import QMoEClassifier, QMoERegressor

matplotlib.use("Agg")
X, Y = make_moons(60, noise=0.1, random_state=0)
T = np.sin(2 * X[:, 0]) + X[:, 1]
BOTH = [QMoEClassifier, QMoERegressor]


def quick(*args: Any, **options: Any) -> Any:
    """A classifier, or what the first argument says."""
    kind, *parts = args if args and isinstance(args[0], type) else (QMoEClassifier, *args)
    return kind(*parts, **{"epochs": 2, "random_state": 0, **options})


def target(kind: Any) -> np.ndarray:
    return Y if kind is QMoEClassifier else T


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=["a", "b"])


@pytest.mark.parametrize("kind", BOTH)
def test_a_pipeline_scales_trains_and_is_searched(kind: Any) -> None:
    pipe = make_pipeline(StandardScaler(), quick(kind, scaling="none"))
    name = kind.__name__.lower()
    grid = {f"{name}__circuit__n_layers": [1, 2], f"{name}__router": ["quantum", "linear"]}
    search = GridSearchCV(pipe, grid, cv=2).fit(X, target(kind))
    assert len(search.cv_results_["params"]) == 4
    found = search.best_estimator_[-1]
    assert found.get_params()["circuit__n_layers"] == search.best_params_[f"{name}__circuit__n_layers"]
    assert search.predict(X).shape == Y.shape


def test_a_search_over_the_circuit_trains_other_circuits() -> None:
    grid = {"circuit__n_layers": [1, 3], "circuit__readout": ["expval", "born"]}
    search = GridSearchCV(quick(epochs=1), grid, cv=2, error_score="raise").fit(X, Y)
    assert search.best_estimator_.module_.router.circuit.n_layers == search.best_params_["circuit__n_layers"]
    drawn = RandomizedSearchCV(
        quick("linear"), {"lr": [0.01, 0.1], "n_experts": [2, 3]}, n_iter=2, cv=2, random_state=0
    )
    assert set(drawn.fit(X, Y).best_params_) == {"lr", "n_experts"}


def test_cross_validation_scores_by_any_metric() -> None:
    found = cross_validate(
        quick("linear", epochs=20, lr=0.1), X, Y, cv=3, scoring=["accuracy", "roc_auc", "neg_log_loss"]
    )
    assert found["test_roc_auc"].min() > 0.8
    assert cross_val_score(quick(QMoERegressor, "linear", epochs=20, lr=0.1), X, T, cv=3).mean() > 0.6


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated(method: str) -> None:
    odds = CalibratedClassifierCV(quick("linear", epochs=10), method=method, cv=2).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(odds.sum(1), 1, rtol=0, atol=1e-12)
    assert odds[Y == 1, 1].mean() > odds[Y == 0, 1].mean() + 0.2


@pytest.mark.parametrize("kind", BOTH)
def test_features_are_explained(kind: Any, frame: pd.DataFrame) -> None:
    wide = frame.assign(nothing=1.0)
    model = quick(kind, "linear", epochs=20, lr=0.1).fit(wide, target(kind))
    importance = permutation_importance(model, wide, target(kind), n_repeats=3, random_state=0).importances_mean
    assert importance[2] == 0
    assert importance[:2].max() > 0.1
    shown = PartialDependenceDisplay.from_estimator(model, wide, ["a", "b"], grid_resolution=5)
    assert len(shown.pd_results) == 2


def test_boundaries_are_drawn(frame: pd.DataFrame) -> None:
    model = quick().fit(frame, Y)
    for method in ("predict", "predict_proba", "decision_function"):
        shown = DecisionBoundaryDisplay.from_estimator(model, frame, response_method=method, grid_resolution=6, eps=0.2)
        assert shown.response.shape[:2] == (6, 6)


@pytest.mark.parametrize("kind", BOTH)
def test_weights_are_routed_as_metadata(kind: Any) -> None:
    weights = np.where(np.arange(60) < 40, 1.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = quick(kind, "linear").set_fit_request(sample_weight=True)
        pipe = make_pipeline(PolynomialFeatures(1, include_bias=False), model)
        routed = pipe.fit(X, target(kind), sample_weight=weights).predict(X)
        folds = cross_validate(
            model.set_score_request(sample_weight=False), X, target(kind), cv=2, params={"sample_weight": weights}
        )
    np.testing.assert_array_equal(routed, quick(kind, "linear").fit(X[:40], target(kind)[:40]).predict(X))
    assert np.isfinite(folds["test_score"]).all()


def test_frames_come_out_of_pipelines_and_names_go_in(frame: pd.DataFrame) -> None:
    pipe = make_pipeline(StandardScaler(), quick("linear")).set_output(transform="pandas").fit(frame, Y)
    assert pipe[-1].feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        pipe[-1].predict(frame.rename(columns={"b": "c"}))


def test_ensembles_and_several_targets() -> None:
    base = quick("linear", epochs=10, lr=0.1)
    vote = VotingClassifier([("one", base), ("two", clone(base).set_params(random_state=1))], voting="soft").fit(X, Y)
    bag = BaggingClassifier(base, 2, random_state=0).fit(X, Y)
    stack = StackingRegressor(
        [("moe", quick(QMoERegressor, "linear", epochs=30, lr=0.1))], LinearRegression(), cv=2
    ).fit(X, T)
    assert min(vote.score(X, Y), bag.score(X, Y), stack.score(X, T)) > 0.5
    assert MultiOutputClassifier(base).fit(X, np.c_[Y, 1 - Y]).predict(X).shape == (60, 2)
    assert RegressorChain(quick(QMoERegressor, "linear")).fit(X, np.c_[T, X]).predict(X).shape == (60, 3)


# --- copies and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("options", [{}, {"router": "twin"}, {"experts": "quantum", "circuit__n_layers": 1}], ids=str)
def test_fitted_estimators_are_kept_by_pickle_and_joblib(kind: Any, options: dict[str, Any]) -> None:
    model = quick(kind, **options).fit(X, target(kind))
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(file)):
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert repr(again) == repr(model)


@pytest.mark.parametrize("kind", BOTH)
def test_the_module_is_saved_by_itself(kind: Any, tmp_path: Path) -> None:
    model = quick(kind).fit(X, target(kind))
    qmoe.save(model.module_, tmp_path / "moe.safetensors")
    rows = torch.from_numpy(model.scaler_(X))
    with torch.no_grad():
        torch.testing.assert_close(qmoe.load(tmp_path / "moe.safetensors")(rows), model.module_(rows), rtol=0, atol=0)


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_both_kinds_have_the_same_options_in_the_same_order(kind: Any) -> None:
    own = [name for name in inspect.signature(kind).parameters if name != "class_weight"]
    assert own == list(inspect.signature(QMoERegressor).parameters)
    assert set(kind().get_params(deep=False)) == set(inspect.signature(kind).parameters)
    defaults = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    assert kind().get_params(deep=False) == defaults
    for name in own:
        assert f"{name}:" in inspect.getdoc(kind), name


def test_a_grid_written_down_as_keywords_builds_the_same_model() -> None:
    # As benchmarks do that keep the best options of a search in a file.
    best = {"router": np.str_("quantum"), "circuit__n_layers": np.int64(2), "circuit__encoding": "angle", "lr": 0.1}
    built = QMoEClassifier(**best, epochs=2, random_state=0).fit(X, Y)
    searched = quick().set_params(**best).fit(X, Y)
    np.testing.assert_array_equal(built.predict_proba(X), searched.predict_proba(X))
    assert repr(built).count("circuit=CircuitOptions(n_layers=") == 1
