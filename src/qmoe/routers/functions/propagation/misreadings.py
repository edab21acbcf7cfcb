"""Errors of the measurement on Pauli words: they strike the basis in which a word is measured.

Words that name one letter for each wire are measured together, so every wire has its basis: that letter, or Z. Words that
differ are measured one after another; then an error of one wire shrinks the letter that is there, whichever it is, and what
an error of a pair does to a word of one wire alone would depend on the basis of the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from qmoe.circuits import Born, Circuit, Disturb, Probs, Readout, Readouts, Word
from qmoe.circuits.noise.channel import DUST
from qmoe.errors import UnsupportedError
from qmoe.routers.functions.propagation.letters import LETTERS

_I, _Z = 0, 3


def misread(circuit: Circuit, errors: Sequence[Disturb]) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """The wires and the table ``(4**w, 4**w)``, by ``[old, new]``, of each error of the measurement, in order.

    Raises:
        UnsupportedError: where what an error does depends on a basis that is not known.
    """
    if not errors:
        return []
    words = set(_words(circuit.readout, circuit.n_qubits))
    letters: dict[int, set[str]] = {wire: set() for wire in range(circuit.n_qubits)}
    for wire, letter in itertools.chain(*words):
        letters[wire].add(letter)
    if all(len(named) <= 1 for named in letters.values()):
        basis = {wire: LETTERS.index(next(iter(named), "Z")) for wire, named in letters.items()}
        return [(error.wires, _in_basis(error, [basis[wire] for wire in error.wires])) for error in errors]
    return [(error.wires, _in_any_basis(error, errors, words)) for error in errors]


def table_of(disturbed: Disturb) -> np.ndarray:
    """A channel's table, by ``[old, new]``, without dust."""
    table = disturbed.channel.transfer()
    return np.where(np.abs(table) < DUST, 0.0, table)


def _in_basis(error: Disturb, letters: Sequence[int]) -> np.ndarray:
    """With the letter of each wire in the place of Z."""
    order = np.zeros(1, dtype=int)
    for letter in letters:
        own = np.arange(4)
        own[[letter, _Z]] = _Z, letter
        order = (4 * order[:, None] + own).ravel()
    return table_of(error)[np.ix_(order, order)]


def _in_any_basis(error: Disturb, errors: Sequence[Disturb], words: set[Word]) -> np.ndarray:
    """For words that are measured in different bases: letters stay what they are, or become I."""
    table, n = table_of(error), len(error.wires)
    if n == 2 and _spreads(table):
        together = all(len({wire for wire, _ in word} & set(error.wires)) != 1 for word in words)
        alone = sum(bool(set(other.wires) & set(error.wires)) for other in errors) == 1
        if not together or not alone:
            raise UnsupportedError(
                f"{error.channel.name} on wires {error.wires} mixes what is measured on both, and the read-outs take "
                "different bases, so that a word on one of them depends on the basis of the other. Measure words that share "
                "a basis, or take errors of single wires."
            )
    found = np.zeros_like(table)
    for row in itertools.product(range(4), repeat=n):
        places = [(letter, _I) if letter else (_I,) for letter in row]
        for column in itertools.product(*places):
            found[_number(row), _number(column)] = table[_number(_as_z(row)), _number(_as_z(column))]
    return found


def _spreads(table: np.ndarray) -> bool:
    """Whether Z of one wire of a pair becomes a word with Z of the other."""
    alone = {(_Z, _I): [(_I, _Z), (_Z, _Z)], (_I, _Z): [(_Z, _I), (_Z, _Z)]}
    return any(table[_number(row), _number(column)] for row, columns in alone.items() for column in columns)


def _as_z(word: Sequence[int]) -> tuple[int, ...]:
    return tuple(_Z if letter else _I for letter in word)


def _number(word: Sequence[int]) -> int:
    number = 0
    for letter in word:
        number = 4 * number + letter
    return number


def _words(readout: Readout, n_qubits: int) -> Iterator[Word]:
    """What is measured; for probabilities of some wires Z of all, since the others are measured beside."""
    if isinstance(readout, Readouts):
        for part in readout.parts:
            yield from _words(part, n_qubits)
    elif isinstance(readout, Born | Probs):
        yield tuple((wire, "Z") for wire in range(n_qubits))
    else:
        yield from (word for terms in readout.words(n_qubits) or () for c, word in terms if c)
