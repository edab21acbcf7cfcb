"""One arm against another."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from qmoe.claims.kinds.base import ContrastTest, Side, StudyTest
from qmoe.claims.questions import Posed, Poser
from qmoe.claims.runs import StudyRuns


class DifferenceTest(StudyTest, ContrastTest):
    """Arm a against arm b, paired by seeds."""

    kind: Literal["difference"]
    a: Side
    b: Side

    @model_validator(mode="after")
    def _two(self) -> DifferenceTest:
        if self.a == self.b:
            raise PydanticCustomError("sides", "a and b are the same arm, {a}", {"a": repr(self.a.arm)})
        return self

    def pose(self, poser: Poser, study: StudyRuns, least: int) -> Posed:
        """One question."""
        return Posed(self, study.name, [poser.ask(self, study, self.a.key, self.b.key, self.contrast, least)])
