"""Who is assigned to whom: rows choose experts, experts choose rows, and places run out. Nothing here is differentiable."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def chosen_by_rows(indices: Tensor, n_experts: int) -> Tensor:
    """``(N, E)``, True at the experts ``(N, K)`` of each row."""
    return torch.zeros(indices.shape[0], n_experts, dtype=torch.bool, device=indices.device).scatter(-1, indices, True)


def chosen_by_experts(weights: Tensor, places: int) -> Tensor:
    """``(N, E)``, True at the ``places`` rows of largest weight for each expert, of weights ``(N, E)``."""
    rows = weights.detach().argsort(dim=0, descending=True, stable=True)
    # Not topk(places): a number of rows that torch.export leaves open.
    is_first = torch.arange(weights.shape[0], device=weights.device).unsqueeze(-1) < places
    return torch.zeros_like(weights, dtype=torch.bool).scatter(0, rows, is_first.expand_as(rows))


def in_turn(n_rows: int, k: int, n_experts: int, device: torch.device) -> Tensor:
    """``(N, K)`` experts for each row, all in turn, so that their loads differ by one row at most."""
    return torch.arange(n_rows * k, device=device).reshape(n_rows, k) % n_experts


def within_places(
    indices: Tensor, weights: Tensor, n_experts: int, places: int, priority: Literal["order", "weight"]
) -> Tensor:
    """Which assignments get one of the places of their expert.

    Args:
        indices: ``(N, K)`` experts of each row, the first choice first.
        weights: ``(N, E)`` routing weights.
        n_experts: number of experts E.
        places: rows that one expert takes.
        priority: ``"order"``: first choices of all rows in their order, then second choices; ``"weight"``: largest weight
            first.

    Returns:
        ``(N, E)``, True where an assignment is kept.
    """
    n_rows, k = indices.shape
    experts = indices.T.reshape(-1)
    turns = torch.arange(n_rows * k, device=indices.device)
    if priority == "weight":
        turns = weights.detach().gather(-1, indices).T.reshape(-1).argsort(descending=True, stable=True)
    by_expert = turns[experts[turns].argsort(stable=True)]
    counts = torch.bincount(experts, minlength=n_experts)
    starts = counts.cumsum(0) - counts
    place = torch.arange(n_rows * k, device=indices.device) - starts[experts[by_expert]]
    has_place = torch.empty(n_rows * k, dtype=torch.bool, device=indices.device)
    has_place[by_expert] = place < places
    kept = torch.zeros(n_rows, n_experts, dtype=torch.bool, device=indices.device)
    return kept.scatter(-1, indices, has_place.reshape(k, n_rows).T)
