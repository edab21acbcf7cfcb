"""Read-outs by way of those that every engine has: expectation values of Z, and probabilities.

Pauli words that share a basis are measured together: a change of basis behind the circuit, probabilities, and a sum of them
with signs. Words of Z need no change, and Z of single wires no probabilities.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Born, Expval, Gate, Hamiltonian, Parity, Pauli, Probs, Readout, Readouts, Sum, Word
from qmoe.engines.constants import cached_tensors
from qmoe.engines.memory import device_bytes, in_words
from qmoe.errors import UnsupportedError

#: Read-outs that are linear functions of probabilities in a few bases.
LINEAR = (Expval, Born, Pauli, Hamiltonian, Probs, Parity, Readouts)
#: What turns the eigenstates of a letter into those of Z.
_TO_Z = {"X": ("Hadamard", ()), "Y": ("RX", (math.pi / 2,))}


@dataclass(frozen=True)
class Measurement:
    """One run of a circuit, and what of its read-outs goes where.

    Attributes:
        basis: gates behind the circuit.
        readout: `Expval` or `Born`.
        table: ``(n, n_outputs)`` that the numbers of the read-out are multiplied by; None to take them as they are.
        offset: ``(n_outputs,)`` to add; None for nothing.
    """

    basis: tuple[Gate, ...]
    readout: Expval | Born
    table: np.ndarray | None
    offset: np.ndarray | None


@functools.lru_cache(maxsize=256)
def measurements(readout: Readout, n_qubits: int) -> tuple[Measurement, ...]:
    """The runs that give a read-out of `LINEAR`, whose sum it is.

    Raises:
        UnsupportedError: for tables of more numbers than the machine holds.
    """
    if isinstance(readout, Expval | Born):
        return (Measurement((), readout, None, None),)
    sums = readout.words(n_qubits)
    if sums is not None and all(_is_single_z(word) for terms in sums for _, word in terms if word):
        return (_singles(sums, n_qubits),)
    _require_tables(readout, n_qubits, 1)
    return _by_basis(readout, _columns(readout, n_qubits), n_qubits)


def _is_single_z(word: Word) -> bool:
    return len(word) == 1 and word[0][1] == "Z"


def _singles(sums: tuple[Sum, ...], n_qubits: int) -> Measurement:
    table, offset = np.zeros((n_qubits, len(sums))), np.zeros(len(sums))
    for column, terms in enumerate(sums):
        for coefficient, word in terms:
            if word:
                table[word[0][0], column] += coefficient
            else:
                offset[column] += coefficient
    plain = table.shape == (n_qubits, n_qubits) and bool((table == np.eye(n_qubits)).all())
    return Measurement((), Expval(), None if plain else table, offset if offset.any() else None)


def _columns(readout: Readout, n_qubits: int) -> list[Sum | np.ndarray]:
    """Each output: a sum of words, or which basis states it counts."""
    if isinstance(readout, Readouts):
        return [column for part in readout.parts for column in _columns(part, n_qubits)]
    if isinstance(readout, Born | Probs):
        wires = tuple(range(n_qubits)) if isinstance(readout, Born) else readout.wires
        outcome = np.zeros(2**n_qubits, dtype=np.int64)
        for wire in wires:
            outcome = 2 * outcome + _bits(wire, n_qubits)
        return [(outcome == value).astype(float) for value in range(2 ** len(wires))]
    return list(readout.words(n_qubits) or ())


def _require_tables(readout: Readout, n_qubits: int, n_tables: int) -> None:
    """Asks before memory is taken for tables of every basis state, and for as many numbers beside them."""
    there, n_outputs = device_bytes(), readout.n_outputs(n_qubits)
    needed = 16 * 2**n_qubits * (n_outputs * n_tables + 1)
    if there is not None and needed > there:
        raise UnsupportedError(
            f"The read-out {readout.name!r} adds up the probabilities of 2**{n_qubits} basis states in {n_tables} or more "
            f"bases, and its tables take {in_words(needed)}; there are {in_words(there)}. Use fewer qubits, measure fewer "
            "wires, or Z of single wires, which takes no table."
        )


def _by_basis(readout: Readout, columns: list[Sum | np.ndarray], n_qubits: int) -> tuple[Measurement, ...]:
    tables: list[tuple[dict[int, str], np.ndarray]] = []

    def table_of(letters: dict[int, str]) -> np.ndarray:
        """The first whose basis agrees, which then fixes what this word does."""
        for basis, table in tables:
            if all(basis.get(wire, letter) == letter for wire, letter in letters.items()):
                basis.update(letters)
                return table
        _require_tables(readout, n_qubits, len(tables) + 1)
        tables.append((dict(letters), np.zeros((2**n_qubits, len(columns)))))
        return tables[-1][1]

    words: list[tuple[float, Word, int]] = []
    for place, column in enumerate(columns):
        if isinstance(column, np.ndarray):
            table_of(dict.fromkeys(range(n_qubits), "Z"))[:, place] += column
        else:
            words += [(coefficient, word, place) for coefficient, word in column]
    # Words of many wires first: they leave least to choose.
    for coefficient, word, place in sorted(words, key=lambda item: -len(item[1])):
        signs = np.ones(2**n_qubits)
        for wire, _ in word:
            signs *= 1 - 2 * _bits(wire, n_qubits)
        table_of(dict(word))[:, place] += coefficient * signs
    return tuple(Measurement(_basis_gates(basis), Born(), table, None) for basis, table in tables)


def _basis_gates(basis: dict[int, str]) -> tuple[Gate, ...]:
    turned = [(wire, *_TO_Z[letter]) for wire, letter in sorted(basis.items()) if letter != "Z"]
    return tuple(Gate(name, (wire,), angles) for wire, name, angles in turned)


def _bits(wire: int, n_qubits: int) -> np.ndarray:
    return (np.arange(2**n_qubits) >> (n_qubits - 1 - wire)) & 1


@cached_tensors
def tables(
    readout: Readout, n_qubits: int, index: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """The table and the offset of measurement number ``index``."""
    found = measurements(readout, n_qubits)[index]
    make = functools.partial(torch.tensor, dtype=dtype, device=device)
    return (
        None if found.table is None else make(found.table),
        None if found.offset is None else make(found.offset),
    )
