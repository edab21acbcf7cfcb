"""Amplitude encoding, where it is a formula of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def normalised(x: Tensor) -> Tensor:
    """Rows of ``(..., F)`` divided by their norm.

    The largest entry divides first, so that the squares of very small and very large rows stay in range. It counts as a
    constant: the result is the same for every factor, and so are all its derivatives.
    """
    rows = x / x.detach().abs().amax(-1, keepdim=True)
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
