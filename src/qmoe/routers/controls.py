"""Control routers: they do less than a trained router, and so show what routing contributes."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Annotated, Literal, Unpack

import torch
from torch import Tensor, nn

from qmoe.compilable import Functions, Layer, RouterParts
from qmoe.errors import ConfigError
from qmoe.layers import Device, DType, Rng, parameter
from qmoe.part_spec import Drawn, Within
from qmoe.routers.base import Router, RouterSpec, SoftmaxRouter, require_router, require_softmax


class UniformRouter(SoftmaxRouter):
    """Gives every expert the same weight, whatever the input. With one expert there is no routing at all.

    Example:
        >>> qmoe.UniformRouter(2, 4)(torch.rand(1, 2))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    runs_stacked = True

    def logits(self, x: Tensor) -> Tensor:
        """Zeros."""
        x = self.take(x)
        self.validate_input(x)
        return x.new_zeros(1).expand(*x.shape[:-1], self.n_experts)

    def own_parts(self) -> RouterParts:
        """A gate without inputs, which is not trained."""
        return RouterParts(Functions(), _gate_on_nothing(torch.zeros(self.n_experts, device="cpu")))


class ConstantRouter(SoftmaxRouter):
    """``softmax(b)``: weights that are trained but do not depend on the input; the bias of a linear router alone.

    Args:
        in_features: number of features F.
        n_experts: number of experts E, which is also the number of parameters.
        generator, device, dtype: as of `Router`.

    Example:
        >>> from qmoe.routers import ConstantRouter
        >>> ConstantRouter(2, 3)(torch.rand(5, 2)).shape
        torch.Size([5, 3])
    """

    runs_stacked = True

    def __init__(
        self, in_features: int, n_experts: int, *, generator: Rng = None, device: Device = None, dtype: DType = None
    ) -> None:
        super().__init__(in_features, n_experts)
        self.bias = parameter(n_experts, device=device, dtype=dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the biases as those of a linear router."""
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def logits(self, x: Tensor) -> Tensor:
        """``b``, for every sample."""
        x = self.take(x)
        self.validate_input(x)
        return _beside(self.bias, 1, x.dim() - 1).expand(*x.shape[:-1], self.n_experts)

    def own_parts(self) -> RouterParts:
        """A gate without inputs."""
        return RouterParts(Functions(), _gate_on_nothing(self.bias))


class SingleExpertRouter(Router):
    """Puts all weight on one expert, whatever the input. The others are neither used nor trained.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        expert: which of them, from 0.

    Raises:
        ConfigError: when there is no such expert.

    Example:
        >>> from qmoe.routers import SingleExpertRouter
        >>> SingleExpertRouter(2, 3, expert=1)(torch.rand(1, 2))
        tensor([[0., 1., 0.]])
    """

    runs_stacked = True

    def __init__(self, in_features: int, n_experts: int, *, expert: int = 0) -> None:
        super().__init__(in_features, n_experts)
        if isinstance(expert, bool) or not isinstance(expert, int) or not 0 <= expert < n_experts:
            raise ConfigError(f"expert is {expert!r}, expected an integer from 0 to {n_experts - 1}.")
        self.expert = expert

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)``: a one and zeros."""
        x = self.take(x)
        self.validate_input(x)
        chosen = torch.arange(self.n_experts, device=x.device) == self.expert
        return chosen.to(x.dtype).expand(*x.shape[:-1], self.n_experts)

    def own_parts(self) -> RouterParts:
        """Constant weights."""
        chosen = torch.arange(self.n_experts, device="cpu") == self.expert
        return RouterParts(Functions(), constant=chosen.float())

    def extra_repr(self) -> str:
        """Sizes and the expert."""
        return f"{super().extra_repr()}, expert={self.expert}"


class RandomRouter(SoftmaxRouter):
    """Routes every point at random but reproducibly: the weights are a hash of the features, and nothing is trained.

    The weights of a point are uniform on the simplex, and those of its neighbours are unrelated to them: features count
    with 12 binary digits, so points that differ by more than about 1 part in 4,000 in a feature are routed independently.
    The hash is exact integer arithmetic, equal in any batch and stack. Gradients with respect to the features are 0.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        generator: source of the hash's keys, which are a buffer; torch's default generator if None.
        device: where the keys live.

    Example:
        >>> from qmoe.routers import RandomRouter
        >>> RandomRouter(2, 3)(torch.rand(5, 2)).sum(-1).round(decimals=4)
        tensor([1., 1., 1., 1., 1.])
    """

    runs_stacked = True
    keys: Tensor

    def __init__(self, in_features: int, n_experts: int, *, generator: Rng = None, device: Device = None) -> None:
        super().__init__(in_features, n_experts)
        self.register_buffer("keys", torch.empty(n_experts, in_features + 1, dtype=torch.int64, device=device))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the keys."""
        self.keys.random_(-(2**63), None, generator=generator)

    def logits(self, x: Tensor) -> Tensor:
        """``log(-log(u))`` with u uniform in (0, 1): their softmax is uniform on the simplex."""
        x = self.take(x)
        self.validate_input(x)
        # The leading bits of float32: sign, exponent, 12 digits. Adding 0 makes -0 and 0 the same point.
        cells = ((x.detach() + 0.0).float().view(torch.int32) >> 11).long()
        keys = _beside(self.keys, 2, x.dim() - 1)
        # Multilinear hashing with odd keys, then the finaliser of SplitMix64 (Steele, Lea, Flood 2014); sums wrap around.
        mixed = (cells.unsqueeze(-2) * (keys[..., :-1] | 1)).sum(-1) + keys[..., -1]
        mixed = (mixed ^ _shifted(mixed, 30)) * -0x40A7B892E31B1A47
        mixed = (mixed ^ _shifted(mixed, 27)) * -0x6B2FB644ECCEEE15
        # 23 bits and a half, which float32 holds exactly; neither 0 nor 1.
        uniform = (_shifted(mixed ^ _shifted(mixed, 31), 41).to(x.dtype) + 0.5) / 2**23
        return (-uniform.log()).log()

    def own_parts(self) -> RouterParts:
        """A layer that hands the logits on as they are."""
        n = self.n_experts
        return RouterParts(Functions(n, self.logits), Layer(torch.eye(n, device="cpu"), torch.zeros(n, device="cpu")))


class Rerouting(SoftmaxRouter):
    """Changes which sample gets which of the weights of another router.

    Args:
        router: any router.
    """

    def __init__(self, router: Router) -> None:
        super().__init__(require_router(router).in_features, router.n_experts)
        self.router = router

    def validate_input(self, x: Tensor) -> None:
        """As the router inside does."""
        self.router.validate_input(x)

    def as_softmax(self) -> SoftmaxRouter | None:
        """This router; None where the one inside has no logits."""
        return None if self.router.as_softmax() is None else self


class MeanRouting(Rerouting):
    """Switches routing off: every sample gets the mean of the weights of all samples in the batch.

    The mean is over the axis before the features, which is the batch: in training the samples of one batch, in evaluation
    those that are evaluated together. So the weights still train, but no longer distinguish samples. A grid of points has
    another mean than the data. A sample that is evaluated alone keeps its own weights.

    Args:
        router: any router.

    Example:
        >>> from qmoe.routers import MeanRouting
        >>> x = torch.rand(5, 2)
        >>> mean = MeanRouting(qmoe.LinearRouter(2, 3))(x)
        >>> torch.allclose(mean[0], mean[1])
        True
    """

    runs_stacked = True

    def logits(self, x: Tensor) -> Tensor:
        """Logarithms of the mean weights, where the router has logits: ``(..., B, F)`` to ``(..., B, E)``, equal along B."""
        weights = torch.log_softmax(require_softmax(self.router).logits(x), -1)
        if x.dim() == 1:
            return weights
        # Not the logarithm of the mean: a weight may be too small for its number type.
        mean = weights.logsumexp(-2, keepdim=True) - math.log(max(1, x.shape[-2]))
        return mean.expand_as(weights)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., B, F)`` features to ``(..., B, E)`` weights, equal along B; a single sample keeps its own."""
        weights = self.router(x)
        return weights if x.dim() == 1 else weights.mean(-2, keepdim=True).expand_as(weights)

    def own_parts(self) -> RouterParts | None:
        """The parts of the router inside."""
        return _rerouted(self.router, "mean")


class PermutedRouting(Rerouting):
    """Gives each sample the routing weights of another: the same set of weights, assigned to the wrong samples.

    Samples are permuted along the axis before the features, which is the batch, by one cycle through all of them that is
    drawn once for each batch size. So the module has no state, no sample keeps its own weights (except in a batch of one),
    and a sorted test set or a grid is mixed as well as a shuffled batch. In training, batches are shuffled as well.

    Args:
        router: any router.

    Example:
        >>> from qmoe.routers import PermutedRouting
        >>> PermutedRouting(qmoe.LinearRouter(2, 3))(torch.rand(5, 2)).shape
        torch.Size([5, 3])
    """

    runs_stacked = True

    def logits(self, x: Tensor) -> Tensor:
        """``(..., B, F)`` features to the logits ``(..., B, E)`` of other samples."""
        return _exchanged(require_softmax(self.router).logits(x))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., B, F)`` features to the weights ``(..., B, E)`` of other samples."""
        return _exchanged(self.router(x))

    def own_parts(self) -> RouterParts | None:
        """The parts of the router inside."""
        return _rerouted(self.router, "permuted")


def _gate_on_nothing(bias: Tensor) -> Layer:
    return Layer(bias.new_empty(*bias.shape, 0), bias)


def _rerouted(router: Router, routing: Literal["mean", "permuted"]) -> RouterParts | None:
    parts = router.compiled_parts()
    return dataclasses.replace(parts, routing=routing) if parts is not None and parts.routing == "own" else None


def _exchanged(values: Tensor) -> Tensor:
    if values.dim() == 1:
        return values
    return values.index_select(
        -2, torch.tensor(permutation_of(values.shape[-2]), dtype=torch.int64, device=values.device)
    )


@functools.lru_cache(maxsize=16)
def permutation_of(n: int) -> tuple[int, ...]:
    """A permutation of n samples that is a single cycle, drawn with n as the seed."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n), device="cpu")
    places = torch.empty_like(order)
    places[order] = order.roll(1)
    return tuple(places.tolist())


def _beside(value: Tensor, n_own: int, n_batch: int) -> Tensor:
    """Makes room for the batch: ``(*S, *own)`` to ``(*S, 1, ..., 1, *own)``, with ``n_batch`` axes before its own."""
    stack, own = value.shape[: value.dim() - n_own], value.shape[value.dim() - n_own :]
    return value.reshape(*stack, *(1,) * (n_batch - len(stack)), *own)


def _shifted(value: Tensor, n: int) -> Tensor:
    """The bits of int64 moved n places to the right, with zeros in front."""
    return (value >> n) & ((1 << (64 - n)) - 1)


@dataclass(frozen=True, kw_only=True)
class UniformSpec(RouterSpec):
    """The same weight for all experts; with one expert, no routing."""

    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> UniformRouter:
        """The router."""
        return UniformRouter(in_features, n_experts)


@dataclass(frozen=True, kw_only=True)
class ConstantSpec(RouterSpec):
    """Trained weights that are the same for every sample."""

    builds = ConstantRouter


@dataclass(frozen=True, kw_only=True)
class RandomSpec(RouterSpec):
    """Random but reproducible weights for each point."""

    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> RandomRouter:
        """The router."""
        return RandomRouter(in_features, n_experts, generator=drawn["generator"])


@dataclass(frozen=True, kw_only=True)
class SingleExpertSpec(RouterSpec):
    """All weight on one expert."""

    expert: Annotated[int, Within(ge=0)] = 0

    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> SingleExpertRouter:
        """The router."""
        return SingleExpertRouter(in_features, n_experts, expert=self.expert)
