"""The dense reference: the textbook formulas, whole matrices, one sample at a time. Slow; the oracle of all others.

Gates are ``exp(-i angle P / 2)`` of a Pauli word P, embedded in the full space by Kronecker products; noise is a sum
over Kraus operators of the density matrix. Nothing is shared with the fast engines but the description of the circuit.
"""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from torch import Tensor

from qmoe.circuits import (
    Angle,
    Born,
    Circuit,
    Dephase,
    Depolarize,
    Disturb,
    Expval,
    Gate,
    Hamiltonian,
    Parity,
    Pauli,
    Prepare,
    Probs,
    Readout,
    Readouts,
    Sum,
    angle_value,
)
from qmoe.engines.inputs import normalised
from qmoe.engines.protocol import Engine

#: Matrices of 256 MiB in double precision.
MAX_QUBITS = 12

_PAULI = {
    "I": [[1, 0], [0, 1]],
    "X": [[0, 1], [1, 0]],
    "Y": [[0, -1j], [1j, 0]],
    "Z": [[1, 0], [0, -1]],
}
# exp(-i angle P / 2) = cos(angle / 2) I - i sin(angle / 2) P, since P^2 = I.
_GENERATORS = {"RX": "X", "RY": "Y", "RZ": "Z", "IsingXX": "XX", "IsingYY": "YY", "IsingZZ": "ZZ"}
_R = 0.5**0.5
_FIXED: dict[str, list[list[complex]]] = {
    "Hadamard": [[_R, _R], [_R, -_R]],
    "PauliX": [[0, 1], [1, 0]],
    "PauliY": [[0, -1j], [1j, 0]],
    "PauliZ": [[1, 0], [0, -1]],
    "S": [[1, 0], [0, 1j]],
    "T": [[1, 0], [0, _R + _R * 1j]],
    "SX": [[0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]],
    "CNOT": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
    "CY": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, -1j], [0, 0, 1j, 0]],
    "CZ": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]],
    "SWAP": [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]],
    "ISWAP": [[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]],
    "ECR": [[0, 0, _R, _R * 1j], [0, 0, _R * 1j, _R], [_R, _R * -1j, 0, 0], [_R * -1j, _R, 0, 0]],
}


class ReferenceEngine(Engine):
    """Dense matrices, differentiable through autograd. For tests and for reading, up to about six qubits."""

    name: ClassVar[str] = "reference"
    readouts: ClassVar[tuple[type[Readout], ...]] = (Expval, Born, Pauli, Hamiltonian, Probs, Parity, Readouts)
    takes_expressions: ClassVar[bool] = True

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """Whole matrices, of which a few are there at once."""
        del device
        if circuit.n_qubits > MAX_QUBITS:
            return (
                f"it multiplies matrices of 2**{2 * circuit.n_qubits} numbers, and takes up to {MAX_QUBITS} qubits, got "
                f"n_qubits={circuit.n_qubits}; use engine='native' or 'torch'."
            )
        return None

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        rows = [
            torch.stack(
                [_run(circuit, sample, weights[s], None if strength is None else strength[s]) for sample in x[s]]
            )
            for s in range(len(weights))
        ]
        return torch.stack(rows)


def _run(circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
    """One sample ``(F,)`` of one model ``(P,)`` to ``(n_outputs,)``."""
    q, dtype = circuit.n_qubits, torch.promote_types(x.dtype, torch.complex64)
    ket = torch.zeros(circuit.dim, 1, dtype=dtype, device=x.device)
    ket[0] = 1
    rho = ket @ ket.mH
    for op in circuit.operations:
        if isinstance(op, Prepare):
            amplitudes = torch.cat([normalised(x), torch.zeros(circuit.dim - len(x), dtype=x.dtype, device=x.device)])
            column = amplitudes.to(dtype)[:, None]
            rho = column @ column.mH
        elif isinstance(op, Depolarize):
            assert strength is not None
            for wire in op.wires:
                rho = _depolarize(rho, wire, q, strength)
        elif isinstance(op, Dephase):
            for wire in op.wires:
                rho = _dephase(rho, wire, op.axis, q)
        elif isinstance(op, Disturb):
            rho = _disturb(rho, op, q)
        else:
            unitary = _embed(_matrix(op, x, weights, dtype), op.wires, q)
            rho = unitary @ rho @ unitary.mH
    return _read(circuit.readout, rho, q)


def _read(readout: Readout, rho: Tensor, n_qubits: int) -> Tensor:
    """``(n_outputs,)`` numbers of a density matrix."""
    if isinstance(readout, Readouts):
        return torch.cat([_read(part, rho, n_qubits) for part in readout.parts])
    if isinstance(readout, Born | Probs):
        wires = tuple(range(n_qubits)) if isinstance(readout, Born) else readout.wires
        outcomes = rho.diagonal().real.reshape((2,) * n_qubits)
        rest = [wire for wire in range(n_qubits) if wire not in wires]
        return outcomes.permute(*wires, *rest).reshape(2 ** len(wires), -1).sum(-1)
    sums = readout.words(n_qubits)
    assert sums is not None
    return torch.stack([_expectation(terms, rho, n_qubits) for terms in sums])


def _expectation(terms: Sum, rho: Tensor, n_qubits: int) -> Tensor:
    total = rho.diagonal().real.sum() * 0
    for coefficient, word in terms:
        letters = dict(word)
        matrix = _pauli_word("".join(letters.get(wire, "I") for wire in range(n_qubits)), rho)
        total = total + coefficient * (matrix @ rho).diagonal().sum().real
    return total


def _disturb(rho: Tensor, op: Disturb, n_qubits: int) -> Tensor:
    operators = torch.tensor(op.channel.kraus(), dtype=rho.dtype, device=rho.device)
    full = [_embed(operator, op.wires, n_qubits) for operator in operators]
    return torch.stack([operator @ rho @ operator.mH for operator in full]).sum(0)


def _depolarize(rho: Tensor, wire: int, n_qubits: int, p: Tensor) -> Tensor:
    mixed = (1 - p) * rho
    for name in "XYZ":
        kraus = _embed(_pauli_word(name, rho), (wire,), n_qubits)
        mixed = mixed + p / 3 * (kraus @ rho @ kraus.mH)
    return mixed


def _dephase(rho: Tensor, wire: int, axis: str, n_qubits: int) -> Tensor:
    """The qubit is projected onto each of the eigenstates of a Pauli operator, and the results are added up."""
    identity, pauli = (_pauli_word(letter, rho) for letter in ("I", axis))
    projectors = [(identity + sign * pauli) / 2 for sign in (1, -1)]
    kraus = [_embed(projector, (wire,), n_qubits) for projector in projectors]
    return kraus[0] @ rho @ kraus[0].mH + kraus[1] @ rho @ kraus[1].mH


def _matrix(gate: Gate, x: Tensor, weights: Tensor, dtype: torch.dtype) -> Tensor:
    """The gate's own matrix, ``(2**w, 2**w)``."""

    def value(angle: Angle) -> Tensor:
        return angle_value(
            angle,
            feature=lambda index: x[index],
            weight=lambda index: weights[index],
            number=lambda constant: torch.tensor(constant, dtype=x.dtype, device=x.device),
        )

    if gate.name in _FIXED:
        return torch.tensor(_FIXED[gate.name], dtype=dtype, device=x.device)
    if gate.name == "Rot":
        phi, theta, omega = (value(angle) for angle in gate.angles)
        return _rotation("RZ", omega, dtype) @ _rotation("RY", theta, dtype) @ _rotation("RZ", phi, dtype)
    angle = value(gate.angles[0])
    if gate.name == "PhaseShift":
        return torch.exp(0.5j * angle) * _rotation("RZ", angle, dtype)
    if gate.name in ("CRX", "CRY", "CRZ"):
        return torch.block_diag(torch.eye(2, dtype=dtype, device=x.device), _rotation(gate.name[1:], angle, dtype))
    return _rotation(gate.name, angle, dtype)


def _rotation(name: str, angle: Tensor, dtype: torch.dtype) -> Tensor:
    like = torch.empty(0, dtype=dtype, device=angle.device)
    word = _pauli_word(_GENERATORS[name], like)
    return (
        torch.cos(angle / 2) * torch.eye(len(word), dtype=dtype, device=angle.device) - 1j * torch.sin(angle / 2) * word
    )


def _pauli_word(word: str, like: Tensor) -> Tensor:
    factors = [torch.tensor(_PAULI[letter], dtype=like.dtype, device=like.device) for letter in word]
    return functools.reduce(torch.kron, factors)


def _embed(matrix: Tensor, wires: tuple[int, ...], n_qubits: int) -> Tensor:
    """Extends a matrix on ``wires`` by the identity to all wires; wire 0 is the most significant bit."""
    rest = [w for w in range(n_qubits) if w not in wires]
    identity = torch.eye(2 ** len(rest), dtype=matrix.dtype, device=matrix.device)
    full = torch.kron(matrix, identity).reshape((2,) * (2 * n_qubits))
    # Axes now stand in the order wires + rest; put each where its wire belongs.
    place = [(*wires, *rest).index(w) for w in range(n_qubits)]
    return full.permute(*place, *(p + n_qubits for p in place)).reshape(2**n_qubits, 2**n_qubits)


def gate_matrix(gate: Gate, weights: Tensor) -> Tensor:
    """The matrix of a gate on its own wires, the first of which is the most significant bit.

    Args:
        gate: a gate without a `Feature`.
        weights: ``(P,)`` values of the weights that it may name; float32 or float64.

    Returns:
        ``(2**w, 2**w)`` complex.
    """
    return _matrix(gate, weights.new_empty(0), weights, torch.promote_types(weights.dtype, torch.complex64))
