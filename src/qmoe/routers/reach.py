"""The basis of what a circuit can compute."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

from qmoe.circuits import Circuit
from qmoe.errors import ConfigError
from qmoe.routers.basis import Basis, ProductTerm, QuadraticTerm
from qmoe.routers.pauli import LETTERS, islands, reached_products, reached_words, word_matrix

#: Functions in the largest basis that is listed, unless another limit is given.
MAX_FUNCTIONS = 4096
#: Cells of the largest table of words and products; beyond it the whole lattice is taken.
_MAX_CELLS = 2**27


@functools.lru_cache(maxsize=64)
def circuit_basis(circuit: Circuit, n_experts: int | None = None, max_functions: int = MAX_FUNCTIONS) -> Basis:
    """The functions that the read-outs of a circuit can hold, whatever its weights; the constant left out.

    Found by following Pauli words through the circuit (`qmoe.routers.pauli`), without running it. For the paper's router
    that gives all ``3**Q - 1`` products of 1, cos x, sin x; without entanglers only cos x and sin x of each feature; with R
    uploads up to ``(2R + 1)**F - 1`` products; with amplitude encoding ``F (F + 1) / 2 - 1`` quadratic forms. Circuits too
    shallow to reach a product do without it.

    Args:
        circuit: what computes them. Its noise is left aside: it scales coefficients and adds no function.
        n_experts: number of experts that share the outcomes of the Born read-out; by default one for each outcome.
        max_functions: the largest basis to list. Where the table of words and products is too large to follow (from 8 qubits
            with one upload, which takes more than the default), the whole lattice is listed.

    Raises:
        ConfigError: when there may be more functions than that.
    """
    n_experts = circuit.n_outputs if n_experts is None else n_experts
    if circuit.encoding.max_frequency is None:
        return _quadratic(circuit, n_experts, max_functions)
    groups = islands(circuit)
    side = 2 * circuit.encoding.max_frequency + 1
    count = sum(side ** len(group) - 1 for group in groups)
    if count > max_functions:
        raise ConfigError(
            f"This circuit computes up to {count} functions of its {circuit.in_features} features, more than "
            f"max_functions={max_functions}; raise it, or take a random sample of them: "
            "twin(..., sampling='distinct', n_functions=512)."
        )
    terms: list[ProductTerm] = []
    for group in groups:
        if (4 * side) ** len(group) <= _MAX_CELLS:
            held = np.argwhere(reached_products(circuit, group, n_experts))
        else:
            held = np.array(list(itertools.product(range(side), repeat=len(group))))
        for row in held:
            factors = [
                (feature, (int(h) + 1) // 2, "cos" if h % 2 else "sin")
                for feature, h in zip(group, row, strict=True)
                if h
            ]
            if factors:
                terms.append(ProductTerm(tuple(factors)))
    terms.sort(key=lambda term: (len(term.factors), sum(k for _, k, _ in term.factors), term.factors))
    return Basis(circuit.in_features, tuple(terms))


def _quadratic(circuit: Circuit, n_experts: int, max_functions: int) -> Basis:
    F = circuit.in_features
    count = F * (F + 1) // 2 - 1
    if count > max_functions:
        raise ConfigError(
            f"This circuit computes up to {count} quadratic forms of its {F} features, more than max_functions="
            f"{max_functions}; raise it, or reduce the features first. There is no random sample for amplitude encoding."
        )
    words = reached_words(circuit, n_experts)
    upper = np.triu_indices(F)
    # Features padded with zeros see a corner of a word's matrix.
    vectors = np.array([(word_matrix(word)[:F, :F] * (2 - np.eye(F)))[upper] for word in words]).reshape(-1, count + 1)
    whole = circuit.dim == F
    if (len(words) if whole else _rank_beside_one(vectors, F)) == count:
        pairs = itertools.combinations_with_replacement(range(F), 2)
        # The squares add up to 1, so one of them is left out.
        every = [QuadraticTerm(((i, j, 1.0 if i == j else 2.0),)) for i, j in pairs if (i, j) != (F - 1, F - 1)]
        return Basis(F, tuple(every))
    keep = range(len(words)) if whole else _independent(vectors, F)
    return Basis(F, tuple(_word_term(words[k], vectors[k], F) for k in keep))


def _word_term(word: tuple[int, ...], vector: np.ndarray, F: int) -> QuadraticTerm:
    entries = tuple((int(i), int(j), float(c)) for i, j, c in zip(*np.triu_indices(F), vector, strict=True) if c)
    return QuadraticTerm(entries, " ".join(f"{LETTERS[letter]}{wire}" for wire, letter in enumerate(word) if letter))


def _constant(F: int) -> np.ndarray:
    """The form that is 1 for every input, of length 1."""
    return np.eye(F)[np.triu_indices(F)] / math.sqrt(F)


def _rank_beside_one(vectors: np.ndarray, F: int) -> int:
    return int(np.linalg.matrix_rank(np.vstack([_constant(F), vectors]), tol=1e-9)) - 1


def _independent(vectors: np.ndarray, F: int) -> list[int]:
    """Indices of forms that neither the constant nor forms before them make up (Gram and Schmidt, twice for accuracy)."""
    found = np.zeros((min(len(vectors) + 1, vectors.shape[1]), vectors.shape[1]))
    kept: list[int] = []
    found[0] = _constant(F)
    for index, vector in enumerate(vectors):
        known = found[: len(kept) + 1]
        rest = vector - known.T @ (known @ vector)
        rest -= known.T @ (known @ rest)
        if (size := float(np.linalg.norm(rest))) > 1e-9:
            kept.append(index)
            found[len(kept)] = rest / size
    return kept
