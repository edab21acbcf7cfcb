"""How much noise an arm bears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from qmoe.claims.deciding.combining import combined
from qmoe.claims.deciding.correction import Correction, Corrections, PValues, conjunction, largest, stepwise
from qmoe.claims.deciding.evidence import Contrast
from qmoe.claims.kinds.base import StudyTest
from qmoe.claims.questions import Posed, Poser
from qmoe.claims.runs import ArmKey, StudyRuns
from qmoe.claims.vocabulary import Outcome
from qmoe.studies.specs.base import Name

if TYPE_CHECKING:
    from qmoe.claims.verdicts import TestVerdict


class BreakdownTest(StudyTest):
    """The arm without noise against itself with noise: no worse up to ``robust_to``, worse at ``breaks_by``.

    Supported: no strength up to ``robust_to`` costs more than the margin, and the strongest up to ``breaks_by`` does.
    Refuted: a weak one costs more, or no strength does.
    """

    kind: Literal["breakdown"]
    arm: Name
    robust_to: Annotated[float, Field(gt=0, le=1)]
    breaks_by: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _in_order(self) -> BreakdownTest:
        if self.breaks_by <= self.robust_to:
            raise PydanticCustomError("breaks_by", "breaks_by must be above robust_to")
        if self.margin <= 0:
            raise PydanticCustomError(
                "margin", "a breakdown needs a margin above 0: the largest loss that does not matter"
            )
        return self

    def pose(self, poser: Poser, study: StudyRuns, least: int) -> Posed:
        """A question for each noise strength, in rising order: whether it costs no more than the margin."""
        contrast, clean = Contrast("not_less", self.margin), ArmKey(self.arm, 0.0)
        strengths = sorted(
            p for name, p in study.arms if name == self.arm and p is not None and 0 < p <= self.breaks_by
        )
        posed = Posed(self, study.name, [])
        if clean not in study.arms:
            posed.broken = f"{study.name} has no arm {self.arm!r} at noise 0 to compare with"
        elif not any(p <= self.robust_to for p in strengths) or not any(p > self.robust_to for p in strengths):
            posed.broken = (
                f"{study.name} lacks noise strengths up to {self.robust_to:g}, or between there and {self.breaks_by:g}"
            )
        else:
            # The clean side is the noisy one without noise, so scores that are exactly alike say that it costs nothing, and
            # those close to 100% could still fall; but only where some strength shows that noise reaches the model at all.
            asking: BreakdownTest = self.model_copy(update={"asks_need": True})
            for test in (asking, self):
                posed.questions = [
                    poser.ask(test, study, ArmKey(self.arm, p), clean, contrast, least) for p in strengths
                ]
                if any(q.evidence is not None and not q.evidence.zero_spread for q in posed.questions):
                    break
        return posed

    def p_values(self, posed: Posed) -> PValues:
        """Support: all weak strengths are harmless, the strongest is not; refutation: a weak one is harmful, or none is."""
        supports, refutes = [p for p, _ in posed.p_values], [p for _, p in posed.p_values]
        weak, strong = self._halves(posed)
        if not any(p is not None for p in supports):
            return None, None
        robust, unbroken = conjunction([supports[i] for i in weak], len(weak)), conjunction(supports, len(supports))
        last = refutes[strong[-1]]
        support = 1.0 if robust is None or last is None else largest([robust, last])
        early = conjunction([refutes[i] for i in weak], 1)
        return support, min(1.0, 2 * min(p for p in (early, unbroken, 1.0) if p is not None))

    def corrections(self, posed: Posed, support: Correction, refute: Correction) -> list[Corrections]:
        """There are two ways to refute, so each is corrected twice; a strong strength that costs is what supports."""
        weak, strong = self._halves(posed)
        twice = refute.times(2)
        early = stepwise([posed.p_values[i][1] for i in weak], 1, twice)
        return [(support, no) for no in early] + [(twice, support) for _ in strong]

    def settle(self, posed: Posed, outcomes: Sequence[Outcome], refute: Correction, alpha: float) -> Outcome:
        """Refuted, too, if every strength costs no more than the margin, also after the correction for refutation."""
        # A weak strength that costs nothing serves either side; for refutation it must stand its correction too.
        unbroken = all(p is not None and refute.times(2)(p) < alpha for p, _ in posed.p_values)
        return self._outcome(posed, outcomes, unbroken)

    def lean(self, posed: Posed, outcomes: Sequence[Outcome]) -> Outcome:
        """As `settle`, without a correction."""
        return self._outcome(posed, outcomes, unbroken=True)

    def breaks_at(self, posed: Posed, outcomes: Sequence[Outcome]) -> float | None:
        """The least strength from which on every one tried costs more than the margin, where no weak one does."""
        if self._robust(posed, outcomes) != "supported":
            return None
        lasting = None
        for i in reversed(self._halves(posed)[1]):
            if outcomes[i] != "refuted":
                break
            lasting = posed.questions[i].strength
        return lasting

    def reason(self, verdict: TestVerdict) -> str:
        """What weak noise costs, and from where on noise costs accuracy."""
        weak = [c for c in verdict.comparisons if (c.strength or 0) <= self.robust_to]
        strong = [c for c in verdict.comparisons if (c.strength or 0) > self.robust_to]
        if any(c.outcome != "supported" for c in weak):
            return next((c.reason for c in weak if c.outcome == verdict.outcome), weak[0].reason)
        little = f"Noise up to p = {self.robust_to:g} costs no more than {self.margin:g}."
        if verdict.breaks_at is not None:
            first = next(c for c in strong if c.strength == verdict.breaks_at)
            return f"{little} From p = {verdict.breaks_at:g} on it does: {first.reason}"
        if verdict.outcome == "refuted":
            return f"{little} Nor does any up to p = {self.breaks_by:g}, so there is no breakdown. {strong[-1].reason}"
        return f"{little} Whether it breaks down by p = {self.breaks_by:g} is inconclusive. {strong[-1].reason}"

    def _outcome(self, posed: Posed, outcomes: Sequence[Outcome], unbroken: bool) -> Outcome:
        robust = self._robust(posed, outcomes)
        if robust != "supported":
            return robust
        if self.breaks_at(posed, outcomes) is not None:
            return "supported"
        none_costs = all(outcomes[i] == "supported" for i in self._halves(posed)[1])
        return "refuted" if unbroken and none_costs else "inconclusive"

    def _robust(self, posed: Posed, outcomes: Sequence[Outcome]) -> Outcome:
        """Whether no strength up to ``robust_to`` costs more than the margin."""
        return combined([outcomes[i] for i in self._halves(posed)[0]], "all")

    def _halves(self, posed: Posed) -> tuple[list[int], list[int]]:
        """Places of the strengths up to ``robust_to``, and of those beyond."""
        weak = [i for i, q in enumerate(posed.questions) if q.strength <= self.robust_to]
        return weak, [i for i in range(len(posed.questions)) if i not in weak]
