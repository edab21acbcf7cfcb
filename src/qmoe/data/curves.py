"""Classes that are curves blurred by Gaussian noise: their posterior and Bayes error by quadrature.

A point of class c is ``curve_c(t) + noise * N(0, I)`` with t uniform on [0, 1] and all classes equally likely, so
the density of the class is the curve convolved with a Gaussian,

    p_c(x) = integral_0^1 N(x; curve_c(t), noise**2 I) dt,

the posterior is p_c(x) / sum_k p_k(x), and the Bayes error is 1 - integral max_c p_c(x) / C dx. The integral over t
is a composite Gauss-Legendre rule with panels of at most two noise widths. The integral over the plane is a sum over
a grid of step ``noise / 24`` to ``noise / 6``; on a grid the Gaussian factorises, which makes the densities one
matrix product. In a space of another dimension the error is the mean of 1 - max_c P(c | x) over Sobol points of t and
of the noise, which are scrambled by a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]
"""Maps ``(T,)`` parameters in [0, 1] to ``(T, F)`` points."""

_NODES_PER_PANEL = 8
_MIN_PANELS, _MAX_PANELS = 8, 2048
_MIN_STEPS_PER_NOISE, _MAX_STEPS_PER_NOISE = 6, 24
_COMFORTABLE_STEPS = 1024  # of the grid, in each direction
_MARGIN = 8.0  # noise widths around the curves; what lies outside weighs 1e-14
_MAX_STEPS = 4000
_NEGLIGIBLE = 1e-12
_PROBE = 1024  # points of a curve that measure its speed and the gap to the others
_CHUNK = 1 << 20  # entries of the largest temporary
_SOBOL_BITS = 13  # 2**13 points for each class


@dataclass(frozen=True, eq=False)
class NoisyCurves:
    """Curves of equal prior with isotropic Gaussian noise.

    Attributes:
        curves: one per class.
        noise: the standard deviation of each coordinate, in the unit of the coordinates.
    """

    curves: tuple[Curve, ...]
    noise: float

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """Returns the ``(N, C)`` class probabilities at the points ``x`` ``(N, F)``.

        Without noise this is its limit, the class of the nearest curve.
        """
        rules = [self._rule(curve) for curve in self.curves]
        out = np.empty((len(x), len(rules)))
        chunk = max(1, _CHUNK // max(len(masses) for _, masses in rules))
        for start in range(0, len(x), chunk):
            rows = x[start : start + chunk]
            squares = [_squared_distances(rows, points) for points, _ in rules]
            nearest = np.min([square.min(axis=1) for square in squares], axis=0)
            log_density = np.stack(
                [
                    self._log_sum(square - nearest[:, None], masses)
                    for square, (_, masses) in zip(squares, rules, strict=True)
                ],
                axis=1,
            )
            weight = np.exp(log_density - log_density.max(axis=1, keepdims=True))
            out[start : start + chunk] = weight / weight.sum(axis=1, keepdims=True)
        return out

    def bayes_error(self) -> float | None:
        """Returns the error of the most probable class, to about 2e-5 in the plane and 5e-4 elsewhere.

        None when, in the plane, the noise is below about 1/650 of the extent of curves that still overlap: too fine for
        the grid.
        """
        if self._error_bound() < _NEGLIGIBLE:
            return 0.0
        if self.curves[0](np.zeros(1)).shape[1] != 2:
            return self._sampled_error()
        rules = [self._rule(curve) for curve in self.curves]
        everything = np.concatenate([points for points, _ in rules])
        low = everything.min(axis=0) - _MARGIN * self.noise
        widths = (everything.max(axis=0) + _MARGIN * self.noise - low) / self.noise
        fineness = float(np.clip(_COMFORTABLE_STEPS / widths.max(), _MIN_STEPS_PER_NOISE, _MAX_STEPS_PER_NOISE))
        counts = np.ceil(widths * fineness)
        if counts.max() > _MAX_STEPS:
            return None
        step = self.noise / fineness
        rows, columns = (low[axis] + step * np.arange(int(counts[axis])) for axis in (0, 1))
        right = [masses[:, None] * self._bell(points[:, 1], columns) for points, masses in rules]
        correct = 0.0
        chunk = max(1, _CHUNK // len(columns))
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            densities = [
                self._bell(points[:, 0], part).T @ bell for (points, _), bell in zip(rules, right, strict=True)
            ]
            correct += float(np.maximum.reduce(densities).sum())
        return max(0.0, 1.0 - correct / (len(rules) * 2.0 * math.pi * fineness**2))

    def _sampled_error(self) -> float:
        """Returns the mean of 1 - max_c P(c | x) over Sobol points of every class."""
        from scipy.special import ndtri
        from scipy.stats import qmc

        n_features = self.curves[0](np.zeros(1)).shape[1]
        points = qmc.Sobol(n_features + 1, rng=np.random.default_rng(0)).random_base2(_SOBOL_BITS)
        points = np.clip(points, 1e-12, 1.0 - 1e-12)
        noise = self.noise * ndtri(points[:, 1:])
        correct = [float(self.posterior(curve(points[:, 0]) + noise).max(axis=1).mean()) for curve in self.curves]
        return 1.0 - sum(correct) / len(correct)

    def _rule(self, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ``(T, F)`` nodes and ``(T,)`` masses of the integral over a curve."""
        probe = curve(np.linspace(0.0, 1.0, _PROBE))
        speed = float(np.linalg.norm(np.diff(probe, axis=0), axis=1).max()) * (_PROBE - 1)
        panels = _MAX_PANELS
        if 2.0 * self.noise * _MAX_PANELS > speed:
            panels = max(_MIN_PANELS, math.ceil(speed / (2.0 * self.noise)))
        nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
        t = (np.arange(panels)[:, None] + (nodes + 1.0) / 2.0) / panels
        return curve(t.ravel()), np.tile(weights / (2.0 * panels), panels)

    def _error_bound(self) -> float:
        """Bounds the Bayes error by that of the nearest-curve rule, which errs only beyond half the gap."""
        probes = [curve(np.linspace(0.0, 1.0, _PROBE)) for curve in self.curves]
        gap = math.inf
        for index, one in enumerate(probes):
            for other in probes[:index]:
                gap = min(gap, math.sqrt(_squared_distances(one, other).min()))
        # Between two probes a curve can come closer by half their spacing, on both curves.
        gap -= max(float(np.linalg.norm(np.diff(probe, axis=0), axis=1).max()) for probe in probes)
        if gap <= 0.0:
            return 1.0
        if self.noise == 0.0:
            return 0.0
        return math.exp(-0.5 * min(1e4, gap / (2.0 * self.noise)) ** 2)

    def _bell(self, centres: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """Returns the ``(T, G)`` unnormalised Gaussians of one coordinate."""
        return np.exp(-0.5 * np.square((grid - centres[:, None]) / self.noise))

    def _log_sum(self, excess: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """Returns the log density from ``(N, T)`` squared distances beyond the nearest point of all curves."""
        with np.errstate(over="ignore", divide="ignore"):
            if self.noise == 0.0:
                return np.where(excess.min(axis=1) == 0.0, 0.0, -np.inf)
            exponent = -0.5 * (excess / self.noise) / self.noise
            return np.log(np.exp(exponent) @ masses)


def _squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the ``(N, T)`` squared distances between the points ``(N, F)`` and ``(T, F)``."""
    if one.shape[1] <= 2:
        return sum(np.square(np.subtract.outer(a, b)) for a, b in zip(one.T, other.T, strict=True))
    centre = other.mean(axis=0)
    one, other = one - centre, other - centre
    norms = np.add.outer(np.square(one).sum(axis=1), np.square(other).sum(axis=1))
    return np.maximum(norms - 2.0 * (one @ other.T), 0.0)
