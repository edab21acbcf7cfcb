"""From questions with evidence to outcomes: comparisons, tests, and claims, with p-values corrected on the way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from qmoe.claims.deciding.caveats import says_no_difference
from qmoe.claims.deciding.combining import combined, needed_of
from qmoe.claims.deciding.correction import Correction, Corrections, PValues, conjunction, stepwise
from qmoe.claims.deciding.evidence import Decision, conclude
from qmoe.claims.questions import Posed, Question
from qmoe.claims.spec import Claim
from qmoe.claims.verdicts import Comparison, TestVerdict
from qmoe.claims.vocabulary import Outcome


@dataclass(frozen=True, eq=False)
class Unit:
    """What has a verdict of its own: a claim, or a claim on one of its studies.

    Attributes:
        claim: the claim.
        study: the study, for claims with a verdict per study; else "".
        posed: its tests.
    """

    claim: Claim
    study: str
    posed: list[Posed]

    @property
    def p_values(self) -> PValues:
        """P-values with which it could be supported and refuted, corrected within the claim; None where not tested."""
        tests = [p.test.p_values(p) for p in self.posed]
        needed = needed_of(len(tests), self.claim.combine)
        return (
            conjunction([p for p, _ in tests], needed),
            conjunction([p for _, p in tests], len(tests) - needed + 1),
        )


def settle(
    unit: Unit, support: Correction, refute: Correction, alpha: float
) -> tuple[Outcome, tuple[TestVerdict, ...]]:
    """The outcome of a unit and of all its tests, with its own p-values corrected as given."""
    tests = [p.test.p_values(p) for p in unit.posed]
    needed = needed_of(len(tests), unit.claim.combine)
    supports = stepwise([p for p, _ in tests], needed, support)
    refutes = stepwise([p for _, p in tests], len(tests) - needed + 1, refute)
    found = tuple(_decided(posed, yes, no, alpha) for posed, yes, no in zip(unit.posed, supports, refutes, strict=True))
    return combined([test.outcome for test in found], unit.claim.combine), found


def leaning(unit: Unit) -> Outcome:
    """The outcome that the estimates alone would give."""
    return combined([_leaning_test(posed) for posed in unit.posed], unit.claim.combine)


def _decided(posed: Posed, support: Correction, refute: Correction, alpha: float) -> TestVerdict:
    if posed.broken:
        return TestVerdict(posed.test, posed.study, "inconclusive", (), posed.broken, posed.absent)
    corrections = posed.test.corrections(posed, support, refute)
    found = tuple(_compared(posed.test.name, q, c, alpha) for q, c in zip(posed.questions, corrections, strict=True))
    outcomes = [c.outcome for c in found]
    return TestVerdict(
        posed.test,
        posed.study,
        posed.test.settle(posed, outcomes, refute, alpha),
        found,
        breaks_at=posed.test.breaks_at(posed, outcomes),
        caveats=tuple(posed.caveats),
    )


def _compared(test: str, q: Question, corrections: Corrections, alpha: float) -> Comparison:
    decision: Decision | None = None
    outcome: Outcome = "inconclusive"
    why = list(q.obstacles)
    if q.evidence is not None:
        support, refute = corrections
        decision = conclude(q.evidence, support(q.evidence.p_support), refute(q.evidence.p_refute), alpha)
        why = list(q.never) + (q.no_sameness if says_no_difference(decision) else [])
        if why:
            decision = dataclasses.replace(decision, outcome="inconclusive", why_open="; ".join(why))
        outcome = decision.outcome
    return Comparison(
        test, q.study, q.metric, q.estimand, q.a_key, q.b_key, q.a, q.b, outcome, q.unit, decision, tuple(why),
        tuple(q.caveats), tuple(q.falling), q.estimates, q.idle,
    )  # fmt: skip


def _leaning_test(posed: Posed) -> Outcome:
    if posed.broken:
        return "inconclusive"
    return posed.test.lean(posed, [_leaning(q) for q in posed.questions])


def _leaning(q: Question) -> Outcome:
    e = q.evidence
    if e is None or q.never:
        return "inconclusive"
    holds = e.leans
    says_none = holds != (e.contrast.direction in ("greater", "less"))
    return "inconclusive" if says_none and q.no_sameness else "supported" if holds else "refuted"
