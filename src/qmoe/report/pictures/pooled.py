"""One comparison over all data sets: each with its interval, and a random-effects summary below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from qmoe.report.findings.arms import Arm
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.style import INK, QUANTUM, FigureBlock, Panel
from qmoe.report.sections.blocks import Block, Text
from qmoe.report.tables import signed
from qmoe.statistics import PairedDifference, RandomEffects, random_effects

#: Data sets below which nothing is pooled.
FEWEST = 3


@dataclass(frozen=True)
class Effect:
    """A comparison on one data set.

    Attributes:
        title: what readers call the data set.
        difference: mean difference with its interval.
        standard_error: of the mean, over draws of the data.
    """

    title: str
    difference: PairedDifference
    standard_error: float


@dataclass(frozen=True)
class Pooled:
    """A comparison over data sets.

    Attributes:
        what: ``"quantum router minus linear router"``.
        effects: one for each data set.
        summary: all of them as one; None for fewer than `FEWEST`.
    """

    what: str
    effects: tuple[Effect, ...]
    summary: RandomEffects | None


def effect_on(title: str, a: Arm, b: Arm) -> Effect | None:
    """Arm a minus arm b on one data set; None for too few shared draws, or no spread between them."""
    difference, each = a.minus(b), a.differences(b)
    if difference is None or not difference.enough or np.ptp(each) == 0:
        return None
    return Effect(title, difference, float(each.std(ddof=1)) / sqrt(len(each)))


def pooled(what: str, effects: Sequence[Effect]) -> Pooled:
    """Effects with their summary."""
    if len(effects) < FEWEST:
        return Pooled(what, tuple(effects), None)
    found = random_effects([e.difference.mean for e in effects], [e.standard_error for e in effects])
    return Pooled(what, tuple(effects), found)


def pooled_blocks(found: Sequence[Pooled], margin: float) -> list[Block]:
    """Sentences and a forest plot.

    Args:
        found: comparisons, each of at least two data sets.
        margin: the smallest difference that matters.
    """
    shown = [p for p in found if len(p.effects) > 1]
    if not shown:
        return []
    parts = []
    for p in shown:
        rows = [ForestRow(e.title, e.difference.mean, e.difference.low, e.difference.high, QUANTUM) for e in p.effects]
        groups = [ForestGroup("", tuple(rows))]
        if p.summary is not None:
            s = p.summary
            span = (s.prediction_low, s.prediction_high) if isfinite(s.prediction_low) else None
            groups.append(ForestGroup("", (ForestRow("all data sets", s.mean, s.low, s.high, INK, "D", span=span),)))
        parts.append(
            (ForestAxis(f"test accuracy: {p.what}", margin, below="less accurate", above="more accurate"), groups)
        )
    told = "; ".join(f"{p.what}, {e.title}: {_shown(e.difference)}" for p in shown for e in p.effects)
    panel = Panel("ladders-pooled", forest_plot(parts, 6.6), f"Forest plot over data sets. {told}.")
    caption = (
        "One row for each data set on which routing matters: mean and 95% interval over draws of the data. The diamond is "
        "the mean over data sets (random effects), the dashed line the 95% interval for the difference on a new data set. "
        f"Within the grey band a difference is too small to matter ({margin:g})."
    )
    words = tuple(pooled_words(p) for p in shown if p.summary is not None)
    return [*([Text(words)] if words else []), FigureBlock((panel,), caption, wide=True)]


def pooled_words(p: Pooled) -> str:
    """The summary in words."""
    s = p.summary
    if s is None:
        return f"{p.what}: {len(p.effects)} data sets are too few for a summary."
    words = (
        f"Over {s.n_effects} data sets, the difference {p.what} is {signed(s.mean, s.low, s.high)} on average. The true "
        f"differences vary between data sets with a standard deviation of {s.tau:.3f}; {s.i_squared:.0%} of the spread is "
        "more than sampling error (I²)."
    )
    if isfinite(s.prediction_low):
        low, high = (f"{v:+.3f}".replace("-", "−") for v in (s.prediction_low, s.prediction_high))
        words += f" On a new data set of this kind it would lie between {low} and {high} with 95% probability."
    return words


def differences_by_data_set(
    ladders: Mapping[str, tuple[Arm | None, Mapping[str, Arm]]], titles: Mapping[str, str], rung: str, label: str
) -> Pooled:
    """The quantum router minus one rung, over data sets.

    Args:
        ladders: for each study its quantum arm, and the arms of its rungs.
        titles: what readers call the studies.
        rung: name of the rung.
        label: what readers call it.
    """
    found = [
        effect_on(titles[study], quantum, arms[rung])
        for study, (quantum, arms) in ladders.items()
        if quantum is not None and rung in arms
    ]
    return pooled(f"quantum router minus {label}", [e for e in found if e is not None])


def _shown(d: PairedDifference) -> str:
    return signed(d.mean, d.low, d.high)
