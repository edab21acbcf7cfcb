"""The contract of a set of experts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from torch import Tensor

from qmoe.compilable import CompilablePart, ExpertParts
from qmoe.errors import UnsupportedError, check_sizes
from qmoe.part_spec import Drawn, PartSpec


class Experts(CompilablePart[ExpertParts]):
    """E experts of one shape, evaluated together: ``(..., F)`` to ``(..., E, O)``.

    Experts take three more keywords, which mean the same for all:

    * ``generator``: source of the initial weights; torch's default generator if None.
    * ``device``: where the parameters live; torch's default device if None.
    * ``dtype``: float32 or float64; torch's default dtype if None.

    Args:
        in_features: number of features F.
        out_features: number of outputs O of each expert.
        n_experts: number of experts E.

    Raises:
        ConfigError: for sizes below 1.

    Example:
        >>> isinstance(qmoe.LinearExperts(2, 2, n_experts=3), qmoe.Experts)
        True
    """

    def __init__(self, in_features: int, out_features: int, n_experts: int) -> None:
        check_sizes(out_features=out_features)
        super().__init__(in_features, n_experts)
        self.out_features = out_features

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E, O)`` outputs of every expert."""

    def grouped(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Each expert on rows of its own, as sparse dispatch needs; of one set of experts, not of a stack.

        Args:
            x: ``(N, F)`` features: first the rows of expert 0, then those of expert 1, and so on.
            counts: number of rows of each expert.

        Returns:
            ``(N, O)`` outputs, in the same order.
        """
        raise UnsupportedError(f"{type(self).__name__} computes all experts at once; define grouped(x, counts).")

    def extra_repr(self) -> str:
        """Sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, n_experts={self.n_experts}"


@dataclass(frozen=True, kw_only=True)
class ExpertsSpec(PartSpec, ABC):
    """The options of experts, beside their sizes. A subclass stands beside the experts, and in `qmoe.experts.EXPERTS`.

    Example:
        >>> from qmoe.experts import EXPERTS, ExpertsSpec
        >>> all(issubclass(spec, ExpertsSpec) for spec in EXPERTS.values())
        True
    """

    @abstractmethod
    def build(self, in_features: int, n_classes: int, n_experts: int, **drawn: Unpack[Drawn]) -> Experts:
        """The experts, with initial weights from ``generator`` and of ``dtype``; an output for each class, unless told."""
