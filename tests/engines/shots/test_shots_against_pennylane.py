"""Estimates of qmoe and of PennyLane with the same number of shots have the same mean and the same spread."""

import pennylane as qml
import pytest
import torch

from qmoe.circuits import Circuit, Pauli, Probs
from qmoe.engines import TorchEngine, sampled
from qmoe.interop import to_pennylane

READOUTS = {"Z": [Pauli("Z0"), Pauli("Z1")], "words": [Pauli("X0 Y1"), Pauli("Z1"), Probs((1, 0))]}


@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS)
def test_mean_and_spread_agree_within_four_standard_errors(readout):
    circuit = Circuit(2, 2, readout=readout)
    draw = {"generator": torch.Generator().manual_seed(1), "dtype": torch.float64}
    x, weights = 3 * torch.rand(2, **draw), 6 * torch.rand(circuit.weight_shape, **draw)
    shots, n_draws = 25, 1_500
    device = qml.device("default.qubit", wires=2, seed=3)
    node = qml.set_shots(qml.QNode(to_pennylane(circuit), device), shots)
    theirs = torch.cat([part.reshape(n_draws, -1) for part in node(x.expand(n_draws, 2), weights)], -1)
    ours = sampled(
        TorchEngine(), circuit, x.expand(n_draws, 2), weights, shots=shots, generator=torch.Generator().manual_seed(0)
    )
    error = ((ours.var(0) + theirs.var(0)) / n_draws).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() <= 4 * error).all()
    # The variance of a variance of nearly normal numbers is 2 var**2 / n.
    spread = ours.var(0) * (2 * 2 / n_draws) ** 0.5
    assert ((ours.var(0) - theirs.var(0)).abs() <= 4 * spread).all()
