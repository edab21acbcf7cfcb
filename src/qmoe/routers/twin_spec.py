"""Twins as study files and estimators describe them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Unpack

import torch

from qmoe.circuits import RouterCircuitSpec
from qmoe.errors import ConfigError
from qmoe.part_spec import Drawn, Size, Within
from qmoe.routers.features import FeatureSpec
from qmoe.routers.functions.sampling import Sampling
from qmoe.routers.quantum import QuantumRouter
from qmoe.routers.twin import TwinRouter


@dataclass(frozen=True, kw_only=True)
class TwinSpec(RouterCircuitSpec, FeatureSpec):
    """The classical counterpart of a quantum router with the same circuit: all its functions, or a sample of them."""

    sampling: Literal["distinct", "tree", "grid"] | None = None
    n_functions: Annotated[int, Within(ge=2, multiple_of=2)] | None = None
    max_weight: Size | None = None

    def check(self) -> None:
        """Rejects ``sampling`` without ``n_functions``, and the reverse, and ``max_weight`` beside them."""
        super().check()
        if (self.sampling is None) != (self.n_functions is None):
            raise ConfigError("sampling and n_functions go together; give both, or neither")
        if self.sampling is not None and self.max_weight is not None:
            raise ConfigError("max_weight takes functions of the whole span; drop it, or sampling and n_functions")

    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> TwinRouter:
        """The router."""
        sampling = None
        if self.sampling is not None and self.n_functions is not None:
            sampling = Sampling(self.n_functions, self.sampling)
        # Only its description counts; a generator of its own leaves the draws of other parts as they are.
        described = QuantumRouter(in_features, n_experts, **self.circuit_options(), generator=torch.Generator())
        return TwinRouter(
            described.circuit, n_experts, in_features, sampling=sampling, max_weight=self.max_weight, **drawn
        )
