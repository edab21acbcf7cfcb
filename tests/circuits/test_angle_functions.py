"""Angles by a function of features and weights: traced once, compared by what it does, run by every engine."""

import copy
import pickle

import pytest
import torch
from torch import nn

import qmoe
from qmoe.circuits import AngleFunction, Circuit, Computed, Feature, Gate, Pauli, Prepare, Weight
from qmoe.engines import NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.errors import ConfigError
from qmoe.testing import random_inputs


def angles(x, weights):
    return torch.stack([torch.atan(x[:, 0]) * weights[0], torch.sin(x[:, 1]) + weights[1] ** 2], -1)


GATES = [
    Gate("RX", (0,), (Computed(0),)),
    Gate("CRZ", (0, 1), (Computed(1),)),
    Gate("Hadamard", (1,)),
    Gate("CRX", (0, 1), (Computed(1),)),
    Gate("Rot", (1,), (2 * Feature(0), Weight(2), Computed(0))),
    Gate("RY", (0,), (Computed(1) * Weight(0) - 0.5 * Feature(1),)),
]


def circuit(function=angles, gates=GATES, **options):
    shape = {"in_features": 2, "weight_shape": 3, "readout": [Pauli("Z0 Z1"), Pauli("X1")]} | options
    return Circuit.from_operations(gates, angles=function, **shape)


def test_every_engine_gives_what_the_gates_give_with_those_angles():
    x, weights = random_inputs(circuit(), 0, requires_grad=True)
    plain = [
        *GATES[2:3],
        Gate("Rot", (1,), (2 * Feature(2), Weight(2), Feature(0))),
        Gate("RY", (0,), (Feature(1) * Weight(0) - 0.5 * Feature(3),)),
    ]
    plain[:0] = [Gate("RX", (0,), (Feature(0),)), Gate("CRZ", (0, 1), (Feature(1),))]
    plain.insert(3, Gate("CRX", (0, 1), (Feature(1),)))
    listed = Circuit.from_operations(plain, in_features=4, weight_shape=3, readout=circuit().readout)
    wide = torch.cat([angles(x, weights), x], -1)
    expected = ReferenceEngine().evaluate(listed, wide, weights)
    gradients = torch.autograd.grad(expected.square().sum(), (x, weights))
    for engine in (ReferenceEngine(), NativeEngine(), TorchEngine(), PennyLaneEngine()):
        out = engine.evaluate(circuit(), x, weights)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
        for got, want in zip(torch.autograd.grad(out.square().sum(), (x, weights)), gradients, strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_models_of_a_stack_have_angles_by_weights_of_their_own():
    x, weights = random_inputs(circuit(), 1, stack=(3,))
    out = NativeEngine().evaluate(circuit(), x, weights)
    each = [NativeEngine().evaluate(circuit(), row, w) for row, w in zip(x, weights, strict=True)]
    torch.testing.assert_close(out, torch.stack(each), rtol=0, atol=1e-12)


def test_functions_that_do_the_same_are_equal():
    def again(x, weights):
        first = torch.atan(x[:, 0]) * weights[0]
        return torch.stack([first, torch.sin(x[:, 1]) + weights[1] ** 2], -1)

    assert circuit() == circuit(again)
    assert hash(circuit()) == hash(circuit(again))
    assert circuit() != circuit(lambda x, weights: angles(x, weights) + 1)


def test_constants_count_where_functions_are_compared():
    one, two = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])
    assert circuit(lambda x, weights: x * one) != circuit(lambda x, weights: x * two)


def test_a_layer_with_one_pickles_copies_and_takes_any_batch():
    layer = qmoe.QuantumLayer(circuit())
    x = torch.rand(7, 2)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert torch.equal(other(x), layer(x))
    torch.testing.assert_close(layer(x[3]), layer(x)[3], rtol=0, atol=1e-6)
    torch.testing.assert_close(layer(x[:6].reshape(3, 2, 2)), layer(x)[:6].reshape(3, 2, 2), rtol=0, atol=1e-6)


def test_transforms_pass_through_it():
    made, run = circuit(), NativeEngine().evaluate
    x, weights = random_inputs(made, 2, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda *given: run(made, *given), (x, weights))
    rows = torch.func.vmap(torch.func.jacrev(lambda row: run(made, row, weights)))(x)
    whole = torch.autograd.functional.jacobian(lambda given: run(made, given, weights), x)
    torch.testing.assert_close(rows, torch.einsum("bobf->bof", whole), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, weights: x if float(x.sum()) > 0 else -x, "cannot be traced"),
        (lambda x, weights: x @ weights, "cannot be traced"),
        (lambda x, weights: x.sum(0), "a row for each"),
        (lambda x, weights: x + torch.rand(1), "gives other values than its trace"),
        (lambda x, weights: x.float(), "expected torch.float64"),
        (lambda x, weights: x * nn.Parameter(torch.ones(2)), "holds tensors that train"),
        (lambda x, weights: x[:, :1], r"Computed\(1\), but the function gives 1 angle"),
        (None, "no function computes it"),
        (AngleFunction(lambda x, weights: x, 2, 1), r"expected a function of 2 feature\(s\) and 3 weight\(s\)"),
    ],
)
def test_functions_that_give_no_angles_are_refused(function, message):
    with pytest.raises(ConfigError, match=message):
        circuit(function)


@pytest.mark.parametrize("missing", ["in_features", "weight_shape"])
def test_a_function_is_told_how_many_features_and_weights_there_are(missing):
    with pytest.raises(ConfigError, match="in_features= and weight_shape="):
        circuit(**{missing: None})


def test_amplitudes_give_no_angles_as_well():
    with pytest.raises(ConfigError, match="cannot give angles"):
        circuit(gates=[Prepare(2), *GATES[:1]], in_features=2)
