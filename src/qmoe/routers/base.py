"""The contract of a router."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor

from qmoe.compilable import RouterParts
from qmoe.engines import check_values
from qmoe.errors import ConfigError, UnsupportedError, check_sizes
from qmoe.layers import Stackable
from qmoe.part_spec import Drawn, PartSpec


class Router(Stackable, ABC):
    """Maps features to routing weights: ``(..., F)`` to ``(..., E)``, rows sum to 1.

    Most routers are a `SoftmaxRouter`, which has logits; a router whose weights are not a softmax implements `forward`. It
    begins with ``x = self.take(x)`` and ``self.validate_input(x)``, and one with parameters or buffers of its own defines
    `reset_parameters`, which its ``__init__`` calls.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.

    Raises:
        ConfigError: for sizes below 1.
    """

    def __init__(self, in_features: int, n_experts: int) -> None:
        super().__init__()
        check_sizes(in_features=in_features, n_experts=n_experts)
        self.in_features = in_features
        self.n_experts = n_experts

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` routing weights."""

    def as_softmax(self) -> SoftmaxRouter | None:
        """This router as one with logits; None where its weights are not a softmax."""
        return None

    def compiled_parts(self) -> RouterParts | None:
        """How this router trains in machine code; None for one that autograd trains.

        A class says so in its own body, by `own_parts`. As with ``runs_stacked``, the promise is not inherited, since a
        subclass may compute something else.
        """
        return self.own_parts() if "own_parts" in vars(type(self)) else None

    def own_parts(self) -> RouterParts | None:
        """The parts that an instance of exactly this class is made of, its parameters and buffers among them."""
        return None

    def validate_input(self, x: Tensor) -> None:
        """Raises `qmoe.errors.ShapeError` for a wrong number of features, dtype or device, NaN or infinity."""
        if self.checks_input:
            check_values(x, self.in_features, self)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"in_features={self.in_features}, n_experts={self.n_experts}"


class SoftmaxRouter(Router):
    """A router whose weights are the softmax of logits, which a subclass implements.

    `logits` begins with ``x = self.take(x)`` and ``self.validate_input(x)``. A class with an option that leaves it without
    logits, such as the Born read-out, overrides `as_softmax` and `forward`.
    """

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` routing logits."""

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` routing weights."""
        return torch.softmax(self.logits(x), -1)

    def as_softmax(self) -> SoftmaxRouter | None:
        """This router."""
        return self


@dataclass(frozen=True, kw_only=True)
class RouterSpec(PartSpec, ABC):
    """The options of a router, beside its sizes. A subclass stands beside the router, and in `qmoe.routers.ROUTERS`."""

    @abstractmethod
    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> Router:
        """The router, with first weights from ``generator`` and of ``dtype``."""


def require_router(router: object) -> Router:
    """Returns ``router`` if it is one.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(router, Router):
        raise ConfigError(
            f"router is a {type(router).__name__}, expected a qmoe.routers.Router; subclass qmoe.routers.SoftmaxRouter "
            "and implement logits."
        )
    return router


def require_softmax(router: Router) -> SoftmaxRouter:
    """Returns ``router`` as one with logits.

    Raises:
        UnsupportedError: for a router whose weights are not a softmax.
    """
    softmax = router.as_softmax()
    if softmax is None:
        raise UnsupportedError(
            f"This {type(router).__name__} has no logits: its weights are not a softmax of finite numbers; call the router "
            "itself."
        )
    return softmax
