"""What other analyses say of a claim: sentences, and specification curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import Comparison, Multiverse, Verdict
from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.runs import ArmKey
from qmoe.claims.sentences import estimand_words
from qmoe.report.pictures.specification_curve import Curve, CurvePoint, specification_curve
from qmoe.report.pictures.style import Panel

#: What the outcomes are called after "at".
_AT = {"supported": "supported", "refuted": "refuted", "inconclusive": "undecided"}
_Key = tuple[str, str, ArmKey, ArmKey]
#: A comparison whatever the study: test, arm a, arm b.
_Pair = tuple[str, ArmKey, ArmKey]


@dataclass(frozen=True)
class Analysed:
    """A verdict that rests on several analyses.

    Attributes:
        verdict: of a claim, or of a claim on one study.
        multiverse: its analyses.
    """

    verdict: Verdict
    multiverse: Multiverse


def analysed(verdict: Verdict) -> list[Analysed]:
    """The parts of a verdict that rest on several analyses each: the claim itself, or the claim on each study."""
    parts = verdict.per_study or (verdict,)
    return [Analysed(v, v.multiverse) for v in parts if v.multiverse is not None and _varied(v.multiverse)]


def _varied(multiverse: Multiverse) -> bool:
    """Whether anything that the claim compares was tried at a specification other than the study's own."""
    own, *others = multiverse.rows
    return any(row.points != own.points for row in others)


def tried_once(verdict: Verdict) -> list[str]:
    """The comparisons of a claim with several analyses that were made at the study's own specification alone, in words."""
    found: list[tuple[str, str]] = []
    for part in analysed(verdict):
        fixed = _fixed(part.multiverse)
        compared = [c for c in part.verdict.comparisons if c.decision is not None]
        found += [(c.a, c.b) for c in compared if (c.test, c.study, c.a_key, c.b_key) in fixed]
    by_a: dict[str, dict[str, None]] = {}
    for a, b in found:
        by_a.setdefault(a, {})[b] = None
    return [f"{a} against {'; '.join(others)}" for a, others in by_a.items()]


def decided_once(multiverse: Multiverse) -> bool:
    """Whether it is refuted at every analysis, but by no comparison that any other than the study's own has made."""
    fixed = _fixed(multiverse)
    if any(row.outcome != "refuted" for row in multiverse.rows):
        return False
    refuting = [{p.key for p in row.points if p.outcome == "refuted"} - fixed for row in multiverse.rows]
    return any(not keys for keys in refuting) and any(
        p.outcome == "refuted" for p in multiverse.rows[0].points if p.key in fixed
    )


def _fixed(multiverse: Multiverse) -> set[_Key]:
    """The comparisons that were made at the study's own specification alone."""
    own, *others = multiverse.rows
    return {p.key for p in own.points if all(p in row.points for row in others)}


def counted_words(multiverse: Multiverse) -> str:
    """``"refuted at 12 of 18 analyses, undecided at 6"``, the commonest outcome first."""
    n, counts = len(multiverse.rows), multiverse.counts
    ordered = sorted((o for o in _AT if counts.get(o)), key=lambda o: -counts[o])
    first, rest = ordered[0], [f"{_AT[o]} at {counts[o]}" for o in ordered[1:]]
    every = f"all {n}" if counts[first] == n else f"{counts[first]} of {n}"
    return ", ".join([f"{_AT[first]} at {every} analyses", *rest])


def deciding_words(multiverse: Multiverse, starts: int = 0, where: str = "") -> str:
    """On which choice the outcome depends most, and what each alternative gives; "" where no choice tells them apart.

    Args:
        multiverse: the analyses.
        starts: as `Judged.starts`.
        where: the data set, for a claim on several.
    """
    choice = multiverse.deciding
    if choice is None or len({frozenset(o for o, n in count.items() if n) for count in choice.outcomes.values()}) < 2:
        return ""  # Every alternative has the same outcomes, if in other numbers.
    sides = [
        f"{alternative_words(choice.choice, alternative, starts=starts)}: {_shares(count)}"
        for alternative, count in choice.outcomes.items()
    ]
    place = f"On {where} the" if where else "The"
    return f"{place} outcome depends most on the {choice_words(choice.choice)} ({'; '.join(sides)})."


def analyses_words(verdict: Verdict, starts: int, titles: Mapping[str, str]) -> list[str]:
    """What the analyses of a claim say, in a few sentences; none where there is one analysis.

    Args:
        verdict: of a claim.
        starts: as `Judged.starts`.
        titles: what readers call the studies.
    """
    found = analysed(verdict)
    lines = []
    for part in found:
        where = titles.get(part.verdict.study, part.verdict.study) if verdict.per_study else ""
        if not where:
            lines.append(f"{_capital(counted_words(part.multiverse))}.")
        if words := deciding_words(part.multiverse, starts, where):
            lines.append(words)
        if decided_once(part.multiverse):
            lines.append(
                f"{f'On {where}, what' if where else 'What'} refutes it was compared at the study's own choices alone, so "
                "other choices could not change this."
            )
    if found and not verdict.per_study and verdict.own != verdict.outcome:
        lines.append(f"At the study's own choices alone it would be {_AT.get(verdict.own, verdict.own)}.")
    return lines


def _shares(count: Mapping[str, int]) -> str:
    """``"supported at 4 of 6, undecided at 2"``, ``"refuted at all 6"``."""
    n, told = sum(count.values()), [o for o in _AT if count.get(o)]
    if len(told) == 1:
        return f"{_AT[told[0]]} at all {n}"
    return f"{_AT[told[0]]} at {count[told[0]]} of {n}, " + ", ".join(f"{_AT[o]} at {count[o]}" for o in told[1:])


def curves_of(verdict: Verdict, titles: Mapping[str, str], starts: int, most: int = 2) -> list[Panel]:
    """Specification curves behind a verdict, each of one comparison with a panel for each data set.

    Args:
        verdict: of a claim.
        titles: what readers call the studies.
        starts: as `Judged.starts`.
        most: how many comparisons are drawn, those that the outcomes follow on most data sets first.
    """
    found = analysed(verdict)
    votes: dict[_Pair, int] = {}
    for part in found:
        pair = _follower(part.multiverse)
        votes[pair] = votes.get(pair, 0) + 1
    panels = []
    for place, pair in enumerate(sorted(votes, key=lambda pair: -votes[pair])[:most]):
        keys = [(part, key) for part in found for key in _keys(part.multiverse, pair)]
        panel = _panel(verdict, keys, titles, starts, place)
        panels += [panel] if panel is not None else []
    return panels


def _panel(
    verdict: Verdict, keys: Sequence[tuple[Analysed, _Key]], titles: Mapping[str, str], starts: int, place: int
) -> Panel | None:
    known = {(c.test, c.study, c.a_key, c.b_key): c for c in verdict.comparisons}
    curves, told, shown = [], [], None
    for part, key in keys:
        comparison = known.get(key)
        points = [
            CurvePoint(_worded(row.choices, starts), p.effect, p.low, p.high, p.outcome, row.base)
            for row in part.multiverse.rows
            for p in row.points
            if p.key == key and p.effect is not None and p.low is not None and p.high is not None
        ]
        if comparison is None or comparison.decision is None or len(points) < 2:
            continue
        if comparison.decision.evidence.contrast.scale == "ratio":
            continue
        shown = shown or comparison
        title = titles.get(key[1], key[1])
        curves.append(Curve(title, tuple(points)))
        effects = [p.effect for p in points]
        told.append(f"{title}: from {min(effects):+.3f} to {max(effects):+.3f} over {len(points)} analyses")
    if shown is None:
        return None
    name = f"claim-{verdict.claim.id.replace('.', '-')}-analyses{'' if not place else f'-{place + 1}'}"
    what = f"{shown.a} minus {shown.b}"
    drawing = specification_curve(
        curves, f"{what}, {estimand_words(shown.metric, shown.estimand)}", _margin(shown),
        width=4.3 + 1.7 * min(len(curves), 3),
    )  # fmt: skip
    return Panel(name, drawing, f"Specification curve, {what}. {'; '.join(told)}.")


def _worded(choices: Mapping[str, str], starts: int) -> dict[str, str]:
    return {choice_words(c): alternative_words(c, a, starts=starts, short=True) for c, a in choices.items()}


def _follower(multiverse: Multiverse) -> _Pair:
    """The comparison that most often has the outcome of the claim; of several, the one that tells outcomes apart."""
    fixed = _fixed(multiverse)
    first = multiverse.telling
    agree: dict[_Pair, int] = {_pair(first): 0} if first is not None and first not in fixed else {}
    for row in multiverse.rows:
        for point in row.points:
            if point.key in fixed:
                continue
            agree[_pair(point.key)] = agree.get(_pair(point.key), 0) + (point.outcome == row.outcome)
    return max(agree, key=lambda pair: agree[pair])


def _pair(key: _Key) -> _Pair:
    return key[0], key[2], key[3]


def _keys(multiverse: Multiverse, pair: _Pair) -> list[_Key]:
    """The comparisons of these arms on all studies of a multiverse."""
    return list(dict.fromkeys(p.key for row in multiverse.rows for p in row.points if _pair(p.key) == pair))


def _margin(comparison: Comparison) -> float:
    return 0.0 if comparison.decision is None else comparison.decision.evidence.contrast.margin


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
