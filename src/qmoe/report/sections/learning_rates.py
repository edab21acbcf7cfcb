"""Whether the verdicts depend on the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qmoe.claims import Verdict
from qmoe.report.findings.contents import study_titles
from qmoe.report.findings.judged import Judged, telling
from qmoe.report.findings.other_analyses import analysed
from qmoe.report.findings.verdict_words import changing
from qmoe.report.sections.blocks import Context, Section, Text
from qmoe.report.tables import Column, Table, text
from qmoe.report.words import join


def learning_rates_section(context: Context) -> list[Section]:
    """Verdicts at every learning rate; no section where no claim is judged.

    Claims with several analyses are left out: learning rates are among what those vary.
    """
    judged = context.contents.judged
    once = _once(judged)
    if not once:
        return []
    section = Section("learning-rates", "Do the verdicts depend on the learning rate?", "Learning rates")
    section.blocks.append(Text(tuple(sensitivity_sentences(judged))))
    if any(judged.varied(v) for v in once):
        section.blocks.append(_sensitivity_table(judged, study_titles(context.results)))
    return [section]


def sensitivity_sentences(judged: Judged) -> list[str]:
    """Which verdicts change with the learning rate, by rule."""
    if not judged.others:
        return ["All studies here were trained at one learning rate, so whether a verdict depends on it is not known."]
    once = _once(judged)
    varied = [v for v in once if judged.varied(v)]
    fixed = [v.claim.id for v in once if not judged.varied(v) and judged.studies_of(v)]
    several = [v.claim.id for v in judged.verdicts if v not in once]
    changed = changing(judged, varied)
    same = [v.claim.id for v in varied if v.claim.id not in changed]
    lines = []
    if several:
        lines.append(f"For claims with several analyses ({join(several)}), see the table of choices at the top.")
    if varied and not changed:
        lines.append(f"No: {join(same)} {_get(same)} the same verdict at every learning rate tried.")
    elif changed:
        rest = f"; {join(same)} {_get(same)} the same at all of them" if same else ""
        lines.append(f"Some do: {join(changed)} {_get(changed)} another verdict at some other learning rate{rest}.")
        at_best = changing(judged, varied, "best")
        lines.append(
            f"With each arm at its own best rate, {join(at_best)} {_get(at_best)} another verdict than at the study's own."
            if at_best
            else "With each arm at its own best rate, all verdicts are those of the study's own rate."
        )
        opposite = [
            v.claim.id
            for v in varied
            if {v.outcome, *(o.outcome for _, o in judged.elsewhere(v))} >= {"supported", "refuted"}
        ]
        if opposite:
            lines.append(
                f"For {join(opposite)} the verdict even turns into its opposite: it holds for the rates at which it was "
                "found, not in general."
            )
    if not varied:
        return [*lines, f"The studies behind {join(fixed)} were trained at one learning rate."] if fixed else lines
    if fixed:
        lines.append(
            f"The studies behind {join(fixed)} were trained at one learning rate, so their rows repeat that verdict."
        )
    lines.append(
        "Every arm had the same learning rates to choose from. 'Best' takes for each arm the rate with the lowest training "
        "loss over all seeds; held-out data play no part in this choice. The time that training takes does not depend on "
        "the rate, and is that of the study's own. Each column is judged by itself, with its own correction for multiple "
        "comparisons."
    )
    return lines


def _sensitivity_table(judged: Judged, titles: Mapping[str, str]) -> Table:
    body = []
    once = _once(judged)
    for at, v in enumerate(judged.verdicts):
        if v not in once:
            continue
        own, varied = judged.studies_of(v), judged.varied(v)
        rest = [name for name in own if name not in varied]
        what = "all its studies" if varied and not rest else ", ".join(titles[n] for n in varied) if varied else "none"
        row: dict[str, object] = {"claim": v.claim.id, "topic": v.claim.topic or v.claim.statement, "varied": what}
        for view in judged.views:
            key = telling(view.verdicts[at])
            effect = key.interval if key is not None and key.interval is not None else (None, None, None)
            row |= {view.key: view.verdicts[at].outcome, f"{view.key}_effect": effect[0]}
            row |= {f"{view.key}_low": effect[1], f"{view.key}_high": effect[2]}
        body.append(row)
    columns = (
        Column("claim", ("claim",), text, number=False),
        Column("about", ("topic",), text, number=False, wraps=True),
        *(Column(view.words, (view.key, "own"), _starred, number=False) for view in judged.views),
        Column("studies with several rates", ("varied",), text, number=False, wraps=True),
    )
    caption = (
        "Verdicts at each learning rate; a star marks those that differ. Studies that were trained at one rate keep their "
        "own in every column."
    )
    return Table("sensitivity", caption, columns, tuple(body))


def _once(judged: Judged) -> list[Verdict]:
    """The verdicts that rest on one analysis."""
    return [v for v in judged.verdicts if not analysed(v)]


def _starred(outcome: str, own: str) -> str:
    return outcome if outcome == own else f"{outcome}*"


def _get(names: Sequence[str]) -> str:
    return "gets" if len(names) == 1 else "get"
