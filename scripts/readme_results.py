"""Puts the measured results into README.md, between its result markers.

Usage: python scripts/readme_results.py [RESULTS_DIR]

RESULTS_DIR is what `make reproduce` wrote: its figures go to the record docs/results.json, and its pictures to docs/images.
The tables of README.md are made from the record alone; without RESULTS_DIR, from the record as it is. A test holds the
tables to the record, and the record to the claims and studies that ship.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmoe.claims import Verdict
from qmoe.claims.registration import digest
from qmoe.claims.sentences import metric_words
from qmoe.claims.spec import MeasurementTest
from qmoe.report import Contents, HeadlineRow, effect_words, headline, read_store, telling
from qmoe.report.findings.contents import study_titles
from qmoe.report.tables import outcome_words
from qmoe.studies import Store, load_preset

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "results.json"
MARKS = "<!-- {}: begin -->", "<!-- {}: end -->"
#: Phase of the paper -> its studies: under the authors' protocol, and on held-out data.
PHASES = {
    "1: synthetic": ("phase1-synthetic-published", "phase1-synthetic-heldout"),
    "1: MNIST 0/1, 4x4": ("phase1-mnist-published", "phase1-mnist-heldout"),
    "2: two moons": ("phase2-published", "phase2-heldout"),
    "3A: two moons, 1,000 points": ("phase3a-published", "phase3a-heldout"),
    "3B: depolarizing noise": ("phase3b-published", "phase3b-heldout"),
}


def accuracies(rows: Sequence[HeadlineRow]) -> list[dict[str, Any]]:
    """What the README says of each arm of the paper's phases, as plain values.

    Args:
        rows: of all studies.

    Returns:
        A row for each arm, in the order of the phases: its ``phase`` and ``arm`` in words; ``published``, the mean, minimum
        and maximum under the authors' protocol with their own figure (``paper``, with its ``decimals``) and its
        ``percentile`` among ours, or None; ``held_out``, the mean and its 95% interval.
    """
    found = {(row.study, row.arm, row.strength): row for row in rows if row.quantity != "loss"}
    told: list[dict[str, Any]] = []
    for phase, (authors, held_out) in PHASES.items():
        labels = {arm.name: arm.label for arm in load_preset(held_out).arms}
        for row in (row for key, row in found.items() if key[0] == held_out):
            same = found.get((authors, row.arm, row.strength))
            names = ("paper", "decimals", "percentile", "mean", "minimum", "maximum")
            told.append(
                {
                    "phase": phase,
                    "arm": labels[row.arm] if row.strength is None else f"{labels[row.arm]}, p = {row.strength:g}",
                    "published": None if same is None else {name: getattr(same, name) for name in names},
                    "held_out": {name: getattr(row, name) for name in ("mean", "low", "high")},
                }
            )
    return told


def accuracy_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of the rows of `accuracies`."""
    lines = [
        "| phase | arm | paper (one seed) | same protocol, our seeds: mean (min to max) | percentile of the paper's figure "
        "| held-out data: mean [95% interval] |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in found:
        paper, ours, percentile, digits = "", "", "", 3
        same, held_out = row["published"], row["held_out"]
        if same is not None:
            digits = max(digits, same["decimals"])
            paper = "" if same["paper"] is None else f"{same['paper']:.{same['decimals']}f}"
            percentile = "" if same["percentile"] is None else f"{same['percentile']:.0f}"
            ours = f"{same['mean']:.{digits}f} ({same['minimum']:.{digits}f} to {same['maximum']:.{digits}f})"
        interval = f"[{held_out['low']:.{digits}f}, {held_out['high']:.{digits}f}]"
        lines.append(
            f"| {row['phase']} | {row['arm']} | {paper} | {ours} | {percentile} | {held_out['mean']:.{digits}f} {interval} |"
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


def filled(text: str, record: Mapping[str, Any]) -> str:
    """The text of the README with the tables of a record."""
    return put(put(text, "results", accuracy_table(record["accuracies"])), "claims", claims_table(record["claims"]))


def record_of(contents: Contents, trials: int) -> dict[str, Any]:
    """All that the README says of results, as plain values.

    Args:
        contents: of the store that `make reproduce` wrote.
        trials: how many models it holds.

    Returns:
        The ``digest`` of claims and studies, by which they are registered; the number of ``trials``; the rows of
        `accuracies`, and as ``claims`` those of `rows`.
    """
    verdicts = contents.judged.verdicts
    return {
        "digest": digest([verdict.claim for verdict in verdicts], [found.study for found in contents.results]),
        "trials": trials,
        "accuracies": accuracies(headline([r for r in contents.results if not r.study.ladder])),
        "claims": rows(verdicts, study_titles(contents.results)),
    }


def main() -> None:
    """Rewrites README.md, and with a folder of results the record."""
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    if len(sys.argv) == 2:
        results = Path(sys.argv[1])
        with Store(results / "store.sqlite", create=False) as store:
            record = record_of(read_store(store.path), len(store.hashes()))
        RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for arm in ("linear", "quantum"):
            shutil.copy(
                results / "figures" / f"phase2-heldout-{arm}.png", ROOT / "docs" / "images" / f"boundary-{arm}.png"
            )
    readme = ROOT / "README.md"
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    readme.write_text(filled(readme.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()
