"""Weighted sums of experts: all computed and weighed, or each on the rows that it keeps."""

from __future__ import annotations

from torch import Tensor

from qmoe.errors import ShapeError
from qmoe.experts import Experts


def combined_dense(experts: Experts, x: Tensor, weights: Tensor) -> Tensor:
    """``sum_e w_e f_e(x)`` of rows ``(..., F)`` and weights ``(..., E)``; every expert computes every row."""
    values = experts(x)
    expected = (*weights.shape, experts.out_features)
    if values.shape != expected:
        raise ShapeError(
            f"{type(experts).__name__} returned shape {tuple(values.shape)}, expected {expected} for n_experts="
            f"{experts.n_experts}, out_features={experts.out_features}."
        )
    return (weights.unsqueeze(-2) @ values).squeeze(-2)


def combined_sparse(experts: Experts, x: Tensor, weights: Tensor, kept: Tensor) -> Tensor:
    """The same, where each expert computes only the rows that it keeps.

    Args:
        experts: with `Experts.grouped`.
        x: ``(..., F)`` features.
        weights: ``(..., E)`` weights; those of rows that are not kept do not matter.
        kept: ``(..., E)`` True where an expert computes a row.
    """
    n_experts = experts.n_experts
    rows, flat = x.reshape(-1, x.shape[-1]), kept.reshape(-1, n_experts)
    expert, row = flat.T.nonzero(as_tuple=True)  # sorted by expert, then by row
    counts = flat.sum(0).tolist()
    values = experts.grouped(rows.index_select(0, row), counts)
    if values.shape != (len(row), experts.out_features):
        raise ShapeError(
            f"grouped of {type(experts).__name__} returned shape {tuple(values.shape)}, expected "
            f"{(len(row), experts.out_features)}."
        )
    weighed = values * weights.reshape(-1).index_select(0, row * n_experts + expert).unsqueeze(-1)
    out = weighed.new_zeros(len(rows), experts.out_features).index_add(0, row, weighed)
    return out.reshape(*x.shape[:-1], experts.out_features)
