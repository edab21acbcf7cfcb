"""The classifier, where scikit-learn's own checks do not look: what is trained, results, refusals."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

import qmoe
from qmoe import (
    AngleEncoding,
    ConfigError,
    Gate,
    LinearRouter,
    MixtureOfExperts,
    NoiseModel,
    QuantumExperts,
    QuantumRouter,
    Weight,
)
from qmoe.circuits import BasicEntangler
from qmoe.errors import EncodingRangeWarning, ShapeError, TrainingError
from qmoe.estimators import QMoEClassifier

# --- what is trained ------------------------------------------------------------------------------------------------

X, Y = make_moons(60, noise=0.1, random_state=0)
IRIS, SPECIES = load_iris(return_X_y=True)


def quick(*args: Any, **options: Any) -> QMoEClassifier:
    return QMoEClassifier(*args, **{"epochs": 2, "random_state": 0, **options})


def test_default_learns_two_moons() -> None:
    x, y = make_moons(200, noise=0.1, random_state=0)
    assert QMoEClassifier(epochs=30, lr=0.1, random_state=0).fit(x[:150], y[:150]).score(x[150:], y[150:]) >= 0.86


def test_default_is_the_paper_router_before_linear_experts() -> None:
    module = quick().fit(X, Y).module_
    assert isinstance(module, MixtureOfExperts)
    assert isinstance(module.router, QuantumRouter)
    assert sum(p.numel() for p in module.router.parameters()) == 24
    assert sum(p.numel() for p in module.experts.parameters()) == 12
    assert module.head is None


@pytest.mark.parametrize("router", ["quantum", "linear", "mlp", "uniform", "stochastic"])
@pytest.mark.parametrize("experts", ["linear", "mlp", "quantum"])
def test_every_router_goes_with_every_kind_of_experts(router: str, experts: str) -> None:
    clf = quick(router, experts, epochs=1, scaling="standard").fit(IRIS, SPECIES)
    assert clf.predict_proba(IRIS).shape == (150, 3)


@pytest.mark.parametrize(
    ("options", "n_features", "n_qubits"),
    [
        ({}, 3, 3),
        ({}, 4, 4),
        ({}, 7, 4),
        ({"circuit__n_qubits": 2}, 4, 2),
        ({"circuit__n_qubits": np.int64(3)}, 7, 3),
        ({"circuit__encoding": "amplitude"}, 7, 3),
        ({"circuit__readout": "born", "n_experts": 20}, 7, 5),
        ({"circuit__readout": "born", "n_experts": 8}, 2, 3),
    ],
)
def test_number_of_qubits(options: dict[str, Any], n_features: int, n_qubits: int) -> None:
    x = np.random.default_rng(0).uniform(1, 2, (12, n_features))
    clf = quick(circuit__n_layers=1, epochs=1, **options).fit(x, np.arange(12) % 2)
    assert clf.module_.router.circuit.n_qubits == n_qubits


@pytest.mark.parametrize(
    "options",
    [
        {"circuit__encoding": AngleEncoding("Y", uploads=2)},
        {"circuit__ansatz": BasicEntangler("Y")},
        {"circuit__ansatz": [Gate("RY", (0,), (Weight(0),)), Gate("CZ", (0, 1))]},
        {"circuit__readout": "born", "circuit__noise": 0.1},
        {"circuit__noise": NoiseModel(0.1, "gate"), "circuit__engine": "torch"},
        {"dtype": "float32", "top_k": 1},
    ],
)
def test_options_survive_clone_and_pickle(options: dict[str, Any]) -> None:
    clf = clone(quick(**options)).fit(X, Y)
    expected = clf.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), expected)
    np.testing.assert_array_equal(clone(clf).fit(X, Y).predict_proba(X), expected)


def test_a_given_router_is_copied_and_starts_from_its_weights() -> None:
    router = QuantumRouter(2, 2, n_layers=2, generator=torch.Generator().manual_seed(3))
    before = {name: value.clone() for name, value in router.state_dict().items()}
    clf = quick(router, lr=1e-9, epochs=1).fit(X, Y)
    assert clf.module_.router is not router
    for name, value in clf.module_.router.state_dict().items():
        torch.testing.assert_close(value, before[name].double(), rtol=0, atol=1e-6)
    quick(router).fit(X, Y)
    assert all(torch.equal(value, before[name]) for name, value in router.state_dict().items())
    single = quick(router, dtype="float32").fit(X, Y)
    assert {p.dtype for p in single.module_.parameters()} == {torch.float32}


def test_dtype_is_that_of_the_parameters() -> None:
    assert {p.dtype for p in quick().fit(X, Y).module_.parameters()} == {torch.float64}
    assert {p.dtype for p in quick(dtype="float32").fit(X, Y).module_.parameters()} == {torch.float32}


# --- results --------------------------------------------------------------------------------------------------------


def test_history_has_a_number_for_each_epoch() -> None:
    clf = quick(epochs=3, batch_size=25).fit(X, Y)
    assert clf.n_iter_ == 3
    assert set(clf.history_) == {"loss", "running_accuracy"}
    assert all(len(values) == 3 for values in clf.history_.values())
    np.testing.assert_allclose(clf.loss_curve_, np.array(clf.history_["loss"]) / 3, rtol=1e-15)


def test_scores_are_those_of_the_module_on_scaled_features() -> None:
    clf = quick(dtype="float64").fit(IRIS, SPECIES)
    with torch.no_grad():
        logits = clf.module_(torch.from_numpy(clf.scaler_(IRIS)))
    np.testing.assert_array_equal(clf.decision_function(IRIS), logits.numpy())
    np.testing.assert_allclose(clf.predict_proba(IRIS), logits.softmax(-1).numpy(), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(clf.predict(IRIS), clf.classes_[logits.argmax(-1).numpy()])
    binary = quick(dtype="float64").fit(X, Y)
    odds = binary.predict_proba(X)
    np.testing.assert_allclose(binary.decision_function(X), np.log(odds[:, 1] / odds[:, 0]), rtol=0, atol=1e-12)


def test_predictions_in_chunks_equal_predictions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clf = quick().fit(X, Y)
    expected = clf.predict_proba(X)
    monkeypatch.setattr("qmoe.estimators.base.PREDICTION_CHUNK", 7)
    np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("labels", [["no", "yes"], [-1, 1], [False, True], [2.0, 7.0]])
def test_classes_may_be_of_any_kind(labels: list[Any]) -> None:
    y = np.array(labels)[Y]
    clf = quick().fit(X, y)
    assert clf.classes_.tolist() == sorted(labels)
    assert clf.predict(X).dtype == y.dtype
    np.testing.assert_array_equal(clf.predict_proba(X), quick().fit(X, Y).predict_proba(X))


def test_range_of_the_features_does_not_matter() -> None:
    # Factors of a power of two scale without rounding.
    moved = X * [2.0**20, 2.0**-20]
    np.testing.assert_array_equal(quick().fit(moved, Y).predict_proba(moved), quick().fit(X, Y).predict_proba(X))


def test_scaling_is_fitted_on_the_training_rows_only() -> None:
    clf = quick().fit(X, Y)
    np.testing.assert_array_equal(clf.scaler_.low, X.min(0))
    clf.predict(X * 1.5)
    np.testing.assert_array_equal(clf.scaler_.low, X.min(0))


def test_rows_far_outside_the_training_range_warn() -> None:
    clf = quick().fit(X, Y)
    with pytest.warns(EncodingRangeWarning):
        clf.predict(X * 100)


def test_random_state_decides_the_result() -> None:
    first, again, other = (quick(random_state=seed).fit(X, Y).predict_proba(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    generator = np.random.RandomState(0)
    np.testing.assert_array_equal(quick(random_state=generator).fit(X, Y).predict_proba(X), first)
    unseeded = [quick(random_state=None).fit(X, Y).predict_proba(X) for _ in range(2)]
    assert not np.allclose(*unseeded)


def test_global_random_states_are_left_alone() -> None:
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    quick(random_state=None).fit(X, Y).predict(X)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


# --- in scikit-learn's company --------------------------------------------------------------------------------------


def test_grid_search_takes_numpy_numbers() -> None:
    grid = {
        "circuit__n_layers": np.array([1, 2]),
        "lr": np.array([0.05, 0.1]),
        "circuit__noise": [None, np.float64(0.1)],
    }
    search = GridSearchCV(quick(epochs=1), grid, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 8
    assert search.best_estimator_.predict(X).shape == Y.shape


def test_pipeline_and_cross_validation() -> None:
    model = make_pipeline(PolynomialFeatures(2, include_bias=False), quick("linear", epochs=20, lr=0.1))
    assert cross_val_score(model, X, Y, cv=3).mean() > 0.8
    assert model.set_params(qmoeclassifier__n_experts=3).fit(X, Y)[-1].module_.router.n_experts == 3


def test_feature_names_are_kept_and_checked() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"])
    clf = quick(epochs=1).fit(frame, Y)
    assert clf.feature_names_in_.tolist() == ["a", "b"]
    assert clf.predict(frame).shape == Y.shape
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame.rename(columns={"b": "c"}))


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"router": "quantom"}, "Unknown router 'quantom'; did you mean 'quantum'"),
        ({"router": 3}, "router is 3, expected a made one"),
        ({"experts": "liner"}, "Unknown experts 'liner'; did you mean 'linear'"),
        ({"scaling": "minmax"}, "did you mean 'minmax_pi'"),
        ({"dtype": "float16"}, "Unknown dtype 'float16'"),
        ({"circuit__encoding": "angles"}, "did you mean 'angle'"),
        ({"circuit__ansatz": "basic"}, "did you mean 'basic_entangler'"),
        ({"circuit__readout": "burn"}, "did you mean 'born'"),
        ({"circuit__engine": "torsh"}, "did you mean 'torch'"),
        ({"n_experts": 0}, "n_experts is 0"),
        ({"n_experts": "two"}, "n_experts is 'two'"),
        ({"circuit__n_qubits": 1.5}, "n_qubits is 1.5"),
        ({"circuit__n_layers": -1}, "n_layers is -1"),
        ({"circuit__noise": 2}, "not a probability"),
        ({"router": "mlp", "hidden": 0}, "hidden is 0"),
        ({"top_k": 3}, "top_k is 3"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"lr": -1}, "lr is -1"),
        ({"router": LinearRouter(2, 3)}, "router has n_experts=3, the experts n_experts=2"),
        ({"router": LinearRouter(4, 2)}, "router has in_features=4, the experts in_features=2"),
        ({"circuit__readout": "born", "n_experts": 9, "circuit__n_qubits": 2}, "use n_qubits=4 or more"),
    ],
)
def test_bad_options_are_refused_by_fit(options: dict[str, Any], message: str) -> None:
    clf = QMoEClassifier(**options)
    with pytest.raises(ConfigError, match=message):
        clf.fit(X, Y)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"y holds 1 class .*'a'.*, expected at least two classes"):
        quick().fit(X, ["a"] * len(X))


def test_amplitudes_of_a_single_feature_are_refused() -> None:
    for options in ({"circuit__encoding": "amplitude"}, {"experts": "quantum"}):
        with pytest.raises(ConfigError, match="same state for every row"):
            quick(**options).fit(X[:, :1], Y)


@pytest.mark.parametrize("scaling", ["none", "unit_norm"])
@pytest.mark.parametrize("options", [{"circuit__encoding": "amplitude"}, {"router": "linear", "experts": "quantum"}])
def test_rows_of_zeros_are_encoded_as_rows_of_equal_features(options: dict[str, Any], scaling: str) -> None:
    zeros = np.where(np.arange(60)[:, None] == 7, 0, X)
    clf = quick(scaling=scaling, **options).fit(zeros, Y)
    given = np.array([[0.0, 0.0], [2.0, 2.0], [2.0, -2.0]])
    zero, equal, other = (probed(clf, rows) for rows in given[:, None])
    torch.testing.assert_close(zero, equal, rtol=0, atol=1e-12)
    assert float((zero - other).abs().max()) > 1e-3


def probed(clf: QMoEClassifier, rows: np.ndarray) -> torch.Tensor:
    """What the part that encodes amplitudes makes of rows."""
    parts = clf.module_.experts, clf.module_.router
    part = parts[0] if isinstance(parts[0], QuantumExperts) else parts[1]
    with torch.no_grad():
        return part(torch.from_numpy(clf._scaled(rows, clf.module_)))


def test_modules_still_refuse_rows_of_zeros() -> None:
    clf = quick("linear", "quantum", scaling="none").fit(X, Y)
    with pytest.raises(ShapeError, match="Row 0 of x is all zeros"):
        clf.module_(torch.zeros(1, 2, dtype=torch.float64))


def test_rows_of_zeros_stay_zeros_where_nothing_is_an_amplitude() -> None:
    zeros = np.where(np.arange(60)[:, None] == 7, 0, X)
    clf = quick("linear", scaling="unit_norm").fit(zeros, Y)
    with torch.no_grad():
        expected = clf.module_(torch.zeros(1, 2, dtype=torch.float64)).softmax(-1)
    np.testing.assert_allclose(clf.predict_proba([[0.0, 0.0]]), expected, rtol=0, atol=1e-15)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"the loss was .* try a lower lr"):
        quick("linear", "mlp", lr=1e30, dtype="float32").fit(X, Y)


def test_predicting_before_fitting_is_an_error() -> None:
    with pytest.raises(NotFittedError):
        QMoEClassifier().predict(X)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    clf, bad = quick("linear").fit(X, Y), X.copy()
    bad[3, 1] = value
    for call in (lambda: clf.predict(bad), lambda: quick("linear").fit(bad, Y)):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            call()


def test_the_public_door_leads_to_the_estimator() -> None:
    assert qmoe.QMoEClassifier is QMoEClassifier
