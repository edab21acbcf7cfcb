"""What circuits do: their matrices, their values and gradients."""

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit, Gate, angle_value
from qmoe.engines.reference import gate_matrix
from qmoe.testing import random_operations


def unitary_of(gates, n_qubits: int) -> np.ndarray:
    """The matrix of gates without features and weights; wire 0 is the most significant bit."""
    total = np.eye(2**n_qubits, dtype=complex).reshape((2,) * n_qubits + (-1,))
    for gate in gates:
        n = len(gate.wires)
        matrix = gate_matrix(gate, torch.empty(0, dtype=torch.float64)).numpy().reshape((2,) * (2 * n))
        total = np.moveaxis(np.tensordot(matrix, total, (range(n, 2 * n), gate.wires)), range(n), gate.wires)
    return total.reshape(2**n_qubits, 2**n_qubits)


def bound(circuit: Circuit, x, w) -> list[Gate]:
    """The gates of a circuit at a point."""
    xs, ws = (torch.as_tensor(part, dtype=torch.float64).detach().tolist() for part in (x, w))
    return [
        Gate(op.name, op.wires, [angle_value(a, xs.__getitem__, ws.__getitem__, float) for a in op.angles])
        for op in circuit.operations
    ]


def distance(some: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two unitary matrices, up to a global phase."""
    overlap = np.vdot(some, other)
    return float(np.abs(some * (overlap / abs(overlap)) - other).max())


def random_gates(seed: int) -> Circuit:
    """A random circuit of gates alone, all wires of which are measured."""
    rng = np.random.default_rng(seed)
    while True:
        circuit = random_operations(rng, noise=False)
        if not circuit.prepares:
            return circuit.with_readout("expval")


def random_point(circuit: Circuit, seed: int) -> tuple[Tensor, Tensor]:
    """``(2, F)`` features and ``(P,)`` weights in float64, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (2, circuit.in_features), (circuit.n_weights,)
    x, w = (torch.rand(shape, dtype=torch.float64, generator=generator) * 4 - 2 for shape in shapes)
    return x.requires_grad_(), w.requires_grad_()


def with_gradients(values: Tensor, *leaves: Tensor) -> list[Tensor]:
    """Values, and the gradients of a sum of them in which each has another factor."""
    factors = torch.linspace(0.5, 1.5, values.shape[-1], dtype=values.dtype)
    gradients = torch.autograd.grad((values * factors).sum(), leaves, allow_unused=True)
    return [values, *(torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, gradients, strict=True))]
