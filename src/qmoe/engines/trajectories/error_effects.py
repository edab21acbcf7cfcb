"""What a Pauli error at some point of a circuit flips: signs of angles behind it, and read-outs.

An error in front of a gate G is the error ``G P G^dag`` behind it. A rotation about a Pauli word leaves an error as it is,
and turns the other way if the two anticommute. So an error flips a set of signs, that of a product of errors is the
symmetric difference of theirs, and it is enough to follow X and Z of each wire from the end of the circuit to its start.
Sets are integers: bit k says whether sign k flips. Global phases are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from qmoe.engines.batched.gate_matrices import pauli_constants

LETTERS = "IXYZ"


def letters_of(word: int, n_wires: int) -> str:
    """The letters of a word by its number: 0 is I, or II; the first wire counts most."""
    return "".join(LETTERS[word >> 2 * (n_wires - 1 - place) & 3] for place in range(n_wires))


class Effects:
    """What X and Z of each wire flip, at a point that moves from the end of the circuit to its start.

    Args:
        n_qubits: number of wires.
        n_signs: how many signs there are but those of the read-outs, whose bits follow: that of wire w is
            ``n_signs + w``.
    """

    def __init__(self, n_qubits: int, n_signs: int) -> None:
        self._of_x = [1 << (n_signs + wire) for wire in range(n_qubits)]
        self._of_z = [0] * n_qubits

    def of(self, letters: str, wires: Sequence[int]) -> int:
        """What a word flips."""
        found = 0
        for letter, wire in zip(letters, wires, strict=True):
            found ^= (self._of_x[wire] if letter in "XY" else 0) ^ (self._of_z[wire] if letter in "YZ" else 0)
        return found

    def pass_sign(self, letters: str, wires: Sequence[int], bit: int) -> None:
        """Moves before a rotation about a word, whose sign is that bit."""
        self._pass(letters, wires, 1 << bit)

    def pass_quarter(self, letters: str, wires: Sequence[int]) -> None:
        """Moves before a rotation about a word by a right angle, which makes P the product of both."""
        self._pass(letters, wires, self.of(letters, wires))

    def pass_frame(self, wire: int, x_bit: int, z_bit: int) -> None:
        """Moves before a point that notes which error of a wire passes it."""
        self._of_x[wire] ^= 1 << x_bit
        self._of_z[wire] ^= 1 << z_bit

    def pass_fixed(self, name: str, wires: Sequence[int]) -> None:
        """Moves before a gate that has no angle."""
        found = [self.of(image, wires) for image in _images(name)]
        for place, wire in enumerate(wires):
            self._of_x[wire], self._of_z[wire] = found[2 * place], found[2 * place + 1]

    def _pass(self, letters: str, wires: Sequence[int], effect: int) -> None:
        for letter, wire in zip(letters, wires, strict=True):
            if letter in "YZ":
                self._of_x[wire] ^= effect
            if letter in "XY":
                self._of_z[wire] ^= effect


@functools.cache
def _images(name: str) -> tuple[str, ...]:
    """What a gate makes of X and Z of each of its wires in turn."""
    table = np.abs(pauli_constants(name)[0])
    n_wires = {4: 1, 16: 2}[len(table)]
    # Row j holds what becomes of word j: one word, since the gate is a Clifford gate.
    return tuple(
        letters_of(int(table[LETTERS.index(letter) << 2 * (n_wires - 1 - place)].argmax()), n_wires)
        for place in range(n_wires)
        for letter in "XZ"
    )
