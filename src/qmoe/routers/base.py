"""The contract of a router."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Unpack

import torch
from torch import Tensor

from qmoe.compilable import CompilablePart, RouterParts
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.part_spec import Drawn, PartSpec


class Router(CompilablePart[RouterParts]):
    """Maps features to routing weights: ``(..., F)`` to ``(..., E)``, rows sum to 1.

    Most routers are a `SoftmaxRouter`, which has logits; a router whose weights are not a softmax implements `forward`. It
    begins with ``x = self.take(x)`` and ``self.validate_input(x)``, and one with parameters or buffers of its own defines
    `reset_parameters`, which its ``__init__`` calls.

    A router with parameters or buffers takes three more keywords, which mean the same for all:

    * ``generator``: source of the initial weights, and of all else that is drawn; torch's default generator if None.
    * ``device``: where parameters and buffers live; torch's default device if None.
    * ``dtype``: float32 or float64; torch's default dtype if None.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.

    Raises:
        ConfigError: for sizes below 1.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` routing weights."""

    def as_softmax(self) -> SoftmaxRouter | None:
        """This router as one with logits; None if its weights are not a softmax."""
        return None

    def extra_repr(self) -> str:
        """Sizes."""
        return f"in_features={self.in_features}, n_experts={self.n_experts}"


class SoftmaxRouter(Router):
    """A router whose weights are the softmax of logits, which a subclass implements.

    `logits` begins with ``x = self.take(x)`` and ``self.validate_input(x)``. A class with an option that leaves it without
    logits, such as the Born read-out, overrides `as_softmax` and `forward`.

    Example:
        >>> from qmoe.routers import SoftmaxRouter
        >>> isinstance(qmoe.LinearRouter(2, 3), SoftmaxRouter)
        True
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
class RouterSpec(PartSpec):
    """The options of a router, beside its sizes. A subclass stands beside the router, and in `qmoe.routers.ROUTERS`.

    Attributes:
        builds: the class of the router. A subclass names it, or defines a `build` of its own where that class takes
            something else than the options by their names.

    Example:
        >>> from qmoe.routers import ROUTERS, RouterSpec
        >>> issubclass(ROUTERS["linear"], RouterSpec)
        True
    """

    builds: ClassVar[Callable[..., Router]]

    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> Router:
        """The router, with initial weights from ``generator`` and of ``dtype``."""
        if not hasattr(self, "builds"):
            raise ConfigError(f"{type(self).__name__} does not say what it builds; give it `builds`, or a `build`.")
        return self.builds(in_features, n_experts, **self.options(), **drawn)


def require_router(router: object) -> Router:
    """Returns ``router`` if it is one.

    Raises:
        ConfigError: for anything else.

    Example:
        >>> from qmoe.routers import require_router
        >>> type(require_router(qmoe.LinearRouter(2, 3))).__name__
        'LinearRouter'
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
