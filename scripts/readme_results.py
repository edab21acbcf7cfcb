"""Puts the measured results into README.md and docs/results.md, between their result markers.

Usage: python scripts/readme_results.py [RESULTS_DIR]

RESULTS_DIR is what `make reproduce` wrote: its numbers go to the record docs/results.json, and its pictures to docs/images.
The tables and the findings of both pages are made from the record alone; without RESULTS_DIR, from the record as it is. A
test holds them to the record, and the record to the claims and studies that ship.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmoe.claims import Verdict, universes
from qmoe.claims.pairs import pair
from qmoe.claims.registration import digest
from qmoe.claims.sentences import metric_words
from qmoe.claims.spec import MeasurementTest
from qmoe.claims.verdicts import Comparison
from qmoe.report import Contents, HeadlineRow, effect_words, headline, read_store, telling
from qmoe.report.findings.contents import study_titles
from qmoe.report.tables import outcome_words, signed
from qmoe.statistics.bootstrap import cluster_means
from qmoe.studies import Store, StudyResults, load_preset

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "results.json"
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
MARKS = "<!-- {}: begin -->", "<!-- {}: end -->"
#: Phase of the paper -> its studies: under the authors' protocol, and on held-out data.
PHASES = {
    "1: synthetic": ("phase1-synthetic-published", "phase1-synthetic-heldout"),
    "1: MNIST 0/1, 4x4": ("phase1-mnist-published", "phase1-mnist-heldout"),
    "2: two moons": ("phase2-published", "phase2-heldout"),
    "3A: two moons, 1,000 points": ("phase3a-published", "phase3a-heldout"),
    "3B: depolarizing noise": ("phase3b-published", "phase3b-heldout"),
}
#: Study of a phase -> its data set, in words.
PLACES = {study: phase.partition(": ")[2] for phase, studies in PHASES.items() for study in studies}
#: The comparisons with the quantum router of which the findings tell all analyses: study -> the other arms.
COMPARED = {
    "phase2-heldout": ("linear",),
    "ladder-moons": ("twin", "dephased-all", "no-entangler"),
    "ladder-circles": ("twin", "no-entangler"),
    "ladder-spirals": ("twin", "no-entangler"),
    "ladder-checkerboard": ("twin", "no-entangler"),
}
#: Width of the lines of the findings, as elsewhere on these pages.
WIDTH = 127


def accuracies(rows: Sequence[HeadlineRow]) -> list[dict[str, Any]]:
    """What is said of each arm of the paper's phases, as plain values.

    Args:
        rows: of all studies.

    Returns:
        A row for each arm, in the order of the phases: its ``phase`` and ``arm`` in words; ``published``, the mean, minimum
        and maximum under the authors' protocol with their own value (``paper``, with its ``decimals``) and its
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
        "| phase | arm | paper (one seed) | same protocol, our seeds: mean (min to max) | percentile of the paper's value "
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


def rows(verdicts: Sequence[Verdict], results: Sequence[StudyResults]) -> list[dict[str, Any]]:
    """What is said of each claim, as plain values.

    Args:
        verdicts: of the claims.
        results: the studies.

    Returns:
        A row for each claim: its ``id`` and ``statement``; the ``outcome``; its ``parts``, one for each data set that has a
        verdict of its own, otherwise one; and the ``key_effect`` that shows it best, at the studies' own settings.
        A part has its ``data_set`` ("" if it is the only one), its ``outcome``, and at how many ``analyses`` it has which
        outcome, the commonest first (empty for a claim with one analysis).
    """
    titles = study_titles(results) | PLACES
    return [
        {
            "id": verdict.claim.id,
            "statement": verdict.claim.statement,
            "outcome": verdict.outcome,
            "parts": [
                {
                    "data_set": titles.get(part.study, part.study),
                    "outcome": part.outcome,
                    "analyses": {} if part.multiverse is None else commonest_first(part.multiverse.counts),
                }
                for part in verdict.per_study or (verdict,)
            ],
            "key_effect": key_effect(verdict, results),
        }
        for verdict in verdicts
    ]


def commonest_first(counts: Mapping[str, int]) -> dict[str, int]:
    """The outcomes that occur, with how often."""
    return {outcome: n for outcome, n in Counter(counts).most_common() if n}


def key_effect(verdict: Verdict, results: Sequence[StudyResults]) -> str:
    """The comparison that shows a verdict best, in few words; "" where nothing was compared."""
    c = telling(verdict)
    if c is None or c.decision is None or c.interval is None:
        return ""
    evidence = c.decision.evidence
    titles = study_titles(results) | PLACES
    asked = next(test for test in verdict.claim.tests if test.name == c.test)
    if isinstance(asked, MeasurementTest):
        quantity, _, study = c.metric.partition(" on ")
        labels = {a.name: a.label for r in results if r.study.name == study for a in r.study.arms}
        a, place = labels.get(c.a, c.a), titles.get(study, study)
        if isinstance(asked.b, float):
            mean, low, high = (evidence.mean_b + bound for bound in c.interval)
            return f"{a}, {quantity} ({place}): {mean:.3f} [{low:.3f}, {high:.3f}]; the claim says {asked.b:g}"
        return f"{quantity} ({place}), {a} minus {labels.get(c.b, c.b)}: {effect_words(c)}"
    several = len({other.study for other in verdict.comparisons}) > 1
    place = f" on {titles.get(c.study, c.study)}" if several and c.study else ""
    if asked.kind == "parameters":  # the rival that does as well, with both sizes: these are what the claim is about
        a, b = (_with_size(label, key.name, c, results) for label, key in ((c.a, c.a_key), (c.b, c.b_key)))
        effect, low, high = c.interval
        return f"accuracy{place}, {b} minus {a}: {signed(-effect, -high, -low)}"
    # Most claims are about accuracy on held-out data, as the text above the table says.
    metric = "" if c.metric == "test_accuracy" else f"{metric_words(c.metric)}, "
    between = "divided by" if evidence.contrast.scale == "ratio" else "minus"
    return f"{metric}{c.a} {between} {c.b}{place}: {effect_words(c)}"


def _with_size(label: str, arm: str, comparison: Comparison, results: Sequence[StudyResults]) -> str:
    study = next(r for r in results if r.study.name == comparison.study)
    return f"{label} ({study.of(arm)[0].metrics['router_parameters']:.0f} router parameters)"


def leads(results: Sequence[StudyResults]) -> dict[str, dict[str, dict[str, float]]]:
    """Study -> other arm -> the choices of an analysis -> mean accuracy of the quantum router minus that of the arm."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for result in results:
        several = universes(result) if result.study.name in COMPARED else ()
        for arm, universe in ((arm, each) for arm in COMPARED.get(result.study.name, ()) for each in several):
            a, b = (universe.runs.arms[name, None] for name in ("quantum", arm))
            pairs = pair(universe.runs, a, b, "test_accuracy")
            if isinstance(pairs, str):
                sys.exit(f"{result.study.name}, {universe.choices}: {pairs}")
            effect = float(cluster_means(pairs.a - pairs.b, pairs.clusters).mean())
            found.setdefault(result.study.name, {}).setdefault(arm, {})[", ".join(universe.choices.values())] = round(
                effect, 6
            )
    return found


def findings(record: Mapping[str, Any]) -> str:
    """What the results add up to, as the items of a list, each number from the record."""
    own = "minmax_pi, X, adam"

    def most(study: str, arm: str, *choices: str) -> float:
        """The largest lead of either side over all analyses with these choices."""
        several = record["leads"][study][arm]
        chosen = [abs(v) for key, v in several.items() if set(choices) <= set(key.split(", "))]
        return math.ceil(1000 * max(chosen)) / 1000

    def bounds(study: str, arm: str, *choices: str) -> str:
        several = record["leads"][study][arm]
        chosen = [v for key, v in several.items() if set(choices) <= set(key.split(", "))]
        return f"{min(chosen):.2f} to {max(chosen):.2f}"

    lead = record["leads"]["phase2-heldout"]["linear"]
    ladders = [study for study in COMPARED if study.startswith("ladder")]
    twins = {study: record["leads"][study]["twin"] for study in ladders}
    dephased = record["leads"]["ladder-moons"]["dephased-all"]
    lost = math.ceil(1000 * max(v for key, v in dephased.items() if "X" in key.split(", "))) / 1000
    others = [v for study in ladders[:-1] for v in record["leads"][study]["no-entangler"].values()]
    items = (
        f"**Two moons.** With the paper's training settings the quantum router leads the linear one by {lead[own]:.3f} in "
        "accuracy. With features scaled to [-pi/2, pi/2] the lead is at most "
        f"{most('phase2-heldout', 'linear', 'minmax_centred')}, with standardised features at most "
        f"{most('phase2-heldout', 'linear', 'standard')}. When both are trained to "
        f"convergence (L-BFGS, best of 8 starts) it is at most {most('phase2-heldout', 'linear', 'lbfgs-best')}.",
        "**Interference is not the reason.** On the four data sets with 18 analyses, routers without interference do as "
        "well. One is the *classical twin*: a linear softmax router on exactly the functions that the circuit can "
        "represent. Another is a Markov chain on bits.",
        f"**The twin trains more easily** once its functions are standardised. It leads the quantum router by "
        f"{-twins['ladder-moons'][own]:.3f} on two moons and by {-twins['ladder-checkerboard'][own]:.3f} on the "
        f"checkerboard. When both are trained to convergence they differ by at most "
        f"{max(most(study, 'twin', 'lbfgs-best') for study in ladders)} on each of the four sets.",
        "**The effect of dephasing depends on its axis.** Routers that encode by RX or by RZ represent the same functions. "
        f"On two moons dephasing along Z costs the first at most {lost} in accuracy at any analysis. It costs the second "
        f"{bounds('ladder-moons', 'dephased-all', 'Z')}, because it then cannot route at all ([why](controls.md)).",
        "**Entangling gates** help clearly only on the checkerboard: by "
        f"{bounds('ladder-checkerboard', 'no-entangler', 'lbfgs-best')} when trained to convergence. Without them the "
        f"router has no products of features. On the other three sets the gain is at most "
        f"{math.ceil(1000 * max(others)) / 1000}.",
        _beside_the_earlier_run(record),
    )  # fmt: skip
    return "\n".join(textwrap.fill(item, WIDTH, initial_indent="* ", subsequent_indent="  ", break_long_words=False,
                                   break_on_hyphens=False) for item in items)  # fmt: skip


def _beside_the_earlier_run(record: Mapping[str, Any]) -> str:
    """In which verdicts the registered run before this one, on other seeds, differs."""
    then, now = record["earlier"]["outcomes"], {row["id"]: row["outcome"] for row in record["claims"]}
    both = [name for name in now if name in then]
    same = [name for name in both if then[name] == now[name]]
    others = [f"{name}: *{outcome_words(then[name])}*" for name in both if name not in same]
    return (
        "**Borderline verdicts depend on the seeds.** An earlier preregistered run (hash "
        f"{record['earlier']['digest'][:12]}), with other seeds, gave the same verdict for {len(same)} of {len(both)} "
        f"claims. The others were {', '.join(others)}."
    )


def finding(record: Mapping[str, Any]) -> str:
    """The whole in a sentence, for the first screen."""
    lead = record["leads"]["phase2-heldout"]["linear"]["minmax_pi, X, adam"]
    ahead = -record["leads"]["ladder-moons"]["twin"]["minmax_pi, X, adam"]
    return textwrap.fill(
        f"**Finding**: at the paper's settings the quantum router beats a linear one by {lead:.2f} on two moons, but a "
        f"classical router on the same functions beats it by {ahead:.2f}. So quantum interference is not the reason. "
        "(Accuracies on held-out data.)",
        WIDTH,
    )


def claims_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of the rows of `rows`, with all analyses and an effect."""
    lines = [
        "| claim | verdict over all analyses | by analysis | key effect, at the paper's settings |",
        "|---|---|---|---|",
    ]
    for row in found:
        analyses = "; ".join(by_analysis(part) for part in row["parts"])
        lines.append(
            f"| **{row['id']}** {row['statement']} | **{outcome_words(row['outcome'])}** | {analyses} "
            f"| {row['key_effect']} |"
        )
    return "\n".join(lines)


def by_analysis(part: Mapping[str, Any]) -> str:
    """The outcomes of a claim on its data set, or on one of several, by analysis."""
    counts = [f"{outcome} in {count}" for outcome, count in part["analyses"].items()]
    told = ", ".join([f"{counts[0]} of {sum(part['analyses'].values())}", *counts[1:]]) if counts else "one analysis"
    return f"{part['data_set']}: {told}" if part["data_set"] else told


def verdict_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of the same rows in short, without effects."""
    lines = ["| claim | verdict | by analysis |", "|---|---|---|"]
    for row in found:
        first, *others = row["parts"]
        told = by_data_set(row["parts"]) if others else by_analysis(first)
        lines.append(f"| **{row['id']}** {row['statement']} | **{outcome_words(row['outcome'])}** | {told} |")
    return "\n".join(lines)


def by_data_set(parts: Sequence[Mapping[str, Any]]) -> str:
    """The outcomes of a claim with a verdict on each of several data sets."""
    places: dict[str, list[str]] = {}
    for part in parts:
        places.setdefault(outcome_words(part["outcome"]), []).append(part["data_set"])
    return "; ".join(f"{outcome} on {', '.join(names)}" for outcome, names in places.items())


def put(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of that name replaced."""
    begin, end = (mark.format(name) for mark in MARKS)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def filled(text: str, record: Mapping[str, Any]) -> str:
    """The text of a page with the tables and findings of a record, those for which it has marks."""
    parts = {
        "finding": finding(record),
        "verdicts": verdict_table(record["claims"]),
        "claims": claims_table(record["claims"]),
        "findings": findings(record),
        "results": accuracy_table(record["accuracies"]),
    }
    for name, content in parts.items():
        if MARKS[0].format(name) in text:
            text = put(text, name, content)
    return text


def record_of(contents: Contents, trials: int) -> dict[str, Any]:
    """All that the pages say of results, as plain values.

    Args:
        contents: of the store that `make reproduce` wrote.
        trials: how many models it holds.

    Returns:
        The ``digest`` of claims and studies, by which they are registered; the number of ``trials``; the rows of
        `accuracies`, as ``claims`` those of `rows`, and the ``leads`` of the quantum router at each analysis.
    """
    verdicts = contents.judged.verdicts
    return {
        "digest": digest([verdict.claim for verdict in verdicts], [found.study for found in contents.results]),
        "trials": trials,
        "accuracies": accuracies(headline([r for r in contents.results if not r.study.ladder])),
        "claims": rows(verdicts, contents.results),
        "leads": leads(contents.results),
    }


def earlier(record: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """The ``digest`` and the ``outcomes`` by claim of the run before that of a digest.

    Args:
        record: the one that is to be replaced.
        digest: of the run that replaces it; the same one again has the same run before it.
    """
    if record["digest"] == digest:
        return record["earlier"]
    return {"digest": record["digest"], "outcomes": {row["id"]: row["outcome"] for row in record["claims"]}}


def main() -> None:
    """Rewrites the pages, and with a folder of results the record."""
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    if len(sys.argv) == 2:
        results = Path(sys.argv[1])
        with Store(results / "store.sqlite", create=False) as store:
            found = record_of(read_store(store.path), len(store.hashes()))
        record = found | {"earlier": earlier(json.loads(RECORD.read_text(encoding="utf-8")), found["digest"])}
        RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for arm in ("linear", "quantum"):
            shutil.copy(
                results / "figures" / f"phase2-heldout-{arm}.png", ROOT / "docs" / "images" / f"boundary-{arm}.png"
            )
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()
