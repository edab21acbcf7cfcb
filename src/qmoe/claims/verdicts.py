"""What a judge hands out: a verdict on each claim, with the tests and comparisons it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qmoe.claims.evidence import Decision, Outcome
from qmoe.claims.spec import Claim, Combine


@dataclass(frozen=True)
class Comparison:
    """Two sides compared, as part of a test.

    Attributes:
        test: name of the test.
        study: name of the study; "" for measurements.
        metric: what is compared.
        a: label of a.
        b: label of b.
        outcome: of the contrast of a and b alone.
        reason: one sentence, with the figures where there are any.
        decision: statistics; None where nothing could be tested.
    """

    test: str
    study: str
    metric: str
    a: str
    b: str
    outcome: Outcome
    reason: str
    decision: Decision | None = None

    @property
    def effect(self) -> tuple[float, float, float] | None:
        """Mean difference (or ratio) with the bounds of its 95% interval."""
        if self.decision is None:
            return None
        evidence = self.decision.evidence
        return evidence.effect, evidence.low, evidence.high


@dataclass(frozen=True)
class TestVerdict:
    """The outcome of one test of a claim on one study.

    Attributes:
        name: name of the test.
        study: name of the study; "" for measurements.
        outcome: what the test says of the claim.
        reason: why, in one or two sentences.
        comparisons: what it rests on.
    """

    __test__ = False  # not a test of pytest's

    name: str
    study: str
    outcome: Outcome
    reason: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a claim.

    Attributes:
        claim: the claim.
        outcome: ``"supported"``, ``"refuted"`` or ``"inconclusive"``.
        reasons: plain sentences; those that decided come first.
        accusations: what a careful reader should hold against it.
        tests: the tests, in the claim's order.
    """

    claim: Claim
    outcome: Outcome
    reasons: tuple[str, ...]
    accusations: tuple[str, ...]
    tests: tuple[TestVerdict, ...]

    @property
    def key(self) -> Comparison | None:
        """The comparison to show: what refutes most clearly, or the weakest link of what supports."""
        found = [c for t in self.tests if t.outcome == self.outcome for c in t.comparisons if c.decision is not None]
        found = found or [c for t in self.tests for c in t.comparisons if c.decision is not None]
        if not found:
            return None

        def certain(comparison: Comparison, outcome: str) -> float:
            assert comparison.decision is not None
            return getattr(comparison.decision, "p_refute" if outcome == "refuted" else "p_support")

        if self.outcome == "refuted":
            refuting = [c for c in found if c.outcome == "refuted"]
            return min(refuting or found, key=lambda c: certain(c, "refuted"))
        if self.outcome == "supported":
            return max(found, key=lambda c: certain(c, c.outcome))
        return next((c for c in found if c.outcome == "inconclusive"), found[0])

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain data for JSON: outcome, reasons, accusations, and the figures of each comparison."""
        return {
            "claim": self.claim.id,
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "accusations": list(self.accusations),
            "tests": [
                {"name": t.name, "study": t.study, "outcome": t.outcome, "reason": t.reason,
                 "comparisons": [_figures(c) for c in t.comparisons]}
                for t in self.tests
            ],
        }  # fmt: skip


def combined(outcomes: Sequence[Outcome], how: Combine) -> Outcome:
    """Joins the outcomes of tests; what is inconclusive might still turn out either way.

    ``"all"``: one refuted test refutes. ``"any"``: one supported test supports. ``"majority"``: more than half support;
    it is refuted once that is out of reach.
    """
    n, yes, no = len(outcomes), outcomes.count("supported"), outcomes.count("refuted")
    needed = {"all": n, "any": 1, "majority": n // 2 + 1}[how]
    if n and yes >= needed:
        return "supported"
    return "refuted" if n and n - no < needed else "inconclusive"


def _figures(comparison: Comparison) -> dict[str, Any]:
    plain: dict[str, Any] = {"a": comparison.a, "b": comparison.b, "metric": comparison.metric}
    plain |= {"outcome": comparison.outcome, "reason": comparison.reason}
    if (decision := comparison.decision) is not None:
        e = decision.evidence
        plain |= {
            "mean_a": e.mean_a, "mean_b": e.mean_b, "effect": e.effect, "low": e.low, "high": e.high,
            "scale": e.contrast.scale, "direction": e.contrast.direction, "margin": e.contrast.margin,
            "n_clusters": e.n_clusters, "n_pairs": e.n_pairs, "p_support": decision.p_support,
            "p_refute": decision.p_refute, "rank_p": e.rank_p, "tost_p": e.tost_p,
            "wins": [e.wins.value, e.wins.low, e.wins.high],
        }  # fmt: skip
        for name, rate in (("success_a", e.success_a), ("success_b", e.success_b)):
            if rate is not None:
                plain[name] = [rate.value, rate.low, rate.high]
    return plain
