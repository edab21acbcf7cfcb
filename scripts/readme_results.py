"""Puts the measured results into README.md, between its result markers.

Usage: python scripts/readme_results.py RESULTS_DIR

RESULTS_DIR is what `make reproduce` wrote. The pictures are copied from there too.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from qmoe.report import HeadlineRow, headline
from qmoe.studies import Store, load_preset, preset_names

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
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
            study, _, protocol = row.study.rpartition("-")
            found.setdefault((study, row.arm, row.variant), {})[protocol] = row
    lines = [
        "| phase | arm | paper (one seed) | same protocol, our seeds: mean (min to max) | percentile of the paper's figure "
        "| held out: mean [95% interval] |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (study, arm, variant), pair in found.items():
        published, heldout = pair.get("published"), pair["heldout"]
        label = next(a.label for a in load_preset(heldout.study).arms if a.name == arm)
        label = label if variant is None else f"{label}, p = {variant:g}"
        paper, ours, percentile, digits = "", "", "", 3
        if published is not None:
            digits = max(digits, published.decimals)
            paper = "" if published.paper is None else f"{published.paper:.{published.decimals}f}"
            percentile = "" if published.percentile is None else f"{published.percentile:.0f}"
            low, high = (f"{value:.{digits}f}" for value in (published.minimum, published.maximum))
            ours = f"{published.mean:.{digits}f} ({low} to {high})"
        low, high = (f"{value:.{digits}f}" for value in (heldout.low, heldout.high))
        lines.append(
            f"| {STUDIES[study]} | {label} | {paper} | {ours} | {percentile} | {heldout.mean:.{digits}f} [{low}, {high}] |"
        )
    return "\n".join(lines)


def main() -> None:
    """Rewrites README.md."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = Path(sys.argv[1])
    with Store(results / "store.sqlite", create=False) as store:
        rows = headline([store.load(name) for name in preset_names()])
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")
    pictures = ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    for arm in ("linear", "quantum"):
        shutil.copy(results / "figures" / f"phase2-heldout-{arm}.png", pictures / f"boundary-{arm}.png")


if __name__ == "__main__":
    main()
