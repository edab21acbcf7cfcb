"""Polynomials in inputs and weights from a program that computes with tensors alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Angle, Expression, Feature, Weight, angle_value
from qmoe.circuits.angles.expressions import as_angle

#: Factors of a term at most.
DEGREE = 3
_CHECKS = 24


class ProbePoint(NamedTuple):
    """``(F,)`` inputs and ``(P,)`` weights in float64."""

    x: Tensor
    w: Tensor


def points(n_features: int, n_weights: int, n: int = _CHECKS) -> list[ProbePoint]:
    """Points without symmetry: of all signs, of one sign, small and large; the same ones at every call."""
    rng = np.random.default_rng(2718)
    found = []
    for index in range(n):
        scale = (1.0, 3.0, 0.1, 9.0)[index % 4]
        parts = [rng.uniform(-1, 1, size) * scale for size in (n_features, n_weights)]
        if index % 3 == 1:
            parts = [np.abs(part) for part in parts]
        elif index % 3 == 2:
            parts = [-np.abs(part) for part in parts]
        found.append(ProbePoint(*(torch.from_numpy(part) for part in parts)))
    return found


def polynomials(
    angles_at: Callable[[ProbePoint], Sequence[Any]], n_features: int, n_weights: int
) -> tuple[list[Angle | None], set[int]]:
    """The angles that a program computes, as polynomials of degree at most `DEGREE`; None for those that are none.

    They are the Taylor series at the origin, by automatic differentiation, checked at `points`.

    Args:
        angles_at: the angles at a point, as tensors that autograd follows to it, or numbers; as many at all points.
        n_features: number of features F.
        n_weights: number of weights P.

    Returns:
        The polynomials, and the numbers of all features and weights that any angle depends on, weights behind features.
    """
    checked = points(n_features, n_weights)
    supports = [_support(angles_at, point) for point in checked[:3]]
    factors: list[Feature | Weight] = [*map(Feature, range(n_features)), *map(Weight, range(n_weights))]
    origin = _leaf(
        ProbePoint(torch.zeros(n_features, dtype=torch.float64), torch.zeros(n_weights, dtype=torch.float64))
    )
    found: list[Angle | None] = []
    values = list(angles_at(origin))
    for number, value in enumerate(values):
        support = sorted(set().union(*(support[number] for support in supports)))
        here = _tensor(value)
        is_finite = math.isfinite(float(here.detach()))
        found.append(as_angle("of a trace", _taylor(here, origin, support, factors)) if is_finite else None)
    for point in checked:
        with torch.no_grad():
            truth = [float(_tensor(value)) for value in angles_at(point)]
        for number, (angle, true) in enumerate(zip(found, truth, strict=True)):
            if angle is not None and abs(at(angle, point) - true) > 1e-10 * max(1.0, abs(true)):
                found[number] = None
    return found, {index for support in supports for part in support for index in part}


def at(angle: Angle, point: ProbePoint) -> float:
    """The value of an angle at a point."""
    return angle_value(angle, lambda i: float(point.x[i]), lambda i: float(point.w[i]), float)


def _leaf(point: ProbePoint) -> ProbePoint:
    return ProbePoint(*(part.detach().clone().requires_grad_() for part in point))


def _tensor(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).reshape(())


def _gradient(value: Tensor, point: ProbePoint, keep: bool) -> Tensor | None:
    """``(F + P,)`` derivatives; None for a constant."""
    if not value.requires_grad:
        return None
    grads = torch.autograd.grad(value, point, create_graph=keep, retain_graph=True, allow_unused=True)
    return torch.cat([torch.zeros_like(part) if g is None else g for part, g in zip(point, grads, strict=True)])


def _support(angles_at: Callable[[ProbePoint], Sequence[Any]], point: ProbePoint) -> list[set[int]]:
    leaf = _leaf(point)
    gradients = [_gradient(_tensor(value), leaf, keep=False) for value in angles_at(leaf)]
    return [set() if g is None else set(g.nonzero().flatten().tolist()) for g in gradients]


def _taylor(value: Tensor, origin: ProbePoint, support: list[int], factors: list[Feature | Weight]) -> Any:
    total: Any = Expression(()) + float(value.detach())

    def add(derivative: Tensor, term: Any, last: int, degree: int, power: int, scale: float) -> None:
        """Adds all terms that continue ``term`` by factors from the ``last`` on."""
        nonlocal total
        if degree == DEGREE:
            return
        gradient = _gradient(derivative, origin, keep=True)
        if gradient is None:
            return
        for place in range(last, len(support)):
            index = support[place]
            times = power + 1 if place == last and degree else 1
            longer, divided = term * factors[index], scale / times
            coefficient = float(gradient[index].detach()) * divided
            if coefficient and math.isfinite(coefficient):
                total = total + coefficient * longer
            add(gradient[index], longer, place, degree + 1, times, divided)

    add(value, 1.0, 0, 0, 0, 1.0)
    return total
