"""What is measured."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from qmoe.circuits.named_parts import as_part
from qmoe.circuits.paulis import Sum, Word, as_word, word_text
from qmoe.errors import ConfigError, unknown


class Readout(ABC):
    """Describes the numbers that a circuit returns. Frozen and hashable."""

    name: ClassVar[str]

    @abstractmethod
    def n_outputs(self, n_qubits: int) -> int:
        """How many numbers one circuit returns."""

    def words(self, n_qubits: int) -> tuple[Sum, ...] | None:
        """Each output as a sum of Pauli words; None where outputs are no such sums, or sums of exponentially many."""
        del n_qubits
        return None

    def named_wires(self) -> tuple[int, ...]:
        """The wires that the read-out names; none where it measures all, however many there are."""
        return ()


@dataclass(frozen=True, slots=True)
class Expval(Readout):
    """The expectation value of Pauli Z on every wire, each in [-1, 1].

    Example:
        >>> from qmoe.circuits import Circuit, Expval
        >>> Circuit(2, 1, readout=Expval()).n_outputs
        2
    """

    name: ClassVar[str] = "expval"

    def n_outputs(self, n_qubits: int) -> int:
        """One per wire."""
        return n_qubits

    def words(self, n_qubits: int) -> tuple[Sum, ...]:
        """Z of each wire."""
        return tuple(((1.0, ((wire, "Z"),)),) for wire in range(n_qubits))


@dataclass(frozen=True, slots=True)
class Born(Readout):
    """The probability of every basis state, ``P(i) = |<i|U|psi(x)>|^2``; wire 0 is the most significant bit.

    Example:
        >>> from qmoe.circuits import Born, Circuit
        >>> Circuit(2, 1, readout=Born()).n_outputs
        4
    """

    name: ClassVar[str] = "born"

    def n_outputs(self, n_qubits: int) -> int:
        """One per basis state."""
        return 2**n_qubits


@dataclass(frozen=True, slots=True)
class Pauli(Readout):
    """The expectation value of a Pauli word.

    Args:
        word: such as ``"Z0 X2"``: letters with their wires, in any order. ``"I"`` and ``""`` are the identity, which is
            worth 1.

    Raises:
        ConfigError: for anything else, or a wire that stands twice.
    """

    word: str
    name: ClassVar[str] = "pauli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "word", word_text(as_word(self.word)))

    def n_outputs(self, n_qubits: int) -> int:
        """One."""
        return 1

    def words(self, n_qubits: int) -> tuple[Sum, ...]:
        """The word itself."""
        return (((1.0, as_word(self.word)),),)

    def named_wires(self) -> tuple[int, ...]:
        """Those of the word."""
        return tuple(wire for wire, _ in as_word(self.word))


@dataclass(frozen=True, slots=True)
class Hamiltonian(Readout):
    """The expectation value of a sum of Pauli words, each times a number.

    Args:
        coeffs: a number for each word.
        words: as those of `Pauli`.

    Raises:
        ConfigError: for different numbers of both, or what is no number or word.

    Example:
        >>> from qmoe.circuits import Circuit, Hamiltonian, Sum
        >>> word: Sum = ((0.5, ((0, "Z"),)),)
        >>> Circuit(2, 1, readout=Hamiltonian((0.5, 2.0), ("Z0", "X0 X1"))).n_outputs
        1
    """

    coeffs: tuple[float, ...]
    word_texts: tuple[str, ...]
    name: ClassVar[str] = "hamiltonian"

    def __init__(self, coeffs: Iterable[float], words: Iterable[str]) -> None:
        if isinstance(words, str) or not isinstance(words, Iterable) or not isinstance(coeffs, Iterable):
            raise ConfigError(
                f"Hamiltonian got {coeffs!r} and {words!r}, expected lists, such as [0.5, 1.0] and ['Z0', 'X1']."
            )
        coeffs, words = tuple(coeffs), tuple(words)
        if len(coeffs) != len(words) or not words:
            raise ConfigError(
                f"Hamiltonian got {len(coeffs)} coefficient(s) and {len(words)} word(s), expected as many of both."
            )
        for coefficient in coeffs:
            if not isinstance(coefficient, Real) or isinstance(coefficient, bool) or not math.isfinite(coefficient):
                raise ConfigError(f"Hamiltonian got the coefficient {coefficient!r}, expected a finite number.")
        object.__setattr__(self, "coeffs", tuple(float(c) for c in coeffs))
        object.__setattr__(self, "word_texts", tuple(word_text(as_word(word)) for word in words))
        if not all(math.isfinite(c) for c, _ in self.words(0)[0]):
            raise ConfigError("Coefficients of a Hamiltonian add up to more than a number holds; make them smaller.")

    def n_outputs(self, n_qubits: int) -> int:
        """One."""
        return 1

    def words(self, n_qubits: int) -> tuple[Sum, ...]:
        """Words that stand more than once are added up."""
        total: dict[Word, float] = {}
        for coefficient, text in zip(self.coeffs, self.word_texts, strict=True):
            total[as_word(text)] = total.get(as_word(text), 0.0) + coefficient
        return (tuple((coefficient, word) for word, coefficient in total.items()),)

    def named_wires(self) -> tuple[int, ...]:
        """Those of all words."""
        return tuple(wire for text in self.word_texts for wire, _ in as_word(text))

    def __repr__(self) -> str:
        return f"Hamiltonian(coeffs={self.coeffs!r}, words={self.word_texts!r})"


@dataclass(frozen=True, slots=True)
class Probs(Readout):
    """The probability of every outcome on some wires.

    Args:
        wires: which; the first is the most significant bit of an outcome.

    Raises:
        ConfigError: for no wires, a wire twice, or what is no wire.

    Example:
        >>> from qmoe.circuits import Circuit, Probs
        >>> Circuit(3, 1, readout=Probs((0, 2))).n_outputs
        4
    """

    wires: tuple[int, ...]
    name: ClassVar[str] = "probs"

    def __post_init__(self) -> None:
        object.__setattr__(self, "wires", _as_wires("Probs", self.wires))

    def n_outputs(self, n_qubits: int) -> int:
        """One per outcome."""
        return int(2 ** len(self.wires))

    def named_wires(self) -> tuple[int, ...]:
        """All of them."""
        return self.wires


@dataclass(frozen=True, slots=True)
class Parity(Readout):
    """The probability of an even number of ones minus that of an odd number: the product of Z on all or some wires.

    Args:
        wires: which; None for all.

    Raises:
        ConfigError: for no wires, a wire twice, or what is no wire.

    Example:
        >>> from qmoe.circuits import Circuit, Parity
        >>> Circuit(3, 1, readout=Parity((0, 2))).n_outputs
        1
    """

    wires: tuple[int, ...] | None = None
    name: ClassVar[str] = "parity"

    def __post_init__(self) -> None:
        if self.wires is not None:
            object.__setattr__(self, "wires", _as_wires("Parity", self.wires))

    def n_outputs(self, n_qubits: int) -> int:
        """One."""
        return 1

    def words(self, n_qubits: int) -> tuple[Sum, ...]:
        """Z on every wire."""
        wires = range(n_qubits) if self.wires is None else sorted(self.wires)
        return (((1.0, tuple((wire, "Z") for wire in wires)),),)

    def named_wires(self) -> tuple[int, ...]:
        """Those that it is given."""
        return self.wires or ()


@dataclass(frozen=True, slots=True)
class Readouts(Readout):
    """Several read-outs of one circuit, their outputs one after another.

    Args:
        parts: read-outs; lists in lists are written out.

    Raises:
        ConfigError: for none, or what is no read-out.

    Example:
        >>> from qmoe.circuits import Circuit, Pauli, Probs, Readouts
        >>> Circuit(2, 1, readout=Readouts((Pauli("Z0 Z1"), Probs((0,))))).n_outputs
        3
    """

    parts: tuple[Readout, ...]
    name: ClassVar[str] = "list"

    def __post_init__(self) -> None:
        if isinstance(self.parts, (str, Readout)) or not isinstance(self.parts, Iterable):
            raise ConfigError(f"Readouts got {self.parts!r}, expected a list of read-outs, such as [Pauli('Z0')].")
        parts: list[Readout] = []
        for part in self.parts:
            read = as_readout(part)
            parts += read.parts if isinstance(read, Readouts) else [read]
        if not parts:
            raise ConfigError("A list of read-outs is empty, expected at least one, such as [Pauli('Z0')].")
        object.__setattr__(self, "parts", tuple(parts))

    def n_outputs(self, n_qubits: int) -> int:
        """The sum over all parts."""
        return sum(part.n_outputs(n_qubits) for part in self.parts)

    def words(self, n_qubits: int) -> tuple[Sum, ...] | None:
        """Those of all parts, where all have some."""
        sums: list[Sum] = []
        for part in self.parts:
            found = part.words(n_qubits)
            if found is None:
                return None
            sums += found
        return tuple(sums)

    def named_wires(self) -> tuple[int, ...]:
        """Those of all parts."""
        return tuple(wire for part in self.parts for wire in part.named_wires())


#: Read-outs by name, as `as_readout` takes them.
READOUTS: dict[str, type[Readout]] = {"expval": Expval, "born": Born}


def as_readout(readout: str | Readout | Iterable[Any]) -> Readout:
    """Returns ``readout`` itself, the read-out of that name, or `Readouts` for a list of them.

    Raises:
        ConfigError: for an unknown name.

    Example:
        >>> from qmoe.circuits import READOUTS, as_readout
        >>> as_readout("born"), sorted(READOUTS)
        (Born(), ['born', 'expval'])
    """
    if isinstance(readout, (list, tuple)):
        return Readouts(tuple(readout))
    if isinstance(readout, Readout):
        return readout
    if not isinstance(readout, str):
        raise unknown("read-out", readout, READOUTS)
    return as_part("read-out", readout, Readout, READOUTS)


def readout_text(readout: Readout, n_qubits: int) -> str:
    """What is measured, for people: ``"<Z0 Z1>, <X2>"``."""
    if isinstance(readout, Readouts):
        return ", ".join(readout_text(part, n_qubits) for part in readout.parts)
    if isinstance(readout, Probs):
        return f"P({', '.join(map(str, readout.wires))})"
    sums = readout.words(n_qubits)
    if sums is None:
        return "P(i)" if isinstance(readout, Born) else readout.name
    return ", ".join(
        "<" + " + ".join(word_text(word) if c == 1 else f"{c:.3g} {word_text(word)}" for c, word in terms) + ">"
        for terms in sums
    )


def _as_wires(what: str, wires: Any) -> tuple[int, ...]:
    listed = tuple(wires) if isinstance(wires, Iterable) else (wires,)
    good = all(isinstance(wire, Integral) and not isinstance(wire, bool) and int(wire) >= 0 for wire in listed)
    if not listed or not good or len(set(listed)) != len(listed):
        raise ConfigError(f"{what} got the wires {wires!r}, expected different non-negative integers, at least one.")
    return tuple(int(wire) for wire in listed)
