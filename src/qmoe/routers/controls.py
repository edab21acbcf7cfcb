"""Routers that do less, to find out what routing is worth."""

from __future__ import annotations

from torch import Tensor

from qmoe.routers.base import Router


class UniformRouter(Router):
    """Gives every expert the same weight, whatever the input. With one expert it is no router at all."""

    runs_stacked = True

    def logits(self, x: Tensor) -> Tensor:
        """Zeros."""
        self.check(x)
        return x.new_zeros(1).expand(*x.shape[:-1], self.n_experts)
