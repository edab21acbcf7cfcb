"""From questions with evidence to outcomes: comparisons, tests, and claims, with p-values corrected on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from qmoe.claims.deciding.caveats import says_no_difference
from qmoe.claims.deciding.correction import Correction, conjunction, largest, stepwise
from qmoe.claims.deciding.evidence import Decision, conclude
from qmoe.claims.questions import Posed, Question
from qmoe.claims.spec import BreakdownTest, Claim
from qmoe.claims.verdicts import Comparison, Outcome, TestVerdict, combined, needed_of

PValues = tuple[float | None, float | None]
Corrections = tuple[Correction, Correction]


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
        tests = [test_p_values(p) for p in self.posed]
        needed = needed_of(len(tests), self.claim.combine)
        return (
            conjunction([p for p, _ in tests], needed),
            conjunction([p for _, p in tests], len(tests) - needed + 1),
        )


def test_p_values(posed: Posed) -> PValues:
    """P-values with which a test could support and refute; None where it was not tested."""
    supports = [None if q.evidence is None else q.evidence.p_support for q in posed.questions]
    refutes = [None if q.evidence is None else q.evidence.p_refute for q in posed.questions]
    if not isinstance(posed.test, BreakdownTest):
        return conjunction(supports, len(supports)), conjunction(refutes, 1)
    weak, strong = _halves(posed)
    if not any(p is not None for p in supports):
        return None, None
    # Supported: no weak strength costs, and the strongest does. Refuted: a weak one costs, or none does at all.
    robust, unbroken = conjunction([supports[i] for i in weak], len(weak)), conjunction(supports, len(supports))
    last = refutes[strong[-1]]
    support = 1.0 if robust is None or last is None else largest([robust, last])
    early = conjunction([refutes[i] for i in weak], 1)
    return support, min(1.0, 2 * min(p for p in (early, unbroken, 1.0) if p is not None))


def settle(
    unit: Unit, support: Correction, refute: Correction, alpha: float
) -> tuple[Outcome, tuple[TestVerdict, ...]]:
    """The outcome of a unit and of all its tests, with its own p-values corrected as given."""
    tests = [test_p_values(p) for p in unit.posed]
    needed = needed_of(len(tests), unit.claim.combine)
    supports = stepwise([p for p, _ in tests], needed, support)
    refutes = stepwise([p for _, p in tests], len(tests) - needed + 1, refute)
    found = tuple(_decided(posed, yes, no, alpha) for posed, yes, no in zip(unit.posed, supports, refutes, strict=True))
    return combined([test.outcome for test in found], unit.claim.combine), found


def leaning(unit: Unit) -> Outcome:
    """The outcome that the estimates alone would give."""
    return combined([_leaning_test(posed) for posed in unit.posed], unit.claim.combine)


def _halves(posed: Posed) -> tuple[list[int], list[int]]:
    """Places of the strengths up to ``robust_to``, and of those beyond."""
    assert isinstance(posed.test, BreakdownTest)
    weak = [i for i, q in enumerate(posed.questions) if q.strength <= posed.test.robust_to]
    return weak, [i for i in range(len(posed.questions)) if i not in weak]


def _decided(posed: Posed, support: Correction, refute: Correction, alpha: float) -> TestVerdict:
    if posed.broken:
        return TestVerdict(posed.test, posed.study, "inconclusive", (), posed.broken, posed.absent)
    corrections = _of_questions(posed, support, refute)
    found = tuple(_compared(posed.test.name, q, c, alpha) for q, c in zip(posed.questions, corrections, strict=True))
    outcomes: list[Outcome] = [c.outcome for c in found]
    breaks_at = None
    if isinstance(posed.test, BreakdownTest):
        # A weak strength that costs nothing serves either side; for refutation it must stand its correction too.
        stands = [_p(q)[0] for q in posed.questions]
        unbroken = all(p is not None and refute.times(2)(p) < alpha for p in stands)
        outcome, breaks_at = _breakdown(posed, outcomes, unbroken)
    else:
        outcome = combined(outcomes, "all")
    return TestVerdict(posed.test, posed.study, outcome, found, breaks_at=breaks_at, caveats=tuple(posed.caveats))


def _of_questions(posed: Posed, support: Correction, refute: Correction) -> list[Corrections]:
    """How the p-values of a test's questions are corrected, so that they decide just as the test's own do."""
    if isinstance(posed.test, BreakdownTest):
        weak, strong = _halves(posed)
        twice = refute.times(2)
        early = stepwise([_p(posed.questions[i])[1] for i in weak], 1, twice)
        return [(support, no) for no in early] + [(twice, support) for _ in strong]
    asked = [_p(q) for q in posed.questions]
    supports = stepwise([p for p, _ in asked], len(asked), support)
    refutes = stepwise([p for _, p in asked], 1, refute)
    return list(zip(supports, refutes, strict=True))


def _p(q: Question) -> PValues:
    return (None, None) if q.evidence is None else (q.evidence.p_support, q.evidence.p_refute)


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
        tuple(q.caveats), tuple(q.falling), q.estimates,
    )  # fmt: skip


def _breakdown(posed: Posed, outcomes: Sequence[Outcome], unbroken: bool = True) -> tuple[Outcome, float | None]:
    """Robust: no strength up to ``robust_to`` costs more than the margin; broken: the strongest up to ``breaks_by`` do.

    That none costs anything refutes, where ``unbroken`` says that this stands the correction of what refutes.
    """
    weak, strong = _halves(posed)
    robust = combined([outcomes[i] for i in weak], "all")
    if robust != "supported":
        return robust, None
    lasting = None
    for i in reversed(strong):
        if outcomes[i] != "refuted":
            break
        lasting = posed.questions[i].strength
    if lasting is not None:
        return "supported", lasting
    return ("refuted" if unbroken and all(outcomes[i] == "supported" for i in strong) else "inconclusive"), None


def _leaning_test(posed: Posed) -> Outcome:
    if posed.broken:
        return "inconclusive"
    outcomes = [_leaning(q) for q in posed.questions]
    return _breakdown(posed, outcomes)[0] if isinstance(posed.test, BreakdownTest) else combined(outcomes, "all")


def _leaning(q: Question) -> Outcome:
    e = q.evidence
    if e is None or q.never:
        return "inconclusive"
    holds = e.leans
    says_none = holds != (e.contrast.direction in ("greater", "less"))
    return "inconclusive" if says_none and q.no_sameness else "supported" if holds else "refuted"
