"""Expressions out of the angles of gates: what they are worth becomes further features and weights.

Engines then see angles that are a feature, a weight or a number. What samples share stays a weight, which is cheaper.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Angle, AngleFunction, Circuit, Computed, Expression, Feature, Gate, Operation, Weight
from qmoe.circuits.angles.expressions import Factor, replaced
from qmoe.engines.constants import cached_tensors, constant


@dataclass(frozen=True)
class AngleMap:
    """What an engine gets for features and weights.

    Attributes:
        features: expressions whose values stand behind the features, each with a feature in it.
        weights: those whose values stand behind the weights, without features.
        function: what gives the angles that stand between the features and those values; None for none.
    """

    features: tuple[Expression, ...]
    weights: tuple[Expression, ...]
    function: AngleFunction | None

    @property
    def n_features(self) -> int:
        """How many features it adds."""
        return len(self.features) + (0 if self.function is None else self.function.n_angles)

    def __call__(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """``(S, B, F)`` features and ``(S, P)`` weights, each with the values of the expressions behind them."""
        wide = x if self.function is None else torch.cat([x, self.function(x, weights)], -1)
        if self.features:
            wide = torch.cat([wide, polynomials(self.features, wide, weights)], -1)
        if self.weights:
            weights = torch.cat([weights, polynomials(self.weights, None, weights).squeeze(1)], -1)
        return wide, weights


def plain_angles(
    circuit: Circuit, expressions: bool, factors: bool, couples: bool
) -> tuple[tuple[Operation, ...], AngleMap | None]:
    """The operations of a circuit with plain angles, and what these are; None where they are as they were.

    Args:
        circuit: any circuit.
        expressions: whether an angle may be any expression.
        factors: whether an angle may be a feature or weight times a number plus a number.
        couples: whether a gate on two wires may turn by a feature, and one gate by features and weights.
    """
    function = None if circuit.body is None else circuit.body.function
    n_before = circuit.in_features + (0 if function is None else function.n_angles)

    def numbered(factor: Factor) -> Factor:
        return Feature(circuit.in_features + factor.index) if isinstance(factor, Computed) else factor

    def named(gate: Gate) -> Gate:
        return (
            gate
            if function is None
            else Gate(gate.name, gate.wires, tuple(replaced(angle, numbered) for angle in gate.angles))
        )

    ops: list[Operation] = []
    for op in circuit.operations:
        ops += [op] if not isinstance(op, Gate) else [named(op)] if couples else _uncoupled(named(op))
    of_features: dict[Expression, int] = {}
    of_weights: dict[Expression, int] = {}

    def plain(angle: Angle) -> Angle:
        if not isinstance(angle, Expression) or expressions or (factors and _is_factor(angle)):
            return angle
        if angle.features:
            return Feature(of_features.setdefault(angle, n_before + len(of_features)))
        return Weight(of_weights.setdefault(angle, circuit.n_weights + len(of_weights)))

    ops = [Gate(op.name, op.wires, tuple(map(plain, op.angles))) if isinstance(op, Gate) else op for op in ops]
    if function is None and not of_features and not of_weights:
        return tuple(ops), None
    return tuple(ops), AngleMap(tuple(of_features), tuple(of_weights), function)


def has_plain_angles(circuit: Circuit, expressions: bool, factors: bool, couples: bool) -> bool:
    """Whether `plain_angles` has nothing to do."""
    if circuit.body is not None and circuit.body.function is not None:
        return False
    if expressions and couples:
        return True
    gates = [op for op in circuit.operations if isinstance(op, Gate)]
    angles = (angle for gate in gates for angle in gate.angles if isinstance(angle, Expression))
    are_plain = all(expressions or (factors and _is_factor(angle)) for angle in angles)
    return are_plain and (couples or not any(map(_is_coupled, gates)))


def _is_factor(angle: Expression) -> bool:
    named = [factors for _, factors in angle.terms if factors]
    return len(named) == 1 and len(named[0]) == 1


def _is_coupled(gate: Gate) -> bool:
    if not gate.encodes:
        return False
    mixed = len(gate.angles) > 1 and any(_is_of_weights(angle) for angle in gate.angles)
    return len(gate.wires) > 1 or mixed


def _is_of_weights(angle: Angle) -> bool:
    return isinstance(angle, Weight) or (isinstance(angle, Expression) and not angle.features)


def _uncoupled(gate: Gate) -> list[Gate]:
    """A gate that turns by a feature as gates on one wire that do, and others between them; up to a global phase."""
    return _UNCOUPLED[gate.name](gate.wires, gate.angles) if _is_coupled(gate) else [gate]


def _rot(wires: tuple[int, ...], angles: tuple[Angle, ...]) -> list[Gate]:
    return [Gate(name, wires, (angle,)) for name, angle in zip(("RZ", "RY", "RZ"), angles, strict=True)]


def _controlled(rotation: str) -> Callable[[tuple[int, ...], tuple[Angle, ...]], list[Gate]]:
    """Half the angle; or against it where the control flips the target in between, as CNOT does for Y and Z, CZ for X."""
    flip = "CZ" if rotation == "RX" else "CNOT"

    def gates(wires: tuple[int, ...], angles: tuple[Angle, ...]) -> list[Gate]:
        target = wires[1:]
        turns = [angles[0] * 0.5, angles[0] * -0.5]
        return [gate for turn in turns for gate in (Gate(rotation, target, (turn,)), Gate(flip, wires))]

    return gates


def _ising(letter: str) -> Callable[[tuple[int, ...], tuple[Angle, ...]], list[Gate]]:
    """A rotation of one wire between gates that make its generator the product of two: CNOT makes Z of the target Z Z."""

    def gates(wires: tuple[int, ...], angles: tuple[Angle, ...]) -> list[Gate]:
        if letter == "X":  # CNOT makes X of the control X X
            return [Gate("CNOT", wires), Gate("RX", wires[:1], angles), Gate("CNOT", wires)]
        # Between quarter turns about X, Z Z is Y Y.
        if letter == "Y":
            turn = [Gate("RX", (wire,), (np.pi / 2,)) for wire in wires]
            back = [Gate("RX", (wire,), (-np.pi / 2,)) for wire in wires]
            return [*turn, Gate("CNOT", wires), Gate("RZ", wires[1:], angles), Gate("CNOT", wires), *back]
        return [Gate("CNOT", wires), Gate("RZ", wires[1:], angles), Gate("CNOT", wires)]

    return gates


_UNCOUPLED: dict[str, Callable[[tuple[int, ...], tuple[Angle, ...]], list[Gate]]] = {
    "Rot": _rot,
    **{f"CR{letter}": _controlled(f"R{letter}") for letter in "XYZ"},
    **{f"Ising{letter}{letter}": _ising(letter) for letter in "XYZ"},
}


# --- values --------------------------------------------------------------------------------------------------------


class _Products(NamedTuple):
    """Terms with as many features and weights each.

    Attributes:
        features: for each factor that is a feature, its index in each of ``n`` terms.
        weights: the same of weights.
        table: ``(n, K)`` coefficients: which term belongs to which expression; None where they are the same, all times 1.
    """

    features: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[int, ...], ...]
    table: tuple[tuple[float, ...], ...] | None


def polynomials(expressions: tuple[Expression, ...], x: Tensor | None, weights: Tensor) -> Tensor:
    """The values of expressions.

    Args:
        expressions: K of them.
        x: ``(S, B, F)`` features; None where no expression holds one.
        weights: ``(S, P)``.

    Returns:
        ``(S, B, K)``; ``(S, 1, K)`` without features.
    """
    per_model = weights.unsqueeze(1)
    total: Tensor | None = None
    for products in _sorted_terms(expressions):
        value = _multiplied(products, x, per_model)
        if value is None:  # constants
            assert products.table is not None
            value = constant(products.table[0], weights.dtype, weights.device)
        elif products.table is not None:
            value = value @ _table(products.table, weights.dtype, weights.device)
        total = value if total is None else total + value
    assert total is not None
    size = 1 if x is None else x.shape[1]
    return total.expand(len(weights), size, len(expressions))


def _multiplied(products: _Products, x: Tensor | None, weights: Tensor) -> Tensor | None:
    value: Tensor | None = None
    for source, factors in ((x, products.features), (weights, products.weights)):
        for index in factors:
            assert source is not None
            factor = _picked(source, index)
            value = factor if value is None else value * factor
    return value


def _picked(values: Tensor, index: tuple[int, ...]) -> Tensor:
    start = index[0]
    if index == tuple(range(start, start + len(index))):
        return values[..., start : start + len(index)]
    return values.index_select(-1, constant(index, torch.int64, values.device))


@functools.lru_cache(maxsize=1024)
def _sorted_terms(expressions: tuple[Expression, ...]) -> tuple[_Products, ...]:
    kinds: dict[tuple[int, int], dict[tuple[Factor, ...], dict[int, float]]] = {}
    for column, expression in enumerate(expressions):
        for coefficient, factors in expression.terms:
            n_features = sum(isinstance(factor, Feature) for factor in factors)
            terms = kinds.setdefault((n_features, len(factors) - n_features), {})
            terms.setdefault(factors, {})[column] = coefficient
    return tuple(_products(n_features, terms, len(expressions)) for (n_features, _), terms in kinds.items())


def _products(n_features: int, terms: dict[tuple[Factor, ...], dict[int, float]], n_columns: int) -> _Products:
    """Factors are sorted with features first."""
    by_place = [_indices(factors) for factors in zip(*terms, strict=True)]
    table = tuple(tuple(held.get(column, 0.0) for column in range(n_columns)) for held in terms.values())
    is_identity = table == tuple(tuple(float(i == j) for j in range(n_columns)) for i in range(n_columns))
    return _Products(tuple(by_place[:n_features]), tuple(by_place[n_features:]), None if is_identity else table)


def _indices(factors: Iterable[Factor]) -> tuple[int, ...]:
    return tuple(factor.index for factor in factors)


@cached_tensors
def _table(rows: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(rows, dtype=dtype, device=device)
