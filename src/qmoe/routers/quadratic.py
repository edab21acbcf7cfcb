"""A linear gate on the features and their products."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.errors import check_sizes
from qmoe.layers import Device, DType, Rng
from qmoe.routers.features import FeatureRouter, FeatureSpec


class QuadraticRouter(FeatureRouter):
    """A linear gate on the features and their products in pairs: its decision boundaries are quadrics.

    Args:
        in_features: number of features F.
        n_experts: number of experts E; the gate sees ``K = F + F (F + 1) / 2`` functions ``x_i`` and ``x_i x_j``.
        generator, device, dtype: as of `Router`.
    """

    runs_stacked = True

    def __init__(
        self, in_features: int, n_experts: int, *, generator: Rng = None, device: Device = None, dtype: DType = None
    ) -> None:
        check_sizes(in_features=in_features)
        n_functions = in_features + in_features * (in_features + 1) // 2
        super().__init__(in_features, n_experts, n_functions, generator=generator, device=device, dtype=dtype)

    def features(self, x: Tensor) -> Tensor:
        """``x_1 .. x_F``, then ``x_i x_j`` with i up to j."""
        i, j = torch.triu_indices(self.in_features, self.in_features, device=x.device)
        return torch.cat([x, x[..., i] * x[..., j]], -1)


@dataclass(frozen=True, kw_only=True)
class QuadraticSpec(FeatureSpec):
    """A linear gate on the features and their products."""

    builds = QuadraticRouter
