"""Puts the measured results into README.md, between its result markers.

Usage: python scripts/readme_results.py RESULTS_DIR

RESULTS_DIR is what `make reproduce` wrote. The pictures are copied from there too.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from qmoe.report import HeadlineRow, effect_words, headline, read_store, telling
from qmoe.report.findings.contents import study_titles
from qmoe.report.findings.judged import Judged
from qmoe.report.findings.other_analyses import counted_words
from qmoe.report.findings.verdict_words import meaning_of
from qmoe.report.tables import outcome_words
from qmoe.studies import load_preset

ROOT = Path(__file__).parents[1]
MARKS = "<!-- {}: begin -->", "<!-- {}: end -->"
STUDIES = {
    "phase1-synthetic": "1: synthetic",
    "phase1-mnist": "1: MNIST 0/1, 4x4",
    "phase2": "2: two moons",
    "phase3a": "3A: two moons, 1,000 points",
    "phase3b": "3B: depolarizing noise",
}


def table(rows: list[HeadlineRow]) -> str:
    """Markdown table of accuracies: the paper's, ours under its protocol, ours on held-out data."""
    found: dict[tuple[str, str, float | None], dict[str, HeadlineRow]] = {}
    for row in rows:
        if row.quantity != "loss":
            study = load_preset(row.study)
            found.setdefault((study.experiment, row.arm, row.strength), {})[study.protocol] = row
    lines = [
        "| phase | arm | paper (one seed) | same protocol, our seeds: mean (min to max) | percentile of the paper's figure "
        "| held-out data: mean [95% interval] |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (experiment, arm, strength), pair in found.items():
        published, heldout = pair.get("published"), pair["heldout"]
        label = next(a.label for a in load_preset(heldout.study).arms if a.name == arm)
        label = label if strength is None else f"{label}, p = {strength:g}"
        paper, ours, percentile, digits = "", "", "", 3
        if published is not None:
            digits = max(digits, published.decimals)
            paper = "" if published.paper is None else f"{published.paper:.{published.decimals}f}"
            percentile = "" if published.percentile is None else f"{published.percentile:.0f}"
            low, high = (f"{value:.{digits}f}" for value in (published.minimum, published.maximum))
            ours = f"{published.mean:.{digits}f} ({low} to {high})"
        low, high = (f"{value:.{digits}f}" for value in (heldout.low, heldout.high))
        lines.append(
            f"| {STUDIES[experiment]} | {label} | {paper} | {ours} | {percentile} "
            f"| {heldout.mean:.{digits}f} [{low}, {high}] |"
        )
    return "\n".join(lines)


def verdicts(judged: Judged, titles: Mapping[str, str]) -> str:
    """Markdown table of the claims: the statement, the verdict, at how many analyses, and the figure that shows it."""
    lines = ["| claim | verdict | other analyses | what shows it |", "|---|---|---|---|"]
    for verdict in judged.verdicts:
        parts = [v for v in verdict.per_study if v.comparisons] or [verdict]
        analyses = []
        for part in parts:
            if part.multiverse is not None:
                where = f"{titles.get(part.study, part.study)}: " if part.study else ""
                analyses.append(f"{where}{counted_words(part.multiverse)}")
        c = telling(verdict)
        place = "" if c is None or not c.study else f" on {titles.get(c.study, c.study)}"
        shown = "" if c is None else f"{c.a} against {c.b}{place}: {effect_words(c)}"
        meaning = meaning_of(verdict, titles)
        lines.append(
            f"| **{verdict.claim.id}** {verdict.claim.statement} | **{outcome_words(verdict.outcome)}** | "
            f"{'; '.join(analyses) or 'one'} | {meaning} {_capital(shown)} |"
        )
    return "\n".join(lines)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def put(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of that name replaced."""
    begin, end = (mark.format(name) for mark in MARKS)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def main() -> None:
    """Rewrites README.md."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = Path(sys.argv[1])
    contents = read_store(results / "store.sqlite")
    rows = headline([r for r in contents.results if not r.study.ladder])
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = put(put(text, "results", table(rows)), "claims", verdicts(contents.judged, study_titles(contents.results)))
    readme.write_text(text, encoding="utf-8")
    pictures = ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    for arm in ("linear", "quantum"):
        shutil.copy(results / "figures" / f"phase2-heldout-{arm}.png", pictures / f"boundary-{arm}.png")


if __name__ == "__main__":
    main()
