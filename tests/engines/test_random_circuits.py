"""The engines people use against PennyLane and the dense reference: 500 random circuits, values and gradients."""

import functools

import numpy as np
import pytest
import torch
from torch import Tensor

from qmoe.circuits import GATES, Circuit, Gate
from qmoe.engines import Engine, NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.testing import random_circuit, random_inputs

N_CIRCUITS, N_CHUNKS = 500, 25
N_DENSE = 200
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


@functools.cache
def drawn(index: int) -> Circuit:
    """Circuit ``index``: 1 to 6 qubits in turn, every other one noisy; a dense simulation of noise on six is slow."""
    n_qubits = 1 + index % 6
    noise = index // 6 % 2 == 1
    if noise and index >= N_DENSE:
        n_qubits = 1 + index % 3
    elif noise and n_qubits > 4 and index % 5:
        n_qubits -= 3
    rng = np.random.default_rng([2024, index])
    return random_circuit(rng, n_qubits=n_qubits, noise=noise)


def projected(engine: Engine, index: int, dtype: torch.dtype) -> list[Tensor]:
    """Circuit ``index`` on two samples: the read-out, and the gradients of a random projection of it."""
    circuit = drawn(index)
    x, weights = random_inputs(circuit, index, batch=(2,), dtype=dtype, requires_grad=True)
    out = engine.evaluate(circuit, x, weights)
    projection = torch.randn(out.shape, generator=torch.Generator().manual_seed(index), dtype=torch.float64)
    loss = (out * (projection / projection.norm()).to(dtype)).sum()
    # Without layers the weights play no part.
    return [out.detach(), *torch.autograd.grad(loss, (x, weights), materialize_grads=True)]


def deviation(got: list[Tensor], expected: list[Tensor]) -> float:
    """Largest absolute difference of values and gradients; inputs are exact in float32."""
    pairs = zip(got, expected, strict=True)
    return max(float((a.double() - b).abs().max()) for a, b in pairs if b.numel())


@pytest.mark.parametrize("chunk", range(N_CHUNKS))
def test_fast_engines_equal_pennylane_and_the_reference_on_random_circuits(chunk: int) -> None:
    for index in range(chunk, N_CIRCUITS, N_CHUNKS):
        # Float64, and once for all comparisons.
        truths = {
            engine.name: projected(engine, index, torch.float64) for engine in (PennyLaneEngine(), ReferenceEngine())
        }
        for engine in (TorchEngine(), NativeEngine()):
            for dtype, tolerance in TOLERANCES.items():
                got = projected(engine, index, dtype)
                assert all(tensor.dtype == dtype for tensor in got)
                for name, truth in truths.items():
                    worst = deviation(got, truth)
                    assert worst < tolerance, (
                        f"circuit {index}: {engine.name} in {dtype} deviates by {worst} from {name}: {drawn(index)}"
                    )


def test_random_circuits_cover_everything_a_circuit_can_be() -> None:
    circuits = [drawn(index) for index in range(N_CIRCUITS)]
    gates = {op.name for circuit in circuits for op in circuit.operations if isinstance(op, Gate)}
    assert gates == set(GATES)
    assert {circuit.n_qubits for circuit in circuits} == {1, 2, 3, 4, 5, 6}
    assert {circuit.n_layers for circuit in circuits} == {0, 1, 2, 3}
    assert {circuit.encoding.name for circuit in circuits} == {"angle", "amplitude"}
    assert {circuit.encoding.uploads for circuit in circuits} == {1, 2, 3}
    assert {circuit.readout.name for circuit in circuits} == {"expval", "born"}
    assert {circuit.ansatz.name for circuit in circuits} >= {
        "strongly_entangling",
        "basic_entangler",
        "no_entangler",
        "custom",
    }
    assert {None if c.noise is None else c.noise.placement for c in circuits} == {None, "block", "gate"}
    assert any(circuit.noise and circuit.n_qubits == 6 for circuit in circuits)
    assert any(
        circuit.in_features < 2**circuit.n_qubits for circuit in circuits if circuit.encoding.name == "amplitude"
    )
