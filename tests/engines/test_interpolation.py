"""What a circuit gives at a few nodes says what it gives everywhere."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.circuits import AmplitudeEncoding, AngleEncoding, Circuit, NoiseModel
from qmoe.engines import ReferenceEngine
from qmoe.engines.interpolation import n_nodes, node_weights, nodes


def circuit(n_qubits=2, rotation="X", uploads=1, readout="expval", noise=None):
    encoding = AngleEncoding(rotation=rotation, uploads=uploads)
    return Circuit(n_qubits, max(2, uploads), encoding, readout=readout, noise=noise)


@pytest.mark.parametrize(
    "described",
    [
        circuit(1),
        circuit(2),
        circuit(3),
        circuit(2, rotation="Y"),
        circuit(2, rotation="Z"),
        circuit(2, uploads=2),
        circuit(1, uploads=3),
        circuit(2, readout="born"),
        circuit(2, noise=NoiseModel(depolarizing=0.1)),
    ],
    ids=lambda c: f"{c.in_features}-{c.encoding.rotation}-{c.encoding.uploads}",
)
def test_read_outs_anywhere_are_those_at_the_nodes_times_their_weights(described):
    generator = torch.Generator().manual_seed(0)
    x = 20 * torch.rand(40, described.in_features, generator=generator, dtype=torch.float64) - 10
    weights = 6 * torch.rand(described.weight_shape, generator=generator, dtype=torch.float64)
    run = ReferenceEngine().evaluate
    at_nodes = run(described, nodes(described), weights)
    assert len(at_nodes) == n_nodes(described) == (2 * described.encoding.uploads + 1) ** described.in_features
    torch.testing.assert_close(node_weights(described, x) @ at_nodes, run(described, x, weights), rtol=0, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), st.integers(1, 4))
def test_weights_sum_to_one(x, uploads):
    weights = node_weights(circuit(2, uploads=uploads), torch.tensor([x], dtype=torch.float64))
    assert float(weights.sum()) == pytest.approx(1, abs=1e-9)


def test_at_a_node_only_its_own_weight_is_left():
    described = circuit(2, uploads=2)
    torch.testing.assert_close(
        node_weights(described, nodes(described)), torch.eye(25, dtype=torch.float64), rtol=0, atol=1e-14
    )


def test_weights_are_computed_in_doubles_and_come_in_the_precision_of_the_features():
    described, x = circuit(2, uploads=3), torch.tensor([[1e4, -3.0]])
    weights = node_weights(described, x)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, node_weights(described, x.double()).float(), rtol=0, atol=0)


def test_a_feature_that_is_not_finite_gives_nan():
    assert node_weights(circuit(), torch.tensor([[math.nan, 1.0]])).isnan().all()


def test_amplitudes_and_encodings_of_ones_own_have_no_nodes():
    class Mine(AngleEncoding):
        pass

    assert n_nodes(Circuit(2, 1, AmplitudeEncoding())) is None
    assert n_nodes(Circuit(2, 1, Mine())) is None
