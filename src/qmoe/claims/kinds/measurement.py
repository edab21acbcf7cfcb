"""Quantities that are measured beside the trials."""

from __future__ import annotations

from typing import Literal

import numpy as np

from qmoe.claims.kinds.base import ContrastTest, MeasuredTest
from qmoe.claims.questions import Measurements, Posed, Poser, Question
from qmoe.claims.runs import ArmKey
from qmoe.errors import ShapeError
from qmoe.studies.specs.base import Words


class MeasurementTest(MeasuredTest, ContrastTest):
    """Two measured quantities that are no metric of a trial, such as effective dimensions; b may be a fixed number.

    ``unit`` says what is paired, in the plural.
    """

    kind: Literal["measurement"]
    a: str
    b: str | float
    unit: Words = "repeated measurements"

    def pose(self, poser: Poser, measured: Measurements, least: int) -> Posed:
        """One question on repeated measurements, paired by position.

        Raises:
            ShapeError: for measurements that do not pair, or are not finite.
        """
        values = measured.get(self.quantity, {})
        fixed = isinstance(self.b, float)
        sides = [self.a] if fixed else [self.a, str(self.b)]
        missing = [name for name in sides if name not in values]
        if missing:
            return Posed(self, "", [], broken=f"{self.quantity} was not measured for {' and '.join(missing)}")
        label = f"value {self.b:g}" if fixed else str(self.b)
        asked = Question(ArmKey(self.a), ArmKey(label), self.a, label, self.quantity, "", self.contrast)
        asked.unit = self.unit
        a = np.asarray(values[self.a], dtype=np.float64)
        b = np.full(a.shape, self.b) if fixed else np.asarray(values[str(self.b)], dtype=np.float64)
        if a.shape != b.shape or a.ndim != 1 or not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise ShapeError(
                f"measurements[{self.quantity!r}] has shapes {a.shape} for {self.a!r} and {b.shape} for {self.b!r}; "
                "expected (n,) finite numbers each, paired by position."
            )
        if len(a) < least:
            asked.obstacles = [f"there are {len(a)} {self.unit}, and the claim asks for {least}"]
        else:
            poser.weigh_measured(asked, a, b, fixed)
        return Posed(self, "", [asked])
