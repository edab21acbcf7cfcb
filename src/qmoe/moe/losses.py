"""Losses that keep a router from collapsing.

All take rows in any number of leading dimensions. ``mask`` is True on rows that count and False on padding, which then
changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from qmoe.errors import ShapeError


def expert_load(weights: Tensor, top_k: int = 1, mask: Tensor | None = None) -> Tensor:
    """Share of the assignments that falls on each expert.

    Args:
        weights: ``(..., E)`` routing weights.
        top_k: number of experts K that each sample is assigned to, those of largest weight.
        mask: ``(...)`` True on rows that count; None for all.

    Returns:
        ``(E,)`` shares that sum to 1; not differentiable.

    Example:
        >>> from qmoe.moe import expert_load
        >>> expert_load(torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]]))
        tensor([0.7500, 0.2500])
    """
    weights = real_rows(weights, mask)
    n_experts = weights.shape[-1]
    if weights.numel() == 0 or not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= n_experts:
        raise ShapeError(
            f"weights have shape {tuple(weights.shape)} and top_k is {top_k!r}; expected at least one row, and top_k from 1 "
            f"to {n_experts}."
        )
    chosen = weights.detach().reshape(-1, n_experts).topk(top_k, -1).indices
    return one_hot(chosen, n_experts).to(weights.dtype).mean((0, 1))


def balance_loss(
    weights: Tensor, top_k: int = 1, mask: Tensor | None = None, *, chosen: Tensor | None = None
) -> Tensor:
    """``E sum_i f_i P_i`` over all E experts (Fedus et al. 2021, Switch Transformers, eq. 4).

    f is the share of assignments (`expert_load`), P the mean routing weight. 1 for uniform routing, E for a router that has
    collapsed onto one expert.

    Args:
        weights: ``(..., E)`` routing weights of all experts, before any are dropped.
        top_k: number of experts K that each sample is assigned to.
        mask: ``(...)`` True on rows that count; None for all.
        chosen: ``(..., E)`` True where a row is assigned to an expert; by default the K of largest weight.

    Returns:
        A scalar, differentiable through P.

    Example:
        >>> from qmoe.moe import balance_loss
        >>> balance_loss(torch.full((8, 4), 0.25))
        tensor(1.)
    """
    if chosen is not None and chosen.shape != weights.shape:
        raise ShapeError(f"chosen has shape {tuple(chosen.shape)}, expected that of weights, {tuple(weights.shape)}.")
    weights = real_rows(weights, mask)
    n_experts = weights.shape[-1]
    mean = weights.reshape(-1, n_experts).mean(0)
    load = expert_load(weights, top_k) if chosen is None else load_of(real_rows(chosen, mask), weights.dtype)
    return n_experts * (load * mean).sum()


def z_loss(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared log-partition of the routing logits ``(..., E)`` (Zoph et al. 2022, ST-MoE, eq. 5).

    Example:
        >>> from qmoe.moe import z_loss
        >>> z_loss(torch.zeros(8, 4))  # log(4)**2
        tensor(1.9218)
    """
    rows = real_rows(logits, mask)
    if rows.numel() == 0:
        raise ShapeError(f"logits have shape {tuple(rows.shape)} after the mask, expected at least one row.")
    return rows.logsumexp(-1).square().mean()


def importance_loss(weights: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared coefficient of variation of each expert's total weight (Shazeer et al. 2017, eq. 7).

    0 for equal totals, ``E - 1`` for a router that has collapsed onto one expert.

    Args:
        weights: ``(..., E)`` weights as the mixture uses them, 0 for experts that are not chosen.
        mask: ``(...)`` True on rows that count; None for all.

    Returns:
        A scalar.

    Example:
        >>> from qmoe.moe import importance_loss
        >>> importance_loss(torch.full((8, 4), 0.25))
        tensor(0.)
    """
    weights = real_rows(weights, mask)
    return _squared_variation(weights.reshape(-1, weights.shape[-1]).sum(0))


def load_loss(logits: Tensor, noisy: Tensor, std: Tensor, top_k: int, mask: Tensor | None = None) -> Tensor:
    """Squared coefficient of variation of each expert's expected number of rows (Shazeer et al. 2017, eqs. 8 to 11).

    The probability that an expert is among the first K, were its own noise drawn anew, is smooth in the logits, so that the
    load has a gradient.

    Args:
        logits: ``(..., E)`` without noise.
        noisy: ``(..., E)`` with the noise that was drawn.
        std: standard deviation of the noise, ``(..., E)`` or anything that broadcasts to it.
        top_k: number of experts K per row.
        mask: ``(...)`` True on rows that count; None for all.

    Returns:
        A scalar.

    Example:
        >>> from qmoe.moe import load_loss
        >>> logits = torch.zeros(8, 4)
        >>> load_loss(logits, logits, torch.ones(8, 4), top_k=1)
        tensor(0.)
    """
    std = std.expand_as(logits)
    logits, noisy, std = (real_rows(value, mask) for value in (logits, noisy, std))
    n_experts = logits.shape[-1]
    if isinstance(top_k, bool) or not 1 <= top_k <= n_experts:
        raise ShapeError(f"top_k is {top_k!r}, expected an integer from 1 to {n_experts}.")
    if top_k == n_experts:
        return _squared_variation(torch.ones_like(logits).reshape(-1, n_experts).sum(0))
    largest = noisy.topk(top_k + 1, -1).values
    last, next_one = largest[..., top_k - 1 : top_k], largest[..., top_k:]
    # Among the others, the K-th largest is one place further down for an expert that is itself among the first K.
    threshold = torch.where(noisy >= last, next_one, last)
    probabilities = torch.special.ndtr((logits - threshold) / std)
    return _squared_variation(probabilities.reshape(-1, n_experts).sum(0))


def load_of(chosen: Tensor, dtype: torch.dtype) -> Tensor:
    """Share of the assignments on each expert, ``(E,)``, of ``(..., E)`` that is True where a row is assigned."""
    counts = chosen.reshape(-1, chosen.shape[-1]).sum(0)
    return counts.to(dtype) / counts.sum().clamp_min(1)


def real_rows(values: Tensor, mask: Tensor | None) -> Tensor:
    """The rows of ``(..., E)`` that are no padding, ``(N, E)``; for no mask the values themselves."""
    if mask is None:
        return values
    check_mask(mask, values)
    return values[mask]


def check_mask(mask: Tensor, rows: Tensor) -> None:
    """Raises `ShapeError` unless a mask is of booleans, one per row of ``(..., F)``."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != rows.shape[:-1]:
        found = f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ShapeError(
            f"mask is {found}, expected torch.bool of shape {tuple(rows.shape[:-1])}, True on rows that count and False on "
            "padding."
        )


def _squared_variation(totals: Tensor) -> Tensor:
    """Variance over squared mean, both of all E experts; 0 where all are 0."""
    tiny = torch.finfo(totals.dtype).tiny
    return totals.var(correction=0) / totals.mean().square().clamp_min(tiny)
