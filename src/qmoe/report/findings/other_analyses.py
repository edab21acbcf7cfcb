"""What other analyses say of a claim, and which comparisons their outcomes follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qmoe.claims import Multiverse, Verdict
from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.runs import ArmKey
from qmoe.report.words import capital

#: The outcomes of an analysis, in the order in which they are told.
_OUTCOMES = ("supported", "refuted", "inconclusive")
#: A comparison: test, study, arm a, arm b.
Key = tuple[str, str, ArmKey, ArmKey]
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


def _fixed(multiverse: Multiverse) -> set[Key]:
    """The comparisons that were made at the study's own specification alone."""
    own, *others = multiverse.rows
    return {p.key for p in own.points if all(p in row.points for row in others)}


def counted_words(multiverse: Multiverse) -> str:
    """``"refuted at 12 of 18 analyses, inconclusive at 6"``, the commonest outcome first."""
    n, counts = len(multiverse.rows), multiverse.counts
    ordered = sorted((o for o in _OUTCOMES if counts.get(o)), key=lambda o: -counts[o])
    first, rest = ordered[0], [f"{o} at {counts[o]}" for o in ordered[1:]]
    every = f"all {n}" if counts[first] == n else f"{counts[first]} of {n}"
    return ", ".join([f"{first} at {every} analyses", *rest])


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
            lines.append(f"{capital(counted_words(part.multiverse))}.")
        if words := deciding_words(part.multiverse, starts, where):
            lines.append(words)
        if decided_once(part.multiverse):
            lines.append(
                f"{f'On {where}, what' if where else 'What'} refutes it was compared at the study's own choices alone, so "
                "other choices could not change this."
            )
    if found and not verdict.per_study and verdict.own != verdict.outcome:
        lines.append(f"At the study's own choices alone it would be {verdict.own}.")
    return lines


def followed(verdict: Verdict, most: int = 2) -> list[list[tuple[Analysed, Key]]]:
    """The comparisons that the outcomes of a claim follow, each on every study that has it.

    Args:
        verdict: of a claim.
        most: how many, those that the outcomes follow on most data sets first.
    """
    found = analysed(verdict)
    votes: dict[_Pair, int] = {}
    for part in found:
        pair = _follower(part.multiverse)
        votes[pair] = votes.get(pair, 0) + 1
    pairs = sorted(votes, key=lambda pair: -votes[pair])[:most]
    return [[(part, key) for part in found for key in _keys(part.multiverse, pair)] for pair in pairs]


def _shares(count: Mapping[str, int]) -> str:
    """``"supported at 4 of 6, inconclusive at 2"``, ``"refuted at all 6"``."""
    n, told = sum(count.values()), [o for o in _OUTCOMES if count.get(o)]
    if len(told) == 1:
        return told[0] if n == 1 else f"{told[0]} at all {n}"
    return ", ".join([f"{told[0]} at {count[told[0]]} of {n}", *(f"{o} at {count[o]}" for o in told[1:])])


def _follower(multiverse: Multiverse) -> _Pair:
    """The comparison that most often has the outcome of the claim; of several, the one that tells outcomes apart.

    One that most often has the opposite outcome follows as well: of a breakdown, strong noise that costs accuracy supports.
    """
    fixed = _fixed(multiverse)
    first = multiverse.telling
    agree: dict[_Pair, int] = {_pair(first): 0} if first is not None and first not in fixed else {}
    oppose = dict(agree)
    for row in multiverse.rows:
        for point in row.points:
            if point.key in fixed:
                continue
            pair = _pair(point.key)
            agree[pair] = agree.get(pair, 0) + (point.outcome == row.outcome)
            oppose[pair] = oppose.get(pair, 0) + ({point.outcome, row.outcome} == {"supported", "refuted"})
    return max(agree, key=lambda pair: max(agree[pair], oppose[pair]))


def _pair(key: Key) -> _Pair:
    return key[0], key[2], key[3]


def _keys(multiverse: Multiverse, pair: _Pair) -> list[Key]:
    """The comparisons of these arms on all studies of a multiverse."""
    return list(dict.fromkeys(p.key for row in multiverse.rows for p in row.points if _pair(p.key) == pair))
