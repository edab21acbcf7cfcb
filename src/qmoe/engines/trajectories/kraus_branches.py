"""Channels that are no mixture of Pauli errors: operators drawn with fixed probabilities, and how a batch runs them.

With probability ``q_i = tr(K_i^dag K_i) / d``, whatever the state, a trajectory takes the operator ``K_i / sqrt(q_i)``. What
is read from states so made, which are not normalised, is right on average, and differentiable, since nothing that is drawn
depends on angles.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Channel, Circuit, Gate, Prepare, Weight
from qmoe.circuits.noise.channels import pauli_words
from qmoe.engines.batched.algebra import Amplitudes
from qmoe.engines.batched.engine import StateExecution
from qmoe.engines.batched.schedule import Run, StageBuilder, grouped
from qmoe.engines.constants import cached_tensors

#: Share of the trace below which an operator is rounding.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Branch:
    """An operator on one or two wires, whose numbers are weights: real parts, row by row, then imaginary parts.

    It looks like a gate to the torch engine.
    """

    wires: tuple[int, ...]
    angles: tuple[Weight, ...]

    NAMES: ClassVar[tuple[str, ...]] = ("one-qubit branch", "two-qubit branch")

    @property
    def name(self) -> str:
        """By the number of its wires."""
        return self.NAMES[len(self.wires) - 1]


class BranchAmplitudes(Amplitudes):
    """Pure states on which branches act as well."""

    def constants(self, name: str) -> np.ndarray:
        """Of a gate or a branch."""
        return _units(2 ** (1 + Branch.NAMES.index(name))) if name in Branch.NAMES else super().constants(name)

    def coefficients(self, name: str, angles: Tensor) -> Tensor:
        """Of a gate; of a branch the angles themselves, which are its numbers."""
        return angles if name in Branch.NAMES else super().coefficients(name, angles)


_AMPLITUDES = BranchAmplitudes()


@functools.cache
def _units(size: int) -> np.ndarray:
    """``(2 d**2, d, d)``, transposed for row vectors: matrices with a single 1, then those with a single i."""
    ones = np.eye(size * size, dtype=complex).reshape(-1, size, size).transpose(0, 2, 1)
    return np.concatenate([ones, 1j * ones])


@functools.lru_cache(maxsize=1024)
def operators_of(channel: Channel) -> tuple[np.ndarray, np.ndarray]:
    """``(k, d, d)`` operators of a channel divided by the roots of their probabilities ``(k,)``, the likeliest first.

    They are the eigenvectors of the sum of ``vec(K) vec(K)^dag``: as few as there can be, and orthogonal, so that the first
    takes as much of the trace as it can, and few trajectories differ from the one that has no other.
    """
    from scipy.sparse.csgraph import connected_components  # not a part of `import qmoe`

    flat = channel.kraus().reshape(len(channel.kraus()), -1)
    together, size = flat.T @ flat.conj(), 2**channel.n_wires
    found = []
    # Block by block: entries that never meet in one operator would be mixed where eigenvalues are equal.
    n_blocks, block_of = connected_components(np.abs(together) > _ROUNDING, directed=False)
    for block in range(n_blocks):
        members = np.flatnonzero(block_of == block)
        values, vectors = np.linalg.eigh(together[np.ix_(members, members)])
        for value, vector in zip(values, vectors.T, strict=True):
            if value > _ROUNDING:
                operator = np.zeros(size * size, complex)
                # Of an eigenvector the phase is free: the largest entry is positive.
                operator[members] = vector * np.abs(vector[np.abs(vector).argmax()]) / vector[np.abs(vector).argmax()]
                found.append((value / size, operator.reshape(size, size) * np.sqrt(size)))
    found.sort(key=lambda item: -item[0])
    shares = np.array([share for share, _ in found])
    return np.array([operator for _, operator in found]), shares / shares.sum()


@functools.lru_cache(maxsize=1024)
def branch_table(channel: Channel) -> np.ndarray:
    """``(k * 4**w, 2 d**2)`` numbers of the operators behind each Pauli error: row ``4**w i + P`` is ``P K_i P``."""
    words = pauli_words(channel.n_wires)
    turned = np.einsum("pab,kbc,pcd->kpad", words, operators_of(channel)[0], words, optimize=True)
    flat = turned.reshape(-1, words.shape[-1] ** 2)
    return np.concatenate([flat.real, flat.imag], 1)


def run_branches(circuit: Circuit, runs: Sequence[Run], x: Tensor, weights: Tensor) -> Tensor:
    """``(S, B, F)`` features and ``(S, P)`` weights, numbers of branches among them, to ``(S, B, n_outputs)``."""
    state = StateExecution(_AMPLITUDES, circuit, x, weights, None)
    for run in runs:
        state.advance(run)
    state.start()
    return _AMPLITUDES.read(state.vec, circuit)


def plan_branches(operations: Sequence[Gate | Prepare | Branch], n_qubits: int) -> tuple[Run, ...]:
    """What the torch engine does, in order."""
    builder = _BranchBuilder(n_qubits)
    for op in operations:
        builder.add(op)
    return grouped(builder)


class _BranchBuilder(StageBuilder):
    def add(self, op: Any) -> None:
        if not isinstance(op, Branch):
            super().add(op)
        elif len(op.wires) == 1:
            self.add_local(op)  # type: ignore[arg-type]  # it looks like a gate
        else:
            self.add_pair(op)  # type: ignore[arg-type]


@cached_tensors
def branch_tensor(channel: Channel, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`branch_table` as a tensor."""
    return torch.tensor(branch_table(channel), dtype=dtype, device=device)
