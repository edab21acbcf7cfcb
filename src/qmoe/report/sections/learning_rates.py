"""All verdicts in one table, and whether they depend on the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import CLAIMS, Verdict
from qmoe.report.findings.judged import Judged, effect_words, telling
from qmoe.report.pictures.style import join
from qmoe.report.sections.blocks import Section, Text
from qmoe.report.sections.claim_cards import by_study_words, study_titles
from qmoe.report.sections.other_analyses import analysed
from qmoe.report.tables import Column, Table, outcome_words, text
from qmoe.studies import StudyResults

_HELD = {"supported": "held", "refuted": "did not hold", "depends": "depends on the analysis"}
_HELD |= {"inconclusive": "is still open"}


@dataclass(frozen=True)
class Lead:
    """One line at the very top.

    Attributes:
        outcome: which verdict it tells of; "" for all.
        label: what opens it.
        items: id of a claim, its statement, and what its verdict means, or "".
    """

    outcome: str
    label: str
    items: tuple[tuple[str, str, str], ...]


def opening_sentence(judged: Judged) -> str:
    """How many claims held, did not, and are open; "" where none is shown."""
    verdicts = [v for v in judged.verdicts if v.claim.headline]
    others = [v for v in judged.verdicts if not v.claim.headline]
    parts = []
    if verdicts:
        whose = (
            "of the paper"
            if all(v.claim.id in CLAIMS for v in verdicts)
            else f"that matter{'s' * (len(verdicts) == 1)} most"
        )
        parts.append(f"Of {_claims(len(verdicts))} {whose}, {_counted(verdicts)}.{_how_often(verdicts)}")
    if others:
        parts.append(f"Of {_claims(len(others), 'further claim')}, {_counted(others)}.")
    changing = _changing(judged, verdicts or others)
    if changing:
        at_best = _changing(judged, verdicts or others, "best")
        stand = f"{join(at_best)} {'does' if len(at_best) == 1 else 'do'} too" if at_best else "all verdicts stand"
        parts.append(
            f"{join(changing)} would get another verdict at some other learning rate than the study's own; with every arm "
            f"at its own best rate, {stand}."
        )
    return " ".join(parts)


def leads(judged: Judged, titles: Mapping[str, str] | None = None) -> list[Lead]:
    """What held, what did not, what is open: the headline claims where there are any, else all.

    Args:
        judged: all verdicts.
        titles: what readers call the studies.
    """
    verdicts = [v for v in judged.verdicts if v.claim.headline] or list(judged.verdicts)
    labels = {"supported": "What held", "refuted": "What did not hold", "depends": "What depends on the analysis"}
    labels |= {"inconclusive": "What is still open"}
    found = []
    for outcome, label in labels.items():
        members = [v for v in verdicts if v.outcome == outcome]
        items = [(v.claim.id, v.claim.statement, _instead(v, titles or {})) for v in members]
        found += [Lead(outcome, label, tuple(items))] if items else []
    return found


def unexamined_sentence(judged: Judged) -> str:
    """Which headline claims have no study here; "" where all have, or where no claim is shown at all."""
    missing = [c for c in judged.unexamined if c.headline]
    if not missing or not judged.verdicts:
        return ""
    named = [f"{c.id} ({c.topic})" if c.topic else c.id for c in missing]
    return f"Not examined on this page, for their results are not in the store: {join(named)}."


def verdict_table(judged: Judged) -> Table | None:
    """A row for each claim: verdict and effect."""
    body = []
    for v in judged.verdicts:
        key = telling(v)
        effect = key.interval if key is not None and key.interval is not None else (None, None, None)
        row: dict[str, object] = {"claim": v.claim.id, "statement": v.claim.statement, "verdict": v.outcome}
        row |= {"effect": effect[0], "low": effect[1], "high": effect[2], "shown": effect_words(key)}
        row |= {"study": key.study if key else None, "metric": key.metric if key else None}
        row |= {"a": key.a if key else None, "b": key.b if key else None}
        body.append(row)
    columns = (
        Column("claim", ("claim",), text, number=False),
        Column("statement", ("statement",), text, number=False, wraps=True),
        Column("verdict", ("verdict",), outcome_words, number=False),
        Column("effect [95%]", ("shown",), text),
    )
    caption = "Verdicts, each with the difference or ratio that decides it or comes nearest to deciding it."
    return Table("verdicts", caption, columns, tuple(body)) if body else None


def sensitivity_section(judged: Judged, results: Sequence[StudyResults]) -> Section | None:
    """Verdicts at every learning rate, or None where no claim is judged.

    Claims with several analyses are left out: learning rates are among what those vary.
    """
    once = _once(judged)
    if not once:
        return None
    section = Section("learning-rates", "Do the verdicts depend on the learning rate?")
    section.blocks.append(Text(tuple(sensitivity_sentences(judged))))
    if any(judged.varied(v) for v in once):
        section.blocks.append(_sensitivity_table(judged, study_titles(results)))
    return section


def sensitivity_sentences(judged: Judged) -> list[str]:
    """Which verdicts change with the learning rate, by rule."""
    if not judged.others:
        return ["All studies here were trained at one learning rate, so whether a verdict depends on it is not known."]
    once = _once(judged)
    varied = [v for v in once if judged.varied(v)]
    fixed = [v.claim.id for v in once if not judged.varied(v) and judged.studies_of(v)]
    several = [v.claim.id for v in judged.verdicts if v not in once]
    changed = _changing(judged, varied)
    same = [v.claim.id for v in varied if v.claim.id not in changed]
    lines = []
    if several:
        lines.append(f"Of claims with several analyses ({join(several)}), the table of choices at the top tells.")
    if varied and not changed:
        lines.append(f"No: {join(same)} {_get(same)} the same verdict at every learning rate tried.")
    elif changed:
        rest = f"; {join(same)} {_get(same)} the same at all of them" if same else ""
        lines.append(f"Some do: {join(changed)} {_get(changed)} another verdict at some other learning rate{rest}.")
        at_best = _changing(judged, varied, "best")
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
        "loss over all seeds; test data have no say in it. The time that training takes does not depend on the rate, and is "
        "that of the study's own. Each column is judged by itself, with its own correction for "
        "the number of tests."
    )
    return lines


def _sensitivity_table(judged: Judged, titles: dict[str, str]) -> Table:
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


def _how_often(verdicts: Sequence[Verdict]) -> str:
    """At how many analyses claims were judged; "" where each was at one."""
    several = [v for v in verdicts if analysed(v)]
    if not several:
        return ""
    n = max(len(part.multiverse.rows) for v in several for part in analysed(v))
    who = "All of them were" if len(several) == len(verdicts) else f"{len(several)} of them were"
    return f" {who.replace('1 of them were', '1 of them was')} judged at up to {n} analyses each."


def _instead(verdict: Verdict, titles: Mapping[str, str]) -> str:
    claim = verdict.claim
    words = {"supported": claim.if_supported, "refuted": claim.if_refuted}.get(verdict.outcome, "")
    return f"{words} {by_study_words(verdict, titles)}".strip()


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = {outcome: sum(v.outcome == outcome for v in verdicts) for outcome in _HELD}
    plural = {"is still open": "are still open", "depends on the analysis": "depend on the analysis"}
    parts = [
        f"{n} {plural.get(_HELD[outcome], _HELD[outcome]) if n > 1 else _HELD[outcome]}"
        for outcome, n in counts.items()
        if n
    ]
    return join(parts)


def _claims(n: int, noun: str = "claim") -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _get(names: Sequence[str]) -> str:
    return "gets" if len(names) == 1 else "get"


def _changing(judged: Judged, verdicts: Sequence[Verdict], view: str | None = None) -> list[str]:
    """Ids of the claims that get another verdict at any other learning rate, or in one view."""
    return [
        v.claim.id
        for v in verdicts
        if not analysed(v) and any(o.outcome != v.outcome for at, o in judged.elsewhere(v) if view in (None, at.key))
    ]
