"""What gates do to Pauli words: their transfer matrices, as numbers at given weights or as supports over all weights."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch

from qmoe.circuits import Gate, Weight
from qmoe.circuits.angles.expressions import indices_of
from qmoe.engines.reference import gate_matrix

#: Words on one wire, by number.
LETTERS = "IXYZ"
_PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
#: Angles that stand for weights of any value. An entry of a gate's transfer matrix is a polynomial of low degree in their
#: sines and cosines, with no root at points as odd as these unless it is 0.
_GENERIC = ((0.7131, 1.9373, 2.8517), (2.2391, 0.4177, 1.2773), (1.3109, 2.6123, 0.5839))


@functools.cache
def words_of(n_wires: int) -> np.ndarray:
    """``(4**w, 2**w, 2**w)`` matrices of all words on w wires; the first wire is the most significant digit."""
    words = itertools.product(range(4), repeat=n_wires)
    return np.stack([functools.reduce(np.kron, [_PAULI[letter] for letter in word]) for word in words])


def word_matrix(word: tuple[int, ...]) -> np.ndarray:
    """The matrix of a word with an even number of Y, which is real."""
    return functools.reduce(np.kron, [_PAULI[letter] for letter in word]).real


def transfer(gate: Gate, weights: np.ndarray) -> np.ndarray:
    """``(4**w, 4**w)`` float64: the coefficient of ``new`` in ``U^dagger old U``, by ``[old, new]``.

    Args:
        gate: without a `Feature`.
        weights: ``(P,)`` the weights that it may name.
    """
    n = len(gate.wires)
    U = gate_matrix(gate, torch.from_numpy(weights)).numpy()
    moved = U.conj().T @ words_of(n) @ U
    return (words_of(n).reshape(4**n, -1) @ moved.transpose(0, 2, 1).reshape(4**n, -1).T).real.T / 2**n


@functools.lru_cache(maxsize=256)
def transfer_support(gate: Gate) -> np.ndarray:
    """``(4**w, 4**w)`` boolean: whether ``U^dagger old U`` holds ``new`` for some value of the gate's weights."""
    n = len(gate.wires)
    found = np.zeros((4**n, 4**n), dtype=bool)
    own = numbered(gate)
    for angles in _GENERIC:
        found |= np.abs(transfer(own, np.array(angles))) > 1e-9
    return found


def numbered(gate: Gate) -> Gate:
    """The gate on wires 0, 1, ..., with weights 0, 1, ... for angles that hold some."""
    named = list(dict.fromkeys(angle for angle in gate.angles if indices_of((angle,), Weight)))
    angles = tuple(Weight(named.index(angle)) if angle in named else angle for angle in gate.angles)
    return Gate(gate.name, tuple(range(len(gate.wires))), angles)


@functools.cache
def turned(letters: tuple[int, ...]) -> np.ndarray:
    """``(4**w, 4**w, 3)``: what a rotation about a word by an angle does to words.

    The coefficient of ``new`` in ``R^dagger old R`` is ``[old, new, 0] + [old, new, 1] cos + [old, new, 2] sin``.
    """
    n = len(letters)
    words, axis = words_of(n), functools.reduce(np.kron, [_PAULI[letter] for letter in letters])
    table = np.zeros((4**n, 4**n, 3))
    for old, word in enumerate(words):
        if np.allclose(word @ axis, axis @ word):
            table[old, old, 0] = 1
            continue
        # R = cos(a/2) - i sin(a/2) P, so that R^dagger W R = cos(a) W - i sin(a) W P where W and P anticommute.
        table[old, old, 1] = 1
        table[old, :, 2] = (np.einsum("nij,ji->n", words, -1j * word @ axis) / 2**n).real.round()
    return table


@functools.cache
def wave_products(left: int, right: int) -> np.ndarray:
    """Products of waves 1, cos v, sin v, cos 2v, ... as sums of such: ``[a, b, c]`` is the coefficient of c in ``a b``.

    Args:
        left: number of waves of the first factor, odd.
        right: of the second.
    """
    table = np.zeros((left, right, left + right - 1))

    def add(place: tuple[int, int], frequency: int, is_sine: bool, value: float) -> None:
        if is_sine and frequency:
            table[(*place, 2 * abs(frequency))] += value if frequency > 0 else -value
        elif not is_sine:
            table[(*place, max(2 * abs(frequency) - 1, 0))] += value

    for place in itertools.product(range(left), range(right)):
        k, m = ((wave + 1) // 2 for wave in place)
        sine = [wave > 0 and wave % 2 == 0 for wave in place]
        if sine[0] == sine[1]:  # cos cos, or sin sin
            add(place, k - m, False, 0.5)
            add(place, k + m, False, -0.5 if sine[0] else 0.5)
        else:  # sin cos, or cos sin
            add(place, k + m, True, 0.5)
            add(place, k - m, True, 0.5 if sine[0] else -0.5)
    return table
