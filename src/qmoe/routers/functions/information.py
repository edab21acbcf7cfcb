"""How much a circuit can tell about its features at all, and how many shots it takes to see that."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch

from qmoe.circuits import Angle, Born, Circuit, Expression, Gate, Weight
from qmoe.errors import QMoEError
from qmoe.routers.functions.propagation.cones import measured
from qmoe.routers.functions.propagation.letters import numbered, transfer, turned
from qmoe.routers.functions.propagation.masks import Truncation
from qmoe.routers.functions.propagation.moves import Move, Moves, closed, gate_moves, with_variables
from qmoe.routers.functions.propagation.rotations import FeatureTurn, check_followed, rotations_of
from qmoe.routers.functions.propagation.valued import Coefficients, coefficients_of, followed

#: Random circuits that are averaged over where there is no closed form, and qubits up to which they are.
N_CIRCUITS, _MAX_QUBITS = 20, 12
#: Words and products that are followed where no table fits: a fraction of what a twin or a distilled router takes.
_MAX_TERMS = 2**18


@dataclass(frozen=True)
class Information:
    """Mean squares of the read-outs over uniform angles and random weights.

    Attributes:
        by_weight: the mean over read-outs of ``E_x f^2``, from products of 0, 1, 2, ... features. The first is the square of
            a constant; the others add up to what a read-out tells about x.
        shots: how many shots the mean of a read-out takes until its shot noise is as large as that signal,
            ``(1 - E f^2) / signal``; infinite without a signal, None for read-outs that are no Pauli words.
        n_circuits: number of random circuits behind it; None for the exact mean over all weights.
    """

    by_weight: tuple[float, ...]
    shots: float | None
    n_circuits: int | None

    @property
    def signal(self) -> float:
        """What depends on x."""
        return sum(self.by_weight[1:])

    def __str__(self) -> str:
        parts = [
            f"{value:.2g} from {k}" for k, value in enumerate(self.by_weight) if k and value >= 0.005 * self.signal
        ]
        how = "all weights" if self.n_circuits is None else f"{self.n_circuits} random circuits"
        listed = f": {', '.join(parts)} feature(s)" if parts else ""
        return f"{self.signal:.2g} of a read-out's mean square of at most 1 depends on x{listed}; mean over {how}"


def information(circuit: Circuit, generator: torch.Generator) -> Information | None:
    """What a circuit without noise tells about its features; None where it cannot be followed, or has no such read-outs.

    The coefficients of different products do not mix in a mean over uniform weights if each weight is the angle of one
    rotation and each feature enters once: then squares are followed in place of coefficients, which is exact. Else it is
    the mean over `N_CIRCUITS` random circuits.

    Args:
        circuit: what computes the read-outs.
        generator: source of the weights of random circuits.
    """
    if circuit.prepares or isinstance(circuit.readout, Born):
        return None
    circuit = circuit.with_noise(None)
    try:
        moves = mean_square_moves(circuit)
        if moves is not None:
            squares, n_circuits = _mean_squares(circuit, moves), None
        elif circuit.n_qubits <= _MAX_QUBITS:
            drawn = torch.rand(N_CIRCUITS, circuit.n_weights, generator=generator, dtype=torch.float64) * (2 * math.pi)
            found = [_drawn_squares(circuit, row) for row in drawn.numpy()]
            most = max(len(row) for row in found)
            squares = np.mean([np.pad(row, (0, most - len(row))) for row in found], 0)
            n_circuits = N_CIRCUITS
        else:
            return None
    except QMoEError:
        return None
    signal = float(squares[1:].sum())
    shots = None
    if all(len(terms) == 1 and abs(terms[0][0]) == 1 for terms in measured(circuit)):
        shots = (1 - float(squares.sum())) / signal if signal > 1e-15 else math.inf
    return Information(tuple(squares.tolist()), shots, n_circuits)


def mean_square_moves(circuit: Circuit) -> Moves | None:
    """The moves of the mean squares of coefficients over uniform weights; None where coefficients do not stay apart.

    After a rotation by a uniform angle ``E cos sin = 0``, so coefficients of different words are uncorrelated, and stay so
    where gates permute words, and where features split them into different products.
    """
    check_followed(circuit)
    listed: list[Move | FeatureTurn] = []
    used: Counter[int] = Counter()
    entered: Counter[int] = Counter()
    for op in circuit.operations:
        if not isinstance(op, Gate):
            return None
        rotations = rotations_of(op) if op.angles else []
        if rotations and len(rotations) > len(op.angles):
            return None  # a controlled rotation: two rotations by one angle
        if not rotations:
            table = transfer(numbered(op), np.zeros(0))
            if not _is_clifford(table):
                return None
            listed.append(Move(op.wires, table[:, :, None]))
        for wires, letters, angle in rotations:
            one = Gate(("RX", "RY", "RZ")[letters[0] - 1], wires, (angle,)) if len(letters) == 1 else op
            moves = gate_moves(one, np.zeros(circuit.n_weights))
            if one.feature_indices:
                turn = moves[0]
                if one.weight_indices or len(moves) != 1 or not isinstance(turn, FeatureTurn):
                    return None
                entered.update(turn.monomial)
                listed.append(turn)
            elif one.weight_indices:
                if not _is_whole(angle):
                    return None
                used.update(one.weight_indices)
                listed.append(Move(wires, np.sqrt(_uniform(letters))))
            elif isinstance(moves[0], Move) and _is_clifford(moves[0].table):
                listed.append(moves[0])
            else:
                return None
    if max(used.values(), default=0) > 1 or max(entered.values(), default=0) > 1:
        return None
    found, variables = with_variables(circuit, listed, support=False)
    squared = closed([replace(move, table=move.table**2) for move in found], circuit.n_qubits, support=False)
    return Moves(tuple(squared), circuit.n_qubits, variables, support=False)


def _uniform(letters: tuple[int, ...]) -> np.ndarray:
    """``(4**w, 4**w, 1)`` squares, on average, of the coefficients that a rotation by a uniform angle makes."""
    fixed, cosine, sine = np.moveaxis(turned(letters), -1, 0)
    return (fixed**2 + (cosine**2 + sine**2) / 2)[:, :, None]


def _is_clifford(table: np.ndarray) -> bool:
    """Whether each word becomes one word."""
    return bool((np.abs(np.abs(table) - np.abs(table).round()) < 1e-12).all())


def _is_whole(angle: Angle) -> bool:
    """Whether a uniform weight makes it a uniform angle: a multiple of one weight, plus a number."""
    if not isinstance(angle, Expression):
        return isinstance(angle, Weight)
    named = [(c, factors) for c, factors in angle.terms if factors]
    return len(named) == 1 and len(named[0][1]) == 1 and named[0][0] == round(named[0][0])


def _mean_squares(circuit: Circuit, moves: Moves) -> np.ndarray:
    """The mean over read-outs, by number of features, from the squares of coefficients."""
    sums = measured(circuit)
    squared = tuple(tuple((c**2, word) for c, word in terms) for terms in sums)
    found = followed(moves, squared, np.full((1, len(sums)), 1 / len(sums)), Truncation(), _MAX_TERMS)
    return _by_weight(found, found.constant)


def _drawn_squares(circuit: Circuit, weights: np.ndarray) -> np.ndarray:
    """The same at given weights."""
    found = coefficients_of(circuit, weights)
    constant = found.constant
    for part in found.parts:  # what other products hold of the constant adds to it before it is squared
        constant = constant + part.values[:, (part.listed() == 0).all(1)].sum(1)
    parts = [
        replace(part, values=(part.values**2 * (part.listed() > 0).any(1)).mean(0, keepdims=True))
        for part in found.parts
    ]
    return _by_weight(replace(found, parts=tuple(parts)), np.array([(constant**2).mean()]))


def _by_weight(found: Coefficients, constant: np.ndarray) -> np.ndarray:
    most = max((len(part.variables) for part in found.parts), default=0)
    total = np.zeros(most + 1)
    total[0] = constant[0]
    for part in found.parts:
        m = (part.listed() > 0).sum(1)
        total += np.bincount(m, part.values[0] * 0.5**m, minlength=most + 1)
    return total
