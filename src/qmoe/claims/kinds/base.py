"""What all kinds of tests have in common: the keys they share, and how a test comes to its outcome.

A kind is a class in a file of its own. Its fields are the keys of a ``[[tests]]`` table. `StudyTest.pose`, or
`MeasuredTest.pose`, turns it into questions about pairs of arms. By default a test is supported where all its questions are,
and refuted where any is. A kind that combines them otherwise overrides `ClaimTest.p_values`, `ClaimTest.corrections` and
`ClaimTest.settle` together, so that its p-value and its outcome agree.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from qmoe.claims.deciding.combining import combined
from qmoe.claims.deciding.correction import Correction, Corrections, PValues, conjunction, stepwise
from qmoe.claims.deciding.evidence import Contrast
from qmoe.claims.runs import ArmKey, StudyRuns
from qmoe.claims.vocabulary import Direction, Estimand, Outcome, Scale
from qmoe.statistics.bootstrap import MIN_CLUSTERS
from qmoe.studies.specs.base import Name, Probability, Spec

if TYPE_CHECKING:
    from qmoe.claims.questions import Measurements, Posed, Poser
    from qmoe.claims.verdicts import TestVerdict

Seeds = Annotated[int, Field(ge=MIN_CLUSTERS, strict=True)]
Margin = Annotated[float, Field(ge=0)]

#: Initialisations below which the best of them says little about what an arm can do.
STARTS = 8


class Side(Spec):
    """An arm of a study, at one noise strength where the arm lists several; its name alone will do."""

    arm: Name
    noise: Probability | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        return {"arm": values} if isinstance(values, str) else values

    @property
    def key(self) -> ArmKey:
        """How results know the arm."""
        return ArmKey(self.arm, self.noise)


class ClaimTest(Spec):
    """A test of a claim; ``kind`` is what files call its class, a `Literal` in each."""

    kind: str
    name: Name
    margin: Margin
    min_seeds: Seeds | None = None

    def p_values(self, posed: Posed) -> PValues:
        """P-values with which the test could be supported and refuted, from those of its questions."""
        supports, refutes = [p for p, _ in posed.p_values], [p for _, p in posed.p_values]
        return conjunction(supports, len(supports)), conjunction(refutes, 1)

    def corrections(self, posed: Posed, support: Correction, refute: Correction) -> list[Corrections]:
        """How the p-values of the questions are corrected, so that they decide just as the test's own do."""
        supports = stepwise([p for p, _ in posed.p_values], len(posed.questions), support)
        refutes = stepwise([p for _, p in posed.p_values], 1, refute)
        return list(zip(supports, refutes, strict=True))

    def settle(self, posed: Posed, outcomes: Sequence[Outcome], refute: Correction, alpha: float) -> Outcome:
        """The outcome of the test from those of its questions.

        Args:
            posed: the test with its questions.
            outcomes: of each question.
            refute: how the p-value that refutes is corrected.
            alpha: level of the tests.
        """
        del posed, refute, alpha
        return combined(outcomes, "all")

    def lean(self, posed: Posed, outcomes: Sequence[Outcome]) -> Outcome:
        """The outcome that the estimates alone would give, from those of the questions."""
        del posed
        return combined(outcomes, "all")

    def breaks_at(self, posed: Posed, outcomes: Sequence[Outcome]) -> float | None:
        """The least noise strength from which on accuracy is lost; None where the test is not about that."""
        del posed, outcomes
        return None

    def reason(self, verdict: TestVerdict) -> str:
        """Why the test has its outcome, in one or two sentences."""
        deciding = [c.reason for c in verdict.comparisons if c.outcome == verdict.outcome]
        more = f" The same holds for {len(deciding)} rivals." if len(deciding) > 2 else ""
        return " ".join(deciding[:2]) + more


class StudyTest(ClaimTest):
    """A test on results of studies.

    ``estimand`` says what of the runs on one draw of the data is compared: their mean, the share of them at or above
    ``success``, or the one with the least training loss.

    ``asks_need`` says that b is a without something, and that the test asks whether these data need it. Scores that are
    exactly alike, or all close to 100%, then answer that they do not. In other tests they decide nothing: two models may be
    one by mistake, and the better of two cannot show where there is no room.
    """

    studies: tuple[Name, ...] = ()
    metric: str = "test_accuracy"
    estimand: Estimand = "mean"
    success: float | None = None
    starts: Annotated[int, Field(ge=1, strict=True)] = STARTS
    asks_need: bool = False

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Self:
        if self.estimand == "success" and self.success is None:
            raise PydanticCustomError(
                "success", "estimand 'success' needs success, the threshold that a run must reach"
            )
        return self

    @abstractmethod
    def pose(self, poser: Poser, study: StudyRuns, least: int) -> Posed:
        """The questions that the test asks of a study.

        Args:
            poser: asks each question (`Poser.ask`).
            study: the results.
            least: independent seeds that a question must rest on.
        """


class MeasuredTest(ClaimTest):
    """A test on quantities that are measured beside the trials."""

    quantity: str

    @abstractmethod
    def pose(self, poser: Poser, measured: Measurements, least: int) -> Posed:
        """The questions that the test asks of measurements; arguments as of `StudyTest.pose`."""


class ContrastTest(ClaimTest):
    """How two sides are compared."""

    direction: Direction = "greater"
    scale: Scale = "difference"
    at_least: float | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        ratio = self.scale == "ratio"
        least = 1.0 if ratio else 0.0
        if self.margin < least:
            raise PydanticCustomError(
                "margin", "a margin on the ratio scale is a factor of at least 1, such as 1.1 for ten per cent"
            )
        if self.direction not in ("greater", "less"):
            if self.at_least is not None:
                raise PydanticCustomError("at_least", "at_least goes with the directions 'greater' and 'less' alone")
            if self.margin <= least:
                raise PydanticCustomError(
                    "margin", "direction {d} needs a margin above {m}: the largest difference that does not matter",
                    {"d": repr(self.direction), "m": f"{least:g}"},
                )  # fmt: skip
        elif self.at_least is not None and self.at_least < least:
            raise PydanticCustomError("at_least", "at_least must be {m} or more", {"m": f"{least:g}"})
        return self

    @property
    def contrast(self) -> Contrast:
        """What is asked of the two sides."""
        return Contrast(self.direction, self.margin, self.at_least, self.scale)
