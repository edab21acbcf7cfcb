"""Published circuits by their names, in routers, estimators and dictionaries; their arguments are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import qmoe
from qmoe.circuits import AngleFunction, Circuit, Feature, Gate, dressed, iqp, published_circuit
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop.imported import Imported
from qmoe.routers import circuit_basis

NAMES = ("data_reuploading", "dressed", "iqp")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_function_of_that_name_at_the_number_of_features(name: str) -> None:
    assert published_circuit(name, 4) == getattr(qmoe.circuits, name)(4)
    assert published_circuit({"name": name, "n_layers": 1}, 5) == getattr(qmoe.circuits, name)(5, n_layers=1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("iqq", r"Unknown circuit 'iqq'; did you mean 'iqp'"),
        ({"n_layers": 2}, r"expected a name in it: \{'name': 'iqp'"),
        ({"name": "iqp", "layers": 2}, r"argument of the circuit iqp: 'layers'; did you mean 'n_layers'"),
        ({"name": "dressed", "n_layers": 1.5}, r"n_layers is 1.5, expected an integer of at least 1"),
        ({"name": "iqp", "n_qubits": 30}, r"has 30 qubits, expected at most 24; .*'n_qubits': 4"),
        ({"name": "data_reuploading", "in_features": 90}, r"has 30 qubits, .*'in_features': 12"),
        ({"name": "iqp", "repeats": 10**9}, r"repeats of the circuit iqp is 1000000000, expected at most 1000"),
    ],
)
def test_a_name_that_makes_no_circuit_is_refused_with_what_would(given: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        published_circuit(given, 4)


@pytest.mark.parametrize("n_layers", [1.5, -1, True, "2"])
def test_layers_of_iqp_are_a_whole_number(n_layers: Any) -> None:
    with pytest.raises(ConfigError, match=r"n_layers is .*expected an integer of at least 0"):
        iqp(2, n_layers)


def test_dressed_refuses_other_features_than_qubits_without_its_map() -> None:
    with pytest.raises(ConfigError, match="an angle for each qubit, and got in_features=3 with n_qubits=4"):
        dressed(3, 2, 4, mapped=False)
    with pytest.raises(ConfigError, match="mapped is 'no', expected True or False"):
        dressed(3, mapped="no")  # type: ignore[arg-type]


def test_dressed_is_its_map_in_front_of_the_circuit_without_it_which_has_a_twin() -> None:
    draw = torch.Generator().manual_seed(0)
    whole = qmoe.QuantumLayer(dressed(3, 2, 2), generator=draw, dtype=torch.float64)
    behind = qmoe.QuantumLayer(
        dressed(2, 2, mapped=False), init={"weights": whole.weights[6:].detach()}, dtype=torch.float64
    )
    x = torch.rand(5, 3, generator=draw, dtype=torch.float64)
    angles = (x @ whole.weights[:6].reshape(2, 3).T).tanh() * torch.pi / 2
    torch.testing.assert_close(behind(angles), whole(x), rtol=0, atol=1e-12)
    assert len(circuit_basis(behind.circuit)) == 8  # cosine and sine of two angles, and their products
    with pytest.raises(UnsupportedError, match="dressed does so with mapped=False"):
        qmoe.twin(qmoe.QuantumRouter(3, 2, circuit="dressed"))


def test_weights_of_the_map_are_drawn_near_zero_and_angles_from_a_full_turn() -> None:
    for module in (qmoe.QuantumLayer(dressed(20, 30)), qmoe.QuantumRouter(20, 2, circuit=dressed(20, 30)).quantum):
        mapping, angles = module.weights.detach().split([400, 600])
        assert mapping.abs().max() <= 1 / 20
        assert mapping.min() < -0.04 < 0.04 < mapping.max()
        assert 0 <= angles.min() < 0.1
        assert 6.1 < angles.max() <= 2 * torch.pi


def test_dressed_circuits_go_through_dictionaries_and_files(tmp_path: Path) -> None:
    circuit = dressed(3, 2, 2)
    data = json.loads(json.dumps(circuit.to_dict()))
    assert data["angles"] == {"name": "tanh_map", "n_angles": 2}
    assert Circuit.from_dict(data) == circuit
    assert Circuit.from_dict(data).body.function.n_factors == 6  # type: ignore[union-attr]
    router = qmoe.QuantumRouter(3, 2, circuit="dressed")
    qmoe.save(router, tmp_path / "router.safetensors")
    x = torch.rand(4, 3)
    assert torch.equal(qmoe.load(tmp_path / "router.safetensors")(x), router(x))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"angles": {"name": "tan_map", "n_angles": 2}},
            "Unknown function of angles 'tan_map'; did you mean 'tanh_map'",
        ),
        (
            {"angles": {"name": "tanh_map", "n_angles": -2}},
            "function of angles has -2, expected a non-negative integer",
        ),
        ({"angles": {"name": "tanh_map", "n_angles": 9}}, "cannot be traced|n_factors is 27, expected at most"),
        ({"weight_shape": [10**12]}, "too many to trace it"),
        ({"angles": "tanh_map"}, "function of angles is 'tanh_map', expected a dictionary"),
    ],
)
def test_a_dictionary_with_another_function_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Circuit.from_dict(dressed(3, 2, 2).to_dict() | change)


def test_functions_of_your_own_are_refused_with_what_to_do_instead() -> None:
    own = Circuit.from_operations(
        [Gate("RX", (0,), (qmoe.circuits.Computed(0),))], in_features=1, weight_shape=1, angles=lambda x, w: x.sin() * w
    )
    with pytest.raises(
        UnsupportedError, match="write the angles as sums and products of Feature and Weight, or pickle"
    ):
        own.to_dict()


def test_functions_that_ask_for_sizes_run_for_several_models_at_once() -> None:
    asking = AngleFunction(
        lambda x, w: x.reshape(x.shape[0], -1) @ w.reshape(x.shape[1], -1), in_features=2, n_weights=6
    )
    x, weights = torch.rand(3, 5, 2), torch.rand(3, 6)
    torch.testing.assert_close(asking(x, weights), x @ weights.reshape(3, 2, 3))


def test_the_iqp_circuit_of_one_feature_says_that_it_needs_two() -> None:
    with pytest.raises(ConfigError, match=r"iqp has 1 qubit, and its read-out 'Z0 Z1' is of two; .*readout='Z0'"):
        qmoe.QuantumRouter(1, 2, circuit="iqp")
    assert iqp(1, readout="Z0").n_qubits == 1


def test_a_layer_is_no_circuit_and_its_values_would_stay_behind() -> None:
    layer = qmoe.QuantumLayer(iqp(3, 1))
    with pytest.raises(ConfigError, match=r"pass quantumlayer\.circuit, .* weights are drawn anew"):
        qmoe.QuantumRouter(3, 2, circuit=layer)


def test_routers_take_names_with_noise_and_nothing_else_beside() -> None:
    router = qmoe.QuantumRouter(3, 2, circuit={"name": "iqp", "n_layers": 1}, noise=0.1)
    assert router.circuit == iqp(3, 1).with_noise(0.1)
    mapped = qmoe.QuantumRouter(6, 2, circuit={"name": "iqp", "n_qubits": 2})
    assert mapped.projection is not None
    assert mapped.projection.weight.shape == (2, 6)
    with pytest.raises(ConfigError, match=r"n_layers, readout decide nothing.* go into \{'name': 'iqp'"):
        qmoe.QuantumRouter(3, 2, circuit="iqp", n_layers=2, readout="born")
    with pytest.raises(ConfigError, match="noise decides nothing"):
        qmoe.QuantumRouter(3, 2, circuit=iqp(3), noise=0.1)


def test_routers_keep_the_first_weights_of_an_import() -> None:
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0) * qmoe.circuits.Weight(0),))], n_qubits=1)
    imported = Imported(circuit, (("a", (1,)),), {"a": torch.tensor([0.25])})
    router = qmoe.QuantumRouter(1, 2, circuit=imported)
    assert router.circuit == circuit
    assert router.quantum.weights.tolist() == [0.25]
    drawn = qmoe.QuantumRouter(1, 2, circuit=circuit, generator=torch.Generator().manual_seed(0))
    same = qmoe.QuantumRouter(
        1, 2, circuit=Imported(circuit, (("a", (1,)),)), generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(same.quantum.weights, drawn.quantum.weights)
