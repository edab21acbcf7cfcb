"""Linear gates on cosines and sines of the features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, check_sizes
from qmoe.layers import Device, DType, Rng, affine, check_same
from qmoe.part_spec import Size, Within
from qmoe.routers.features import FeatureRouter, FeatureSpec


class TrigonometricRouter(FeatureRouter):
    """A linear gate on ``cos(k x_i)`` and ``sin(k x_i)``: the terms of an angle encoding without their products.

    With one upload, these are the functions that a circuit without entanglers passes to its adapter.

    Args:
        in_features: number of features F.
        n_experts: number of experts E; the gate sees ``K = 2 F R`` functions.
        max_frequency: largest frequency R, as many as the circuit has uploads.
        generator, device, dtype: as of `Router`.

    Example:
        >>> TrigonometricRouter(in_features=2, n_experts=2, max_frequency=3).n_functions
        12
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        max_frequency: int = 1,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        check_sizes(in_features=in_features, max_frequency=max_frequency)
        n_functions = 2 * in_features * max_frequency
        super().__init__(in_features, n_experts, n_functions, generator=generator, device=device, dtype=dtype)
        self.max_frequency = max_frequency

    def described(self) -> dict[str, str]:
        """The largest frequency."""
        return {"max_frequency": str(self.max_frequency)}

    def features(self, x: Tensor) -> Tensor:
        """Cosines, then sines, each by frequency and within it by feature."""
        angles = x
        if self.max_frequency > 1:
            angles = torch.cat([k * x for k in range(1, self.max_frequency + 1)], -1)
        return torch.cat([angles.cos(), angles.sin()], -1)


class RandomFourierRouter(FeatureRouter):
    """A linear gate on ``cos(w_k . x + b_k)`` with frequencies w and phases b that are drawn once (Rahimi, Recht 2007).

    Frequencies are normal with standard deviation ``1 / length_scale``, phases uniform in a full turn. Both are buffers.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        n_functions: number of functions K.
        length_scale: distance over which the functions vary; at 1 a frequency is about as large as one upload's.
        generator: source of frequencies, phases and initial weights; torch's default generator if None.
        device, dtype: as of `Router`.

    Raises:
        ConfigError: for a length scale that is not positive and finite.

    Example:
        >>> from qmoe.routers import RandomFourierRouter
        >>> RandomFourierRouter(2, 3, n_functions=16).features(torch.rand(5, 2)).shape
        torch.Size([5, 16])
    """

    runs_stacked = True
    frequencies: Tensor
    phases: Tensor

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        n_functions: int = 8,
        length_scale: float = 1.0,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, n_experts, n_functions, device=device, dtype=dtype, draw=False)
        if isinstance(length_scale, bool) or not isinstance(length_scale, (int, float)) or not 0 < length_scale < 1e30:
            raise ConfigError(
                f"length_scale is {length_scale!r}, expected a positive number; 1 suits features scaled to (0, pi)."
            )
        self.length_scale = float(length_scale)
        self.register_buffer("frequencies", self.weight.new_empty(n_functions, in_features))
        self.register_buffer("phases", self.weight.new_empty(n_functions))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws W and b, then the frequencies, then the phases."""
        super().reset_parameters(generator)
        self.frequencies.normal_(generator=generator).div_(self.length_scale)
        nn.init.uniform_(self.phases, 0, 2 * math.pi, generator=generator)

    def features(self, x: Tensor) -> Tensor:
        """``cos(w_k . x + b_k)``."""
        if self.checks_input:
            check_same(x.dtype, x.device, self.frequencies.dtype, self.frequencies.device)
        return affine(x, self.frequencies, self.phases).cos()

    def extra_repr(self) -> str:
        """Sizes and the length scale."""
        return f"{super().extra_repr()}, length_scale={self.length_scale:g}"


@dataclass(frozen=True, kw_only=True)
class TrigonometricSpec(FeatureSpec):
    """A linear gate on cosines and sines of each feature, without products of them."""

    builds = TrigonometricRouter

    max_frequency: Size = 1


@dataclass(frozen=True, kw_only=True)
class RandomFourierSpec(FeatureSpec):
    """A linear gate on waves of random frequency and phase, drawn with the initial weights."""

    builds = RandomFourierRouter

    n_functions: Size = 8
    length_scale: Annotated[float, Within(gt=0, lt=1e30)] = 1.0
