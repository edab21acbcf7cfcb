"""A claim over all specifications: full sets of analysis choices, each judged by itself, and the verdict over them.

The rule, for S specifications:

* a side (supported or refuted) is *firm*, established in texts for readers, where at least one specification, or the mean
  over those that share an alternative, has that outcome after Benjamini and Hochberg's correction over all of both. Where no
  specification truly has an outcome, the probability that it is firm is at most 5%: one significant of 18 is not enough;
* depends: both sides are firm, and of a comparison the effects on either side differ by more than chance makes any two of so
  many specifications differ (Tukey's range), so that who chooses the analysis chooses the verdict. A lead too small to
  matter that is one and the same everywhere may be found firm on either side, without such a difference (see calibration);
* supported (refuted): at least half of the specifications have that outcome, at least nine in ten have it or lean that way
  (undecided, with estimates on its side), and the other side is not firm;
* inconclusive: everything else.

Requiring at least half of the specifications bounds the probability of a false verdict by twice that of a single one,
however dependent they are (Rueger's inequality); a one-sided error of one specification is 2.5%.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from qmoe.claims.runs import ArmKey
from qmoe.claims.vocabulary import Outcome, Scale
from qmoe.statistics.conventions import ALPHA

#: Share of the specifications that must agree, those counted that are undecided and lean that way.
AGREE = 0.9
#: Share of the specifications that must have the outcome by themselves.
DECIDED = 0.5


@dataclass(frozen=True)
class Point:
    """One comparison at one specification: a point of a specification curve.

    Attributes:
        test: name of the test.
        study: name of the study; "" for measurements.
        a_key: arm a and its noise strength.
        b_key: arm b and its noise strength.
        metric: what is compared.
        effect: difference, or ratio; None where nothing could be tested.
        low: lower bound of its 95% interval.
        high: upper bound.
        outcome: of the comparison.
        error: standard error of the effect over draws of the data (of its logarithm, for ratios); None where not known.
        draws: number of draws of the data.
        scale: whether the effect is a difference or a ratio.
    """

    test: str
    study: str
    a_key: ArmKey
    b_key: ArmKey
    metric: str
    effect: float | None
    low: float | None
    high: float | None
    outcome: Outcome
    error: float | None = None
    draws: int = 0
    scale: Scale = "difference"

    @property
    def distance(self) -> float:
        """The effect, or the logarithm of a ratio; NaN where nothing could be tested."""
        if self.effect is None:
            return math.nan
        return math.log(self.effect) if self.scale == "ratio" else self.effect

    @property
    def key(self) -> tuple[str, str, ArmKey, ArmKey]:
        """What the same comparison at other specifications shares with it."""
        return self.test, self.study, self.a_key, self.b_key


@dataclass(frozen=True)
class SpecificationRow:
    """What one specification says of a claim.

    Attributes:
        choices: for each analysis choice the alternative taken, in words.
        base: whether these are the study's own.
        outcome: of the claim at this specification by itself.
        leaning: the outcome that the estimates alone would give.
        firm: the outcome after the correction over specifications and pools.
        points: the comparisons of the claim at this specification.
    """

    choices: Mapping[str, str]
    base: bool
    outcome: Outcome
    leaning: Outcome
    firm: Outcome
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Pool:
    """What the specifications that share one alternative say together: the mean over them.

    Attributes:
        choice: the analysis choice.
        alternative: what was taken.
        n: number of specifications.
        firm: the outcome of the claim after the correction over specifications and pools.
        points: the comparisons of the claim on the mean over these specifications.
    """

    choice: str
    alternative: str
    n: int
    firm: Outcome
    points: tuple[Point, ...]


@dataclass(frozen=True)
class ChoiceEffect:
    """What one analysis choice does to a claim.

    Attributes:
        choice: its name.
        share: share of the variance of the effects over the specifications that lies between its alternatives (eta
            squared), of the comparison that explains most.
        effects: for each alternative the mean effect of that comparison.
        outcomes: for each alternative how many of its specifications have each outcome.
    """

    choice: str
    share: float
    effects: Mapping[str, float]
    outcomes: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Multiverse:
    """A claim over all specifications.

    Attributes:
        outcome: the verdict over them.
        rows: one for each specification, the study's own first.
        choices: what each choice with several alternatives does, the one that separates most first.
        telling: the comparison whose effects ``choices`` tells of, by test, study and arms; None where none was tested.
        pools: the mean over the specifications that share an alternative, for each of several.
    """

    outcome: Outcome
    rows: tuple[SpecificationRow, ...]
    choices: tuple[ChoiceEffect, ...]
    telling: tuple[str, str, ArmKey, ArmKey] | None
    pools: tuple[Pool, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many specifications have each outcome by themselves."""
        return dict(Counter(row.outcome for row in self.rows))

    @property
    def deciding(self) -> ChoiceEffect | None:
        """The choice that separates the outcomes best; None where no choice has several alternatives."""
        return self.choices[0] if self.choices else None

    def curve(self, key: tuple[str, str, ArmKey, ArmKey] | None = None) -> list[tuple[SpecificationRow, Point]]:
        """One comparison over all specifications in the order of its effects: a specification curve.

        Args:
            key: test, study and arms, as `Point.key`; by default the telling comparison.
        """
        wanted = self.telling if key is None else key
        found = [(row, p) for row in self.rows for p in row.points if p.key == wanted and p.effect is not None]
        return sorted(found, key=lambda pair: pair[1].effect or 0.0)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data for JSON."""
        return {
            "outcome": self.outcome,
            "counts": self.counts,
            "choices": [
                {"choice": c.choice, "share": c.share, "effects": dict(c.effects),
                 "outcomes": {alternative: dict(n) for alternative, n in c.outcomes.items()}}
                for c in self.choices
            ],
            "specifications": [
                {"choices": dict(r.choices), "base": r.base, "outcome": r.outcome, "leaning": r.leaning, "firm": r.firm,
                 "points": [vars(p) for p in r.points]}
                for r in self.rows
            ],
            "pools": [vars(p) | {"points": [vars(q) for q in p.points]} for p in self.pools],
        }  # fmt: skip


def over_specifications(rows: Sequence[SpecificationRow], pools: Sequence[Pool] = ()) -> Outcome:
    """The verdict over specifications, by the rule above."""
    firm = {row.firm for row in rows} | {pool.firm for pool in pools}
    if {"supported", "refuted"} <= firm and _differ(rows, pools):
        return "depends"
    sides: tuple[tuple[Outcome, str], ...] = (("supported", "refuted"), ("refuted", "supported"))
    for side, contrary in sides:
        decided = sum(row.outcome == side for row in rows)
        agree = sum(row.outcome == side or (row.outcome == "inconclusive" and row.leaning == side) for row in rows)
        if decided >= DECIDED * len(rows) and agree >= AGREE * len(rows) and contrary not in firm:
            return side
    return "inconclusive"


def _differ(rows: Sequence[SpecificationRow], pools: Sequence[Pool]) -> bool:
    """Whether some comparison differs between the sides that are firm by more than chance makes any two of all differ."""
    sides: dict[tuple[str, str, ArmKey, ArmKey], dict[Outcome, list[Point]]] = {}
    found = [(row.firm, p) for row in rows for p in row.points] + [
        (pool.firm, p) for pool in pools for p in pool.points
    ]
    for firm, p in found:
        if p.effect is not None and p.error is not None:
            sides.setdefault(p.key, {}).setdefault(firm, []).append(p)
    for side in sides.values():
        for one, other in itertools.product(side.get("supported", []), side.get("refuted", [])):
            reach = math.hypot(one.error or 0.0, other.error or 0.0)
            if abs(one.distance - other.distance) > reach * _critical_range(len(rows), min(one.draws, other.draws)):
                return True
    return False


@functools.lru_cache(maxsize=256)
def _critical_range(n: int, draws: int) -> float:
    """What the largest difference of n means, in standard errors, exceeds with a chance of ALPHA (Tukey 1949)."""
    return float(scipy.stats.studentized_range.ppf(1 - ALPHA, max(n, 2), max(draws - 1, 1))) / math.sqrt(2)


def join(rows: Sequence[SpecificationRow], pools: Sequence[Pool] = ()) -> Multiverse:
    """The verdict over specifications with what explains it."""
    outcome = over_specifications(rows, pools)
    varied = [name for name in _names(rows) if len({row.choices.get(name) for row in rows}) > 1]
    keys = dict.fromkeys(p.key for row in rows for p in row.points if p.effect is not None)
    best: tuple[float, tuple[str, str, ArmKey, ArmKey] | None] = (-1.0, None)
    shares: dict[tuple[str, str, ArmKey, ArmKey], dict[str, float]] = {}
    for key in keys:
        found = [(row, p) for row in rows for p in row.points if p.key == key and p.effect is not None]
        effects = np.array([p.effect for _, p in found], dtype=np.float64)
        shares[key] = {name: _share([row.choices.get(name, "") for row, _ in found], effects) for name in varied}
        # Of a claim of several comparisons, the one that tells its outcomes apart.
        split = _share([row.outcome for row, _ in found], effects) * len({p.outcome for _, p in found})
        if split > best[0]:
            best = split, key
    telling = best[1]
    told = [] if telling is None else [_effect_of(name, shares[telling][name], rows, telling) for name in varied]
    ordered = sorted(told, key=lambda choice: (-_separation(choice), -choice.share))
    return Multiverse(outcome, tuple(rows), tuple(ordered), telling, tuple(pools))


def _effect_of(
    choice: str, share: float, rows: Sequence[SpecificationRow], key: tuple[str, str, ArmKey, ArmKey]
) -> ChoiceEffect:
    effects: dict[str, list[float]] = {}
    outcomes: dict[str, Counter[str]] = {}
    for row in rows:
        alternative = row.choices.get(choice, "")
        outcomes.setdefault(alternative, Counter())[row.outcome] += 1
        effects.setdefault(alternative, []).extend(
            p.effect for p in row.points if p.key == key and p.effect is not None
        )
    means = {name: float(np.mean(values)) for name, values in effects.items() if values}
    return ChoiceEffect(choice, share, means, {name: dict(count) for name, count in outcomes.items()})


def _separation(choice: ChoiceEffect) -> float:
    """How well the alternatives of a choice tell the outcomes apart: eta squared of +1, 0 and -1."""
    value = {"supported": 1.0, "refuted": -1.0}
    pairs = [(a, o) for a, count in choice.outcomes.items() for o, n in count.items() for _ in range(n)]
    return round(_share([a for a, _ in pairs], np.array([value.get(o, 0.0) for _, o in pairs])), 9)


def _share(groups: Sequence[str], values: np.ndarray) -> float:
    """Eta squared: the share of the variance of ``values`` ``(n,)`` that lies between groups; 0 where nothing varies."""
    total = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    if total <= 1e-24:
        return 0.0
    _, at = np.unique(np.asarray(groups), return_inverse=True)
    means = np.bincount(at, weights=values) / np.bincount(at)
    return float(((means[at] - values.mean()) ** 2).sum()) / total


def _names(rows: Iterable[SpecificationRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.choices))
