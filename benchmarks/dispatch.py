"""A training step of a mixture of experts with sparse and with dense dispatch, which compute the same.

The router is linear. A step is a batch forward and backward to all weights.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from qmoe.experts import Experts, MLPExperts, QuantumExperts
from qmoe.moe import MixtureOfExperts
from qmoe.routers import LinearRouter

#: The largest difference of outputs and gradients that counts as the same, in float32.
TOLERANCE = 1e-5


class UnequalError(Exception):
    """Both ways compute something else."""


@dataclass(frozen=True)
class Mixture:
    """A mixture and its batch.

    Attributes:
        kind: ``"mlp"``, with a hidden layer of twice the features, or ``"quantum"``, circuits of 3 layers with a qubit per
            feature.
        n_features: features F, and outputs of MLPs.
        n_experts: experts E.
        top_k: experts K per row.
        n_batch: rows of a step.
    """

    kind: str
    n_features: int
    n_experts: int
    top_k: int
    n_batch: int

    def experts(self) -> Experts:
        """Its experts, with weights from a seed."""
        draw = torch.Generator().manual_seed(0)
        if self.kind == "quantum":
            return QuantumExperts(self.n_features, self.n_experts, encoding="angle", n_layers=3, generator=draw)
        return MLPExperts(self.n_features, self.n_features, self.n_experts, hidden=2 * self.n_features, generator=draw)


SIZES = (
    Mixture("mlp", 4, 4, 1, 256),
    Mixture("mlp", 64, 4, 1, 1024),
    Mixture("mlp", 64, 8, 2, 1024),
    Mixture("mlp", 64, 16, 2, 1024),
    Mixture("mlp", 256, 8, 2, 1024),
    Mixture("mlp", 256, 16, 2, 1024),
    Mixture("mlp", 128, 32, 4, 2048),
    Mixture("quantum", 4, 4, 1, 256),
    Mixture("quantum", 8, 8, 2, 512),
    Mixture("quantum", 10, 8, 2, 512),
)


@dataclass(frozen=True)
class Dispatched:
    """Seconds of one training step, the median over the rounds.

    Attributes:
        of: what was timed.
        dense: all experts on all rows.
        sparse: those that are chosen.
        forced: those that are chosen, with forced balance.
    """

    of: Mixture
    dense: float
    sparse: float
    forced: float


def measure_dispatch(sizes: Sequence[Mixture], rounds: int = 7) -> list[Dispatched]:
    """Times every mixture, both ways in turn.

    Raises:
        UnequalError: where they compute something else.
    """
    return [_measured(mixture, rounds) for mixture in sizes]


def text(found: Dispatched) -> str:
    """A line to print."""
    of = found.of
    return (
        f"{of.kind:8} F={of.n_features:<4} E={of.n_experts:<3} K={of.top_k:<2} batch {of.n_batch:<5} "
        f"dense {1e3 * found.dense:8.2f} ms  sparse {1e3 * found.sparse:8.2f} ms  {found.dense / found.sparse:5.1f} x  "
        f"balanced {1e3 * found.forced:8.2f} ms"
    )


def _measured(mixture: Mixture, rounds: int) -> Dispatched:
    draw = torch.Generator().manual_seed(1)
    router = LinearRouter(mixture.n_features, mixture.n_experts, generator=draw)
    x = torch.rand(mixture.n_batch, mixture.n_features, generator=draw)
    experts = mixture.experts()
    dense = MixtureOfExperts(router, experts, top_k=mixture.top_k)
    sparse = MixtureOfExperts(router, experts, top_k=mixture.top_k, dispatch="sparse")
    compare(mixture, _step(dense, x)(), _step(sparse, x)())
    times: dict[str, list[float]] = {"dense": [], "sparse": [], "forced": []}
    for _ in range(rounds):
        times["dense"].append(_seconds(_step(dense, x)))
        times["sparse"].append(_seconds(_step(sparse, x)))
        with sparse.forced_balance():
            times["forced"].append(_seconds(_step(sparse, x)))
    return Dispatched(mixture, **{name: statistics.median(values) for name, values in times.items()})


def compare(mixture: Mixture, dense: Sequence[Tensor], sparse: Sequence[Tensor]) -> None:
    """Raises `UnequalError` where outputs or gradients differ by more than rounding."""
    worst = max(float((one - other).abs().max()) for one, other in zip(dense, sparse, strict=True))
    if not worst <= TOLERANCE:
        raise UnequalError(f"Sparse and dense dispatch of {mixture} differ by up to {worst:.3g}.")


def _step(moe: MixtureOfExperts, x: Tensor) -> Callable[[], list[Tensor]]:
    def run() -> list[Tensor]:
        moe.zero_grad()
        out = moe(x)
        out.square().mean().backward()
        return [out.detach(), *(p.grad for p in moe.parameters() if p.grad is not None)]

    return run


def _seconds(step: Callable[[], object]) -> float:
    begin = perf_counter()
    step()
    return perf_counter() - begin
