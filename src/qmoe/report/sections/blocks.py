"""Pieces of the page that several sections share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from qmoe.report.findings.arms import Arm, metric_name
from qmoe.report.findings.contents import Times
from qmoe.report.findings.headline import HeadlineRow
from qmoe.report.findings.judged import Judged, Measurements
from qmoe.report.pictures.style import FigureBlock, Panel
from qmoe.report.tables import (
    Column,
    Table,
    drop_empty,
    fixed,
    general,
    percentile,
    printed,
    seconds,
    span,
    text,
    times,
    with_interval,
)
from qmoe.studies import StudyResults


@dataclass(frozen=True)
class Text:
    """Paragraphs, or a list of points."""

    lines: tuple[str, ...]
    points: bool = False
    title: str = ""


@dataclass(frozen=True)
class Picker:
    """Pictures of which a reader sees one at a time.

    Attributes:
        name: prefix of ids.
        legend: what is picked.
        choices: label and panels of each choice.
        caption: what is seen.
    """

    name: str
    legend: str
    choices: tuple[tuple[str, tuple[Panel, ...]], ...]
    caption: str


Block: TypeAlias = Text | Picker | FigureBlock | Table


@dataclass
class Section:
    """A part of the page.

    Attributes:
        id: anchor.
        title: heading; says what it is about.
        blocks: what it consists of, in order.
        short: heading in the table of contents; "" for the title up to its colon.
        studies: studies it shows; verdicts that rest on them are named under its heading.
    """

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    short: str = ""
    studies: tuple[str, ...] = ()

    @property
    def contents_title(self) -> str:
        """Heading in the table of contents."""
        return self.short or self.title.split(":")[0]


@dataclass(frozen=True)
class Context:
    """What every section builder gets.

    Attributes:
        results: studies by name.
        rows: published figures beside ours.
        times: seconds of training.
        judged: verdicts on claims.
        step: called with a few words before each piece of work.
        measurements: measured values that are no metric of a trial.
    """

    results: dict[str, StudyResults]
    rows: tuple[HeadlineRow, ...]
    times: Times
    judged: Judged
    step: Callable[[str], None]
    measurements: Measurements = field(default_factory=dict)

    def pair(self, stem: str) -> tuple[StudyResults | None, StudyResults | None]:
        """The published and the held-out study of one name."""
        return self.results.get(f"{stem}-published"), self.results.get(f"{stem}-heldout")


def comparison_table(
    name: str, caption: str, rows: Sequence[HeadlineRow], heldout: Sequence[Arm], digits: int
) -> Table:
    """Published figures, our distribution under the same protocol, and the held-out mean where there is one."""
    arms = {arm.key: arm for arm in heldout}
    body = []
    for row in rows:
        values: dict[str, object] = {**row.to_dict(), "heldout_mean": None, "heldout_low": None, "heldout_high": None}
        short = row.what.split(": ")
        values["outside"] = row.outside
        values["shown"] = short[0] if row.quantity != "loss" else ", ".join([short[0], *row.what.split(", ")[-1:]])
        arm = arms.get((row.arm, row.variant))
        if arm is not None and row.quantity != "loss":
            values |= {"heldout_mean": arm.summary.mean, "heldout_low": _known(arm.interval[0])}
            values |= {"heldout_high": _known(arm.interval[1]), "heldout_n": arm.n}
        body.append(values)
    columns = (
        Column("", ("shown",), text, number=False),
        Column("paper", ("paper", "decimals"), printed),
        Column("percentile", ("percentile", "outside"), percentile),
        Column("ours: mean", ("mean",), fixed(digits)),
        Column("sd", ("sd",), fixed(digits)),
        Column("min … max", ("minimum", "maximum"), span(digits)),
        Column("runs", ("n",), str),
        Column("held-out mean [95%]", ("heldout_mean", "heldout_low", "heldout_high"), with_interval(digits)),
    )
    return Table(name, caption, drop_empty(columns, body), tuple(body))


def arms_table(name: str, caption: str, arms: Sequence[Arm]) -> Table:
    """Arms of a study that has no published counterpart."""
    body = [
        {
            "arm": arm.name, "label": arm.title, "variant": arm.variant, "metric": arm.metric, "n": arm.n,
            "mean": arm.summary.mean, "low": _known(arm.interval[0]), "high": _known(arm.interval[1]),
            "sd": arm.summary.sd, "median": arm.summary.median, "minimum": arm.summary.minimum,
            "maximum": arm.summary.maximum, "router_parameters": arm.parameters,
            "parameters": int(arm.records[0].metrics["parameters"]),
        }
        for arm in arms
    ]  # fmt: skip
    columns = (
        Column("arm", ("label",), text, number=False),
        Column(f"{metric_name(arms[0].metric)}, mean [95%]", ("mean", "low", "high"), with_interval(3)),
        Column("sd", ("sd",), fixed(3)),
        Column("median", ("median",), fixed(3)),
        Column("min … max", ("minimum", "maximum"), span(3)),
        Column("runs", ("n",), str),
        Column("router parameters", ("router_parameters",), str),
        Column("all parameters", ("parameters",), str),
    )
    return Table(name, caption, columns, tuple(body))


def times_table(name: str, caption: str, arms: Sequence[Arm], times_of: Times, published: dict[str, float]) -> Table:
    """Seconds of one model alone and in a stack, beside the authors'."""
    body = []
    for arm in arms:
        alone, stacked, theirs = times_of.alone(arm), times_of.in_stack(arm), published.get(arm.name)
        body.append(
            {
                "study": arm.study, "arm": arm.name, "label": arm.label, "paper_seconds": theirs, "alone_seconds": alone,
                "stacked_seconds": stacked, "ratio": theirs / alone if theirs and alone else None,
            }
        )  # fmt: skip
    columns = (
        Column("", ("label",), text, number=False),
        Column("paper (Colab), s", ("paper_seconds",), general),
        Column("ours, one model alone, s", ("alone_seconds",), seconds),
        Column("paper / ours", ("ratio",), times),
        Column("ours in a stack, s a model", ("stacked_seconds",), seconds),
    )
    return Table(name, caption, drop_empty(columns, body), tuple(body))


def outside_notes(rows: Sequence[HeadlineRow]) -> list[Text]:
    """One sentence for each published figure outside the middle 98% of our runs, equal ones together."""
    grouped: dict[str, list[HeadlineRow]] = {}
    for row in rows:
        if row.outside and row.note:
            grouped.setdefault(row.note, []).append(row)
    lines = tuple(
        "; ".join(f"{row.what} ({printed(row.paper, row.decimals)} published)" for row in members) + f". {note}"
        for note, members in grouped.items()
    )
    return [Text(lines, points=True, title="Published figures that lie outside our runs")] if lines else []


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
