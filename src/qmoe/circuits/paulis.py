"""Pauli words: what they are, and how they are written."""

from __future__ import annotations

import re

from qmoe.errors import ConfigError

#: A Pauli word: ``(wire, letter)`` of each wire on which it is not the identity, by wire.
Word = tuple[tuple[int, str], ...]
#: An output: the sum of words, each times its coefficient.
Sum = tuple[tuple[float, Word], ...]

_FACTOR = re.compile(r"([IXYZ])\(?(\d+)\)?")


def as_word(text: str) -> Word:
    """``"Z0 X2"`` as wires and letters, by wire; the identity is left out.

    Raises:
        ConfigError: for text that is no word.

    Example:
        >>> from qmoe.circuits import as_word
        >>> as_word("Z0 X2")
        ((0, 'Z'), (2, 'X'))
    """
    if not isinstance(text, str):
        raise ConfigError(f"A Pauli word is {text!r}, expected text such as 'Z0 X2'.")
    found: dict[int, str] = {}
    for part in text.replace("@", " ").replace("*", " ").split():
        match = _FACTOR.fullmatch(part)
        if part == "I":
            continue
        if match is None:
            raise ConfigError(f"The Pauli word {text!r} holds {part!r}, expected letters with wires such as 'Z0 X2'.")
        letter, wire = match[1], int(match[2])
        if wire in found:
            raise ConfigError(f"The Pauli word {text!r} names wire {wire} twice, expected each at most once.")
        found[wire] = letter
    return tuple(sorted((wire, letter) for wire, letter in found.items() if letter != "I"))


def word_text(word: Word) -> str:
    """A word as text: ``"Z0 X2"``; ``"I"`` for the identity.

    Example:
        >>> from qmoe.circuits import word_text
        >>> word_text(((0, "Z"), (2, "X")))
        'Z0 X2'
    """
    return " ".join(f"{letter}{wire}" for wire, letter in word) or "I"
