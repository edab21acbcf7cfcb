"""Gate matrices as real coefficients times constant matrices, for amplitudes and for Pauli vectors.

Every gate here is ``U = sum_k v_k(angles) B_k`` with real ``v`` and constant ``B``: ``RX(a) = cos(a/2) I - sin(a/2) iX``.
In the Pauli basis the same gate is the real matrix ``T_ij = tr(P_i U P_j U^dag) / 2^w = sum_kl v_k v_l C_klij``. So a gate
of any angles, batch and representation is a few cosines and one product with a constant.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

I2 = np.eye(2, dtype=complex)
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]], dtype=complex)
Z = np.array([[1, 0], [0, -1]], dtype=complex)
PAULIS = np.stack([I2, X, Y, Z])
_P0, _P1 = np.diag([1, 0]).astype(complex), np.diag([0, 1]).astype(complex)


def _half(angles: Tensor) -> Tensor:
    half = angles / 2
    return torch.cat([half.cos(), half.sin()], -1)


def _one_and_half(angles: Tensor) -> Tensor:
    half = angles / 2
    return torch.cat([torch.ones_like(half), half.cos(), half.sin()], -1)


def _one_and_full(angles: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(angles), angles.cos(), angles.sin()], -1)


def _euler(angles: Tensor) -> Tensor:
    phi, theta, omega = angles.unbind(-1)
    half = torch.stack([phi + omega, phi - omega, theta], -1) / 2
    cos, sin = half.cos(), half.sin()
    waves = torch.stack([cos[..., :2], sin[..., :2]], -1)
    body = torch.stack([cos[..., 2], sin[..., 2]], -1)
    return (waves * body.unsqueeze(-1)).flatten(-2)


def _none(angles: Tensor) -> Tensor:
    return angles.new_ones((*angles.shape[:-1], 1))


Coefficients = Callable[[Tensor], Tensor]


def _controlled(pauli: np.ndarray) -> np.ndarray:
    return np.stack([np.kron(_P0, I2), np.kron(_P1, I2), np.kron(_P1, -1j * pauli)])


def _permutation(columns: list[int], phases: list[complex]) -> np.ndarray:
    matrix = np.zeros((4, 4), dtype=complex)
    matrix[columns, range(4)] = phases
    return matrix[None]


#: name -> (coefficients of the angles, constant matrices (k, d, d)).
TABLE: dict[str, tuple[Coefficients, np.ndarray]] = {
    "Hadamard": (_none, ((X + Z) / np.sqrt(2))[None]),
    "PauliX": (_none, X[None]),
    "PauliY": (_none, Y[None]),
    "PauliZ": (_none, Z[None]),
    "S": (_none, np.diag([1, 1j])[None]),
    "T": (_none, np.diag([1, np.exp(0.25j * np.pi)])[None]),
    "SX": (_none, (((1 + 1j) * I2 + (1 - 1j) * X) / 2)[None]),
    "RX": (_half, np.stack([I2, -1j * X])),
    "RY": (_half, np.stack([I2, -1j * Y])),
    "RZ": (_half, np.stack([I2, -1j * Z])),
    "PhaseShift": (_one_and_full, np.stack([_P0, _P1, 1j * _P1])),
    # Rot = RZ(omega) RY(theta) RZ(phi): cos and sin of (phi+omega)/2 times cos, and of (phi-omega)/2 times sin, of theta/2.
    "Rot": (_euler, np.stack([I2, -1j * Z, -1j * Y, -1j * X])),
    "CNOT": (_none, _permutation([0, 1, 3, 2], [1, 1, 1, 1])),
    "CY": (_none, _permutation([0, 1, 3, 2], [1, 1, 1j, -1j])),
    "CZ": (_none, _permutation([0, 1, 2, 3], [1, 1, 1, -1])),
    "SWAP": (_none, _permutation([0, 2, 1, 3], [1, 1, 1, 1])),
    "ISWAP": (_none, _permutation([0, 2, 1, 3], [1, 1j, 1j, 1])),
    "ECR": (_none, ((np.kron(X, I2) - np.kron(Y, X)) / np.sqrt(2))[None]),
    "CRX": (_one_and_half, _controlled(X)),
    "CRY": (_one_and_half, _controlled(Y)),
    "CRZ": (_one_and_half, _controlled(Z)),
    "IsingXX": (_half, np.stack([np.kron(I2, I2), -1j * np.kron(X, X)])),
    "IsingYY": (_half, np.stack([np.kron(I2, I2), -1j * np.kron(Y, Y)])),
    "IsingZZ": (_half, np.stack([np.kron(I2, I2), -1j * np.kron(Z, Z)])),
}


@functools.cache
def amplitude_constants(name: str) -> np.ndarray:
    """``(k, d, d)`` complex, transposed, so that a row vector of amplitudes times the gate is ``row @ matrix``."""
    return TABLE[name][1].transpose(0, 2, 1)


@functools.cache
def pauli_constants(name: str) -> np.ndarray:
    """``(k * k, d, d)`` real, transposed, for row vectors of Pauli coefficients; d = 4 per wire."""
    basis = TABLE[name][1]
    words = PAULIS if basis.shape[-1] == 2 else np.stack([np.kron(a, b) for a in PAULIS for b in PAULIS])
    # T_ij = tr(P_i B_k P_j B_l^dag) / 2^w; [k, l, j, i] is its transpose.
    table = np.einsum("iab,kbc,jcd,lad->klji", words, basis, words, basis.conj(), optimize=True) / basis.shape[-1]
    return table.real.reshape(-1, len(words), len(words))
