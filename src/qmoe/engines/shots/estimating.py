"""Estimates of read-outs as a function that torch differentiates, by the parameter-shift rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qmoe.engines.protocol import Engine
from qmoe.engines.shots.measured_bases import Bases
from qmoe.engines.shots.outcome_counts import Outcomes
from qmoe.engines.shots.separate_angles import Slot
from qmoe.engines.shots.shift_rules import rule_of
from qmoe.errors import UnsupportedError

#: Probabilities that are computed in one call of the engine: for the models of one source of random numbers, which decides
#: what it draws first, and in all.
NUMBERS_OF_SOURCE, NUMBERS_AT_ONCE = 2**20, 2**23


class Shift(NamedTuple):
    """One shifted angle.

    Attributes:
        slot: which.
        by: in radians.
        coefficient: of the read-outs there, in the derivative.
    """

    slot: Slot
    by: float
    coefficient: float


@dataclass(frozen=True)
class Estimation:
    """How read-outs are estimated.

    Attributes:
        engine: computes probabilities.
        bases: the circuits to count, with every angle apart.
        outcomes: what becomes of probabilities.
        slots: the angles whose derivatives are asked for.
    """

    engine: Engine
    bases: Bases
    outcomes: Outcomes
    slots: tuple[Slot, ...] = ()

    def read(self, x: Tensor, weights: Tensor, strength: Tensor | None, outcomes: Outcomes) -> Tensor:
        """``(S, ...T, B, Kx)`` and ``(S, ...T, Kw)`` angles to ``(S, ...T, B, n_outputs)`` in float64."""
        found = [self.engine.evaluate(run, x, weights, strength) for run in self.bases.circuits]
        return self.bases.read([outcomes.shares(probabilities) for probabilities in found])

    @property
    def shifts(self) -> list[Shift]:
        """Those that the derivatives take."""
        return [Shift(slot, *term) for slot in self.slots for term in rule_of(slot.gate)]

    def pull_back(
        self, x: Tensor, weights: Tensor, strength: Tensor | None, cotangent: Tensor, outcomes: Outcomes
    ) -> tuple[Tensor, Tensor]:
        """Gradients of the angles ``(S, B, Kx)`` and ``(S, Kw)`` from that of the read-outs, in float64."""
        of_x, of_weights = torch.zeros_like(x, dtype=torch.float64), torch.zeros_like(weights, dtype=torch.float64)
        cotangent = cotangent.double()
        each = len(x) // outcomes.n_sources
        size = max(1, each * x.shape[1] * self.bases.circuits[0].dim)
        n_shifts = max(1, NUMBERS_OF_SOURCE // size)
        n_sources = max(1, NUMBERS_AT_ONCE // (size * min(n_shifts, max(1, len(self.shifts)))))
        for first in range(0, outcomes.n_sources, n_sources):
            models = slice(first * each, (first + n_sources) * each)
            drawn = outcomes.part(first, first + n_sources)
            own = None if strength is None else strength[models]
            for shifts in _chunks(self.shifts, n_shifts):
                values = self.read(*_shifted(x[models], weights[models], own, shifts), drawn)
                slopes = (values * cotangent[models].unsqueeze(1)).sum(-1)  # (s, T, B)
                _add(of_x[models], of_weights[models], shifts, slopes)
        return of_x, of_weights


def _chunks(shifts: Sequence[Shift], size: int) -> Iterator[Sequence[Shift]]:
    return (shifts[at : at + size] for at in range(0, len(shifts), size))


def _shifted(
    x: Tensor, weights: Tensor, strength: Tensor | None, shifts: Sequence[Shift]
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Angles with a stack axis more: ``(s, T, B, Kx)``, ``(s, T, Kw)`` and ``(s, T)``, in each of T one of them shifted."""
    n = len(shifts)
    wide = x.unsqueeze(1).expand(-1, n, -1, -1)
    heavy = weights.unsqueeze(1).expand(-1, n, -1)
    for per_sample in {shift.slot.per_sample for shift in shifts}:
        table = torch.zeros(n, (x if per_sample else weights).shape[-1], dtype=torch.float64)
        for place, shift in enumerate(shifts):
            if shift.slot.per_sample == per_sample:
                table[place, shift.slot.index] = shift.by
        table = table.to(x.device, x.dtype)
        if per_sample:
            wide = wide + table.unsqueeze(1)
        else:
            heavy = heavy + table
    return wide, heavy, None if strength is None else strength.unsqueeze(1).expand(-1, n)


def _add(of_x: Tensor, of_weights: Tensor, shifts: Sequence[Shift], slopes: Tensor) -> None:
    """Adds ``(s, T, B)`` slopes at shifted angles, times their coefficients, where these angles stand."""
    for per_sample in {shift.slot.per_sample for shift in shifts}:
        places = [place for place, shift in enumerate(shifts) if shift.slot.per_sample == per_sample]
        indices = torch.tensor([shifts[place].slot.index for place in places], device=slopes.device)
        factors = slopes.new_tensor([shifts[place].coefficient for place in places])
        found = slopes[:, torch.tensor(places, device=slopes.device)] * factors[:, None]
        if per_sample:
            of_x.index_add_(-1, indices, found.transpose(1, 2))
        else:
            of_weights.index_add_(-1, indices, found.sum(-1))


class ParameterShift(torch.autograd.Function):
    """Read-outs of separate angles, with gradients from as many samples of each shifted circuit."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, strength: Tensor | None, estimation: Estimation) -> Tensor:
        """``(S, B, Kx)`` and ``(S, Kw)`` angles to ``(S, B, n_outputs)``."""
        out = estimation.read(x, weights, strength, estimation.outcomes)
        ctx.save_for_backward(x, weights, strength)
        ctx.estimation, ctx.outcomes = estimation, estimation.outcomes.later()
        return out.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the angles."""
        if torch.is_grad_enabled():
            raise UnsupportedError(
                "A second derivative was asked for (create_graph=True), and with shots there are first ones alone; use "
                "gradient='exact' (shot_gradient='exact' of a module) or shots=None."
            )
        x, weights, strength = ctx.saved_tensors
        make: Callable[[], Outcomes] = ctx.outcomes
        of_x, of_weights = ctx.estimation.pull_back(x, weights, strength, cotangent, make())
        asked = ctx.needs_input_grad
        return of_x.to(x.dtype) if asked[0] else None, of_weights.to(x.dtype) if asked[1] else None, None, None


class Replaced(torch.autograd.Function):
    """Estimates, with the gradient of what they estimate."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, estimates: Tensor) -> Tensor:
        """The estimates."""
        del ctx, exact
        return estimates.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        """To the exact values."""
        del ctx
        return cotangent, None
