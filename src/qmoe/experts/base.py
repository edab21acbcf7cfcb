"""The contract of a set of experts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Unpack

from torch import Tensor

from qmoe.compilable import ExpertParts
from qmoe.engines import check_values
from qmoe.errors import check_sizes
from qmoe.layers import Stackable
from qmoe.part_spec import Drawn, PartSpec


class Experts(Stackable, ABC):
    """E experts of one shape, evaluated together: ``(..., F)`` to ``(..., E, O)``.

    Args:
        in_features: number of features F.
        out_features: number of outputs O of each expert.
        n_experts: number of experts E.

    Raises:
        ConfigError: for sizes below 1.
    """

    def __init__(self, in_features: int, out_features: int, n_experts: int) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features, n_experts=n_experts)
        self.in_features = in_features
        self.out_features = out_features
        self.n_experts = n_experts

    def validate_input(self, x: Tensor) -> None:
        """Raises `qmoe.errors.ShapeError` for a wrong number of features, dtype or device, NaN or infinity."""
        if self.checks_input:
            check_values(x, self.in_features, self)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E, O)`` outputs of every expert."""

    def compiled_parts(self) -> ExpertParts | None:
        """How these experts train in machine code; None for those that autograd trains.

        A class says so in its own body, by `own_parts`. As with ``runs_stacked``, the promise is not inherited, since a
        subclass may compute something else.
        """
        return self.own_parts() if "own_parts" in vars(type(self)) else None

    def own_parts(self) -> ExpertParts | None:
        """The parts that an instance of exactly this class is made of, its parameters and buffers among them."""
        return None

    def extra_repr(self) -> str:
        """Sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, n_experts={self.n_experts}"


@dataclass(frozen=True, kw_only=True)
class ExpertsSpec(PartSpec, ABC):
    """The options of experts, beside their sizes. A subclass stands beside the experts, and in `qmoe.experts.EXPERTS`."""

    @abstractmethod
    def build(self, in_features: int, n_classes: int, n_experts: int, **drawn: Unpack[Drawn]) -> Experts:
        """The experts, with first weights from ``generator`` and of ``dtype``; an output for each class, unless told."""
