"""Losses that keep a router from collapsing."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import one_hot

from qmoe.errors import ShapeError


def expert_load(weights: Tensor, top_k: int = 1) -> Tensor:
    """Share of the assignments that falls on each expert.

    Args:
        weights: ``(..., E)`` routing weights.
        top_k: number of experts K that each sample is assigned to, those of largest weight.

    Returns:
        ``(E,)`` shares that sum to 1; not differentiable.
    """
    n_experts = weights.shape[-1]
    if weights.numel() == 0 or isinstance(top_k, bool) or not 1 <= top_k <= n_experts:
        raise ShapeError(
            f"weights have shape {tuple(weights.shape)} and top_k is {top_k!r}; expected at least one row, and top_k from 1 "
            f"to {n_experts}."
        )
    chosen = weights.detach().reshape(-1, n_experts).topk(top_k, -1).indices
    return one_hot(chosen, n_experts).to(weights.dtype).mean((0, 1))


def balance_loss(weights: Tensor, top_k: int = 1) -> Tensor:
    """``E sum_i f_i P_i`` over all E experts (Fedus et al. 2021, Switch Transformers, eq. 4).

    f is the share of assignments (`expert_load`), P the mean routing weight. 1 for uniform routing, E for a router that has
    collapsed onto one expert.

    Args:
        weights: ``(..., E)`` routing weights of all experts, before any are dropped.
        top_k: number of experts K that each sample is assigned to.

    Returns:
        A scalar, differentiable through P.
    """
    n_experts = weights.shape[-1]
    mean = weights.reshape(-1, n_experts).mean(0)
    return n_experts * (expert_load(weights, top_k) * mean).sum()


def z_loss(logits: Tensor) -> Tensor:
    """Mean squared log-partition of the routing logits ``(..., E)`` (Zoph et al. 2022, ST-MoE, eq. 5)."""
    return logits.logsumexp(-1).square().mean()
