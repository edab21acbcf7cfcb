"""What a state is: amplitudes for pure states, Pauli coefficients for mixed ones. Everything else is shared.

Both are row vectors with ``d`` entries a wire, so a state has ``d**Q`` of them and a gate on w wires is a
``(d**w, d**w)`` matrix. Amplitudes are complex (d = 2). A density matrix is held as its real coefficients ``tr(P rho)``
over the Pauli words P (d = 4): gates become rotations, the depolarizing channel becomes a factor on each coefficient.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Gate
from qmoe.engines.batched.gate_matrices import PAULIS, TABLE, amplitude_constants, pauli_constants
from qmoe.engines.constants import cached_tensors
from qmoe.engines.inputs import normalised


class Algebra(ABC):
    """Constants and conversions of one representation."""

    d: int
    #: local row vector of the state |0>.
    zero: np.ndarray
    #: up to this many entries a state, consecutive gates without features are multiplied into one matrix first.
    matrix_dim: int
    #: wires per Kronecker group beyond that.
    group: int

    @abstractmethod
    def constants(self, name: str) -> np.ndarray:
        """``(k, d**w, d**w)`` matrices of a gate, transposed for row vectors."""

    @abstractmethod
    def coefficients(self, name: str, angles: Tensor) -> Tensor:
        """``(..., n_angles)`` angles to ``(..., k)`` real coefficients of the constants."""

    @abstractmethod
    def prepare(self, x: Tensor, n_qubits: int) -> Tensor:
        """``(S, B, F)`` features to the amplitude-encoded states ``(S, B, d**Q)``."""

    @abstractmethod
    def read(self, vec: Tensor, circuit: Circuit) -> Tensor:
        """``(S, B, d**Q)`` states to ``(S, B, n_outputs)``."""

    @abstractmethod
    def is_complex(self) -> bool:
        """Whether states are complex."""

    def matrices(self, name: str, angles: Tensor, left: np.ndarray | None = None) -> Tensor:
        """``(..., n_angles)`` to ``(..., d**w, d**w)`` gate matrices, or ``(..., d**w)`` where ``left`` is a row vector."""
        table = _flat_constants(self, name, None if left is None else tuple(left), angles.dtype, angles.device)
        flat = self.coefficients(name, angles) @ table
        size = self.constants(name).shape[-1]
        shape = (*angles.shape[:-1], size) if left is not None else (*angles.shape[:-1], size, size)
        if self.is_complex():
            return torch.view_as_complex(flat.reshape(*shape, 2))
        return flat.reshape(shape)

    def dtype(self, real: torch.dtype) -> torch.dtype:
        """The dtype of states for inputs of dtype ``real``."""
        return torch.promote_types(real, torch.complex64) if self.is_complex() else real


@cached_tensors
def _flat_constants(
    algebra: Algebra, name: str, left: tuple[complex, ...] | None, dtype: torch.dtype, device: torch.device
) -> Tensor:
    table = algebra.constants(name)
    if left is not None:
        table = np.einsum("a,kab->kb", np.array(left), table)
    flat = np.ascontiguousarray(table.reshape(len(table), -1))
    if algebra.is_complex():
        flat = flat.astype(complex).view(float)
    return torch.tensor(flat, dtype=dtype, device=device)


class Amplitudes(Algebra):
    """Pure states."""

    d = 2
    zero = np.array([1, 0], dtype=complex)
    matrix_dim = 16
    group = 4

    def constants(self, name: str) -> np.ndarray:
        return amplitude_constants(name)

    def coefficients(self, name: str, angles: Tensor) -> Tensor:
        return TABLE[name][0](angles)

    def is_complex(self) -> bool:
        return True

    def prepare(self, x: Tensor, n_qubits: int) -> Tensor:
        padded = torch.nn.functional.pad(normalised(x), (0, 2**n_qubits - x.shape[-1]))
        return padded.to(self.dtype(x.dtype))

    def read(self, vec: Tensor, circuit: Circuit) -> Tensor:
        probabilities = torch.view_as_real(vec).square().sum(-1)
        if isinstance(circuit.readout, Born):
            return probabilities
        return probabilities @ _signs(circuit.n_qubits, probabilities.dtype, probabilities.device)


class PauliVector(Algebra):
    """Mixed states."""

    d = 4
    zero = np.array([1.0, 0.0, 0.0, 1.0])
    matrix_dim = 16
    group = 2

    def constants(self, name: str) -> np.ndarray:
        return pauli_constants(name)

    def coefficients(self, name: str, angles: Tensor) -> Tensor:
        v = TABLE[name][0](angles)
        return (v.unsqueeze(-1) * v.unsqueeze(-2)).flatten(-2)

    def is_complex(self) -> bool:
        return False

    def prepare(self, x: Tensor, n_qubits: int) -> Tensor:
        psi = torch.nn.functional.pad(normalised(x), (0, 2**n_qubits - x.shape[-1]))
        outer = (psi.unsqueeze(-1) * psi.unsqueeze(-2)).reshape(*x.shape[:-1], *(2,) * (2 * n_qubits))
        # Pair each wire's ket and bra axes, then change basis wire by wire: tr(P rho) = sum_ab P_ba rho_ab.
        lead = x.dim() - 1
        order = [axis for w in range(n_qubits) for axis in (lead + w, lead + n_qubits + w)]
        vec = (
            outer.permute(*range(lead), *order)
            .reshape(*x.shape[:-1], 4**n_qubits)
            .to(torch.promote_types(x.dtype, torch.complex64))
        )
        change = _pauli_change(vec.dtype, vec.device)
        for w in range(n_qubits):
            split = vec.reshape(*x.shape[:-1], 4**w, 4, 4 ** (n_qubits - w - 1))
            vec = (split.transpose(-1, -2) @ change).transpose(-1, -2).reshape(*x.shape[:-1], 4**n_qubits)
        return vec.real

    def read(self, vec: Tensor, circuit: Circuit) -> Tensor:
        born = isinstance(circuit.readout, Born)
        return vec @ _pauli_readout(circuit.n_qubits, born, vec.dtype, vec.device)


AMPLITUDES = Amplitudes()
PAULI_VECTOR = PauliVector()


@cached_tensors
def _pauli_change(dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(4, 4)``: a wire's ket and bra to its Pauli coefficients."""
    return torch.tensor(PAULIS.transpose(0, 2, 1).reshape(4, 4).T, dtype=dtype, device=device)


@cached_tensors
def _signs(n_qubits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(D, Q)``: the eigenvalue of Z_i on each basis state."""
    bits = (np.arange(2**n_qubits)[:, None] >> np.arange(n_qubits)[::-1]) & 1
    return torch.tensor(1.0 - 2.0 * bits, dtype=dtype, device=device)


@cached_tensors
def _pauli_readout(n_qubits: int, born: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(4**Q, n_outputs)``: read-outs as linear functions of the Pauli coefficients."""
    if born:
        local = np.array([[1, 1], [0, 0], [0, 0], [1, -1]]) / 2
        table: np.ndarray = local
        for _ in range(n_qubits - 1):
            table = np.kron(table, local)
    else:
        table = np.zeros((4**n_qubits, n_qubits))
        for wire in range(n_qubits):
            table[3 * 4 ** (n_qubits - 1 - wire), wire] = 1
    return torch.tensor(table, dtype=dtype, device=device)


@functools.lru_cache(maxsize=256)
def fixed_action(algebra: Algebra, gates: tuple[Gate, ...], n_qubits: int) -> tuple[np.ndarray, np.ndarray]:
    """The gates as a permutation with phases: ``new[j] = phase[j] * old[source[j]]``.

    Every two-qubit gate without angles that comes here is a Clifford gate that permutes basis states up to a phase, and
    so permutes Pauli words up to a sign; ECR, which does not, comes in parts.
    """
    size = algebra.d**n_qubits
    source, phase = np.arange(size), np.ones(size, dtype=complex if algebra.is_complex() else float)
    for gate in gates:
        matrix = algebra.constants(gate.name)[0]
        rows = np.abs(matrix).argmax(0)
        values = matrix[rows, range(matrix.shape[1])]
        low, high = (algebra.d ** (n_qubits - 1 - wire) for wire in gate.wires)
        index = np.arange(size)
        a, b = index // low % algebra.d, index // high % algebra.d
        local = a * algebra.d + b
        new_a, new_b = np.divmod(rows[local], algebra.d)
        step = index + (new_a - a) * low + (new_b - b) * high
        source, phase = source[step], phase[step] * values[local]
    return source, phase


@cached_tensors
def dephasing_mask(
    wires: tuple[int, ...], axis: str, n_qubits: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """``(4**Q,)``: 1 for Pauli words that have I or ``axis`` on each of ``wires``, 0 for all others."""
    kept = [letter in ("I", axis) for letter in "IXYZ"]
    factors = [np.array(kept if wire in wires else [True] * 4, dtype=int) for wire in range(n_qubits)]
    mask = functools.reduce(np.kron, factors)
    return torch.tensor(mask, dtype=dtype, device=device)


@cached_tensors
def noise_exponents(counts: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(4**Q,)``: how many times the channel damps each Pauli word."""
    total = np.zeros(1)
    for count in counts:
        total = np.add.outer(total, count * np.array([0, 1, 1, 1])).reshape(-1)
    return torch.tensor(total, dtype=dtype, device=device)
