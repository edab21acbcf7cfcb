"""Showing results in notebooks; needs IPython, which every notebook has."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from IPython.display import HTML, SVG, display

from qmoe.report.findings.headline import HeadlineRow
from qmoe.statistics import paired_difference, summarize
from qmoe.studies import StudyResults
from qmoe.studies.run.runner import Stack, cost

#: Final figures of the runs of an arm by their seeds: (data, initialisation).
Scores = Mapping[tuple[int, int], float]


def show_table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    """Shows rows of text as a table."""

    def line(tag: str, cells: Iterable[object]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    display(HTML("<table>" + line("th", header) + "".join(line("td", row) for row in rows) + "</table>"))


def show_figures(folder: str | Path, prefix: str) -> None:
    """Shows the figures of a report whose file names start with ``prefix``.

    Raises:
        FileNotFoundError: when the report wrote none.
    """
    paths = sorted(Path(folder, "figures").glob(f"{prefix}*.svg"))
    if not paths:
        raise FileNotFoundError(
            f"The report in {folder} has no figure {prefix}*.svg; write it with build_report first."
        )
    for path in paths:
        display(SVG(filename=str(path)))


def show_headline(rows: Sequence[HeadlineRow]) -> None:
    """Shows each published number beside our runs, and each arm that has no published number by itself."""
    notes: list[str] = []
    lines = []
    for row in rows:
        if row.note and row.note not in notes:
            notes.append(row.note)
        digits = max(3, row.decimals)
        ours = "" if row.mean is None else f"{row.mean:.{digits}f}"
        ours += "" if row.low is None else f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
        paper = "" if row.paper is None else f"{row.paper:.{row.decimals}f}"
        percentile = "" if row.percentile is None else f"{row.percentile:.0f}"
        note = notes.index(row.note) + 1 if row.note else ""
        lines.append((row.study, row.what, paper, ours, row.n, percentile, note))
    show_table(("study", "quantity", "paper", "ours: mean [95% interval]", "runs", "percentile", "note"), lines)
    if notes:
        display(HTML("".join(f"<p>Note {i}: {html.escape(note)}</p>" for i, note in enumerate(notes, 1))))


def scores(
    results: StudyResults, arm: str, strength: float | None = None, metric: str = "test_accuracy"
) -> dict[tuple[int, int], float]:
    """The final value of every run of an arm, by its seeds (data, initialisation)."""
    return {(r.trial.data_seed, r.trial.init_seed): r.metrics[metric] for r in results.of(arm, strength)}


def mean(values: Scores) -> float:
    """The mean over the runs of an arm."""
    return summarize(list(values.values())).mean


def difference(one: Scores, other: Scores) -> tuple[str, str]:
    """One arm minus another over the seeds that both have; runs on the same data count as one.

    Returns:
        The mean difference with its 95% interval, and what it says in words.
    """
    seeds = sorted(one.keys() & other.keys())
    by_data = len({data for data, _ in seeds}) > 1
    clusters = [data if by_data else init for data, init in seeds]
    d = paired_difference([one[s] for s in seeds], [other[s] for s in seeds], clusters)
    verdict = "clearly above" if d.above else "clearly below" if d.below else "level within the uncertainty"
    return f"{d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}]", verdict if d.enough else "undecided: too few seeds"


class Progress:
    """One line that tells how far training is: pass `plan` and `step` to `qmoe.studies.run_studies`."""

    def __init__(self) -> None:
        self._trials, self._total, self._done = 0, 0.0, 0.0
        self._line = display(HTML(""), display_id=True)

    def plan(self, stacks: Sequence[Stack]) -> None:
        """Takes the stacks ahead."""
        self._trials, self._total, self._done = sum(map(len, stacks)), sum(map(cost, stacks)), 0.0
        self.step(0.0)

    def step(self, part: float) -> None:
        """Takes the cost that was done since the last call."""
        self._done += part
        share = self._done / self._total if self._total else 1.0
        self._line.update(HTML(f"{self._trials} models to train: {share:.0%} done"))
