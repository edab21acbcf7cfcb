"""Puts the measured results into README.md, between its result markers.

Usage: python scripts/readme_results.py RESULTS_DIR

RESULTS_DIR is what `make reproduce` wrote. The pictures are copied from there too.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmoe.claims import Verdict
from qmoe.claims.sentences import metric_words
from qmoe.claims.spec import MeasurementTest
from qmoe.report import HeadlineRow, effect_words, headline, read_store, telling
from qmoe.report.sections.claim_cards import study_titles
from qmoe.report.tables import outcome_words
from qmoe.studies import load_preset

ROOT = Path(__file__).parents[1]
MARKS = "<!-- {}: begin -->", "<!-- {}: end -->"
#: Phase of the paper -> its studies: under the authors' protocol, and on held-out data.
PHASES = {
    "1: synthetic": ("phase1-synthetic-published", "phase1-synthetic-heldout"),
    "1: MNIST 0/1, 4x4": ("phase1-mnist-published", "phase1-mnist-heldout"),
    "2: two moons": ("phase2-published", "phase2-heldout"),
    "3A: two moons, 1,000 points": ("phase3a-published", "phase3a-heldout"),
    "3B: depolarizing noise": ("phase3b-published", "phase3b-heldout"),
}


def table(rows: list[HeadlineRow]) -> str:
    """Markdown table of accuracies: the paper's, ours under its protocol, ours on held-out data."""
    found = {(row.study, row.arm, row.variant): row for row in rows if row.quantity != "loss"}
    lines = [
        "| phase | arm | paper (one seed) | same protocol, our seeds: mean (min to max) | percentile of the paper's figure "
        "| held out: mean [95% interval] |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for phase, (authors, held_out) in PHASES.items():
        labels = {arm.name: arm.label for arm in load_preset(held_out).arms}
        for row in (row for key, row in found.items() if key[0] == held_out):
            published = found.get((authors, row.arm, row.variant))
            label = labels[row.arm] if row.variant is None else f"{labels[row.arm]}, p = {row.variant:g}"
            paper, ours, percentile, digits = "", "", "", 3
            if published is not None:
                digits = max(digits, published.decimals)
                paper = "" if published.paper is None else f"{published.paper:.{published.decimals}f}"
                percentile = "" if published.percentile is None else f"{published.percentile:.0f}"
                low, high = (f"{value:.{digits}f}" for value in (published.minimum, published.maximum))
                ours = f"{published.mean:.{digits}f} ({low} to {high})"
            low, high = (f"{value:.{digits}f}" for value in (row.low, row.high))
            lines.append(
                f"| {phase} | {label} | {paper} | {ours} | {percentile} | {row.mean:.{digits}f} [{low}, {high}] |"
            )
    return "\n".join(lines)


def rows(verdicts: Sequence[Verdict], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the README says of each claim, as plain values.

    Args:
        verdicts: of the claims.
        titles: what readers call the studies.

    Returns:
        A row for each claim: its ``id`` and ``statement``; the ``outcome``; at how many ``analyses`` it has which outcome,
        over all data sets, the commonest first (empty for a claim with one analysis); and the ``figure`` that shows it best.
    """
    found = []
    for verdict in verdicts:
        counts: Counter[str] = Counter()
        for part in verdict.per_study or (verdict,):
            counts.update({} if part.multiverse is None else part.multiverse.counts)
        found.append(
            {
                "id": verdict.claim.id,
                "statement": verdict.claim.statement,
                "outcome": verdict.outcome,
                "analyses": {outcome: n for outcome, n in counts.most_common() if n},
                "figure": figure(verdict, titles),
            }
        )
    return found


def figure(verdict: Verdict, titles: Mapping[str, str]) -> str:
    """The comparison that shows a verdict best, in few words; "" where nothing was compared."""
    c = telling(verdict)
    if c is None or c.decision is None:
        return ""
    evidence = c.decision.evidence
    asked = next(test for test in verdict.claim.tests if test.name == c.test)
    b = f"{evidence.mean_b:g}" if isinstance(asked, MeasurementTest) and isinstance(asked.b, float) else c.b
    # Most claims are about accuracy on held-out data, as the text above the table says.
    metric = "" if c.metric == "test_accuracy" else f"{metric_words(c.metric)}: "
    several = len({other.study for other in verdict.comparisons}) > 1
    place = f" on {titles.get(c.study, c.study)}" if several and c.study else ""
    between = "divided by" if evidence.contrast.scale == "ratio" else "minus"
    return f"{metric}{c.a} {between} {b}{place}: {effect_words(c)}"


def claims_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of the rows of `rows`."""
    lines = ["| claim | verdict | other analyses | one figure |", "|---|---|---|---|"]
    for row in found:
        n = sum(row["analyses"].values())
        counts = [f"{outcome} at {count}" for outcome, count in row["analyses"].items()]
        analyses = ", ".join([f"{counts[0]} of {n}", *counts[1:]]) if counts else "one analysis"
        lines.append(
            f"| **{row['id']}** {row['statement']} | **{outcome_words(row['outcome'])}** | {analyses} | {row['figure']} |"
        )
    return "\n".join(lines)


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
    accuracies = headline([r for r in contents.results if not r.study.ladder])
    claims = rows(contents.judged.verdicts, study_titles(contents.results))
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = put(put(text, "results", table(accuracies)), "claims", claims_table(claims))
    readme.write_text(text, encoding="utf-8")
    pictures = ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    for arm in ("linear", "quantum"):
        shutil.copy(results / "figures" / f"phase2-heldout-{arm}.png", pictures / f"boundary-{arm}.png")


if __name__ == "__main__":
    main()
