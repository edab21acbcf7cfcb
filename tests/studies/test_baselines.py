"""Baselines beside a ladder: the same draws and splits, kept once, and what is known about the best there is."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_info

from qmoe.data import make_dataset
from qmoe.routers import TwinRouter
from qmoe.studies import InProcess, Store, load_preset, make_trials, parse_study
from qmoe.studies.assembly import build_model, prepare_data
from qmoe.studies.baselines import (
    BASELINES,
    applicable,
    baseline_accuracies,
    baseline_quantity,
    measure_baselines,
    missing_baselines,
)
from tiny_study import tiny_values

DATA = tiny_values()["data"]


def ladder(**changes):
    return parse_study(tiny_values(**({"ladder": ["twin"]} | changes)))


def test_baselines_see_the_points_of_the_trials_and_are_measured_once(tmp_path):
    study, calls = ladder(), []
    with Store(tmp_path / "s.sqlite") as store:
        ((asked, names),) = missing_baselines([study], store)
        assert asked == study
        assert names == list(BASELINES)
        measure_baselines(study, names, store, InProcess(), lambda: calls.append(None))
        assert missing_baselines([study], store) == []
        assert missing_baselines([study.resized(2)], store) == [(study.resized(2), names)]
        found = store.measurements()[baseline_quantity(study)]
    assert baseline_quantity(study) == "baseline accuracy on tiny"
    assert len(calls) == 3
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(BASELINES, (3,))
    draws = {m.trial.data_seed: m.trial.draw for m in make_trials(study)}
    for d, draw in draws.items():
        data = prepare_data(draw)
        for name, model in (("logistic", LogisticRegression()), ("rbf-svm", SVC())):
            theirs = make_pipeline(StandardScaler(), model).fit(data.x_train.numpy(), data.y_train.numpy())
            assert found[name][d] == theirs.score(data.x_test.numpy(), data.y_test.numpy())
    error = make_dataset("moons", noise=0.1).bayes_error()
    np.testing.assert_allclose(found["bayes"], 1 - error)


def test_the_convex_fit_is_on_the_functions_of_the_circuit():
    study = ladder(data=DATA | {"test_samples": 1000})
    quantum = next(m.trial for m in make_trials(study) if m.arm == "quantum")
    phi = TwinRouter(build_model(quantum).router.circuit, 2, 2).double().features
    data = prepare_data(quantum.draw)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(phi(data.x_train).numpy(), data.y_train.numpy())
    expected = model.score(phi(data.x_test).numpy(), data.y_test.numpy())
    assert baseline_accuracies(study, ["span-logistic"])["span-logistic"][0] == expected


def test_a_baseline_does_not_depend_on_the_others_nor_leave_a_setting_behind():
    study, before = ladder(), [library["num_threads"] for library in threadpool_info()]
    alone = baseline_accuracies(study, ["random-forest"])
    together = baseline_accuracies(study, ["mlp", "random-forest"])
    np.testing.assert_array_equal(alone["random-forest"], together["random-forest"])
    assert [library["num_threads"] for library in threadpool_info()] == before


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [({"data": {"name": "digits"}, "arms": [tiny_values()["arms"][1] | {"model": {
        "router": {"kind": "quantum", "n_qubits": 3}, "experts": {"kind": "linear"}}}]}, {"span-logistic", "bayes"}),
     ({"data": {"name": "digits", "components": 4}}, {"bayes"}), ({"ladder": False}, set(BASELINES)),
     ({"protocol": "published", "data": DATA | {"test_fraction": 0.0}}, set(BASELINES)),
     ({"data": DATA | {"labels": "random"}}, set(BASELINES))],
)  # fmt: skip
def test_what_cannot_be_known_is_left_out(changes, left_out):
    assert set(applicable(ladder(**changes))) == set(BASELINES) - left_out


@pytest.mark.parametrize("name", ["ladder-moons", "ladder-xor", "ladder-hidden-manifold"])
def test_shipped_ladders_have_baselines(name):
    assert set(BASELINES) - {"bayes"} <= set(applicable(load_preset(name)))
