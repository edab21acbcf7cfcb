"""Linear gates on fixed functions of the features."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError
from qmoe.layers import affine, check_same, check_sizes, draw_linear, in_autocast, parameter
from qmoe.routers.base import Router


class FeatureRouter(Router):
    """``softmax(W phi(x) + b)`` with fixed functions phi: a linear router in another space.

    A subclass implements `features`; what is fixed about them (frequencies, say) is a buffer, and only W and b train. One
    that draws something defines `reset_parameters`, builds this with ``draw=False``, and calls it at its end.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        n_functions: number of functions K in phi; the router has ``E (K + 1)`` parameters.
        generator: source of the initial weights; torch's default generator if None.
        device: where the parameters live.
        dtype: float32 or float64.
        draw: whether to draw the initial weights.
    """

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        n_functions: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        draw: bool = True,
    ) -> None:
        super().__init__(in_features, n_experts)
        check_sizes(n_functions=n_functions)
        self.n_functions = n_functions
        self.weight = parameter(n_experts, n_functions, device=device, dtype=dtype)
        self.bias = parameter(n_experts, device=device, dtype=dtype)
        if draw:
            self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws W, then b."""
        draw_linear(self.weight, self.bias, generator)

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """``phi``: ``(..., F)`` to ``(..., K)``."""

    def logits(self, x: Tensor) -> Tensor:
        """``W phi(x) + b``."""
        x = self.take(x)
        self.check(x)
        return affine(self.functions(x), self.weight, self.bias)

    def functions(self, x: Tensor) -> Tensor:
        """`features`, which may be somebody's own and are what layers and compiled training count on.

        Raises:
            ShapeError: for another number of functions than declared, or another dtype than that of ``x``.
        """
        found = self.features(x)
        # Inside autocast, torch decides the precision of products.
        is_right = found.dtype == x.dtype or in_autocast(x.device)
        if found.shape != (*x.shape[:-1], self.n_functions) or not is_right:
            raise ShapeError(
                f"{type(self).__name__}.features returned {found.dtype} of shape {tuple(found.shape)}, expected {x.dtype} "
                f"of shape {(*x.shape[:-1], self.n_functions)}: n_functions numbers for every row."
            )
        return found

    def extra_repr(self) -> str:
        """Sizes and the number of functions."""
        return f"{super().extra_repr()}, n_functions={self.n_functions}"


class QuadraticRouter(FeatureRouter):
    """A linear gate on the features and their products in pairs: cuts the input space along conics.

    Args:
        in_features: number of features F.
        n_experts: number of experts E; the gate sees ``K = F + F (F + 1) / 2`` functions ``x_i`` and ``x_i x_j``.
        generator: source of the initial weights; torch's default generator if None.
        device: where the parameters live.
        dtype: float32 or float64.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_sizes(in_features=in_features)
        n_functions = in_features + in_features * (in_features + 1) // 2
        super().__init__(in_features, n_experts, n_functions, generator, device, dtype)

    def features(self, x: Tensor) -> Tensor:
        """``x_1 .. x_F``, then ``x_i x_j`` with i up to j."""
        i, j = torch.triu_indices(self.in_features, self.in_features, device=x.device)
        return torch.cat([x, x[..., i] * x[..., j]], -1)


class TrigonometricRouter(FeatureRouter):
    """A linear gate on ``cos(k x_i)`` and ``sin(k x_i)``: the terms of an angle encoding without their products.

    With one upload these are what a circuit without entanglers can tell its adapter.

    Args:
        in_features: number of features F.
        n_experts: number of experts E; the gate sees ``K = 2 F R`` functions.
        max_frequency: largest frequency R, as many as the circuit has uploads.
        generator: source of the initial weights; torch's default generator if None.
        device: where the parameters live.
        dtype: float32 or float64.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        max_frequency: int = 1,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_sizes(in_features=in_features, max_frequency=max_frequency)
        super().__init__(in_features, n_experts, 2 * in_features * max_frequency, generator, device, dtype)
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
        device: where parameters and buffers live.
        dtype: float32 or float64.

    Raises:
        ConfigError: for a length scale that is not positive and finite.
    """

    runs_stacked = True
    frequencies: Tensor
    phases: Tensor

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        n_functions: int = 8,
        length_scale: float = 1.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
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

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
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
