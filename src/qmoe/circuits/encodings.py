"""How classical features become a quantum state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from qmoe.circuits.angles.expressions import Feature
from qmoe.circuits.gates import Gate, Operation, Prepare
from qmoe.circuits.named_parts import as_part
from qmoe.errors import ConfigError, unknown


class Encoding(ABC):
    """Describes how features enter a circuit. Frozen and hashable.

    Example:
        >>> from qmoe.circuits import ENCODINGS, Encoding
        >>> isinstance(qmoe.AngleEncoding(), Encoding), sorted(ENCODINGS)
        (True, ['amplitude', 'angle'])
    """

    name: ClassVar[str]
    #: How often the features are encoded, spread over the layers.
    uploads: int

    @abstractmethod
    def n_features(self, n_qubits: int) -> int:
        """The largest number of features that ``n_qubits`` qubits take."""

    @abstractmethod
    def check_features(self, in_features: int, n_qubits: int) -> None:
        """Raises `ConfigError` unless ``in_features`` features can be encoded in ``n_qubits`` qubits as they are."""

    @abstractmethod
    def operations(self, n_qubits: int) -> tuple[Operation, ...]:
        """The operations of one upload."""

    @property
    @abstractmethod
    def max_frequency(self) -> int | None:
        """Largest frequency of a feature in any expectation value; None where it is no trigonometric polynomial."""

    @property
    @abstractmethod
    def period(self) -> float | None:
        """Period of the state in each feature, in radians (up to a global phase); None if it is not periodic."""


@dataclass(frozen=True, slots=True)
class AngleEncoding(Encoding):
    """One feature per qubit as the angle of a rotation, repeated ``uploads`` times between the layers.

    With rotation ``"Z"`` each upload opens with a Hadamard gate, since RZ does nothing to the state ``|0>``.

    Args:
        rotation: ``"X"``, ``"Y"`` or ``"Z"``.
        uploads: how often the features are encoded (data re-uploading, Perez-Salinas et al. 2020). With R uploads every
            expectation value is a trigonometric polynomial of degree R in each feature (Schuld, Sweke, Meyer 2021).
    """

    rotation: str = "X"
    uploads: int = 1
    name: ClassVar[str] = "angle"

    def __post_init__(self) -> None:
        if self.rotation not in ("X", "Y", "Z"):
            raise unknown("rotation", self.rotation, ("X", "Y", "Z"))
        if not isinstance(self.uploads, int) or isinstance(self.uploads, bool) or self.uploads < 1:
            raise ConfigError(f"uploads is {self.uploads!r}, expected an integer of at least 1.")

    def n_features(self, n_qubits: int) -> int:
        """One feature per qubit."""
        return n_qubits

    def check_features(self, in_features: int, n_qubits: int) -> None:
        """Angle encoding takes exactly one feature per qubit."""
        if in_features != n_qubits:
            raise ConfigError(
                f"Angle encoding takes one feature per qubit: got {in_features} feature(s) and {n_qubits} qubit(s); "
                f"use n_qubits={in_features}, or a router, which projects."
            )

    def operations(self, n_qubits: int) -> tuple[Operation, ...]:
        """A rotation on every wire, after a Hadamard for rotation Z."""
        ops: list[Operation] = []
        for wire in range(n_qubits):
            if self.rotation == "Z":
                ops.append(Gate("Hadamard", (wire,)))
            ops.append(Gate("R" + self.rotation, (wire,), (Feature(wire),)))
        return tuple(ops)

    @property
    def max_frequency(self) -> int:
        """One per upload."""
        return self.uploads

    @property
    def period(self) -> float:
        """Two pi."""
        return 2 * math.pi


@dataclass(frozen=True, slots=True)
class AmplitudeEncoding(Encoding):
    """Features as amplitudes: padded with zeros to ``2**Q``, divided by their norm.

    A zero row has no state and is refused. Expectation values are ``x^T A x / |x|^2``: even in x
    and blind to its length.

    Example:
        >>> qmoe.QuantumRouter(4, 2, encoding=qmoe.AmplitudeEncoding()).circuit.n_qubits
        2
    """

    name: ClassVar[str] = "amplitude"
    uploads: ClassVar[int] = 1  # type: ignore[misc]  # a constant here, a field in re-uploading encodings

    def n_features(self, n_qubits: int) -> int:
        """One feature per basis state."""
        return 2**n_qubits

    def check_features(self, in_features: int, n_qubits: int) -> None:
        """Amplitude encoding takes up to ``2**Q`` features."""
        if not 1 <= in_features <= 2**n_qubits:
            need = max(1, math.ceil(math.log2(max(in_features, 1))))
            raise ConfigError(
                f"Amplitude encoding in {n_qubits} qubit(s) takes 1 to {2**n_qubits} features, got {in_features}; "
                f"use n_qubits={need} or more."
            )

    def operations(self, n_qubits: int) -> tuple[Operation, ...]:
        """One state preparation."""
        return (Prepare(n_qubits),)

    @property
    def max_frequency(self) -> None:
        """Not a trigonometric polynomial."""
        return None

    @property
    def period(self) -> None:
        """Not periodic."""
        return None


#: Encodings by name, as `as_encoding` takes them.
ENCODINGS: dict[str, type[Encoding]] = {"angle": AngleEncoding, "amplitude": AmplitudeEncoding}


def as_encoding(encoding: str | Encoding) -> Encoding:
    """Returns ``encoding`` itself, or the default encoding of that name.

    Raises:
        ConfigError: for an unknown name.

    Example:
        >>> from qmoe.circuits import as_encoding
        >>> as_encoding("amplitude")
        AmplitudeEncoding()
    """
    return as_part("encoding", encoding, Encoding, ENCODINGS)
