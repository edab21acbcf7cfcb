"""Channels of noise as data: what happens to one or two qubits, whatever the place.

Every channel gives its Kraus operators, and its transfer matrix over Pauli words, from which engines work. Definitions are
PennyLane's where it has the channel.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qmoe.errors import ConfigError

if TYPE_CHECKING:
    from qmoe.circuits.noise.placement import Placed

#: How far from a channel that keeps the trace rounding may lead.
_TOLERANCE = 1e-7

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


class Channel(ABC):
    """What noise does to ``n_wires`` qubits; frozen data.

    Attributes:
        name: as in pictures and files.
        is_readout: whether it is an error of the measurement, which can stand at its end alone.
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

        return Placed(self, place, None if wires is None else tuple(wires), None if gates is None else tuple(gates))

    def before_readout(self, wires: Iterable[int] | None = None) -> Placed:
        """This channel at the end of a circuit; one of two qubits needs to be told which."""
        return self.after("readout", wires)


@functools.lru_cache(maxsize=4096)
def _transfer(channel: Channel) -> np.ndarray:
    words = pauli_words(channel.n_wires)
    operators = channel.kraus()
    images = np.einsum("kab,jbc,kdc->jad", operators, words, operators.conj(), optimize=True)
    found: np.ndarray = np.einsum("iab,jba->ij", words, images, optimize=True).real / words.shape[-1]
    found.setflags(write=False)
    return found


@functools.cache
def pauli_words(n_wires: int) -> np.ndarray:
    """``(4**w, 2**w, 2**w)`` Pauli words, the letter of the first wire counting most."""
    words = PAULIS
    for _ in range(n_wires - 1):
        words = np.einsum("iab,jcd->ijacbd", words, PAULIS).reshape(len(words) * 4, words.shape[1] * 2, -1)
    return words


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
        _probability(self, "p")
        if self.n_wires not in (1, 2) or isinstance(self.n_wires, bool):
            raise ConfigError(f"Depolarizing: n_wires is {self.n_wires!r}, expected 1 or 2.")

    def pauli_probabilities(self) -> np.ndarray:
        """``1 - p``, and equal shares of p."""
        n = 4**self.n_wires
        found = np.full(n, self.p / (n - 1))
        found[0] = 1 - self.p
        return found


@dataclass(frozen=True)
class BitFlip(_PauliMixture):
    """X with probability p."""

    p: float

    name: ClassVar[str] = "bit_flip"

    def __post_init__(self) -> None:
        _probability(self, "p")

    def pauli_probabilities(self) -> np.ndarray:
        """Of I and X."""
        return np.array([1 - self.p, self.p, 0.0, 0.0])


@dataclass(frozen=True)
class PhaseFlip(_PauliMixture):
    """Z with probability p."""

    p: float

    name: ClassVar[str] = "phase_flip"

    def __post_init__(self) -> None:
        _probability(self, "p")

    def pauli_probabilities(self) -> np.ndarray:
        """Of I and Z."""
        return np.array([1 - self.p, 0.0, 0.0, self.p])


@dataclass(frozen=True)
class BitPhaseFlip(_PauliMixture):
    """Y with probability p."""

    p: float

    name: ClassVar[str] = "bit_phase_flip"

    def __post_init__(self) -> None:
        _probability(self, "p")

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
        if not all(math.isfinite(p) and p >= 0 for _, p in listed) or total > 1 + _TOLERANCE:
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
        _probability(self, "gamma")
        _probability(self, "excited")

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
    """Loss of coherence: off-diagonal elements shrink by ``sqrt(1 - gamma)``."""

    gamma: float

    name: ClassVar[str] = "phase_damping"

    def __post_init__(self) -> None:
        _probability(self, "gamma")

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
        _probability(self, "excited")

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
    """

    operators: tuple[tuple[tuple[complex, ...], ...], ...]

    name: ClassVar[str] = "kraus"

    def __post_init__(self) -> None:
        found = _matrix("Kraus", self.operators)
        if found.ndim != 3 or not len(found) or found.shape[1:] not in ((2, 2), (4, 4)):
            raise ConfigError(f"Kraus got numbers of shape {found.shape}, expected (k, 2, 2), or (k, 4, 4) for a pair.")
        total = np.einsum("kba,kbc->ac", found.conj(), found)
        off = float(np.abs(total - np.eye(found.shape[1])).max())
        if not off <= _TOLERANCE:
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


class _Readout(Channel):
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
class ReadoutError(_Readout):
    """One qubit read wrongly.

    Args:
        zero_as_one: the probability that |0> is read as 1.
        one_as_zero: the probability that |1> is read as 0; by default the same.
    """

    zero_as_one: float
    one_as_zero: float = -1.0

    name: ClassVar[str] = "readout_error"

    def __post_init__(self) -> None:
        if self.one_as_zero == -1.0:
            object.__setattr__(self, "one_as_zero", self.zero_as_one)
        _probability(self, "zero_as_one")
        _probability(self, "one_as_zero")

    def confusion(self) -> np.ndarray:
        """Two by two."""
        a, b = self.zero_as_one, self.one_as_zero
        return np.array([[1 - a, a], [b, 1 - b]])


@dataclass(frozen=True)
class ReadoutConfusion(_Readout):
    """One or two qubits read as others, by a matrix: errors of a pair may hang together.

    Args:
        matrix: ``(d, d)``: the probability that basis state i (row) is read as j (column), as in Qiskit.

    Raises:
        ConfigError: for other shapes, or rows that are no probabilities.
    """

    matrix: tuple[tuple[float, ...], ...]

    name: ClassVar[str] = "readout_confusion"

    def __post_init__(self) -> None:
        found = _matrix("ReadoutConfusion", self.matrix).real
        if found.shape not in ((2, 2), (4, 4)):
            raise ConfigError(f"ReadoutConfusion got a shape of {found.shape}, expected (2, 2), or (4, 4) for a pair.")
        if (found < 0).any() or not np.allclose(found.sum(1), 1, rtol=0, atol=_TOLERANCE):
            raise ConfigError(f"ReadoutConfusion got {found.tolist()}, expected rows of probabilities that sum to 1.")
        object.__setattr__(self, "matrix", tuple(tuple(float(number) for number in row) for row in found))

    @property
    def n_wires(self) -> int:
        """By the size of its matrix."""
        return 1 if len(self.matrix) == 2 else 2

    def confusion(self) -> np.ndarray:
        """As given."""
        return np.array(self.matrix)


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


def _probability(channel: Channel, part: str) -> None:
    value = getattr(channel, part)
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ConfigError(f"{type(channel).__name__}: {part} is {value!r}, expected a probability from 0 to 1.")
    object.__setattr__(channel, part, float(value))


def _matrix(what: str, given: Any) -> np.ndarray:
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
