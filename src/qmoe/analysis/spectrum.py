"""Fourier coefficients of what a circuit computes, exact.

With R uploads by rotations every read-out is ``f(x) = sum_k c_k exp(i k.x)`` with integer k from -R to R in each feature
(Schuld, Sweke, Meyer 2021, arXiv:2008.08605), so (2R + 1)^F samples determine it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines import Engine, choose_engine, get_engine
from qmoe.errors import ConfigError, ShapeError, UnsupportedError, check_sizes
from qmoe.routers.functions.declared import is_ours

#: Samples of the largest grid; at 16 outputs that is 256 MB of coefficients.
MAX_SAMPLES = 1_000_000
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class FourierSpectrum:
    """The Fourier coefficients of functions of F features, to degree R in each.

    Attributes:
        coefficients: ``(..., O, 2R + 1, ..., 2R + 1)`` complex, F axes of frequencies in the order of `numpy.fft`:
            0, 1, ..., R, -R, ..., -1.
        n_features: number of features F.
    """

    coefficients: np.ndarray
    n_features: int

    @property
    def degree(self) -> int:
        """The degree R to which it goes."""
        return self.coefficients.shape[-1] // 2

    @property
    def frequencies(self) -> np.ndarray:
        """``(2R + 1,)`` the frequencies along an axis of `coefficients`."""
        return np.fft.ifftshift(np.arange(-self.degree, self.degree + 1))

    def at(self, *frequency: int) -> np.ndarray:
        """The coefficients ``(..., O)`` of one frequency, an integer for each feature; 0 beyond the degree.

        Raises:
            ShapeError: for another number of integers than features.
        """
        if len(frequency) != self.n_features:
            raise ShapeError(f"The frequency {frequency} has {len(frequency)} entries, expected {self.n_features}.")
        if max(map(abs, frequency)) > self.degree:
            return np.zeros(self.coefficients.shape[: -self.n_features], dtype=complex)
        return np.moveaxis(self.coefficients, range(-self.n_features, 0), range(self.n_features))[frequency]

    def highest(self, tolerance: float = 1e-10) -> np.ndarray:
        """``(..., O, F)`` the highest frequency of each feature whose coefficients exceed ``tolerance`` in magnitude."""
        large = np.abs(self.coefficients) > tolerance
        found = []
        for feature in range(self.n_features):
            others = tuple(-1 - axis for axis in range(self.n_features) if axis != self.n_features - 1 - feature)
            present = large.any(axis=others)
            found.append(np.where(present, np.abs(self.frequencies), 0).max(axis=-1))
        return np.stack(found, axis=-1)

    def power(self) -> np.ndarray:
        """``(..., O, F + 1)`` share of the variance by the number of features that a term holds; entry 0 is 0.

        A sum of functions of single features has all of it at 1; what a product state computes from one qubit does too. 0
        everywhere for a constant function.
        """
        interactions = np.zeros(self.coefficients.shape[-self.n_features :], dtype=int)
        for axis in np.indices(interactions.shape):
            interactions += axis != 0
        squares = np.square(np.abs(self.coefficients))
        axes = tuple(range(-self.n_features, 0))
        parts = np.stack([(squares * (interactions == n)).sum(axis=axes) for n in range(self.n_features + 1)], axis=-1)
        parts[..., 0] = 0.0
        total = parts.sum(axis=-1, keepdims=True)
        return np.divide(parts, total, out=np.zeros_like(parts), where=total > 1e-24)


def fourier_coefficients(function: Callable[[Tensor], Tensor], n_features: int, degree: int) -> FourierSpectrum:
    """The Fourier coefficients of a function of period 2 pi in each feature, by sampling and FFT.

    Exact (to rounding) where no frequency of any feature exceeds ``degree``; higher ones fold back onto those below.

    Args:
        function: maps ``(N, F)`` float64 features in radians to ``(..., N, O)`` real values.
        n_features: number of features F.
        degree: the highest frequency R.

    Raises:
        ConfigError: for more than a million samples (2R + 1)^F, or sizes below 1.
        ShapeError: for values of another shape, or that are not finite.

    Example:
        >>> from qmoe.analysis import fourier_coefficients
        >>> spectrum = fourier_coefficients(lambda x: torch.cos(2 * x), n_features=1, degree=3)
        >>> abs(spectrum.coefficients).flatten().round(6)
        array([0. , 0. , 0.5, 0. , 0. , 0.5, 0. ])
    """
    check_sizes(n_features=n_features, degree=degree)
    side = 2 * degree + 1
    if side**n_features > MAX_SAMPLES:
        most = int(math.log(MAX_SAMPLES) / math.log(side))
        raise ConfigError(
            f"Degree {degree} in {n_features} features takes {side}**{n_features} samples, at most {MAX_SAMPLES} are taken; "
            f"at this degree use up to {most} features, or fix some of them inside the function."
        )
    line = torch.arange(side, dtype=torch.float64) * (2 * math.pi / side)
    points = torch.cartesian_prod(*[line] * n_features).reshape(-1, n_features)
    with torch.no_grad():
        values = torch.cat([function(part) for part in points.split(_CHUNK)], dim=-2).cpu().double().numpy()
    if values.shape[-2] != len(points) or not np.isfinite(values).all():
        raise ShapeError(
            f"The function returned {values.shape} for {len(points)} points, expected (..., {len(points)}, O), all finite."
        )
    grid = np.moveaxis(values, -2, -1).reshape(*values.shape[:-2], values.shape[-1], *[side] * n_features)
    axes = tuple(range(-n_features, 0))
    return FourierSpectrum(np.fft.fftn(grid, axes=axes, norm="forward"), n_features)


def circuit_spectrum(
    circuit: Circuit, weights: Tensor, degree: int | None = None, engine: str | Engine = "auto"
) -> FourierSpectrum:
    """The Fourier coefficients of a circuit's read-outs in its features.

    Args:
        circuit: with an angle encoding; noise is allowed.
        weights: ``(..., *circuit.weight_shape)``; leading axes are models.
        degree: the highest frequency to look for; by default the encoding's own, beyond which there is none.
        engine: an engine, its name, or ``"auto"``.

    Returns:
        Coefficients ``(..., n_outputs, 2R + 1, ..., 2R + 1)``.

    Raises:
        UnsupportedError: for amplitude encoding, which is no trigonometric polynomial, and gates that turn too far by a
            share of their angle.
        ConfigError: for a degree below the encoding's, which would fold frequencies, a grid that is too large, or an
            encoding of your own that reaches higher frequencies than it declares.
    """
    own = circuit.template.encoding.max_frequency
    if own is None:
        raise UnsupportedError(
            f"A circuit with {circuit.template.encoding.name} encoding computes x^T A x / |x|^2, which has no Fourier "
            "coefficients; use angle encoding, or look at the quadratic form A."
        )
    if circuit.max_frequency != own:
        raise UnsupportedError(
            "Gates of this circuit turn too far by a share of their angle, so its read-outs are no Fourier series in whole "
            "multiples of the features; use a noise model without relative over-rotation."
        )
    if degree is not None and degree < own:
        raise ConfigError(f"degree is {degree}, but the encoding reaches frequency {own}; use at least that.")
    values = weights.detach().double()
    runner = get_engine(engine) or choose_engine(circuit, values.device)[0]
    stack = values.shape[: values.dim() - len(circuit.weight_shape)]

    def read(points: Tensor) -> Tensor:
        points = points.to(values.device)
        return runner.evaluate(circuit, points.expand(*stack, *points.shape), values)

    spectrum = fourier_coefficients(read, circuit.in_features, own if degree is None else degree)
    if not is_ours(circuit):
        _check_series(spectrum, read, circuit)
    return spectrum


def _check_series(spectrum: FourierSpectrum, read: Callable[[Tensor], Tensor], circuit: Circuit) -> None:
    """Raises `ConfigError` unless a Fourier series gives the read-outs at random points, between those it was made from."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(4, circuit.in_features, generator=generator, dtype=torch.float64) * (6 * math.pi)
    grid = np.array(list(itertools.product(spectrum.frequencies, repeat=spectrum.n_features)))
    flat = spectrum.coefficients.reshape(*spectrum.coefficients.shape[: -spectrum.n_features], -1)
    series = (flat @ np.exp(1j * grid @ points.numpy().T)).real
    with torch.no_grad():
        off = float(np.abs(series - np.moveaxis(read(points).cpu().numpy(), -2, -1)).max())
    if not off <= 1e-8:
        raise ConfigError(
            f"The read-outs differ by {off:.2g} from their Fourier series up to frequency {spectrum.degree}, so higher ones "
            f"fold back: {circuit.encoding!r} declares too low a max_frequency. Declare the number of rotations by a "
            "feature, or pass degree."
        )


def beyond_degree(spectrum: FourierSpectrum, degree: int) -> float:
    """The largest magnitude among coefficients with a frequency above ``degree``; rounding where that is the degree.

    Take ``spectrum`` above the degree to check: `circuit_spectrum` with ``degree=circuit.max_frequency + 1`` puts
    to the test what the encoding says.

    Raises:
        ConfigError: when the spectrum does not reach above ``degree``.
    """
    if spectrum.degree <= degree:
        raise ConfigError(
            f"The spectrum goes to degree {spectrum.degree}, nothing beyond {degree}; compute it to {degree + 1}."
        )
    keep = np.abs(spectrum.frequencies) <= degree
    inside = np.array(list(itertools.product(keep, repeat=spectrum.n_features))).all(axis=1)
    flat = spectrum.coefficients.reshape(*spectrum.coefficients.shape[: -spectrum.n_features], -1)
    return float(np.abs(flat[..., ~inside]).max())
