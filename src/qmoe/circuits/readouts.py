"""What is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from qmoe.circuits.named_parts import as_part


class Readout(ABC):
    """Describes the numbers that a circuit returns. Frozen and hashable."""

    name: ClassVar[str]

    @abstractmethod
    def n_outputs(self, n_qubits: int) -> int:
        """How many numbers one circuit returns."""


@dataclass(frozen=True, slots=True)
class Expval(Readout):
    """The expectation value of Pauli Z on every wire, each in [-1, 1]."""

    name: ClassVar[str] = "expval"

    def n_outputs(self, n_qubits: int) -> int:
        """One per wire."""
        return n_qubits


@dataclass(frozen=True, slots=True)
class Born(Readout):
    """The probability of every basis state, ``P(i) = |<i|U|psi(x)>|^2``; wire 0 is the most significant bit."""

    name: ClassVar[str] = "born"

    def n_outputs(self, n_qubits: int) -> int:
        """One per basis state."""
        return 2**n_qubits


READOUTS: dict[str, type[Readout]] = {"expval": Expval, "born": Born}


def as_readout(readout: str | Readout) -> Readout:
    """Returns ``readout`` itself, or the read-out of that name.

    Raises:
        ConfigError: for an unknown name.
    """
    return as_part("read-out", readout, Readout, READOUTS)
