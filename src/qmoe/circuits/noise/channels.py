"""Channels of noise as data: what happens to one or two qubits, whatever the place.

Every channel gives its Kraus operators, and its transfer matrix over Pauli words, from which engines work. Definitions are
PennyLane's where it has the channel.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np

from qmoe.circuits.noise.channel import TOLERANCE, Channel, as_matrix, check_probability, pauli_words
from qmoe.circuits.noise.readout_errors import ReadoutConfusion, ReadoutError
from qmoe.errors import ConfigError


class _PauliMixture(Channel):
    """A channel that suffers each Pauli word with some probability."""

    @abstractmethod
    def pauli_probabilities(self) -> np.ndarray:
        """As of `Channel`."""

    def kraus(self) -> np.ndarray:
        """The words, each times the root of its probability."""
        probabilities = self.pauli_probabilities()
        kept = np.flatnonzero(probabilities)
        found: np.ndarray = np.sqrt(probabilities[kept])[:, None, None] * pauli_words(self.n_wires)[kept]
        return found


@dataclass(frozen=True)
class Depolarizing(_PauliMixture):
    """With probability p one of the Pauli errors, all equally likely: 3 of one qubit, 15 of two.

    Args:
        p: the probability; one qubit is mixed fully at 3/4, two at 15/16.
        n_wires: 1, or 2 for a pair.

    Raises:
        ConfigError: for a number that is no probability, or another number of qubits.
    """

    p: float
    n_wires: int = 1

    name: ClassVar[str] = "depolarizing"

    def __post_init__(self) -> None:
        check_probability(self, "p")
        if not isinstance(self.n_wires, int) or isinstance(self.n_wires, bool) or self.n_wires not in (1, 2):
            raise ConfigError(f"Depolarizing: n_wires is {self.n_wires!r}, expected 1 or 2.")

    def pauli_probabilities(self) -> np.ndarray:
        """``1 - p``, and equal shares of p."""
        n = 4**self.n_wires
        found = np.full(n, self.p / (n - 1))
        found[0] = 1 - self.p
        return found


@dataclass(frozen=True)
class BitFlip(_PauliMixture):
    """X with probability p.

    Example:
        >>> from qmoe.circuits import BitFlip
        >>> BitFlip(0.1).kraus().shape
        (2, 2, 2)
    """

    p: float

    name: ClassVar[str] = "bit_flip"

    def __post_init__(self) -> None:
        check_probability(self, "p")

    def pauli_probabilities(self) -> np.ndarray:
        """Of I and X."""
        return np.array([1 - self.p, self.p, 0.0, 0.0])


@dataclass(frozen=True)
class PhaseFlip(_PauliMixture):
    """Z with probability p.

    Example:
        >>> from qmoe.circuits import PhaseFlip
        >>> PhaseFlip(0.1).pauli_probabilities()
        array([0.9, 0. , 0. , 0.1])
    """

    p: float

    name: ClassVar[str] = "phase_flip"

    def __post_init__(self) -> None:
        check_probability(self, "p")

    def pauli_probabilities(self) -> np.ndarray:
        """Of I and Z."""
        return np.array([1 - self.p, 0.0, 0.0, self.p])


@dataclass(frozen=True)
class BitPhaseFlip(_PauliMixture):
    """Y with probability p.

    Example:
        >>> from qmoe.circuits import BitPhaseFlip
        >>> BitPhaseFlip(0.1).pauli_probabilities()
        array([0.9, 0. , 0.1, 0. ])
    """

    p: float

    name: ClassVar[str] = "bit_phase_flip"

    def __post_init__(self) -> None:
        check_probability(self, "p")

    def pauli_probabilities(self) -> np.ndarray:
        """Of I and Y."""
        return np.array([1 - self.p, 0.0, self.p, 0.0])


@dataclass(frozen=True)
class PauliError(_PauliMixture):
    """Any mixture of Pauli errors of one or two qubits.

    Args:
        errors: pairs of a word, such as ``("X", 0.01)`` or ``("ZZ", 0.02)``, all of one length; I is what is left.

    Raises:
        ConfigError: for other words, a word twice, or probabilities that add up to more than 1.

    Example:
        >>> from qmoe.circuits import PauliError
        >>> PauliError((("X", 0.01), ("Z", 0.02))).pauli_probabilities()
        array([0.97, 0.01, 0.  , 0.02])
    """

    errors: tuple[tuple[str, float], ...]

    name: ClassVar[str] = "pauli_error"

    def __post_init__(self) -> None:
        try:
            listed = tuple((str(word), float(p)) for word, p in self.errors)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"PauliError got {self.errors!r}, expected pairs such as (('X', 0.01),).") from error
        words = [word for word, _ in listed]
        sizes = {len(word) for word in words}
        if len(sizes) != 1 or sizes - {1, 2} or any(set(word) - set("IXYZ") for word in words):
            raise ConfigError(f"PauliError got the words {words!r}, expected words such as 'X', or all such as 'ZI'.")
        if len(set(words)) < len(words):
            raise ConfigError(f"PauliError got the words {words!r}, expected each at most once.")
        total = math.fsum(p for _, p in listed)
        if not all(math.isfinite(p) and p >= 0 for _, p in listed) or total > 1 + TOLERANCE:
            raise ConfigError(f"PauliError got probabilities {[p for _, p in listed]}, expected a sum of at most 1.")
        object.__setattr__(self, "errors", listed)

    @property
    def n_wires(self) -> int:
        """The length of its words."""
        return len(self.errors[0][0])

    def pauli_probabilities(self) -> np.ndarray:
        """Those given, and what is left for I."""
        found = np.zeros(4**self.n_wires)
        for word, p in self.errors:
            found[functools.reduce(lambda place, letter: 4 * place + "IXYZ".index(letter), word, 0)] += p
        found[0] += max(0.0, 1 - found.sum())
        return found


@dataclass(frozen=True)
class AmplitudeDamping(Channel):
    """Relaxation towards |0>, with probability gamma; towards |1> for the share ``excited`` of it.

    Args:
        gamma: the probability.
        excited: what is found in |1> after full relaxation; 0 at zero temperature.
    """

    gamma: float
    excited: float = 0.0

    name: ClassVar[str] = "amplitude_damping"

    def __post_init__(self) -> None:
        check_probability(self, "gamma")
        check_probability(self, "excited")

    def kraus(self) -> np.ndarray:
        """Two operators at zero temperature, four otherwise."""
        keep, lose = math.sqrt(1 - self.gamma), math.sqrt(self.gamma)
        down = [[[1, 0], [0, keep]], [[0, lose], [0, 0]]]
        up = [[[keep, 0], [0, 1]], [[0, 0], [lose, 0]]]
        found = np.array([*down, *up], dtype=complex)
        found *= np.sqrt([1 - self.excited, 1 - self.excited, self.excited, self.excited])[:, None, None]
        return found[:2] if self.excited == 0 else found


@dataclass(frozen=True)
class PhaseDamping(_PauliMixture):
    """Loss of coherence: off-diagonal elements shrink by ``sqrt(1 - gamma)``.

    Example:
        >>> from qmoe.circuits import PhaseDamping
        >>> PhaseDamping(0.36).transfer().diagonal()
        array([1. , 0.8, 0.8, 1. ])
    """

    gamma: float

    name: ClassVar[str] = "phase_damping"

    def __post_init__(self) -> None:
        check_probability(self, "gamma")

    def pauli_probabilities(self) -> np.ndarray:
        """The same as phase flips with probability ``(1 - sqrt(1 - gamma)) / 2``."""
        flip = (1 - math.sqrt(1 - self.gamma)) / 2
        return np.array([1 - flip, 0.0, 0.0, flip])


@dataclass(frozen=True)
class ThermalRelaxation(Channel):
    """What a qubit with relaxation times T1 and T2 suffers in some time.

    Populations approach equilibrium by ``exp(-time / t1)``, coherence vanishes by ``exp(-time / t2)``.

    Args:
        t1, t2: in any unit of time; ``math.inf`` for never.
        time: how long, in the same unit.
        excited: what is found in |1> in equilibrium.

    Raises:
        ConfigError: for times that are not positive, or ``t2 > 2 * t1``, which no channel has.
    """

    t1: float
    t2: float
    time: float
    excited: float = 0.0

    name: ClassVar[str] = "thermal_relaxation"

    def __post_init__(self) -> None:
        for part in ("t1", "t2", "time"):
            value = getattr(self, part)
            if not isinstance(value, Real) or isinstance(value, bool) or math.isnan(value):
                raise ConfigError(f"ThermalRelaxation: {part} is {value!r}, expected a number.")
            object.__setattr__(self, part, float(value))
        if self.t1 <= 0 or self.t2 <= 0 or self.time < 0 or not math.isfinite(self.time):
            raise ConfigError(
                f"ThermalRelaxation got t1={self.t1:g}, t2={self.t2:g}, time={self.time:g}, expected t1 and t2 above 0, "
                "and a time from 0."
            )
        if self.t2 > 2 * self.t1 * (1 + 1e-9):
            raise ConfigError(
                f"ThermalRelaxation got t2={self.t2:g} and t1={self.t1:g}; expected t2 of at most 2 * t1, since relaxation "
                "takes coherence with it."
            )
        check_probability(self, "excited")

    def kraus(self) -> np.ndarray:
        """Amplitude damping, and the phase damping that is left."""
        damping = AmplitudeDamping(-math.expm1(-self.time / self.t1), self.excited).kraus()
        # Relaxation alone shrinks coherence by exp(-time / (2 t1)).
        rest = math.exp(min(0.0, self.time / (2 * self.t1) - self.time / self.t2))
        dephasing = PhaseDamping(1 - rest * rest).kraus()
        return np.einsum("iab,jbc->ijac", dephasing, damping).reshape(-1, 2, 2)


@dataclass(frozen=True)
class Kraus(Channel):
    """Any channel of one or two qubits, by its Kraus operators.

    Args:
        operators: ``(k, d, d)`` numbers, with d of 2 or 4; kept as nested tuples.

    Raises:
        ConfigError: for other shapes, or operators whose ``sum K^dag K`` is not the identity.

    Example:
        >>> from qmoe.circuits import Kraus
        >>> flip = Kraus([[[0.8, 0], [0, 0.8]], [[0, 0.6], [0.6, 0]]])
        >>> flip.n_wires
        1
    """

    operators: tuple[tuple[tuple[complex, ...], ...], ...]

    name: ClassVar[str] = "kraus"

    def __post_init__(self) -> None:
        found = as_matrix("Kraus", self.operators)
        if found.ndim != 3 or not len(found) or found.shape[1:] not in ((2, 2), (4, 4)):
            raise ConfigError(f"Kraus got numbers of shape {found.shape}, expected (k, 2, 2), or (k, 4, 4) for a pair.")
        total = np.einsum("kba,kbc->ac", found.conj(), found)
        off = float(np.abs(total - np.eye(found.shape[1])).max())
        if not off <= TOLERANCE:
            raise ConfigError(f"Kraus: sum K^dag K is {off:.3g} from the identity, so probability is not kept.")
        nested = tuple(tuple(tuple(complex(number) for number in row) for row in matrix) for matrix in found)
        object.__setattr__(self, "operators", nested)

    @property
    def n_wires(self) -> int:
        """By the size of its matrices."""
        return 1 if len(self.operators[0]) == 2 else 2

    def kraus(self) -> np.ndarray:
        """As given."""
        return np.array(self.operators, dtype=complex)

    def pauli_probabilities(self) -> np.ndarray | None:
        """Where every operator is a Pauli word up to a factor."""
        coordinates = np.einsum("iab,kba->ki", pauli_words(self.n_wires), self.kraus()) / 2**self.n_wires
        weights = np.abs(coordinates) ** 2
        if ((weights > 1e-14).sum(1) > 1).any():
            return None
        found: np.ndarray = weights.sum(0)
        return found / found.sum()


#: Channels by name.
CHANNELS: dict[str, type[Channel]] = {
    kind.name: kind
    for kind in (
        Depolarizing,
        BitFlip,
        PhaseFlip,
        BitPhaseFlip,
        PauliError,
        AmplitudeDamping,
        PhaseDamping,
        ThermalRelaxation,
        Kraus,
        ReadoutError,
        ReadoutConfusion,
    )
}
