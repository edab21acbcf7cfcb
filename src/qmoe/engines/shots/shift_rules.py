"""Parameter-shift rules: the derivative of an expectation value by an angle, from values at shifted angles.

As a function of one angle an expectation value is a trigonometric polynomial, whatever stands before and behind its gate,
channels of noise included. The difference of two eigenvalues of the generator is a frequency. With the one frequency 1, two
values give the derivative exactly; with 1/2 and 1, as for controlled rotations, four do.

See Schuld et al. (2019), "Evaluating analytic gradients on quantum hardware", for two terms, and Anselmetti et al. (2021),
"Local, expressive, quantum-number-preserving VQE ansatze", for four.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from qmoe.errors import UnsupportedError


class ShiftTerm(NamedTuple):
    """A value that a derivative is made of.

    Attributes:
        shift: of the angle, in radians.
        coefficient: of the value.
    """

    shift: float
    coefficient: float


_ROOT = math.sqrt(2)
_NEAR, _FAR = (_ROOT + 1) / (4 * _ROOT), (_ROOT - 1) / (4 * _ROOT)

TWO_TERMS = (ShiftTerm(math.pi / 2, 0.5), ShiftTerm(-math.pi / 2, -0.5))
FOUR_TERMS = (
    ShiftTerm(math.pi / 2, _NEAR),
    ShiftTerm(-math.pi / 2, -_NEAR),
    ShiftTerm(3 * math.pi / 2, -_FAR),
    ShiftTerm(-3 * math.pi / 2, _FAR),
)

#: Gates with angles -> the rule of each of their angles.
RULES: dict[str, tuple[ShiftTerm, ...]] = {
    **dict.fromkeys(("RX", "RY", "RZ", "PhaseShift", "Rot", "IsingXX", "IsingYY", "IsingZZ"), TWO_TERMS),
    **dict.fromkeys(("CRX", "CRY", "CRZ"), FOUR_TERMS),
}


def rule_of(gate: str) -> tuple[ShiftTerm, ...]:
    """The rule of a gate's angles.

    Raises:
        UnsupportedError: for a gate without one.
    """
    if gate not in RULES:
        raise UnsupportedError(
            f"No parameter-shift rule is known here for the gate {gate}; use gradient='exact', or a gate of "
            f"{', '.join(RULES)}."
        )
    return RULES[gate]
