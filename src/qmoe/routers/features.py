"""Linear gates on fixed functions of the features."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from qmoe.compilable import Functions, Layer, RouterParts, WaveProducts
from qmoe.errors import ConfigError, ShapeError, StateWarning, check_sizes, warn_caller
from qmoe.layers import Device, DType, Rng, affine, check_same, draw_linear, in_autocast, parameter
from qmoe.routers.base import Router, RouterSpec, SoftmaxRouter
from qmoe.routers.controls import Rerouting

#: A function whose standard deviation is at most this many roundings of its largest value counts as constant: what
#: `FeatureRouter.standardise` scales up then holds no more than a hundredth of rounding.
CONSTANT_ROUNDINGS = 100
#: Rows that `FeatureRouter.standardise` evaluates at once.
_CHUNK = 8192


class FeatureRouter(SoftmaxRouter):
    """``softmax(W (phi(x) - centre) / scale + b)`` with fixed functions phi: a linear router on other features.

    A subclass implements `features`; what is fixed about them (frequencies, for example) is a buffer, and only W and b
    train. One that draws random numbers defines `reset_parameters`, calls this ``__init__`` with ``draw=False``, and calls
    `reset_parameters` at the end of its own. The names ``centre`` and ``scale`` are reserved.

    `standardise` fits centre and scale to the rows that the router will train on. Until then they are 0 and 1. The logits
    span the same functions either way, with the same number of parameters, but gradient descent converges better when all
    functions have mean 0 and the same scale. Standardise a router before it serves as a baseline.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        n_functions: number of functions K in phi; the router has ``E (K + 1)`` parameters.
        draw: whether to draw the initial weights.
        generator, device, dtype: as of `Router`.

    Attributes:
        centre: ``(K,)`` buffer: what is subtracted from each function.
        scale: ``(K,)`` buffer: what the difference is divided by.
    """

    _version = 2  # of a state_dict: 1 had no centre and scale
    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        n_functions: int,
        *,
        draw: bool = True,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        check_sizes(n_functions=n_functions)
        super().__init__(in_features, n_experts)
        self.n_functions = n_functions
        self.weight = parameter(n_experts, n_functions, device=device, dtype=dtype)
        self.bias = parameter(n_experts, device=device, dtype=dtype)
        self.register_buffer("centre", self.weight.new_zeros(n_functions))
        self.register_buffer("scale", self.weight.new_ones(n_functions))
        if draw:
            self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws W, then b; centre and scale are 0 and 1 again, as of a new router."""
        draw_linear(self.weight, self.bias, generator)
        nn.init.zeros_(self.centre)
        nn.init.ones_(self.scale)

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """``phi``: ``(..., F)`` to ``(..., K)``, before centring and scaling."""

    def logits(self, x: Tensor) -> Tensor:
        """``W (phi(x) - centre) / scale + b``."""
        x = self.take(x)
        self.validate_input(x)
        return self._combined(x)

    def _combined(self, x: Tensor) -> Tensor:
        """The logits; a subclass may compute the same without the values of all functions."""
        return affine(self.functions(x), self.weight, self.bias)

    def functions(self, x: Tensor) -> Tensor:
        """``(phi(x) - centre) / scale``, ``(..., F)`` to ``(..., K)``: what the weights multiply.

        Raises:
            ShapeError: for another number of functions than declared, or another dtype than that of ``x``; for a dtype or
                device other than the router's.
        """
        found = self._declared(x)
        centre, scale = self.centre, self.scale
        if self.checks_input:
            if not centre.shape[-1:] == scale.shape[-1:] == (self.n_functions,):
                raise ConfigError(
                    f"{type(self).__name__} has centre of shape {tuple(centre.shape)}, scale of shape {tuple(scale.shape)}; "
                    f"expected (..., {self.n_functions}): FeatureRouter keeps both under these names, name yours otherwise."
                )
            if not in_autocast(x.device):
                check_same(found.dtype, found.device, centre.dtype, centre.device)
        return standardised(found, centre, scale)

    def compiled_parts(self) -> RouterParts | None:
        """A linear gate on functions; None if a subclass changes more than these, or trains something of its own in them."""
        kind = type(self)
        if kind.logits is not FeatureRouter.logits or kind.forward is not SoftmaxRouter.forward:
            return None
        source = self._source({name for name, _ in self.named_parameters()})
        return None if source is None else RouterParts(source, Layer(self.weight, self.bias))

    def _source(self, trained: set[str]) -> Functions | WaveProducts | None:
        """What the gate is on, where these are the names of all parameters; None if machine code cannot compute it."""
        return Functions(self.n_functions, self.functions) if trained == {"weight", "bias"} else None

    @torch.no_grad()
    def standardise(self, x: Tensor, keep: bool = False, weights: Tensor | None = None) -> Self:
        """Fits centre and scale, so that each function has mean 0 and standard deviation 1 over the rows ``x``.

        A function that is constant over them, up to `CONSTANT_ROUNDINGS`, keeps scale 1. The result depends on ``x`` alone,
        and not on an earlier call. Functions behind a trainable projection are those of its current weights.

        Args:
            x: ``(N, F)`` rows to train on, scaled as the router will see them; ``(M, N, F)`` for a stack.
            keep: whether W and b change as well, so that the router computes the same as before. Otherwise they stay, and
                the router computes another function: for a router that has yet to be trained.
            weights: ``(N,)`` or ``(M, N)`` how much each row counts; None for equal weights.

        Returns:
            The router itself.

        Example:
            >>> x = torch.rand(100, 2, generator=torch.Generator().manual_seed(0))
            >>> router = qmoe.routers.QuadraticRouter(2, 2).standardise(x)
            >>> bool((router.functions(x).std(0, correction=0) - 1).abs().max() < 1e-6)
            True

        Raises:
            ShapeError: for rows that the router would refuse, no rows, or rows on which a function is not finite.
        """
        stack = self.weight.shape[:-2]
        x = self.take(x)
        self.validate_input(x)
        if x.shape[:-2] != stack or x.dim() != len(stack) + 2 or x.shape[-2] == 0:
            expected = ", ".join((*map(str, stack), "N", str(self.in_features)))
            raise ShapeError(f"x has shape {tuple(x.shape)}, expected ({expected}), N at least 1: rows to train on.")
        # What is stored has the router's precision, and that is what the weights are fitted to.
        centre, spread, largest = (value.to(self.scale.dtype) for value in self._moments(x, weights))
        odd = (~(centre + spread).isfinite()).nonzero()
        if len(odd):
            raise ShapeError(
                f"Function {int(odd[0, -1])} of {type(self).__name__} leaves the range of its numbers over these rows; "
                "scale the features first."
            )
        is_constant = spread <= CONSTANT_ROUNDINGS * torch.finfo(spread.dtype).eps * largest
        scale = torch.where(is_constant, torch.ones_like(spread), spread)
        if keep:
            slope = self.weight.double() / self.scale.double().unsqueeze(-2)
            self.bias.add_((slope * (centre.double() - self.centre.double()).unsqueeze(-2)).sum(-1))
            self.weight.copy_(slope * scale.double().unsqueeze(-2))
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        return self

    @property
    def functions_train(self) -> bool:
        """Whether the functions move in training, such as those of a `TwinRouter` behind a trainable projection.

        Centre and scale stay as they were fitted, so estimators and studies standardise only functions that stay too.
        """
        return any(p.requires_grad for name, p in self.named_parameters() if name not in {"weight", "bias"})

    @property
    def is_standardised(self) -> bool:
        """Whether centre or scale is anything but 0 and 1."""
        return bool(self.centre.any() or (self.scale != 1).any())

    def _moments(self, x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, standard deviation (with 1/N) and largest value of each function, ``(*S, K)`` in float64."""
        parts, n = x.split(_CHUNK, -2), x.shape[-2]
        shares: list[Tensor | None] = [None] * len(parts)
        if weights is not None:
            whole = weights.double() * n / weights.double().sum(-1, keepdim=True)
            shares = list(whole.unsqueeze(-1).split(_CHUNK, -2))
        sums = [_total(self._declared(part).double(), share) for part, share in zip(parts, shares, strict=True)]
        mean = torch.stack(sums).sum(0) / n
        squares, largest = torch.zeros_like(mean), torch.zeros_like(mean)
        for part, share in zip(parts, shares, strict=True):
            found = self._declared(part).double()
            squares += _total((found - mean.unsqueeze(-2)).square(), share)
            largest = torch.maximum(largest, found.abs().amax(-2))
        return mean, (squares / n).sqrt(), largest

    def _declared(self, x: Tensor) -> Tensor:
        """`features`, checked: they may be a user's own, and linear layers and compiled training rely on dtype and shape."""
        found = self.features(x)
        # Inside autocast, torch decides the precision of products.
        is_right = found.dtype == x.dtype or in_autocast(x.device)
        if found.shape != (*x.shape[:-1], self.n_functions) or not is_right:
            raise ShapeError(
                f"{type(self).__name__}.features returned {found.dtype} of shape {tuple(found.shape)}, expected {x.dtype} "
                f"of shape {(*x.shape[:-1], self.n_functions)}: n_functions numbers for every row."
            )
        return found

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *others: Any) -> None:
        own = {f"{prefix}{name}": value for name, value in (("centre", self.centre), ("scale", self.scale))}
        is_old = local_metadata.get("version", 1) < 2 and f"{prefix}weight" in state_dict
        if is_old and not any(name in state_dict for name in own):
            # Saved before there was a centre and a scale, so its weights multiply the functions as they are.
            if not self.centre.is_meta and self.is_standardised:
                where = f" at {prefix[:-1]!r}" if prefix else ""
                warn_caller(
                    f"The state_dict{where} has no centre and scale, so its weights are those of a {type(self).__name__} "
                    "that is not standardised; this one was, and no longer is. Call standardise(x, keep=True) once more.",
                    StateWarning,
                )
            for (name, value), fill in zip(own.items(), (0.0, 1.0), strict=True):
                state_dict[name] = state_dict[f"{prefix}weight"].new_full(value.shape, fill)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def extra_repr(self) -> str:
        """Sizes, the number of functions, and whether they are standardised."""
        standardised = "" if self.centre.is_meta or not self.is_standardised else ", standardised"
        return f"{super().extra_repr()}, n_functions={self.n_functions}{standardised}"


def _total(values: Tensor, shares: Tensor | None) -> Tensor:
    """The sum over rows, each of which counts its share."""
    return (values if shares is None else values * shares).sum(-2)


def standardised(found: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """``(found - centre) / scale``: ``(*S, ..., K)`` values of functions, and ``(*S, K)`` of each."""
    if centre.dim() > 1:  # a stack: room for the batch between the models and their functions
        shape = (*centre.shape[:-1], *(1,) * (found.dim() - centre.dim()), centre.shape[-1])
        centre, scale = centre.reshape(shape), scale.reshape(shape)
    return (found - centre) / scale


def feature_router(router: Router) -> FeatureRouter | None:
    """The gate on fixed functions that ``router`` is, or that is inside `MeanRouting` or `PermutedRouting`; else None.

    Example:
        >>> from qmoe.routers import feature_router
        >>> feature_router(qmoe.LinearRouter(2, 3)) is None
        True
    """
    while isinstance(router, Rerouting):
        router = router.router
    return router if isinstance(router, FeatureRouter) else None


@dataclass(frozen=True, kw_only=True)
class FeatureSpec(RouterSpec):
    """A linear gate on fixed functions; ``standardised`` to mean 0 and standard deviation 1 over the training part.

    Functions that move in training (`FeatureRouter.functions_train`) are taken as they are.

    Example:
        >>> from qmoe.routers import FeatureSpec, ROUTERS
        >>> issubclass(ROUTERS["quadratic"], FeatureSpec)
        True
    """

    standardised: bool = True

    def options(self) -> dict[str, Any]:
        """Those of the router, which is standardised once the training rows are known."""
        return {name: value for name, value in super().options().items() if name != "standardised"}
