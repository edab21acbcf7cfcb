"""The circuit as one argument: an object, a dict, a circuit of the user's own, and each option by itself."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_moons

from qmoe import Circuit, CircuitOptions, ConfigError, Gate, QMoEClassifier, QMoERegressor, QuantumExperts
from qmoe.circuits import Feature, Weight, published_circuit
from qmoe.interop import from_pennylane
from qmoe.routers import TwinRouter

X, Y = make_moons(40, noise=0.1, random_state=0)
OWN = Circuit.from_operations(
    [Gate("RX", (0,), (Feature(0),)), Gate("RY", (1,), (Feature(1) * 2.0,)), Gate("CNOT", (0, 1))]
    + [Gate("RY", (wire,), (Weight(wire),)) for wire in (0, 1)],
    n_qubits=2,
)


def quick(**options: Any) -> QMoEClassifier:
    return QMoEClassifier(**{"epochs": 1, "random_state": 0, **options})


@pytest.mark.parametrize(
    "given",
    [
        {"circuit": CircuitOptions(n_layers=2, noise=0.05)},
        {"circuit": {"n_layers": 2, "noise": 0.05}},
        {"circuit__n_layers": 2, "circuit__noise": 0.05},
        {"circuit": {"n_layers": 2}, "circuit__noise": 0.05},
    ],
)
def test_all_ways_to_say_it_are_one_circuit(given: dict[str, Any]) -> None:
    clf = clone(quick(**given)).fit(X, Y)
    assert clf.module_.router.circuit == Circuit(2, 2, noise=0.05)
    assert clf.get_params()["circuit__n_layers"] == 2
    assert clf.set_params(circuit__n_layers=1).fit(X, Y).module_.router.circuit == Circuit(2, 1, noise=0.05)


@pytest.mark.parametrize("kind", [QMoEClassifier, QMoERegressor])
@pytest.mark.parametrize("router", ["quantum", "twin"])
def test_a_circuit_of_ones_own_routes(kind: Any, router: str) -> None:
    model = clone(kind(router, circuit=OWN, epochs=1, random_state=0)).fit(X, Y)
    assert model.module_.router.circuit == OWN
    assert isinstance(model.module_.router, TwinRouter) == (router == "twin")
    wide = np.hstack([X, X])
    assert kind(router, circuit=OWN, epochs=1, random_state=0).fit(wide, Y).route(wide).shape == (40, 2)


def test_a_circuit_of_ones_own_runs_as_its_options_say() -> None:
    clf = quick(circuit=OWN, circuit__shots=50, circuit__engine="torch").fit(X, Y)
    assert clf.module_.router.shots == 50
    assert clf.module_.router.circuit == OWN
    assert clf.get_params()["circuit__circuit"] == OWN


def test_a_circuit_of_pennylane_routes_from_the_weights_it_came_with() -> None:
    @qml.qnode(qml.device("default.qubit", wires=2))
    def qnode(inputs: Any, weights: Any) -> Any:
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.BasicEntanglerLayers(weights, wires=range(2))
        return [qml.expval(qml.PauliZ(wire)) for wire in range(2)]

    imported = from_pennylane(qnode, {"weights": (3, 2)}, {"weights": torch.full((3, 2), 0.25)})
    clf = clone(quick(circuit=imported, lr=1e-12)).fit(X, Y)
    assert clf.module_.router.circuit == imported.circuit
    weights = clf.module_.router.quantum.weights.detach()
    torch.testing.assert_close(weights, torch.full_like(weights, 0.25), rtol=0, atol=1e-9)


def test_options_shared_by_two_estimators_are_not_changed_through_one() -> None:
    shared = CircuitOptions(n_layers=2)
    first, second = quick(circuit=shared), quick(circuit=shared)
    first.set_params(circuit__n_layers=1)
    third = quick(circuit=shared, circuit__n_layers=4)
    found = [one.get_params()["circuit__n_layers"] for one in (first, second, third)]
    assert found == [1, 2, 4]
    assert shared.n_layers == 2


def test_quantum_experts_share_layers_and_may_be_an_object() -> None:
    clf = quick(router="linear", experts="quantum", circuit={"n_layers": 1, "noise": 0.1}).fit(X, Y)
    assert clf.module_.experts.circuit.n_layers == 1
    experts = QuantumExperts(2, 2, encoding="angle", generator=torch.Generator().manual_seed(0))
    before = experts.quantum.weights.clone()
    own = quick(circuit=OWN, experts=experts).fit(X, Y)
    assert own.module_.experts.circuit == experts.circuit
    assert torch.equal(experts.quantum.weights, before)
    with pytest.raises(ConfigError, match=re.escape("pass experts=qmoe.QuantumExperts(...)")):
        quick(circuit=OWN, experts="quantum").fit(X, Y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"circuit": {"layers": 2}}, "Unknown option of the circuit 'layers'"),
        ({"circuit": "angle"}, "Unknown circuit 'angle'. Known: data_reuploading, dressed, iqp"),
        ({"circuit": CircuitOptions(circuit=3)}, "circuit is 3, expected a qmoe.Circuit, what qmoe.interop"),
        ({"circuit": OWN, "circuit__n_layers": 2}, "circuit was given, and so n_layers decides nothing"),
        ({"router": "linear", "circuit": {"noise": 7}}, "7"),
        ({"router": "linear", "circuit": {"shots": 0}}, "shots is 0"),
        ({"router": "linear", "circuit": {"engine": "torsh"}}, "did you mean 'torch'"),
    ],
)
def test_what_is_no_circuit_is_refused_by_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quick(**given).fit(X, Y)


def test_flat_and_misspelt_options_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="takes n_layers as an option of its circuit; write circuit__n_layers="):
        QMoEClassifier(n_layers=2)
    for name, meant in (("circuit__layers", "circuit__n_layers"), ("expert", "experts")):
        message = f"QMoERegressor got an unexpected keyword argument '{name}'; did you mean '{meant}'"
        with pytest.raises(TypeError, match=re.escape(message)):
            QMoERegressor(**{name: 1})
    with pytest.raises(ValueError, match="Invalid parameter 'layers'"):
        QMoEClassifier().set_params(circuit__layers=1)


def test_scaling_reaches_the_angles_of_the_circuit() -> None:
    clf = quick(scaling="minmax_centred").fit(X, Y)
    assert float(np.abs(clf.scaler_(X)).max()) == pytest.approx(math.pi / 2, abs=1e-12)


def test_predictions_with_shots_repeat_as_a_whole_and_depend_on_the_batch() -> None:
    def fitted() -> QMoEClassifier:
        return QMoEClassifier(circuit={"shots": 20}, epochs=1, random_state=0).fit(X, Y)

    clf = fitted()
    whole = clf.predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X), whole)
    np.testing.assert_array_equal(fitted().predict_proba(X), whole)
    assert (clf.predict_proba(X[5:]) != whole[5:]).any()
    clf.module_.router.shots = None
    np.testing.assert_allclose(clf.predict_proba(X[5:]), clf.predict_proba(X)[5:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("circuit", ["data_reuploading", "dressed", {"name": "iqp", "n_layers": 1}])
def test_a_published_circuit_is_named(circuit: Any) -> None:
    fitted = quick(circuit=circuit).fit(X, Y)
    assert fitted.module_.router.circuit == published_circuit(circuit, X.shape[1])
    assert clone(fitted).set_params(circuit__noise=0.1).fit(X, Y).module_.router.circuit.noise is not None
    assert fitted.get_params()["circuit__circuit"] == circuit


@pytest.mark.parametrize(
    ("circuit", "says"),
    [("iqq", "did you mean 'iqp'"), ({"name": "iqp", "depth": 1}, "of the circuit iqp: 'depth'")],
)
def test_a_published_circuit_that_is_none_is_refused_whatever_the_router(circuit: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        quick(router="linear", circuit=circuit).fit(X, Y)
