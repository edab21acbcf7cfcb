"""Linear gates on fixed functions of the features."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from qmoe.layers import affine, check_sizes, uniform_linear
from qmoe.routers.base import Router


class FeatureRouter(Router):
    """``softmax(W phi(x) + b)`` with fixed functions phi: a linear router in another space.

    A subclass implements `features`; what is fixed about them (frequencies, say) is a buffer, and only W and b train.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        n_functions: number of functions K in phi; the router has ``E (K + 1)`` parameters.
        generator: source of the initial weights; torch's default generator if None.
        device: where the parameters live.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        n_functions: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, n_experts)
        check_sizes(n_functions=n_functions)
        self.n_functions = n_functions
        self.weight = uniform_linear(
            n_experts, n_functions, fan_in=n_functions, generator=generator, device=device, dtype=dtype
        )
        self.bias = uniform_linear(n_experts, fan_in=n_functions, generator=generator, device=device, dtype=dtype)

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """``phi``: ``(..., F)`` to ``(..., K)``."""

    def logits(self, x: Tensor) -> Tensor:
        """``W phi(x) + b``."""
        self.check(x)
        return affine(self.features(x), self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and the number of functions."""
        return f"{super().extra_repr()}, n_functions={self.n_functions}"
