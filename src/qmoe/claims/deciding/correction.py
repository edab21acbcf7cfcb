"""The correction for multiple comparisons: from p-values of comparisons to those of claims, and back.

A group of n members that holds where at least k of them hold has the p-value ``(n - k + 1) p_(k)`` with ``p_(k)`` the k-th
smallest (the partial conjunction of Benjamini and Heller 2008), valid whatever the dependence. For k = n that is the
largest p-value, uncorrected: the intersection-union test of a claim whose tests must all hold. For k = 1 it is n times the
smallest: any one would do, so all are corrected for. Groups nest: comparisons in tests, tests in claims; the claims of one
family are then corrected by Holm (1979), which is the same with k = 1 step by step.

`stepwise` goes the other way: it tells each member how its own p-value is to be corrected, so that at least k members are
below the level exactly where the group is. So a verdict and the lines under it never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: P-values with which something could be supported and refuted; None where it was not tested.
PValues = tuple[float | None, float | None]


@dataclass(frozen=True)
class Correction:
    """How a p-value is corrected from outside.

    Attributes:
        factor: what it is multiplied with.
        floor: what it cannot be less than, since members before it in Holm's order were not.
    """

    factor: float = 1.0
    floor: float = 0.0

    def __call__(self, p: float) -> float:
        """The corrected p-value."""
        return min(1.0, max(self.floor, self.factor * p))

    def times(self, factor: float) -> Correction:
        """The same with one more factor."""
        return Correction(self.factor * factor, self.floor)


#: How the two of `PValues` are corrected.
Corrections = tuple[Correction, Correction]


def conjunction(p_values: Sequence[float | None], needed: int) -> float | None:
    """The p-value of "at least ``needed`` of these hold"; None where nothing was tested.

    Members that were not tested (None) cannot hold, and cost nothing.
    """
    tested = sorted(p for p in p_values if p is not None)
    if not tested:
        return None
    if len(tested) < needed:
        return 1.0
    return min(1.0, (len(tested) - needed + 1) * tested[needed - 1])


def stepwise(p_values: Sequence[float | None], needed: int, outer: Correction) -> list[Correction]:
    """How each member's p-value is to be corrected, within a group that is corrected by ``outer`` itself."""
    tested = [i for i, p in enumerate(p_values) if p is not None]
    found = [outer] * len(p_values)
    order = sorted(tested, key=lambda i: (p_values[i] or 0.0, i))
    floor, n = outer.floor, len(tested)
    for rank, i in enumerate(order, 1):
        factor = outer.factor * (max(1, n - needed + 1) if rank <= needed else n - rank + 1)
        found[i] = Correction(factor, floor)
        if rank >= needed:  # those that are needed pass or fail by themselves; the later ones wait for them
            floor = found[i](p_values[i] or 0.0)
    return found


def over(p_values: Sequence[float | None]) -> list[Correction]:
    """Holm's correction over the members of a family."""
    return stepwise(p_values, 1, Correction())


def step_up(p_values: Sequence[float | None]) -> list[Correction]:
    """Benjamini and Hochberg's (1995) correction: whether any of these hold.

    Where none does, the chance that any is below the level is that level (Simes 1986, for tests that depend positively, such
    as analyses of the same draws). It has power when many tests show weak evidence; Holm's needs one significant by itself.
    """
    tested = [i for i, p in enumerate(p_values) if p is not None]
    found = [Correction()] * len(p_values)
    least = 1.0
    order = sorted(tested, key=lambda i: (p_values[i] or 0.0, i))
    for rank in range(len(order), 0, -1):
        p = p_values[order[rank - 1]] or 0.0
        least = min(least, len(order) * p / rank)
        found[order[rank - 1]] = Correction(max(1.0, least / p) if p > 0 else len(order) / rank)
    return found


def largest(p_values: Sequence[float]) -> float | None:
    """The largest of some p-values; None for none."""
    return float(np.max(p_values)) if len(p_values) else None
