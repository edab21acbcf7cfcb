"""What every channel of noise has, and the checks of its numbers."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qmoe.errors import ConfigError

if TYPE_CHECKING:
    from qmoe.circuits.noise.placement import Placed

#: How far from a channel that keeps the trace rounding may lead.
TOLERANCE = 1e-7
#: Elements of a transfer matrix below which rounding alone made them.
DUST = 1e-14

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


class Channel(ABC):
    """What noise does to ``n_wires`` qubits; frozen data.

    Attributes:
        name: as in pictures and files.
        is_readout: whether it is an error of the measurement, which can stand at its end alone.

    Example:
        >>> from qmoe.circuits import CHANNELS, Channel
        >>> isinstance(CHANNELS["bit_flip"](0.1), Channel)
        True
    """

    name: ClassVar[str]
    is_readout: ClassVar[bool] = False

    @property
    def n_wires(self) -> int:
        """How many qubits it acts on: 1 or 2."""
        return 1

    @abstractmethod
    def kraus(self) -> np.ndarray:
        """``(k, d, d)`` complex Kraus operators, ``d = 2**n_wires``; the first wire is the most significant bit."""

    def pauli_probabilities(self) -> np.ndarray | None:
        """``(4**n_wires,)`` probabilities of the Pauli errors I, X, Y, Z (II, IX, ...); None for other channels."""
        return None

    def transfer(self) -> np.ndarray:
        """``(4**w, 4**w)`` real: ``tr(P_i E(P_j)) / 2**w`` over Pauli words in the order I, X, Y, Z; read-only."""
        return _transfer(self)

    def after(self, place: str, wires: Iterable[int] | None = None, gates: Iterable[str] | None = None) -> Placed:
        """This channel at its places in a circuit, for ``NoiseModel(channels=[...])``.

        Args:
            place: ``"encoding"``, ``"layer"``, ``"layers"``, ``"gate"``, ``"one_qubit_gate"``, ``"two_qubit_gate"`` or
                ``"readout"``; see `Placed`.
            wires: the qubits to which it is limited, or for a channel on two qubits the pair, in the order of the gate.
            gates: names of the gates to which it is limited.
        """
        from qmoe.circuits.noise.placement import Placed

        return Placed(self, place, wires, gates)  # type: ignore[arg-type]  # it makes tuples of them

    def before_readout(self, wires: Iterable[int] | None = None) -> Placed:
        """This channel at the end of a circuit; one of two qubits needs to be told which."""
        return self.after("readout", wires)


@functools.lru_cache(maxsize=4096)
def _transfer(channel: Channel) -> np.ndarray:
    found = transfer_of_operators(channel.kraus())
    found.setflags(write=False)
    return found


def transfer_of_operators(operators: np.ndarray) -> np.ndarray:
    """``(4**w, 4**w)`` real: the transfer matrix of ``(k, d, d)`` Kraus operators, whether they make a channel or not."""
    words = pauli_words(operators.shape[-1].bit_length() - 1)
    images = np.einsum("kab,jbc,kdc->jad", operators, words, operators.conj(), optimize=True)
    found: np.ndarray = np.einsum("iab,jba->ij", words, images, optimize=True).real / words.shape[-1]
    return found


@functools.cache
def pauli_words(n_wires: int) -> np.ndarray:
    """``(4**w, 2**w, 2**w)`` Pauli words, the letter of the first wire counting most."""
    words = PAULIS
    for _ in range(n_wires - 1):
        words = np.einsum("iab,jcd->ijacbd", words, PAULIS).reshape(len(words) * 4, words.shape[1] * 2, -1)
    return words


def check_probability(channel: Channel, part: str) -> None:
    """Raises `ConfigError` unless that option is a probability; keeps it as a float."""
    value = getattr(channel, part)
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ConfigError(f"{type(channel).__name__}: {part} is {value!r}, expected a probability from 0 to 1.")
    object.__setattr__(channel, part, float(value))


def as_matrix(what: str, given: Any) -> np.ndarray:
    """Nested lists as an array of complex numbers; raises `ConfigError` for what is none."""
    try:
        found = np.array(given, dtype=complex)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} got {given!r}, expected nested lists of numbers, all of one length.") from error
    if not np.isfinite(found).all():
        raise ConfigError(f"{what} got numbers that are not finite.")
    return found


def is_wire(value: object) -> bool:
    """Whether it numbers a wire."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def is_number(value: object) -> bool:
    """Whether it is a finite real number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
