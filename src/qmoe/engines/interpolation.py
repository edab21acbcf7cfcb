"""Trigonometric interpolation: what a circuit gives at a few nodes says what it gives everywhere.

With R uploads of an angle encoding every read-out is a trigonometric polynomial of degree R in each feature (Schuld, Sweke,
Meyer 2021), so its values at 2R + 1 equispaced angles a feature determine it. A batch larger than the grid of nodes is then
cheaper by interpolation than sample by sample, and the weights of the nodes depend on the features alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qmoe.circuits import AngleEncoding, Circuit


def n_nodes(circuit: Circuit) -> int | None:
    """How many nodes determine the read-outs as functions of the features; None where no finite number does.

    A user-defined encoding may misstate its frequencies, so it is never interpolated.
    """
    return circuit.n_frequencies if type(circuit.encoding) is AngleEncoding else None


def nodes(circuit: Circuit) -> Tensor:
    """``(n_nodes, F)`` float64 angles in radians; the last feature changes fastest."""
    return torch.cartesian_prod(*[_angles(circuit)] * circuit.in_features).reshape(-1, circuit.in_features)


def node_weights(circuit: Circuit, x: Tensor) -> Tensor:
    """Weights of the nodes: read-outs at ``x`` are the sums of those at the nodes, each times its weight.

    Args:
        circuit: with an angle encoding.
        x: ``(..., F)`` features in radians.

    Returns:
        ``(..., n_nodes)`` in the precision of ``x``, computed in float64; rows sum to 1. NaN where a feature is not finite.
    """
    top = _top(circuit)
    away = x.to(torch.float64).unsqueeze(-1) - _angles(circuit)
    # The function that is 1 at one node and 0 at the others: a Dirichlet kernel, as a sum of cosines.
    cosines = torch.stack([torch.cos(k * away) for k in range(1, top + 1)])
    each = (1 + 2 * cosines.sum(0)) / (2 * top + 1)
    weights = each[..., 0, :]
    for feature in range(1, circuit.in_features):
        weights = (weights.unsqueeze(-1) * each[..., feature, :].unsqueeze(-2)).flatten(-2)
    return weights.to(x.dtype)


def _top(circuit: Circuit) -> int:
    """The largest frequency of a feature."""
    top = circuit.template.encoding.max_frequency
    assert top is not None, "n_nodes says which circuits have nodes"
    return top


def _angles(circuit: Circuit) -> Tensor:
    n = 2 * _top(circuit) + 1
    return torch.arange(n, dtype=torch.float64, device="cpu") * (2 * math.pi / n)
