"""A linear gate on products of Chebyshev polynomials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.errors import ConfigError, check_sizes
from qmoe.layers import Device, DType, Rng
from qmoe.part_spec import Size
from qmoe.routers.features import FeatureRouter, FeatureSpec

#: The largest number of functions.
MAX_FUNCTIONS = 4096


class ChebyshevRouter(FeatureRouter):
    """A linear gate on all products ``T_a(t_1) T_b(t_2) ...`` of Chebyshev polynomials, one of each feature.

    ``T_k(cos u) = cos(k u)`` is a polynomial of degree k on [-1, 1], onto which the interval from ``low`` to ``high`` is
    mapped: ``t = (2 x - low - high) / (high - low)``. Of degree 2 the gate has as many functions as a circuit with one
    upload, ``3**F - 1`` beside the constant, but they are polynomials and have no period.

    Inside the interval all functions lie in [-1, 1]. Outside they are the same polynomials, growing as ``(2 |t|)**k / 2``:
    nothing is clipped and nothing warns. Scale the features, or give the interval that they have.

    Args:
        in_features: number of features F.
        n_experts: number of experts E; the gate sees ``K = (degree + 1)**F - 1`` functions.
        low: lower end of the interval that features have.
        high: upper end; together by default (0, pi), to which studies and `qmoe.QMoEClassifier` scale.
        degree: largest degree in each feature.
        generator, device, dtype: as of `Router`.

    Raises:
        ConfigError: for an empty interval, or more than ``MAX_FUNCTIONS`` functions.

    Example:
        >>> router = ChebyshevRouter(in_features=2, n_experts=2)
        >>> router.n_functions, sum(p.numel() for p in router.parameters())
        (8, 18)
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        low: float = 0.0,
        high: float = math.pi,
        degree: int = 2,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        if not -math.inf < low < high < math.inf:
            raise ConfigError(f"low is {low!r} and high is {high!r}, expected an interval of finite length.")
        check_sizes(in_features=in_features, degree=degree)
        n_functions = (degree + 1) ** in_features - 1
        if n_functions > MAX_FUNCTIONS:
            # Python refuses to write numbers of thousands of digits.
            number = n_functions if n_functions < 10**12 else f"{degree + 1}**{in_features} - 1"
            raise ConfigError(
                f"All products of degree {degree} in {in_features} features are {number} functions, more than "
                f"{MAX_FUNCTIONS}; lower the degree, or leave out features."
            )
        super().__init__(in_features, n_experts, n_functions, generator=generator, device=device, dtype=dtype)
        self.degree = degree
        self.low, self.high = float(low), float(high)

    def described(self) -> dict[str, str]:
        """Degree and interval, which the shapes do not show."""
        return {"degree": str(self.degree), "interval": f"({self.low:g}, {self.high:g})"}

    def extra_repr(self) -> str:
        """Sizes, degree and interval."""
        return f"{super().extra_repr()}, degree={self.degree}, interval=({self.low:g}, {self.high:g})"

    def features(self, x: Tensor) -> Tensor:
        """The products, the degree of the last feature rising first; without the constant, which is the gate's bias."""
        t = (2 * x - (self.low + self.high)) / (self.high - self.low)
        polynomials = [torch.ones_like(t), t]
        for _ in range(2, self.degree + 1):
            polynomials.append(2 * t * polynomials[-1] - polynomials[-2])
        table = torch.stack(polynomials, -1)  # (..., F, degree + 1)
        products = table[..., 0, :]
        for feature in range(1, self.in_features):
            products = (products.unsqueeze(-1) * table[..., feature, :].unsqueeze(-2)).flatten(-2)
        return products[..., 1:]


@dataclass(frozen=True, kw_only=True)
class ChebyshevSpec(FeatureSpec):
    """A linear gate on all products of Chebyshev polynomials of the features."""

    builds = ChebyshevRouter

    degree: Size = 2
    low: float = 0.0
    high: float = math.pi

    def check(self) -> None:
        """Refuses an empty interval."""
        super().check()
        if not self.low < self.high:
            raise ConfigError("low and high are the ends of an interval; give low the smaller value")
