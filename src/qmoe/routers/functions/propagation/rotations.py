"""Gates that turn by features, as rotations about Pauli words by single monomials of the features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qmoe.circuits import Angle, Circuit, Expression, Feature, Gate, Weight
from qmoe.circuits.angles.expressions import Computed, Factor, angle_value, as_angle, indices_of
from qmoe.errors import UnsupportedError
from qmoe.routers.functions.propagation.letters import LETTERS
from qmoe.routers.functions.terms import Variable

#: Largest difference of a quotient of factors from an integer that is taken for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class FeatureTurn:
    """A rotation about a word by a number times a product of features.

    Attributes:
        wires, letters: the word, with numbers for letters.
        monomial: the features of the product, sorted; a feature may stand twice.
        factor: the number.
    """

    wires: tuple[int, ...]
    letters: tuple[int, ...]
    monomial: tuple[int, ...]
    factor: float


@dataclass
class SplitAngle:
    """An angle as a constant and monomials of features.

    Attributes:
        constant: radians; None where it may be anything, by the weights in it.
        monomials: factor of each product of features.
    """

    constant: float | None = 0.0
    monomials: dict[tuple[int, ...], float] = field(default_factory=dict)


def rotations_of(gate: Gate) -> list[tuple[tuple[int, ...], tuple[int, ...], Angle]]:
    """Wires, letters and angle of the rotations that make up a gate, first one first; up to a global phase."""
    angles, wires = gate.angles, gate.wires
    if gate.name == "Rot":
        return [(wires, (LETTERS.index(letter),), angle) for letter, angle in zip("ZYZ", angles, strict=True)]
    if gate.name == "PhaseShift":
        return [(wires, (3,), angles[0])]
    if gate.name.startswith("Ising"):
        return [(wires, tuple(LETTERS.index(letter) for letter in gate.name[-2:]), angles[0])]
    letter = LETTERS.index(gate.name[-1])
    if gate.name.startswith("C"):
        # The projector on 1 of the control is (1 - Z) / 2, so half the angle turns without it and half against it.
        return [(wires[1:], (letter,), _times(angles[0], 0.5)), (wires, (3, letter), _times(angles[0], -0.5))]
    return [(wires, (letter,), angles[0])]


def _times(angle: Angle, factor: float) -> Angle:
    assert not isinstance(angle, Computed)  # `check_followed` refuses these
    return as_angle("", angle * factor)


def check_followed(circuit: Circuit) -> None:
    """Raises `UnsupportedError` for angles that a function of features and weights computes: there are no sums to follow."""
    for op in circuit.operations:
        if isinstance(op, Gate) and indices_of(op.angles, Computed):
            raise UnsupportedError(
                f"{op.name} on {op.wires} turns by an angle that a function of features and weights computes, which spans, "
                "twins and distilled routers cannot follow. Write the angle as sums and products of Feature and Weight; or "
                "let the circuit take its angles as features, and put the function in front as layers of torch. The "
                "published circuit dressed does so with mapped=False."
            )


def split_angle(gate: Gate, angle: Angle, weights: np.ndarray | None) -> SplitAngle:
    """An angle at given weights; at any weights for None.

    Raises:
        UnsupportedError: for any weights, where features are multiplied by them.
    """
    found = SplitAngle()
    terms: tuple[tuple[float, tuple[Factor, ...]], ...] = ()
    if isinstance(angle, Expression):
        terms = angle.terms
    elif isinstance(angle, Feature | Weight):
        terms = ((1.0, (angle,)),)
    elif isinstance(angle, float):
        found.constant = angle
    for coefficient, factors in terms:
        monomial = tuple(sorted(f.index for f in factors if isinstance(f, Feature)))
        others = [f for f in factors if not isinstance(f, Feature)]
        if others and weights is None:
            if monomial:
                raise UnsupportedError(
                    f"{gate.name} on {gate.wires} turns by features times weights, so frequencies change with these and "
                    "there is no fixed set of functions; qmoe.distill takes such a router as trained."
                )
            found.constant = None
            continue
        value = coefficient
        for factor in others:
            value *= angle_value(factor, lambda i: 0.0, lambda i: float(weights[i]), float)  # type: ignore[index]
        if monomial:
            found.monomials[monomial] = found.monomials.get(monomial, 0.0) + value
        elif found.constant is not None:
            found.constant += value
    found.monomials = {monomial: value for monomial, value in found.monomials.items() if value != 0}
    return found


def variables_of(
    n_features: int, turns: Iterable[FeatureTurn]
) -> tuple[tuple[Variable, ...], Mapping[tuple[tuple[int, ...], float], tuple[int, int]]]:
    """The variables of all turns, and for each monomial and size of a factor its variable and multiple.

    Factors of one monomial that are multiples of one number share a variable. The features as they are come first.
    """
    factors: dict[tuple[int, ...], set[float]] = {}
    for turn in turns:
        factors.setdefault(turn.monomial, set()).add(abs(turn.factor))
    variables = [Variable((feature,), 1.0) for feature in range(n_features)]
    place: dict[tuple[tuple[int, ...], float], tuple[int, int]] = {}
    for monomial, sizes in sorted(factors.items()):
        unit = _unit(sizes)
        for size in sorted(sizes):
            variable = Variable(monomial, size if unit is None else unit)
            if variable not in variables:
                variables.append(variable)
            place[monomial, size] = variables.index(variable), 1 if unit is None else round(size / unit)
    return tuple(variables), place


def _unit(sizes: set[float]) -> float | None:
    """The largest number of which all are multiples, 1 where they are integers; None where there is none."""
    if all(abs(size - round(size)) < _ROUNDING for size in sizes):
        return 1.0 if min(sizes) < 1.5 else float(math.gcd(*(round(size) for size in sizes)))
    least = min(sizes)
    return least if all(abs(size / least - round(size / least)) < _ROUNDING for size in sizes) else None
