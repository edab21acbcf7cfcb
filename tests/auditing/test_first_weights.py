"""First weights of the models of an audit: each run draws its own, unless given ones are asked for."""

import math

import pytest
import torch
from torch import nn

import qmoe
from helpers import generator
from qmoe.auditing import audit
from qmoe.errors import ConfigError


@pytest.fixture(scope="module")
def theirs():
    """A layer of PennyLane."""
    qml = pytest.importorskip("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(inputs, weights):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.BasicEntanglerLayers(weights, wires=range(2))
        return [qml.expval(qml.PauliZ(0)), qml.expval(qml.PauliZ(1))]

    return qml.qnn.TorchLayer(circuit, {"weights": (1, 2)})


def table(n=20):
    x = torch.rand(n, 2, generator=generator(0))
    return x, (x.sum(1) > 1).long()


def starts_of(model, path="0", **options):
    """The first weights of the layer in each run, and the result."""
    begun = []

    def fit(model, x, y, seed):
        begun.append(torch.cat([p.detach().flatten() for p in model.get_submodule(path).parameters()]))

    result = audit(model, path, *table(), seeds=3, fit=fit, arms=[], **options)
    return torch.stack(begun[:3]), result


def about_starts(result):
    return [caveat for caveat in result.caveats if "weights" in caveat]


def test_a_layer_imported_from_pennylane_begins_elsewhere_in_each_run(theirs):
    layer = qmoe.QuantumLayer.from_pennylane(theirs)
    held = torch.cat([p.detach().flatten() for p in layer.parameters()])
    for model in (nn.Sequential(layer, nn.Linear(2, 2)), lambda: nn.Sequential(layer, nn.Linear(2, 2))):
        begun, result = starts_of(model)
        assert len({tuple(row.tolist()) for row in begun}) == 3
        assert not (begun == held).all(1).any()
        assert about_starts(result) == []
    assert torch.equal(torch.cat([p.detach().flatten() for p in layer.parameters()]), held)


def test_a_layer_of_pennylane_itself_is_drawn_as_pennylane_draws_and_that_is_told(theirs):
    begun, result = starts_of(nn.Sequential(theirs, nn.Linear(2, 2)))
    assert len({tuple(row.tolist()) for row in begun}) == 3
    assert 0 <= begun.min() < begun.max() <= 2 * math.pi
    (told,) = about_starts(result)
    assert told.startswith("Layer 0: first weights were drawn from 0 to 6.28")
    assert result.kept == ()


def test_a_layer_that_a_function_holds_is_not_trained_by_one_run_for_the_next():
    layer = nn.Linear(2, 2)
    held = layer.weight.detach().clone()
    audit(lambda: nn.Sequential(layer, nn.Linear(2, 2)), "0", *table(), seeds=2, epochs=2, lr=0.5, arms=[])
    assert torch.equal(layer.weight, held)


def test_what_a_function_gives_elsewhere_stays_as_it_gives_it():
    body = nn.Linear(2, 2)
    begun, result = starts_of(lambda: nn.Sequential(body, nn.Linear(2, 2)), path="1")
    assert len({tuple(row.tolist()) for row in begun}) == 3
    weights, _ = starts_of(lambda: nn.Sequential(body, nn.Sequential(body, nn.Linear(2, 2))), path="1")
    assert torch.equal(weights[0][:4], body.weight.flatten())
    assert about_starts(result) == []


def test_given_weights_are_kept_on_request_and_the_card_says_so():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    begun, result = starts_of(model, first_weights="given")
    assert torch.equal(begun, begun[:1].expand_as(begun))
    assert torch.equal(begun[0, :4], model[0].weight.flatten())
    assert about_starts(result) == [
        "All runs began with the weights that were given, so the verdict is about that start alone."
    ]
    frozen = audit(model, "0", *table(), seeds=6, epochs=1, first_weights="given", arms=["frozen"])
    assert "left as given" in str(frozen)
    assert "drawn" not in str(frozen)


def test_a_layer_that_always_draws_the_same_is_told():
    layer = qmoe.QuantumLayer(qmoe.Circuit(2, 1), init="zeros")
    for model in (nn.Sequential(layer, nn.Linear(2, 2)), lambda: nn.Sequential(layer, nn.Linear(2, 2))):
        begun, result = starts_of(model)
        assert not begun.any()
        assert about_starts(result)[0].startswith(
            "All runs began with the same weights of layer 0, which it always draws"
        )


def test_other_ways_to_begin_are_refused():
    with pytest.raises(ConfigError, match="first_weights"):
        audit(nn.Sequential(nn.Linear(2, 2)), "0", *table(), first_weights="givn")
