"""What a circuit computes at given weights: the coefficient of every product of sines and cosines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.circuits import Circuit, Sum, Word
from qmoe.errors import ConfigError
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.propagation.cones import Cone, cones_of, measured
from qmoe.routers.functions.propagation.masks import Terms, TooManyTermsError, Truncation, follow_masks
from qmoe.routers.functions.propagation.moves import Moves, moves_of
from qmoe.routers.functions.propagation.reached import start_table
from qmoe.routers.functions.propagation.word_tables import follow_table, peak
from qmoe.routers.functions.terms import Variable

#: Numbers of the largest table, over all rows.
MAX_CELLS = 2**24
#: Terms of words and products that are followed at once.
MAX_TERMS = 2**21


@dataclass(frozen=True, eq=False)
class ConePart:
    """The sum over the read-outs of one light cone.

    Attributes:
        outputs: numbers of the read-outs.
        variables: variables that occur.
        waves: ``(N, variables)`` waves of each product; None for all of them, in the order of a table.
        n_waves: number of waves of each variable.
        values: ``(rows, N)`` coefficients.
        dropped: ``(rows,)`` bound on the root mean square over uniform angles of what was dropped, for circuits that
            `certify` finds a certificate for.
        dropped_sum: ``(rows,)`` sum of absolute values of what was dropped: a bound on its largest value anywhere.
    """

    outputs: tuple[int, ...]
    variables: tuple[int, ...]
    waves: np.ndarray | None
    n_waves: tuple[int, ...]
    values: np.ndarray
    dropped: np.ndarray
    dropped_sum: np.ndarray

    def listed(self) -> np.ndarray:
        """``(N, variables)`` waves of each product."""
        if self.waves is not None:
            return self.waves
        if not self.n_waves:
            return np.zeros((self.values.shape[1], 0), dtype=np.uint8)
        return np.stack(np.unravel_index(np.arange(self.values.shape[1]), self.n_waves), -1).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """All that a circuit computes: the sum of parts.

    Attributes:
        constant: ``(rows,)`` what read-outs hold of the identity.
        parts: one for each light cone.
        variables: what the variables are, over the whole circuit.
    """

    constant: np.ndarray
    parts: tuple[ConePart, ...]
    variables: tuple[Variable, ...]

    def summed(self) -> tuple[Products, np.ndarray]:
        """All products, and ``(rows, K + 1)`` their coefficients over all parts; the last is that of 1."""
        products, places = Products.gathered([(part.variables, part.listed()) for part in self.parts], self.variables)
        values = np.concatenate([np.zeros((len(self.constant), 0)), *(part.values for part in self.parts)], 1)
        total = np.stack([np.bincount(places, row, minlength=len(products) + 1) for row in values]).astype(np.float64)
        total[:, -1] += self.constant
        return products, total


def coefficients_of(
    circuit: Circuit,
    weights: np.ndarray,
    mixture: np.ndarray | None = None,
    strength: float | None = None,
    truncation: Truncation | None = None,
) -> Coefficients:
    """Follows what is measured backwards at given weights.

    Args:
        circuit: with features in angles.
        weights: ``(P,)`` float64.
        mixture: ``(rows, outputs)`` the sums of read-outs to follow; by default each read-out by itself.
        strength: the depolarizing probability; by default the circuit's own.
        truncation: which terms to drop; none by default.

    Returns:
        Exact, up to rounding, where nothing is dropped.

    Raises:
        ConfigError: for more terms than there is room for.
    """
    sums = measured(circuit)
    mixture = np.eye(len(sums)) if mixture is None else mixture
    return followed(moves_of(circuit, weights, strength), sums, mixture, truncation or Truncation())


def followed(
    moves: Moves, sums: Sequence[Sum], mixture: np.ndarray, truncation: Truncation, max_terms: int = MAX_TERMS
) -> Coefficients:
    """Follows sums of words through moves.

    Args:
        moves: of a circuit at given weights.
        sums: what is measured.
        mixture: ``(rows, outputs)`` the sums of these to follow.
        truncation: which terms to drop.
        max_terms: how many words and products there is room for, of each light cone that no table fits.

    Raises:
        ConfigError: for more terms.
    """
    words = [tuple(word for _, word in terms if word) for terms in sums]
    constant = mixture @ np.array([sum(c for c, word in terms if not word) for terms in sums])
    parts = [
        _part(cone, sums, mixture[:, list(cone.outputs)], truncation, max_terms) for cone in cones_of(moves, words)
    ]
    return Coefficients(constant, tuple(parts), moves.variables)


def fits(circuit: Circuit, n_rows: int) -> bool:
    """Whether the words of a circuit, followed exactly for so many rows, fit into dense tables."""
    words = [tuple(word for _, word in terms if word) for terms in measured(circuit)]
    for cone in cones_of(moves_of(circuit), words):
        on = sorted({wire for output in cone.outputs for word in words[output] for wire, _ in word})
        if peak(on, cone.moves) * n_rows > MAX_CELLS:
            return False
    return True


def _part(cone: Cone, sums: Sequence[Sum], mixture: np.ndarray, truncation: Truncation, max_terms: int) -> ConePart:
    values: dict[Word, np.ndarray] = {}
    for column, output in enumerate(cone.outputs):
        for coefficient, word in sums[output]:
            if word:
                values[word] = values.get(word, 0.0) + coefficient * mixture[:, column]
    words, table = list(values), np.stack(list(values.values()), 1)
    on = sorted({wire for word in words for wire, _ in word})
    none = np.zeros(len(mixture))
    if not truncation and peak(on, cone.moves) * len(mixture) <= MAX_CELLS:
        start = start_table(on, [words] * len(mixture), table)
        found, _, variables = follow_table(start, on, cone.moves, support=False)
        flat = found.reshape(len(mixture), -1)
        return ConePart(cone.outputs, variables, None, found.shape[1:], flat, none, none)
    try:
        terms = follow_masks(words, table.T, cone.moves, truncation=truncation, max_terms=max_terms)
    except TooManyTermsError:
        raise ConfigError(
            f"There are more than {max_terms} Pauli words on the light cone of read-out {cone.outputs[0]}, which spreads to "
            f"{len(cone.wires)} qubits; follow fewer of them by max_weight=6 or threshold=1e-3, or take fewer layers."
        ) from None
    return _of_terms(cone, terms)


def _of_terms(cone: Cone, terms: Terms) -> ConePart:
    assert terms.values is not None
    n_waves = cone.n_waves
    sizes = tuple(n_waves[variable] for variable in terms.variables)
    return ConePart(cone.outputs, terms.variables, terms.waves, sizes, terms.values.T, terms.dropped, terms.dropped_sum)
