"""Pieces of the page that several sections share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from qmoe.claims import ArmRuns
from qmoe.claims.sentences import metric_words
from qmoe.report.findings.arms import router_parameters
from qmoe.report.findings.contents import Contents, Times
from qmoe.report.findings.headline import HeadlineRow
from qmoe.report.findings.paper import is_preset
from qmoe.report.findings.rung_results import has_ladder
from qmoe.report.pictures.style import Panel
from qmoe.report.tables import (
    Column,
    Table,
    drop_empty,
    fixed,
    general,
    known,
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
class FigureBlock:
    """Panels that belong together, with their caption; ``wide`` ones take the whole width each."""

    panels: tuple[Panel, ...]
    caption: str
    wide: bool = False


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
        short_title: heading in the table of contents.
        blocks: what it consists of, in order.
        studies: studies it shows; verdicts that rest on them are named under its heading.
        boxed: whether it stands in a box.
    """

    id: str
    title: str
    short_title: str
    blocks: list[Block] = field(default_factory=list)
    studies: tuple[str, ...] = ()
    boxed: bool = False


@dataclass(frozen=True, eq=False)
class Context:
    """What every section is made from.

    Attributes:
        contents: the results and their verdicts.
        on_step: called with a few words before each piece of work.
    """

    contents: Contents
    on_step: Callable[[str], None]

    @property
    def results(self) -> tuple[StudyResults, ...]:
        """All studies."""
        return self.contents.results

    @cached_property
    def presets(self) -> list[StudyResults]:
        """Studies that ship with qmoe; one that borrowed the name of such a study for something else is none."""
        return [r for r in self.results if is_preset(r.study)]

    @cached_property
    def ladders(self) -> list[StudyResults]:
        """Studies with a ladder."""
        return [r for r in self.results if has_ladder(r)]

    @cached_property
    def others(self) -> list[StudyResults]:
        """Studies that are neither a preset nor a ladder."""
        return [r for r in self.results if not is_preset(r.study) and not has_ladder(r)]

    def rows_of(self, experiment: str) -> list[HeadlineRow]:
        """Published figures of one of the paper's experiments, beside ours."""
        return [row for row in self.contents.rows if row.study == f"{experiment}-published"]

    def pair(self, experiment: str) -> tuple[StudyResults | None, StudyResults | None]:
        """The published and the held-out study of one of the paper's experiments."""
        found = {r.study.protocol: r for r in self.presets if r.study.experiment == experiment}
        return found.get("published"), found.get("heldout")


def comparison_table(
    name: str, caption: str, rows: Sequence[HeadlineRow], heldout: Sequence[ArmRuns], digits: int
) -> Table:
    """Published figures, our distribution under the same protocol, and the held-out mean where there is one."""
    arms = {arm.key: arm for arm in heldout}
    body = []
    for row in rows:
        values: dict[str, object] = {**row.to_dict(), "heldout_mean": None, "heldout_low": None, "heldout_high": None}
        values["outside"] = row.outside
        values["shown"] = f"{row.label}, epoch {row.epoch}" if row.quantity == "loss" else row.label
        arm = arms.get(row.key)
        if arm is not None and row.quantity != "loss":
            values |= {"heldout_mean": arm.summary.mean, "heldout_low": known(arm.interval[0])}
            values |= {"heldout_high": known(arm.interval[1]), "heldout_n": arm.n}
        body.append(values)
    columns = (
        Column("", ("shown",), text, number=False),
        Column("paper", ("paper", "decimals"), printed),
        Column("percentile", ("percentile",), percentile, starred="outside"),
        Column("ours: mean", ("mean",), fixed(digits)),
        Column("sd", ("sd",), fixed(digits)),
        Column("min … max", ("minimum", "maximum"), span(digits)),
        Column("runs", ("n",), str),
        Column("held-out mean [95%]", ("heldout_mean", "heldout_low", "heldout_high"), with_interval(digits)),
    )
    return Table(name, caption, drop_empty(columns, body), tuple(body))


def comparison_blocks(
    name: str, caption: str, rows: Sequence[HeadlineRow], heldout: Sequence[ArmRuns], digits: int
) -> list[Block]:
    """The `comparison_table` of published figures with its `outside_notes`; nothing where there are none."""
    return [comparison_table(name, caption, rows, heldout, digits), *outside_notes(rows)] if rows else []


def arms_table(name: str, caption: str, arms: Sequence[ArmRuns]) -> Table:
    """Arms of a study that has no published counterpart."""
    body = [
        {
            "arm": arm.name, "label": arm.title, "strength": arm.strength, "metric": arm.metric, "n": arm.n,
            "mean": arm.summary.mean, "low": known(arm.interval[0]), "high": known(arm.interval[1]),
            "sd": arm.summary.sd, "median": arm.summary.median, "minimum": arm.summary.minimum,
            "maximum": arm.summary.maximum, "router_parameters": router_parameters(arm),
            "parameters": int(arm.figures("parameters")[0]),
        }
        for arm in arms
    ]  # fmt: skip
    columns = (
        Column("arm", ("label",), text, number=False),
        Column(f"{metric_words(arms[0].metric)}, mean [95%]", ("mean", "low", "high"), with_interval(3)),
        Column("sd", ("sd",), fixed(3)),
        Column("median", ("median",), fixed(3)),
        Column("min … max", ("minimum", "maximum"), span(3)),
        Column("runs", ("n",), str),
        Column("router parameters", ("router_parameters",), str),
        Column("all parameters", ("parameters",), str),
    )
    return Table(name, caption, columns, tuple(body))


def times_table(
    name: str, caption: str, arms: Sequence[ArmRuns], times_of: Times, published: dict[str, float]
) -> Table:
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
    return [Text(lines, points=True, title="Published numbers that lie outside our runs")] if lines else []
