"""Classical routers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from qmoe.compilable import Features, HiddenLayer, Layer, RouterParts
from qmoe.errors import check_sizes
from qmoe.layers import ACTIVATIONS, Device, DType, Linear, Rng, affine, check_activation, draw_linear, parameter
from qmoe.part_spec import Size
from qmoe.routers.base import RouterSpec, SoftmaxRouter


class LinearRouter(SoftmaxRouter):
    """``softmax(W x + b)``: the paper's control. Its decision boundaries are hyperplanes.

    Args:
        in_features: number of features F.
        n_experts: number of experts E; the router has ``E (F + 1)`` parameters.
        generator, device, dtype: as of `Router`.
    """

    runs_stacked = True
    weight: Tensor  # (E, F)
    bias: Tensor  # (E,)

    def __init__(
        self, in_features: int, n_experts: int, *, generator: Rng = None, device: Device = None, dtype: DType = None
    ) -> None:
        super().__init__(in_features, n_experts)
        self.weight = parameter(n_experts, in_features, device=device, dtype=dtype)
        self.bias = parameter(n_experts, device=device, dtype=dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the weights, then the biases."""
        draw_linear(self.weight, self.bias, generator)

    def logits(self, x: Tensor) -> Tensor:
        """``W x + b``."""
        x = self.take(x)
        self.validate_input(x)
        return affine(x, self.weight, self.bias)

    def own_parts(self) -> RouterParts:
        """A linear gate on the features."""
        return RouterParts(Features(self.in_features), Layer(self.weight, self.bias))


class MLPRouter(SoftmaxRouter):
    """``softmax(W2 f(W1 x + b1) + b2)``: one hidden layer, as in the paper's parameter sweep.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        hidden: width h of the hidden layer; ``h (F + 1) + E (h + 1)`` parameters.
        activation: ``"relu"``, ``"tanh"`` or ``"silu"``.
        generator, device, dtype: as of `Router`.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        hidden: int = 16,
        activation: str = "relu",
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, n_experts)
        check_sizes(hidden=hidden)
        self.hidden = hidden
        self.activation = check_activation(activation)
        self.layer1 = Linear(in_features, hidden, generator=generator, device=device, dtype=dtype)
        self.layer2 = Linear(hidden, n_experts, generator=generator, device=device, dtype=dtype)

    def described(self) -> dict[str, str]:
        """The activation."""
        return {"activation": self.activation}

    def hidden_layer(self, x: Tensor) -> Tensor:
        """``f(W1 x + b1)``: ``(..., F)`` to ``(..., hidden)``."""
        x = self.take(x)
        self.validate_input(x)
        return ACTIVATIONS[self.activation](self.layer1(x))

    def logits(self, x: Tensor) -> Tensor:
        """``W2 f(W1 x + b1) + b2``."""
        return self.layer2(self.hidden_layer(x))

    def own_parts(self) -> RouterParts:
        """A linear gate on a hidden layer of the features."""
        hidden = HiddenLayer(self.layer1.weight, self.layer1.bias, self.activation)
        return RouterParts(Features(self.in_features), Layer.of(self.layer2), hidden)

    def extra_repr(self) -> str:
        """Sizes and activation."""
        return f"{super().extra_repr()}, hidden={self.hidden}, activation={self.activation!r}"


@dataclass(frozen=True, kw_only=True)
class LinearSpec(RouterSpec):
    """A linear router."""

    builds = LinearRouter


@dataclass(frozen=True, kw_only=True)
class MLPSpec(RouterSpec):
    """A router with one hidden layer."""

    builds = MLPRouter

    hidden: Size = 16
    activation: Literal["relu", "tanh", "silu"] = "relu"
