"""scikit-learn's own checks, on both estimators with every part of a mixture that has parameters. None may fail."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qmoe import QMoEClassifier, QMoERegressor

#: One check wants weights of rows to be repetitions to 1e-7: all rows are one batch, of which there is but one order.
QUICK: dict[str, Any] = {"epochs": 20, "lr": 0.1, "batch_size": 48}
CHECKED = [
    QMoEClassifier(**QUICK),
    QMoEClassifier("twin", **QUICK),
    QMoEClassifier("linear", "mlp", **QUICK, scaling="standard"),
    QMoEClassifier("mlp", "linear", n_experts=3, top_k=2, **QUICK),
    # Not scaled to positive numbers, of which amplitudes see one quarter of the directions.
    QMoEClassifier("mlp", "quantum", n_experts=4, circuit__n_layers=2, **{**QUICK, "lr": 0.15}, scaling="none"),
    QMoERegressor(**QUICK),
    QMoERegressor("twin", **{**QUICK, "lr": 0.05}),
    QMoERegressor("linear", "mlp", **QUICK, scaling="standard"),
    QMoERegressor("mlp", "linear", n_experts=3, top_k=2, **QUICK),
    QMoERegressor("mlp", "quantum", n_experts=4, circuit__n_layers=2, **{**QUICK, "lr": 0.05}, scaling="none"),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_check(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", [QMoEClassifier, QMoERegressor])
def test_the_defaults_are_those_of_the_checks(kind: type) -> None:
    # What the checks change is how long training takes, and how many rows one step sees.
    assert set(QUICK) == {"epochs", "lr", "batch_size"}
    assert kind().get_params(deep=False)["dtype"] == "float64"
