"""Which products of sines and cosines a circuit reaches, for some weights.

Only supports are followed: which word may come with which product. What no path reaches has coefficient 0 for all weights;
what a path reaches has a coefficient that is not 0 for nearly all of them, unless paths cancel. So the result contains every
function that the circuit computes. Mixtures of Pauli errors scale words and dephasing drops some, so neither ever adds a
function; other channels lead from words to words, as gates do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from qmoe.circuits import Circuit, Word
from qmoe.errors import ConfigError
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.propagation.cones import Cone, cones_of, words_that_count
from qmoe.routers.functions.propagation.letters import LETTERS
from qmoe.routers.functions.propagation.masks import TooManyTermsError, follow_masks
from qmoe.routers.functions.propagation.moves import moves_of
from qmoe.routers.functions.propagation.word_tables import follow_table, peak

#: Cells of the largest table of words and products; beyond it words are listed, and beyond that the whole lattice.
MAX_CELLS = 2**25
#: Words and products that are listed.
MAX_TERMS = 2**21

Part = tuple[tuple[int, ...], np.ndarray]


def reached_products(
    circuit: Circuit, n_experts: int, max_functions: int, max_weight: int | None = None
) -> tuple[Products, bool]:
    """The products of sines and cosines that the read-outs can hold, for an angle encoding.

    Args:
        circuit: what computes them.
        n_experts: number of experts, which says which differences of Born probabilities count.
        max_functions: the largest number to list.
        max_weight: products of more features are left out; None for all.

    Returns:
        The products, and whether any were left out.

    Raises:
        ConfigError: when there are more.
    """
    moves = moves_of(circuit)
    words = words_that_count(circuit, n_experts)
    parts: list[Part] = []
    listed, left_out = 0, False
    for cone in cones_of(moves, words):
        held = list(dict.fromkeys(word for output in cone.outputs for word in words[output]))
        variables, waves, is_cut = _products(circuit, cone, held, max_functions, max_weight)
        left_out |= is_cut
        if max_weight is not None:
            few = (waves > 0).sum(1) <= max_weight
            left_out |= not few.all()
            waves = waves[few]
        parts.append((variables, waves))
        listed += len(waves)
        if len(waves) - 1 > max_functions or listed > 16 * max_functions:
            raise too_many(circuit, max(len(waves) - 1, max_functions + 1), max_functions)
    found = Products.united(parts, moves.variables)
    if len(found) > max_functions:
        raise too_many(circuit, len(found), max_functions)
    return found, left_out


def too_many(circuit: Circuit, count: int, max_functions: int) -> ConfigError:
    """The error of a span that is too large to list."""
    return ConfigError(
        f"This circuit computes {count} functions of its {circuit.in_features} features or more, more than max_functions="
        f"{max_functions}; raise it, take products of few features, twin(..., max_weight=2), or a random sample: "
        "twin(..., sampling=Sampling(n_functions=512))."
    )


def _products(
    circuit: Circuit, cone: Cone, words: Sequence[Word], max_functions: int, max_weight: int | None
) -> tuple[tuple[int, ...], np.ndarray, bool]:
    """The products of one cone, the constant among them where it occurs, and whether heavier ones were left out."""
    on = sorted({wire for word in words for wire, _ in word})
    if peak(on, cone.moves) <= MAX_CELLS:
        table, _, variables = follow_table(start_table(on, [words], None), on, cone.moves, support=True)
        return variables, np.argwhere(table[0]), False
    try:
        terms = follow_masks(words, None, cone.moves, max_terms=MAX_TERMS)
    except TooManyTermsError:
        found = _lattice(circuit, cone.n_waves, max_functions, max_weight)
        return *found, max_weight is not None and max_weight < len(found[0])
    return terms.variables, terms.waves, False


def _lattice(circuit: Circuit, n_waves: Mapping[int, int], max_functions: int, max_weight: int | None) -> Part:
    """All products of the variables of a cone: a superset of those that are reached."""
    variables = tuple(sorted(n_waves))
    most = len(variables) if max_weight is None else min(max_weight, len(variables))
    # Products of m features: the elementary symmetric polynomial of the numbers of waves beside 1.
    counts = [1] + [0] * most
    for variable in variables:
        for m in range(most, 0, -1):
            counts[m] += counts[m - 1] * (n_waves[variable] - 1)
    if sum(counts) - 1 > max_functions:
        raise too_many(circuit, sum(counts) - 1, max_functions)
    rows = np.zeros((sum(counts), len(variables)), dtype=np.uint8)
    for place, (chosen, waves) in enumerate(_choices([n_waves[v] for v in variables], most)):
        rows[place, list(chosen)] = waves
    return variables, rows


def _choices(n_waves: Sequence[int], most: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for m in range(most + 1):
        for chosen in itertools.combinations(range(len(n_waves)), m):
            for waves in itertools.product(*(range(1, n_waves[place]) for place in chosen)):
                yield chosen, waves


def start_table(on: Sequence[int], rows: Sequence[Sequence[Word]], values: np.ndarray | None) -> np.ndarray:
    """``(rows, 4, ..., 4)``: for each row its words on the wires ``on``, with values; 1 without."""
    table = np.zeros((len(rows), *(4,) * len(on)))
    for row, words in enumerate(rows):
        for place, word in enumerate(words):
            letters = {wire: LETTERS.index(letter) for wire, letter in word}
            table[(row, *(letters.get(wire, 0) for wire in on))] += 1.0 if values is None else values[row][place]
    return table


def reached_words(circuit: Circuit, n_experts: int) -> list[tuple[int, ...]]:
    """The Pauli words of the encoded state that the read-outs can hold, for amplitude encoding; the identity left out.

    The amplitudes are real, so words with an odd number of Y are worth 0 and left out as well.
    """
    moves = moves_of(circuit)
    words = words_that_count(circuit, n_experts)
    found: set[tuple[int, ...]] = set()
    for cone in cones_of(moves, words):
        held = [word for output in cone.outputs for word in words[output]]
        on = sorted({wire for word in held for wire, _ in word})
        table, wires, _ = follow_table(start_table(on, [held], None), on, cone.moves, support=True)
        letters = np.zeros((int(np.count_nonzero(table[0])), circuit.n_qubits), dtype=int)
        letters[:, list(wires)] = np.argwhere(table[0])
        found.update(map(tuple, letters.tolist()))
    return sorted(word for word in found if any(word) and word.count(2) % 2 == 0)
