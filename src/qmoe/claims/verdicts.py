"""What a judge hands out: a verdict on each claim, with the tests and comparisons it rests on.

All of it is facts; the sentences (``reason``, ``reasons``) are made from them when they are asked for, by
`qmoe.claims.sentences`, and nothing reads them back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qmoe.claims import sentences
from qmoe.claims.analyses.over_analyses import Multiverse
from qmoe.claims.deciding.evidence import Decision, Evidence, PairedFigures
from qmoe.claims.kinds.base import ClaimTest
from qmoe.claims.runs import ArmKey
from qmoe.claims.vocabulary import Estimand, Outcome

if TYPE_CHECKING:
    from qmoe.claims.spec import Claim


@dataclass(frozen=True)
class Sides:
    """Which two sides a test compares, and by what.

    Attributes:
        test: name of the test.
        study: name of the study; "" for measurements.
        metric: what is compared.
        estimand: what of the runs on one draw of the data: ``"mean"``, ``"success"`` or ``"best"``.
        a_key: arm a and its noise strength (None where it has none).
        b_key: arm b and its noise strength.
        a: label of a.
        b: label of b.
    """

    test: str
    study: str
    metric: str
    estimand: Estimand
    a_key: ArmKey
    b_key: ArmKey
    a: str
    b: str


@dataclass(frozen=True)
class Estimate(PairedFigures):
    """One comparison by one estimand: a fact beside the one that is judged.

    Attributes:
        estimand: ``"mean"``, ``"success"`` or ``"best"``.
        starts: initialisations per draw of the data, the fewer of the two arms.
        threshold: of success; None for the other estimands.
    """

    estimand: Estimand
    starts: int
    threshold: float | None = None


@dataclass(frozen=True)
class Comparison(Sides):
    """Two sides compared, as part of a test.

    Attributes:
        outcome: of the contrast of a and b alone.
        unit: what a cluster is, in words.
        decision: statistics with corrected p-values; None where nothing could be tested.
        obstacles: what kept it from being tested, or forbids a verdict whatever the figures; phrases.
        caveats: what goes beside it; sentences.
        falling: labels of the arms whose loss was still falling at the end of training.
        estimates: the comparison by all three estimands, where accuracies are compared; also where there are too few draws
            to test it.
        idle: what is not shown to matter, ``"router"`` or ``"layer"``, where a lead of a could be found all the same: a is
            not shown to be above the arm in which that is switched off. "" for none.
    """

    outcome: Outcome
    unit: str = "pairs"
    decision: Decision | None = None
    obstacles: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    idle: str = ""

    @property
    def strength(self) -> float | None:
        """Noise strength of a; None where the arm has none."""
        return self.a_key.strength

    @property
    def evidence(self) -> Evidence | None:
        """The numbers; None where nothing could be tested."""
        return None if self.decision is None else self.decision.evidence

    @property
    def unjudged(self) -> Estimate | None:
        """The estimate of a comparison that was not tested, such as of too few draws; None where there is none."""
        found = [e for e in self.estimates if e.estimand == self.estimand]
        return found[0] if found and self.decision is None else None

    @property
    def effect(self) -> float | None:
        """Mean difference, or geometric mean ratio, of a and b."""
        return None if self.decision is None else self.decision.evidence.effect

    @property
    def low(self) -> float | None:
        """Lower bound of its 95% interval."""
        return None if self.decision is None else self.decision.evidence.low

    @property
    def high(self) -> float | None:
        """Upper bound of its 95% interval."""
        return None if self.decision is None else self.decision.evidence.high

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Effect, lower and upper bound; None where nothing could be tested."""
        e = self.evidence
        return None if e is None else (e.effect, e.low, e.high)

    @property
    def why_open(self) -> str:
        """What stands in the way of a verdict, as a phrase; "" where nothing does."""
        return "; ".join(self.obstacles) or (self.decision.why_open if self.decision is not None else "")

    @property
    def reason(self) -> str:
        """One sentence, with the numbers where there are any."""
        return sentences.compared(self)


@dataclass(frozen=True)
class TestVerdict:
    """The outcome of one test of a claim on one study.

    Attributes:
        test: the test.
        study: name of the study; "" for measurements.
        outcome: what the test says of the claim.
        comparisons: what it rests on.
        obstacle: what kept it from being posed at all, as a phrase; "" where nothing did.
        absent: whether that is that there are no results of the study.
        breaks_at: of a test for a breakdown, the least noise strength from which on accuracy is lost; None where none shows.
        caveats: what belongs to the test as a whole; sentences.
    """

    __test__ = False  # not a test of pytest's

    test: ClaimTest
    study: str
    outcome: Outcome
    comparisons: tuple[Comparison, ...]
    obstacle: str = ""
    absent: bool = False
    breaks_at: float | None = None
    caveats: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the test."""
        return self.test.name

    @property
    def kind(self) -> str:
        """Kind of the test."""
        return self.test.kind

    @property
    def reason(self) -> str:
        """Why, in one or two sentences."""
        return sentences.tested(self)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a claim, or of a claim on one of its studies.

    Attributes:
        claim: the claim.
        outcome: ``"supported"``, ``"refuted"``, ``"inconclusive"`` or ``"depends"`` (on the analysis).
        tests: the tests at the studies' own specification, in the claim's order.
        own: the outcome at the studies' own specification alone.
        p_support: p-value with which the claim is supported there, corrected within its family; None where not tested.
        p_refute: the same for its refutation.
        study: the study that this verdict is on, for claims with a verdict per study; else "".
        per_study: for claims with a verdict per study, those verdicts.
        multiverse: what other analyses say; None where there are none.
    """

    claim: Claim
    outcome: Outcome
    tests: tuple[TestVerdict, ...]
    own: Outcome
    p_support: float | None = None
    p_refute: float | None = None
    study: str = ""
    per_study: tuple[Verdict, ...] = ()
    multiverse: Multiverse | None = field(default=None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Plain sentences; those that decided come first."""
        return sentences.reasons(self)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What speaks against it, in sentences."""
        return sentences.caveats(self)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All comparisons, at the studies' own specification."""
        return tuple(c for test in self.tests for c in test.comparisons)

    @property
    def key(self) -> Comparison | None:
        """The comparison to show: what refutes most clearly, or the weakest link of what supports."""
        found = [c for t in self.tests if t.outcome == self.own for c in t.comparisons if c.decision is not None]
        found = found or [c for c in self.comparisons if c.decision is not None]
        if not found:
            return next((c for c in self.comparisons if c.unjudged is not None), None)

        def certain(comparison: Comparison, outcome: str) -> float:
            assert comparison.decision is not None
            return getattr(comparison.decision, "p_refute" if outcome == "refuted" else "p_support")

        if self.own == "refuted":
            refuting = [c for c in found if c.outcome == "refuted"]
            return min(refuting or found, key=lambda c: certain(c, "refuted"))
        if self.own == "supported":
            return max(found, key=lambda c: certain(c, c.outcome))
        return next((c for c in found if c.outcome == "inconclusive"), found[0])

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain data for JSON: outcome, reasons, caveats, and the numbers of each comparison."""
        plain: dict[str, Any] = {
            "claim": self.claim.id,
            "family": self.claim.family,
            "outcome": self.outcome,
            "own": self.own,
            "p_support": self.p_support,
            "p_refute": self.p_refute,
            "reasons": list(self.reasons),
            "caveats": list(self.caveats),
            "tests": [
                {"name": t.name, "study": t.study, "outcome": t.outcome, "reason": t.reason,
                 "comparisons": [_figures(c) for c in t.comparisons]}
                for t in self.tests
            ],
        }  # fmt: skip
        if self.study:
            plain["study"] = self.study
        if self.per_study:
            plain["per_study"] = [verdict.as_dict() for verdict in self.per_study]
        if self.multiverse is not None:
            plain["multiverse"] = self.multiverse.as_dict()
        return plain


def _figures(comparison: Comparison) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "a": comparison.a, "b": comparison.b, "arm_a": list(comparison.a_key), "arm_b": list(comparison.b_key),
        "metric": comparison.metric, "estimand": comparison.estimand, "outcome": comparison.outcome,
        "reason": comparison.reason, "obstacles": list(comparison.obstacles),
    }  # fmt: skip
    if (decision := comparison.decision) is not None:
        e = decision.evidence
        plain |= {
            "mean_a": e.mean_a, "mean_b": e.mean_b, "effect": e.effect, "low": e.low, "high": e.high,
            "scale": e.contrast.scale, "direction": e.contrast.direction, "margin": e.contrast.margin,
            "n_clusters": e.n_clusters, "n_pairs": e.n_pairs, "sd": e.sd, "p_support": decision.p_support,
            "p_refute": decision.p_refute, "rank_p": e.rank_p, "tost_p": e.tost_p,
            "wins": [e.wins.value, e.wins.low, e.wins.high],
            "smallest_effect": e.smallest_effect, "draws_needed": e.draws_needed,
        }  # fmt: skip
        for name, rate in (("success_a", e.success_a), ("success_b", e.success_b)):
            if rate is not None:
                plain[name] = [rate.value, rate.low, rate.high]
    plain["estimates"] = [{"estimand": each.estimand} | vars(each) for each in comparison.estimates]
    return plain
