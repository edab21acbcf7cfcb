"""Constants of the torch engine, which are made once and kept."""

from __future__ import annotations

import pytest
import torch

from helpers import run_python
from qmoe.circuits import AngleEncoding, Circuit, CustomAnsatz, Gate, Weight
from qmoe.engines import TorchEngine
from qmoe.testing import random_inputs

# Every kind of constant: gates side by side with none, constant angles, angles out of order, gates before any feature.
MIXED = CustomAnsatz((Gate("RX", (1,), (Weight(1),)), Gate("RZ", (0,), (0.4,)), Gate("RZ", (0,), (Weight(0),))))
CIRCUITS = (
    Circuit(2, 3),
    Circuit(5, 2),
    Circuit(3, 1, ansatz=MIXED),
    Circuit(2, 2, AngleEncoding("Z", uploads=2), ansatz=MIXED, noise=0.1),
    Circuit(2, 1, "amplitude", in_features=3, noise=0.1),
)


def test_a_circuit_first_run_in_inference_mode_trains_afterwards() -> None:
    code = """
import torch
from qmoe.circuits import Circuit
from qmoe.engines import TorchEngine
from qmoe.testing import random_inputs
for circuit in (Circuit(2, 3), Circuit(5, 2), Circuit(2, 1, "amplitude", noise=0.1)):
    x, weights = random_inputs(circuit, 1)
    with torch.inference_mode():
        expected = TorchEngine().evaluate(circuit, x, weights)
    out = TorchEngine().evaluate(circuit, x, weights.requires_grad_())
    out.sum().backward()
    print(torch.equal(out.detach(), expected))
"""
    assert run_python(code).split() == ["True"] * 3


@pytest.mark.parametrize("circuit", CIRCUITS, ids=str)
def test_a_second_run_makes_no_tensor_from_numbers(circuit: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each would be waited for, and a CUDA graph could not hold it."""
    x, weights = random_inputs(circuit, 2)
    expected = TorchEngine().evaluate(circuit, x, weights)
    for name in ("tensor", "as_tensor", "from_numpy"):
        monkeypatch.setattr(torch, name, None)
    assert torch.equal(TorchEngine().evaluate(circuit, x, weights), expected)
