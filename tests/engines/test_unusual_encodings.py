"""Encodings of a user's own, which open with other gates than rotations by features."""

import pytest
import torch

from qmoe.circuits import AngleEncoding, Circuit, Feature, Gate
from qmoe.engines import ReferenceEngine, TorchEngine


class Own(AngleEncoding):
    """Angle encoding with gates before it."""

    before: tuple[Gate, ...] = ()

    def operations(self, n_qubits):
        return (*self.before, *super().operations(n_qubits))


def inputs(circuit):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    return x, torch.rand(*circuit.weight_shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("noise", [None, 0.1])
def test_an_encoding_may_open_with_gates_that_take_no_feature(noise):
    class Entangled(Own):
        before = (Gate("Hadamard", (0,)), Gate("CNOT", (0, 1)))

    circuit = Circuit(2, 2, encoding=Entangled(), noise=noise)
    x, weights = inputs(circuit)
    ours, truth = (engine.evaluate(circuit, x, weights) for engine in (TorchEngine(), ReferenceEngine()))
    torch.testing.assert_close(ours, truth, rtol=0, atol=1e-12)


def test_a_two_qubit_gate_by_a_feature_is_not_read_as_a_weight():
    class Interacting(Own):
        before = (Gate("IsingYY", (0, 1), (Feature(0),)),)

    circuit = Circuit(2, 2, encoding=Interacting())
    x, weights = inputs(circuit)
    ours, truth = (engine.evaluate(circuit, x, weights) for engine in (TorchEngine(), ReferenceEngine()))
    torch.testing.assert_close(ours, truth, rtol=0, atol=1e-12)
