"""The judge: claims and results in, verdicts out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from qmoe.analysis.ranking import holm
from qmoe.claims.evidence import ALPHA, conclude
from qmoe.claims.objections import says_no_difference
from qmoe.claims.questions import Measurements, Posed, Question, pose
from qmoe.claims.runs import StudyRuns, by_name
from qmoe.claims.sentences import sentence, untested
from qmoe.claims.spec import BreakdownTest, Claim
from qmoe.claims.verdicts import Comparison, Outcome, TestVerdict, Verdict, combined
from qmoe.studies.store import StudyResults


def judge(
    claims: Sequence[Claim],
    results: Mapping[str, StudyRuns] | Iterable[StudyResults | StudyRuns],
    measurements: Measurements | None = None,
    *,
    alpha: float = ALPHA,
    seed: int = 0,
) -> list[Verdict]:
    """Gives every claim a verdict.

    All comparisons of all claims are one family: Holm's correction is taken over the tests that could support, and over
    those that could refute, so that the chance of any false "supported" is at most alpha, and of any false "refuted" too.

    Args:
        claims: the claims.
        results: studies, as a store gives them or as arrays; restrict them with `StudyRuns.at` to one learning rate, or with
            `StudyRuns.tuned` to the best of each arm.
        measurements: for each quantity and name ``(n,)`` repeated measurements, paired by position.
        alpha: level of the tests.
        seed: seed of the resampling; equal seeds give equal verdicts.

    Returns:
        A verdict for each claim, in their order.

    Raises:
        ConfigError: for two results of one name, or alpha outside (0, 1/2).
        ShapeError: for measurements that do not pair.
    """
    studies = dict(results) if isinstance(results, Mapping) else by_name(results)
    posed = [pose(claim, studies, measurements or {}, alpha, seed) for claim in claims]
    family = [q for tests in posed for test in tests for q in test.questions if q.evidence is not None]
    supports = holm([q.evidence.p_support for q in family if q.evidence]).tolist() if family else []
    refutes = holm([q.evidence.p_refute for q in family if q.evidence]).tolist() if family else []
    corrected = {id(q): p for q, *p in zip(family, supports, refutes, strict=True)}
    return [
        _verdict(claim, tests, {key: (p[0], p[1]) for key, p in corrected.items()}, alpha)
        for claim, tests in zip(claims, posed, strict=True)
    ]


def _verdict(
    claim: Claim, posed: Sequence[Posed], p_values: Mapping[int, tuple[float, float]], alpha: float
) -> Verdict:
    tests = tuple(_decided(test, p_values, alpha) for test in posed)
    outcome = combined([test.outcome for test in tests], claim.combine)
    meaning = {"supported": claim.if_supported, "refuted": claim.if_refuted}.get(outcome, "")
    absent = dict.fromkeys(p.study for p in posed if p.absent)
    told = [test for test, p in zip(tests, posed, strict=True) if not p.absent]
    ordered = sorted(told, key=lambda test: test.outcome != outcome)  # stable: those that decided come first
    reasons = dict.fromkeys([*([meaning] if meaning else []), *(test.reason for test in ordered)])
    if absent:
        reasons[f"There are no results of {', '.join(absent)}."] = None
    held = [remark for test in posed for remark in [*(a for q in test.questions for a in q.accusations), *test.remarks]]
    held += _unsettled([q for test in posed for q in test.questions])
    return Verdict(claim, outcome, tuple(reasons), tuple(dict.fromkeys(held)), tests)


def _unsettled(questions: Sequence[Question]) -> list[str]:
    """One sentence for each study with arms that were still learning."""
    found: dict[str, dict[str, None]] = {}
    for q in questions:
        found.setdefault(q.study, {}).update(dict.fromkeys(q.falling))
    return [
        f"{study}: the loss was still falling at the end of training ({_some(list(labels))}); more epochs may change this."
        for study, labels in found.items()
        if labels
    ]


def _some(labels: list[str], most: int = 4) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def _decided(posed: Posed, p_values: Mapping[int, tuple[float, float]], alpha: float) -> TestVerdict:
    found = tuple(_compared(posed.test.name, q, p_values.get(id(q)), alpha) for q in posed.questions)
    if posed.broken:
        reason = f"Nothing to judge by: {posed.broken}."
        return TestVerdict(posed.test.name, posed.study, "inconclusive", reason, found)
    if isinstance(posed.test, BreakdownTest):
        outcome, reason = _breakdown(posed.test, posed.questions, found)
    else:
        outcome = combined([c.outcome for c in found], "all")
        deciding = [c.reason for c in found if c.outcome == outcome]
        reason = " ".join(deciding[:2]) + (f" So it is for {len(deciding)} rivals." if len(deciding) > 2 else "")
    return TestVerdict(posed.test.name, posed.study, outcome, reason, found)


def _compared(test: str, q: Question, p_values: tuple[float, float] | None, alpha: float) -> Comparison:
    if q.evidence is None or p_values is None:
        reason = untested(q.a, q.b, q.study, q.obstacles)
        return Comparison(test, q.study, q.metric, q.a, q.b, "inconclusive", reason)
    decision, why = conclude(q.evidence, *p_values, alpha), list(q.never)
    if says_no_difference(decision):
        why += q.no_sameness
    if why:
        decision = dataclasses.replace(decision, outcome="inconclusive", why_open="; ".join(why))
    reason = sentence(decision, q.a, q.b, q.metric, q.study, q.unit)
    return Comparison(test, q.study, q.metric, q.a, q.b, decision.outcome, reason, decision)


def _breakdown(test: BreakdownTest, questions: Sequence[Question], found: Sequence[Comparison]) -> tuple[Outcome, str]:
    """Robust: no strength up to ``robust_to`` costs more than the margin; broken: the strongest up to ``breaks_by`` do."""
    weak = [c for q, c in zip(questions, found, strict=True) if (q.strength or 0) <= test.robust_to]
    strong = [(q.strength, c) for q, c in zip(questions, found, strict=True) if (q.strength or 0) > test.robust_to]
    robust = combined([c.outcome for c in weak], "all")
    if robust != "supported":
        return robust, next(c.reason for c in weak if c.outcome == robust)
    lasting = None
    for strength, comparison in reversed(strong):
        if comparison.outcome != "refuted":
            break
        lasting = strength, comparison
    costs_little = f"Noise up to p = {test.robust_to:g} costs no more than {test.margin:g}."
    if lasting is not None:
        return "supported", f"{costs_little} From p = {lasting[0]:g} on it does: {lasting[1].reason}"
    if all(c.outcome == "supported" for _, c in strong):
        return (
            "refuted",
            f"{costs_little} Nor does any up to p = {test.breaks_by:g}, so no breakdown shows. {strong[-1][1].reason}",
        )
    return (
        "inconclusive",
        f"{costs_little} Whether it breaks by p = {test.breaks_by:g} stays open. {strong[-1][1].reason}",
    )
