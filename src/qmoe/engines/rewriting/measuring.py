"""Read-outs by way of those that every engine has: expectation values of Z, and probabilities.

Pauli words that share a basis are measured together: a change of basis behind the circuit, probabilities, and a sum of them
with signs. Words of Z need no change, and Z of single wires no probabilities.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    """One run of a circuit, and what becomes of its numbers.

    Attributes:
        basis: gates behind the circuit.
        readout: `Expval` or `Born`.
        table: ``(n, W)`` that they are multiplied by, for W outputs that are sums of words; None to take them as they are.
        offset: ``(W,)`` to add; None for nothing.
        marginals: wires of each output that is the probabilities of outcomes on some, in place of or beside the words.
    """

    basis: tuple[Gate, ...]
    readout: Expval | Born
    table: np.ndarray | None = None
    offset: np.ndarray | None = None
    marginals: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Measured:
    """The runs of a circuit that give a read-out.

    Attributes:
        runs: what to run. Their words add up; marginals, which the first run alone has, stand behind these.
        order: where each output stands among both; None where they are in order.
    """

    runs: tuple[Measurement, ...]
    order: tuple[int, ...] | None = None


def is_linear(readout: Readout) -> bool:
    """Whether a read-out, and each of a list, is one of `LINEAR`."""
    parts = readout.parts if isinstance(readout, Readouts) else ()
    return type(readout) in LINEAR and all(type(part) in LINEAR for part in parts)


@functools.lru_cache(maxsize=256)
def measured(readout: Readout, n_qubits: int) -> Measured:
    """The runs that give a read-out of which `is_linear` holds.

    Raises:
        UnsupportedError: for tables of more numbers than the machine holds.
    """
    if isinstance(readout, Expval | Born):
        return Measured((Measurement((), readout),))
    sums = readout.words(n_qubits)
    if sums is not None and all(_is_single_z(word) for terms in sums for _, word in terms if word):
        return Measured((_singles(sums, n_qubits),))
    words: list[Sum] = []
    marginals: list[tuple[int, ...]] = []
    kinds: list[tuple[int, int]] = []  # of a part: -1 for words, else the number of its marginal; and its outputs
    for part in readout.parts if isinstance(readout, Readouts) else (readout,):
        if isinstance(part, Born | Probs):
            kinds.append((len(marginals), part.n_outputs(n_qubits)))
            marginals.append(tuple(range(n_qubits)) if isinstance(part, Born) else part.wires)
        else:
            found = part.words(n_qubits)
            assert found is not None
            kinds.append((-1, len(found)))
            words += found
    _require_tables(readout, n_qubits, len(words), 1)
    # Sorted by kind, and in order within each, outputs stand as they are computed; this is the way back.
    sorted_places = np.argsort(np.repeat(*np.transpose(kinds)), kind="stable")
    in_order = bool((sorted_places[1:] > sorted_places[:-1]).all())
    order = None if in_order else tuple(np.argsort(sorted_places).tolist())
    runs = list(_by_basis(readout, words, n_qubits, has_marginals=bool(marginals)))
    if marginals:
        runs[0] = replace(runs[0], marginals=tuple(marginals))
    return Measured(tuple(runs), order)


def marginal(probabilities: Tensor, wires: tuple[int, ...], n_qubits: int) -> Tensor:
    """``(..., D)`` probabilities of basis states to ``(..., 2**w)`` of outcomes on wires, the first most significant."""
    if wires == tuple(range(n_qubits)):
        return probabilities
    rest = [wire for wire in range(n_qubits) if wire not in wires]
    lead = probabilities.dim() - 1
    order = [*range(lead), *(lead + wire for wire in (*wires, *rest))]
    return (
        probabilities.unflatten(-1, (2,) * n_qubits)
        .permute(order)
        .flatten(lead)
        .unflatten(-1, (2 ** len(wires), -1))
        .sum(-1)
    )


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


def _by_basis(readout: Readout, words: list[Sum], n_qubits: int, has_marginals: bool) -> Iterator[Measurement]:
    """Runs for sums of words; the first is along Z where there are marginals."""
    tables: list[tuple[dict[int, str], np.ndarray | None]] = []

    def open_table(letters: dict[int, str]) -> None:
        _require_tables(readout, n_qubits, len(words), len(tables) + 1)
        tables.append((dict(letters), np.zeros((2**n_qubits, len(words))) if words else None))

    def table_of(letters: dict[int, str]) -> np.ndarray:
        """The first whose basis agrees, which then fixes what this word does."""
        for basis, table in tables:
            if table is not None and all(basis.get(wire, letter) == letter for wire, letter in letters.items()):
                basis.update(letters)
                return table
        open_table(letters)
        return table_of(letters)

    if has_marginals:
        open_table(dict.fromkeys(range(n_qubits), "Z"))
    listed = [(c, word, place) for place, terms in enumerate(words) for c, word in terms]
    # Words of many wires first: they leave least to choose.
    for coefficient, word, place in sorted(listed, key=lambda item: -len(item[1])):
        table = table_of(dict(word))  # which asks for room first
        signs = np.ones(2**n_qubits)
        for wire, _ in word:
            signs *= 1 - 2 * ((np.arange(2**n_qubits) >> (n_qubits - 1 - wire)) & 1)
        table[:, place] += coefficient * signs
    return (Measurement(_basis_gates(basis), Born(), table) for basis, table in tables)


def _require_tables(readout: Readout, n_qubits: int, n_words: int, n_tables: int) -> None:
    """Asks before memory is taken for tables of every basis state, and for as many numbers beside them."""
    there = device_bytes()
    needed = 16 * 2**n_qubits * (n_words * n_tables + 1)
    if there is not None and needed > there:
        raise UnsupportedError(
            f"The read-out {readout.name!r} adds up the probabilities of 2**{n_qubits} basis states in {n_tables} or more "
            f"bases, and its tables take {in_words(needed)}; there are {in_words(there)}. Use fewer qubits, measure fewer "
            "wires, or Z of single wires, which takes no table."
        )


def _basis_gates(basis: dict[int, str]) -> tuple[Gate, ...]:
    turned = [(wire, *_TO_Z[letter]) for wire, letter in sorted(basis.items()) if letter != "Z"]
    return tuple(Gate(name, (wire,), angles) for wire, name, angles in turned)


@cached_tensors
def tables(
    readout: Readout, n_qubits: int, index: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """The table and the offset of run number ``index``."""
    found = measured(readout, n_qubits).runs[index]
    make = functools.partial(torch.tensor, dtype=dtype, device=device)
    return (
        None if found.table is None else make(found.table),
        None if found.offset is None else make(found.offset),
    )
