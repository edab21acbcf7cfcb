"""Errors of the measurement, as channels: a state is read as another."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qmoe.circuits.noise.channel import TOLERANCE, Channel, as_matrix, check_probability
from qmoe.errors import ConfigError


class _Misreading(Channel):
    """An error of the measurement: a state is read as another."""

    is_readout: ClassVar[bool] = True

    @abstractmethod
    def confusion(self) -> np.ndarray:
        """``(d, d)``: the probability that basis state i (row) is read as j (column); rows sum to 1."""

    def kraus(self) -> np.ndarray:
        """``sqrt(P(j|i)) |j><i|``: a measurement, and a preparation of what was read."""
        table = self.confusion()
        places = np.argwhere(table > 0)
        found = np.zeros((len(places), *table.shape), dtype=complex)
        for operator, (i, j) in zip(found, places, strict=True):
            operator[j, i] = math.sqrt(table[i, j])
        return found


@dataclass(frozen=True)
class ReadoutError(_Misreading):
    """One qubit read wrongly.

    Args:
        zero_as_one: the probability that |0> is read as 1.
        one_as_zero: the probability that |1> is read as 0; by default the same.
    """

    zero_as_one: float
    one_as_zero: float | None = None

    name: ClassVar[str] = "readout_error"

    def __post_init__(self) -> None:
        if self.one_as_zero is None:
            object.__setattr__(self, "one_as_zero", self.zero_as_one)
        check_probability(self, "zero_as_one")
        check_probability(self, "one_as_zero")

    def confusion(self) -> np.ndarray:
        """Two by two."""
        a, b = self.zero_as_one, self.one_as_zero
        assert b is not None  # it was given, or set to the other
        return np.array([[1 - a, a], [b, 1 - b]])


@dataclass(frozen=True)
class ReadoutConfusion(_Misreading):
    """One or two qubits read as others, by a matrix: errors of a pair may hang together.

    Args:
        matrix: ``(d, d)``: the probability that basis state i (row) is read as j (column), as in Qiskit.

    Raises:
        ConfigError: for other shapes, or rows that are no probabilities.

    Example:
        >>> from qmoe.circuits import ReadoutConfusion
        >>> ReadoutConfusion([[0.98, 0.02], [0.05, 0.95]]).n_wires
        1
    """

    matrix: tuple[tuple[float, ...], ...]

    name: ClassVar[str] = "readout_confusion"

    def __post_init__(self) -> None:
        given = as_matrix("ReadoutConfusion", self.matrix)
        found = given.real
        if found.shape not in ((2, 2), (4, 4)):
            raise ConfigError(f"ReadoutConfusion got a shape of {found.shape}, expected (2, 2), or (4, 4) for a pair.")
        if given.imag.any() or (found < 0).any() or not np.allclose(found.sum(1), 1, rtol=0, atol=TOLERANCE):
            raise ConfigError(f"ReadoutConfusion got {found.tolist()}, expected rows of probabilities that sum to 1.")
        object.__setattr__(self, "matrix", tuple(tuple(float(number) for number in row) for row in found))

    @property
    def n_wires(self) -> int:
        """By the size of its matrix."""
        return 1 if len(self.matrix) == 2 else 2

    def confusion(self) -> np.ndarray:
        """As given."""
        return np.array(self.matrix)
