"""A circuit as moves of Pauli words, and the light cones of what it measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qmoe.circuits import Circuit, Dephase, Depolarize, Disturb, Gate, split_readout
from qmoe.routers.functions.propagation.letters import (
    LETTERS,
    numbered,
    transfer,
    transfer_support,
    turned,
    wave_products,
)
from qmoe.routers.functions.propagation.misreadings import misread, table_of
from qmoe.routers.functions.propagation.rotations import (
    FeatureTurn,
    check_followed,
    rotations_of,
    split_angle,
    variables_of,
)
from qmoe.routers.functions.terms import Variable

#: Entries of a gate's table that are rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Move:
    """What an operation does to the words on its wires, going backwards.

    Attributes:
        wires: the wires it acts on.
        table: ``(4**w, N, W)``, by ``[old, new, b]``: the coefficient of ``new`` times wave b in what becomes of ``old``.
            N is ``4**w``; 1 for the last move of a wire, after which its letters are gone.
        variable: the variable of the waves 1, cos v, sin v, cos 2v, ...; None for W = 1.
    """

    wires: tuple[int, ...]
    table: np.ndarray
    variable: int | None = None

    @property
    def closes(self) -> bool:
        """Whether it is the last move of its wire."""
        return self.table.shape[1] == 1

    @property
    def n_waves(self) -> int:
        """Number of waves W."""
        return int(self.table.shape[2])

    def matrix(self, n_held: int, support: bool) -> np.ndarray:
        """``(4**w A, N C)``: the move of words with ``A = n_held`` waves of its variable to words with ``C = A + W - 1``."""
        if self.variable is None:
            return self.table.reshape(len(self.table), -1)
        waves = wave_products(n_held, self.n_waves)
        waves = (waves != 0).astype(np.float64) if support else waves
        found = np.einsum("onb,abc->oanc", self.table, waves)
        return found.reshape(len(self.table) * n_held, -1)


@dataclass(frozen=True, eq=False)
class Moves:
    """The moves of a circuit, in its order.

    Attributes:
        listed: the moves; in front those that end each wire, unless the circuit prepares amplitudes.
        n_qubits: number of wires.
        variables: what the waves are of: the features, one after the other, and what else stands in angles.
        support: whether tables are 0 and 1, for what some weights reach; else they are the numbers at given weights.
    """

    listed: tuple[Move, ...]
    n_qubits: int
    variables: tuple[Variable, ...]
    support: bool

    @cached_property
    def _by_wire(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in range(self.n_qubits)]
        for place, move in enumerate(self.listed):
            for wire in move.wires:
                found[wire].append(place)
        return found

    def cone(self, wires: Iterable[int]) -> tuple[list[Move], frozenset[int]]:
        """The moves that words on these wires meet, last first, and the wires that they can spread to."""
        active, met = set(wires), []
        for move in reversed(self.listed):
            if active.isdisjoint(move.wires):
                continue
            active.update(move.wires)
            met.append(move)
        return met, frozenset(active)


def moves_of(circuit: Circuit, weights: np.ndarray | None = None, strength: float | None = None) -> Moves:
    """The moves of a circuit.

    Args:
        circuit: any circuit.
        weights: ``(P,)`` float64 values of its weights; None for what can be reached with any. Then noise that only
            damps words is left out.
        strength: the depolarizing probability; by default the circuit's own.

    Raises:
        UnsupportedError: for an angle that a function computes; without weights, for features multiplied by weights; for an
            error of the measurement that depends on a basis that is not known.
    """
    check_followed(circuit)
    support = weights is None
    if strength is None and circuit.noise is not None:
        strength = circuit.noise.depolarizing
    listed: list[Move | FeatureTurn] = []
    operations, errors = split_readout(circuit.operations)
    for op in operations:
        if isinstance(op, Gate):
            listed += gate_moves(op, weights)
        elif isinstance(op, Depolarize | Dephase) and not support:
            factors = np.full(4, 1 - 4 * (strength or 0.0) / 3) if isinstance(op, Depolarize) else np.zeros(4)
            factors[0] = 1
            if isinstance(op, Dephase):
                factors[LETTERS.index(op.axis)] = 1
            listed += [Move((wire,), np.diag(factors)[:, :, None]) for wire in op.wires]
        elif isinstance(op, Disturb):
            listed += _channel_moves(op.wires, table_of(op), support)
    for wires, table in misread(circuit, [op for op in errors if isinstance(op, Disturb)]):
        listed += _channel_moves(wires, table, support)
    moves, variables = with_variables(circuit, listed, support)
    if not circuit.prepares:
        moves = closed(moves, circuit.n_qubits, support)
    return Moves(tuple(moves), circuit.n_qubits, variables, support)


def _channel_moves(wires: tuple[int, ...], table: np.ndarray, support: bool) -> list[Move]:
    if support and not np.any(table - np.diag(np.diag(table))):
        return []  # it damps words, and leads to no others
    table = (np.abs(table) > _ROUNDING).astype(np.float64) if support else table
    return [Move(wires, table[:, :, None])]


def with_variables(
    circuit: Circuit, listed: Sequence[Move | FeatureTurn], support: bool
) -> tuple[list[Move], tuple[Variable, ...]]:
    """Moves in place of turns, and the variables of their waves."""
    variables, place = variables_of(circuit.in_features, [turn for turn in listed if isinstance(turn, FeatureTurn)])
    return [_turned(item, place, support) if isinstance(item, FeatureTurn) else item for item in listed], variables


def gate_moves(gate: Gate, weights: np.ndarray | None) -> list[Move | FeatureTurn]:
    """The move of a gate without features, or the turns and moves of one with some; at any weights for None."""
    if not gate.feature_indices:
        if weights is None:
            return [Move(gate.wires, transfer_support(numbered(gate)).astype(np.float64)[:, :, None])]
        return [Move(gate.wires, transfer(gate, weights)[:, :, None])]
    found: list[Move | FeatureTurn] = []
    for wires, letters, angle in rotations_of(gate):
        split = split_angle(gate, angle, weights)
        if split.constant != 0:  # None for any value
            any_angle = split.constant is None
            waves = np.array([1.0, math.cos(split.constant or 0.0), math.sin(split.constant or 0.0)])
            table = np.abs(turned(letters)).max(-1) if any_angle else turned(letters) @ waves
            table = (np.abs(table) > _ROUNDING).astype(np.float64) if weights is None else table
            found.append(Move(wires, table[:, :, None]))
        found += [FeatureTurn(wires, letters, monomial, factor) for monomial, factor in split.monomials.items()]
    return found


def _turned(turn: FeatureTurn, place: Mapping[tuple[tuple[int, ...], float], tuple[int, int]], support: bool) -> Move:
    variable, k = place[turn.monomial, abs(turn.factor)]
    table = turned(turn.letters)
    found = np.zeros((*table.shape[:2], 2 * k + 1))
    found[..., 0], found[..., 2 * k - 1] = table[..., 0], table[..., 1]
    found[..., 2 * k] = table[..., 2] * np.sign(turn.factor)
    return Move(turn.wires, np.abs(found) if support else found, variable)


def closed(listed: Sequence[Move], n_qubits: int, support: bool) -> list[Move]:
    """With one move for all that a wire meets before it meets another: letters to waves of one variable, in ``|0>``."""
    opened: dict[int, list[Move]] = {wire: [] for wire in range(n_qubits)}
    rest = []
    for move in listed:
        first = move.wires[0]
        if len(move.wires) == 1 and first in opened:
            named = {m.variable for m in [*opened[first], move] if m.variable is not None}
            if len(named) <= 1:
                opened[first].append(move)
                continue
        for wire in move.wires:
            if wire in opened:
                rest.append(_closing(wire, opened.pop(wire), support))
        rest.append(move)
    return [*(_closing(wire, moves, support) for wire, moves in opened.items()), *rest]


def _closing(wire: int, moves: Sequence[Move], support: bool) -> Move:
    held = np.eye(4)[:, :, None]
    variable = None
    for move in reversed(moves):
        variable = variable if move.variable is None else move.variable
        n_waves = held.shape[2]
        if move.variable is None:
            held = np.einsum("ona,nm->oma", held, move.table[:, :, 0])
        else:
            matrix = move.matrix(n_waves, support)
            held = (held.reshape(4, -1) @ matrix).reshape(4, 4, -1)
        held = (held > 0).astype(np.float64) if support else held
    # In the state |0> the words I and Z are worth 1, X and Y 0.
    found = held[:, [0]] + held[:, [3]]
    return Move((wire,), np.minimum(found, 1) if support else found, variable)
