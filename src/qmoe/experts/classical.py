"""Linear and MLP experts, batched over the experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from qmoe.compilable import ExpertParts, HiddenLayer, Layer
from qmoe.errors import check_sizes
from qmoe.experts.base import Experts, ExpertsSpec
from qmoe.layers import ACTIVATIONS, Device, DType, Linear, Rng, affine, check_activation, draw_linear, parameter
from qmoe.part_spec import Drawn, Size


class LinearExperts(Experts):
    """``W_e x + b_e`` for every expert e.

    Args:
        in_features: number of features F.
        out_features: number of outputs O.
        n_experts: number of experts E.
        generator, device, dtype: as of `Experts`.
    """

    runs_stacked = True
    weight: Tensor  # (E, O, F)
    bias: Tensor  # (E, O)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_experts: int,
        *,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, out_features, n_experts)
        self.weight = parameter(n_experts, out_features, in_features, device=device, dtype=dtype)
        self.bias = parameter(n_experts, out_features, device=device, dtype=dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the weights, then the biases."""
        draw_linear(self.weight, self.bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` to ``(..., E, O)``."""
        x = self.take(x)
        self.validate_input(x)
        # All experts as one wide linear layer: one matrix product instead of E.
        wide = affine(x, self.weight.flatten(-3, -2), self.bias.flatten(-2))
        return wide.unflatten(-1, (self.n_experts, self.out_features))

    def grouped(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """``(N, F)`` rows, sorted by expert, to ``(N, O)``: one matrix product per expert that has rows."""
        self.validate_input(x)
        return _apart(x, counts, [(self.weight, self.bias)])

    def own_parts(self) -> ExpertParts:
        """Linear layers."""
        return ExpertParts(Layer(self.weight, self.bias))


class MLPExperts(Experts):
    """``W2_e f(W1_e x + b1_e) + b2_e`` for every expert e.

    Args:
        in_features: number of features F.
        out_features: number of outputs O.
        n_experts: number of experts E.
        hidden: width of the hidden layer.
        activation: ``"relu"``, ``"tanh"`` or ``"silu"``.
        generator, device, dtype: as of `Experts`.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_experts: int,
        *,
        hidden: int = 8,
        activation: str = "relu",
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, out_features, n_experts)
        check_sizes(hidden=hidden)
        self.hidden = hidden
        self.activation = check_activation(activation)
        make: dict[str, Any] = {"copies": n_experts, "generator": generator, "device": device, "dtype": dtype}
        self.layer1 = Linear(in_features, hidden, **make)
        self.layer2 = Linear(hidden, out_features, **make)

    def described(self) -> dict[str, str]:
        """The activation."""
        return {"activation": self.activation}

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` to ``(..., E, O)``."""
        x = self.take(x)
        self.validate_input(x)
        wide = affine(x, self.layer1.weight.flatten(-3, -2), self.layer1.bias.flatten(-2))
        hidden = ACTIVATIONS[self.activation](wide).unflatten(-1, (self.n_experts, self.hidden))
        # The experts are one more stack axis of the second layer.
        place = self.layer2.weight.dim() - 3
        return self.layer2(hidden.movedim(-2, place)).movedim(place, -2)

    def grouped(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """``(N, F)`` rows, sorted by expert, to ``(N, O)``: two matrix products per expert that has rows."""
        self.validate_input(x)
        layers = [(layer.weight, layer.bias) for layer in (self.layer1, self.layer2)]
        return _apart(x, counts, layers, ACTIVATIONS[self.activation])

    def own_parts(self) -> ExpertParts:
        """Hidden layers, and linear layers on them."""
        hidden = HiddenLayer(self.layer1.weight, self.layer1.bias, self.activation)
        return ExpertParts(Layer.of(self.layer2), hidden)

    def extra_repr(self) -> str:
        """Sizes and activation."""
        return f"{super().extra_repr()}, hidden={self.hidden}, activation={self.activation!r}"


def _apart(
    x: Tensor,
    counts: Sequence[int],
    layers: Sequence[tuple[Tensor, Tensor]],
    activation: Callable[[Tensor], Tensor] = torch.relu,
) -> Tensor:
    """Layers ``(E, O, I)`` and ``(E, O)`` with an activation between them, expert by expert on rows sorted by expert."""
    # unbind, since the gradient of E separate weight[e] would be E tensors of the size of all weights.
    of_expert = zip(*(zip(weight.unbind(0), bias.unbind(0), strict=True) for weight, bias in layers), strict=True)
    found = []
    for rows, (first, *others) in zip(x.split(list(counts)), of_expert, strict=True):
        if len(rows) == 0:
            continue
        out = affine(rows, *first)
        for layer in others:
            out = affine(activation(out), *layer)
        found.append(out)
    return torch.cat(found) if found else x.new_zeros(0, layers[-1][1].shape[-1])


@dataclass(frozen=True, kw_only=True)
class LinearExpertsSpec(ExpertsSpec):
    """Linear experts."""

    out_features: Size | None = None

    def build(self, in_features: int, n_classes: int, n_experts: int, **drawn: Unpack[Drawn]) -> LinearExperts:
        """The experts."""
        return LinearExperts(in_features, self.out_features or n_classes, n_experts, **drawn)


@dataclass(frozen=True, kw_only=True)
class MLPExpertsSpec(ExpertsSpec):
    """Experts with one hidden layer."""

    hidden: Size = 8
    out_features: Size | None = None
    activation: Literal["relu", "tanh", "silu"] = "relu"

    def build(self, in_features: int, n_classes: int, n_experts: int, **drawn: Unpack[Drawn]) -> MLPExperts:
        """The experts."""
        out = self.out_features or n_classes
        return MLPExperts(in_features, out, n_experts, hidden=self.hidden, activation=self.activation, **drawn)
