"""What is to be said beside a list of verdicts in few words: why some are inconclusive, and what weakens the others."""

from __future__ import annotations

from collections.abc import Mapping

from qmoe.claims import Verdict
from qmoe.claims.sentences import idle_caveats
from qmoe.report.findings.judged import Judged
from qmoe.report.findings.other_analyses import analysed
from qmoe.report.findings.verdict_words import changing, meaning_of, rates_sentence


def verdict_notes(judged: Judged, titles: Mapping[str, str] | None = None) -> list[tuple[tuple[str, ...], str]]:
    """Sentences with the ids of the claims that they are about, in the order of the page's cards, which say the same.

    Args:
        judged: all verdicts.
        titles: what readers call the studies.
    """
    found: dict[str, list[str]] = {}
    for verdict in judged.verdicts:
        for words in _notes(judged, verdict, titles or {}):
            found.setdefault(words, []).append(verdict.claim.id)
    return [(tuple(ids), words) for words, ids in found.items()]


def n_more_caveats(judged: Judged) -> int:
    """How many caveats of the cards are not among the notes."""
    return sum(len(set(verdict.caveats) - set(idle_caveats(verdict))) for verdict in judged.verdicts)


def _notes(judged: Judged, verdict: Verdict, titles: Mapping[str, str]) -> list[str]:
    why = [meaning_of(verdict, titles)] if verdict.outcome == "inconclusive" else []
    # Where a claim has several analyses, they tell of learning rates as well.
    turns = bool(changing(judged, [verdict])) and not analysed(verdict)
    return [*why, *([rates_sentence(judged, verdict)] if turns else []), *idle_caveats(verdict)]
