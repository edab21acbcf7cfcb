"""Each published figure beside the distribution that the same protocol gives over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from qmoe.claims import ArmRuns
from qmoe.claims.runs import ArmKey
from qmoe.claims.sentences import metric_words
from qmoe.errors import count
from qmoe.report.findings.arms import MIN_SEEDS, arms_of, at_epoch, interval_of
from qmoe.report.findings.paper import Published, departures, paper
from qmoe.report.tables import known
from qmoe.report.words import join
from qmoe.statistics import percentile_of
from qmoe.studies import StudyResults

_Start: TypeAlias = tuple[str, str, str, float | None, str, str, int | None]
OUTSIDE = 1.0  # percentiles below this, or above 100 minus this, lie outside the middle 98%


@dataclass(frozen=True)
class HeadlineRow:
    """One published figure (or one arm that has none) beside our runs.

    Attributes:
        phase: phase of the paper.
        study: name of the study.
        arm: name of the arm.
        strength: noise strength, or None.
        label: what readers call the arm.
        quantity: name of the metric or history.
        epoch: epoch counted from 0, or None for the end of training.
        paper: the published figure, or None.
        n: number of our runs.
        mean: mean over our runs, None where there are none.
        low: lower bound of the 95% interval of the mean, None for fewer than two seeds.
        high: upper bound.
        sd: standard deviation over our runs.
        minimum: smallest of our runs.
        maximum: largest of our runs.
        percentile: percentage of our runs below the published figure, ties counted half; None without a comparison.
        note: what a reader must know about the row, or "".
        decimals: how many decimals the row is worth printing with.
    """

    phase: str
    study: str
    arm: str
    strength: float | None
    label: str
    quantity: str
    epoch: int | None
    paper: float | None
    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    percentile: float | None = None
    note: str = ""
    decimals: int = 3

    @property
    def outside(self) -> bool:
        """Whether the published figure lies outside the middle 98% of our runs, where they are enough to say so."""
        if self.percentile is None or self.n < MIN_SEEDS:
            return False
        return not OUTSIDE <= self.percentile <= 100 - OUTSIDE

    @property
    def key(self) -> ArmKey:
        """What tells the arm from the others of its study."""
        return ArmKey(self.arm, self.strength)

    @property
    def measured(self) -> str:
        """Arm and metric in words: ``"quantum router: test accuracy"``."""
        return f"{self.label}: {'loss' if self.quantity == 'loss' else metric_words(self.quantity)}"

    @property
    def what(self) -> str:
        """The same with the epoch, where it is not the end of training."""
        return self.measured if self.epoch is None else f"{self.measured}, epoch {self.epoch}"

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values for JSON, with `what` in place of the label."""
        return {
            ("what" if key == "label" else key): value for key, value in (asdict(self) | {"label": self.what}).items()
        }


def headline(results: Sequence[StudyResults]) -> list[HeadlineRow]:
    """Sets every published figure beside our runs; arms without a published accuracy get a row of their own.

    Args:
        results: studies as the store holds them, in any order.

    Returns:
        Rows in the order of the studies, published figures as the paper lists them.
    """
    rows: list[HeadlineRow] = []
    for result in results:
        changed = departures(result.study)
        arms = {arm.key: arm for arm in arms_of(result)}
        published = [f for f in paper().of(result.study.name) if f.is_outcome]
        rows += [_compared(result, arms.get(f.key), f, changed) for f in published]
        compared = {f.key for f in published if f.quantity != "loss"}
        rows += [_alone(result, arm) for key, arm in arms.items() if key not in compared]
    return rows


def _compared(result: StudyResults, arm: ArmRuns | None, figure: Published, changed: list[str]) -> HeadlineRow:
    label = arm.title if arm else figure.arm
    values = at_epoch(arm, figure.quantity, figure.epoch) if arm else np.zeros(0)
    start: _Start = (
        result.study.phase,
        figure.study,
        figure.arm,
        figure.strength,
        label,
        figure.quantity,
        figure.epoch,
    )
    if not len(values) or arm is None:
        note = "not the published protocol: " + "; ".join(changed) if changed else "not run yet"
        return HeadlineRow(*start, figure.value, 0, note=note, decimals=figure.decimals)
    clusters = arm.clusters if len(values) == arm.n else np.arange(len(values))
    percentile = None if changed else percentile_of(figure.value, values.round(figure.decimals))
    row = _filled(start, figure.value, values, clusters, percentile, "")
    if changed:
        note = "not the published protocol: " + "; ".join(changed)
    else:
        row = replace(row, decimals=figure.decimals)
        note = reason(row, values) if row.outside else ""
        if row.n < MIN_SEEDS:
            note = f"Only {count(row.n, 'seed')}. {note}".strip()
    return replace(row, note=note, decimals=figure.decimals)


def _alone(result: StudyResults, arm: ArmRuns) -> HeadlineRow:
    start: _Start = (result.study.phase, arm.study, arm.name, arm.strength, arm.title, arm.metric, None)
    if not arm.n:
        return HeadlineRow(*start, None, 0, note="not run yet")
    note = "" if arm.n >= MIN_SEEDS else f"Only {count(arm.n, 'seed')}"
    return _filled(start, None, arm.scores, arm.clusters, None, note)


def _filled(
    start: _Start,
    published: float | None,
    values: np.ndarray,
    clusters: np.ndarray,
    percentile: float | None,
    note: str,
) -> HeadlineRow:
    low, high = interval_of(values, clusters)
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return HeadlineRow(
        *start, published, len(values), float(values.mean()), known(low), known(high), sd,
        float(values.min()), float(values.max()), percentile, note,
    )  # fmt: skip


def reason(row: HeadlineRow, values: np.ndarray) -> str:
    """Why a published figure may lie outside the middle 98% of our runs: only what is known, as a likelihood."""
    assert row.paper is not None
    side = "below" if row.paper < values.mean() else "above"
    runs = f"all {row.n} of our runs" if row.n < 2 * 100 / (2 * OUTSIDE) else "the middle 98% of our runs"
    start = f"Lies {side} {runs}"
    if row.quantity == "loss":
        why = (
            "likely because the loss of one epoch depends on the first weights and on the order of the batches, and "
            "the authors' seeds for both are not published"
        )
    elif other_data := paper().other_data.get(row.study):
        why = f"likely because {other_data}"
    elif np.ptp(values) == 0:
        why = "likely because our runs do not spread at all here, so that any other number lies outside"
    elif (groups := two_groups(values)) is not None:
        share = float((values <= groups).mean())
        why = (
            f"our runs fall into two groups ({share:.0%} at or below {groups:.3f}, the others well above), and a single "
            "published run cannot show that; the authors' seeds are not published"
        )
    else:
        nearest = float(values[np.abs(values - row.paper).argmin()])
        unknown = join(
            ["the authors' first weights and batch order", *filter(None, [paper().unpublished.get(row.study)])]
        )
        why = f"likely because of what is not published: {unknown}; our nearest run has {nearest:.{row.decimals}f}"
    return f"{start}, {why}."


def two_groups(values: np.ndarray) -> float | None:
    """The top of the lower group where a sample falls into two: a gap over a third of its range, 5% on each side.

    Accuracies on few rows lie on a coarse grid, on which chance alone leaves gaps. So the gap has to be wider than twice the
    step of the grid and the binomial standard deviation on as many rows together.
    """
    x = np.sort(values)
    if len(x) < 4 or np.ptp(x) < 0.02:
        return None
    gaps = np.diff(x)
    at = int(gaps.argmax())
    share = (at + 1) / len(x)
    step, mean = float(gaps[gaps > 1e-9].min()), float(x.mean())
    by_chance = 2 * (step + np.sqrt(step * max(mean * (1 - mean), 0.0)))
    found = gaps[at] > max(np.ptp(x) / 3, by_chance) and 0.05 <= share <= 0.95
    return float(x[at]) if found else None
