"""What every contender computes: features, weights, targets, and the answer that all must agree on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.sizes import NOISE, Size
from qmoe import Circuit, NoiseModel
from qmoe.circuits import AmplitudeDamping
from qmoe.engines import get_engine

#: Amplitudes that the oracle holds at once; it goes through larger batches in pieces.
_PIECE = 2**18


@dataclass(frozen=True)
class Problem:
    """One training step: ``sum_m mean_{b,q} (<Z_q>(x[m, b]; weights[m]) - targets[m, b, q])**2`` and its gradient.

    The mean is what a user writes for one model; the sum over models keeps the gradient of each its own.

    Attributes:
        size: the axes M, B, Q, L below.
        x: ``(M, B, Q)`` angles in radians, float32; no gradient is asked for.
        weights: ``(M, L, Q, 3)`` angles in radians, float32.
        targets: ``(M, B, Q)``, float32.
    """

    size: Size
    x: np.ndarray
    weights: np.ndarray
    targets: np.ndarray

    @property
    def circuit(self) -> Circuit:
        """What is run: angle encoding, strongly entangling layers, every ``<Z>``."""
        noise = NoiseModel(NOISE, placement="block") if self.size.noisy else None
        if self.size.damped:
            noise = NoiseModel(channels=(AmplitudeDamping(NOISE).after("gate"),))
        return Circuit(self.size.n_qubits, self.size.n_layers, noise=noise)

    def first(self, n_batch: int) -> Problem:
        """The same with the first samples of each model only."""
        size = replace(self.size, n_batch=n_batch)
        return Problem(size, self.x[:, :n_batch], self.weights, self.targets[:, :n_batch])

    def tensors(
        self, dtype: torch.dtype = torch.float32, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``x``, trainable ``weights`` and ``targets``; for one model without the axis M, as its user holds them."""
        arrays = [torch.tensor(array, dtype=dtype, device=device) for array in (self.x, self.weights, self.targets)]
        x, weights, targets = arrays if self.size.n_models > 1 else [array[0] for array in arrays]
        return x, weights.requires_grad_(), targets


@dataclass(frozen=True)
class Answer:
    """The result of one step.

    Attributes:
        outputs: ``(M, B, Q)`` expectation values.
        loss: the scalar.
        gradient: ``(M, L, Q, 3)``.
    """

    outputs: np.ndarray
    loss: float
    gradient: np.ndarray


def make_problem(size: Size) -> Problem:
    """The problem of a size, the same in every process."""
    rng = np.random.default_rng([size.n_qubits, size.n_layers, size.n_batch, size.n_models, size.noisy])
    samples = (size.n_models, size.n_batch, size.n_qubits)
    weights = (size.n_models, size.n_layers, size.n_qubits, 3)
    return Problem(
        size,
        rng.uniform(0, np.pi, samples).astype(np.float32),
        rng.uniform(0, 2 * np.pi, weights).astype(np.float32),
        rng.uniform(-1, 1, samples).astype(np.float32),
    )


def oracle(problem: Problem) -> Answer:
    """What is right: qmoe's dense reference engine in float64, its torch engine for more than four qubits."""
    size = problem.size
    engine = get_engine("reference" if size.n_qubits <= 4 else "torch")
    assert engine is not None
    x, weights, targets = (torch.tensor(a, dtype=torch.float64) for a in (problem.x, problem.weights, problem.targets))
    weights.requires_grad_()
    outputs, loss = [], 0.0
    for rows in torch.arange(size.n_batch).split(max(1, _PIECE // (size.dim * size.n_models))):
        out = engine.evaluate(problem.circuit, x[:, rows], weights)
        part = ((out - targets[:, rows]) ** 2).sum() / (size.n_batch * size.n_qubits)
        part.backward()
        outputs.append(out.detach())
        loss += float(part.detach())
    assert weights.grad is not None
    return Answer(torch.cat(outputs, 1).numpy(), loss, weights.grad.numpy())
