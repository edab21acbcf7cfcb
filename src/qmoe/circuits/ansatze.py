"""The trainable layers of a circuit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from qmoe.circuits.angles.expressions import Weight
from qmoe.circuits.gates import Gate
from qmoe.circuits.named_parts import as_part
from qmoe.errors import ConfigError, unknown


class Ansatz(ABC):
    """Describes one layer of trainable gates. Frozen and hashable; the number of layers belongs to the circuit.

    Example:
        >>> from qmoe.circuits import Ansatz, StronglyEntangling
        >>> isinstance(StronglyEntangling(), Ansatz), StronglyEntangling().layer_shape(2)
        (True, (2, 3))
    """

    name: ClassVar[str]

    @abstractmethod
    def layer_shape(self, n_qubits: int) -> tuple[int, ...]:
        """Shape of the weights of one layer, such as ``(Q, 3)``."""

    @abstractmethod
    def layer(self, index: int, n_qubits: int) -> tuple[Gate, ...]:
        """The gates of layer ``index``, with weights numbered from 0 within the layer."""

    def check_wires(self, n_qubits: int) -> None:
        """Raises `ConfigError` if the ansatz needs wires that ``n_qubits`` qubits do not have."""
        del n_qubits


def _rotations(n_qubits: int) -> list[Gate]:
    return [Gate("Rot", (w,), (Weight(3 * w), Weight(3 * w + 1), Weight(3 * w + 2))) for w in range(n_qubits)]


@dataclass(frozen=True, slots=True)
class StronglyEntangling(Ansatz):
    """A general rotation on each qubit, then a ring of CNOTs whose range grows from layer to layer.

    Layer l entangles wire i with wire ``i + r mod Q`` where ``r = l mod (Q - 1) + 1`` (Schuld et al. 2020,
    "Circuit-centric quantum classifiers"; PennyLane's StronglyEntanglingLayers). The paper's router and
    quantum experts use it.

    Example:
        >>> from qmoe.circuits import StronglyEntangling
        >>> qmoe.Circuit(2, 3, ansatz=StronglyEntangling()).weight_shape
        (3, 2, 3)
    """

    name: ClassVar[str] = "strongly_entangling"

    def layer_shape(self, n_qubits: int) -> tuple[int, ...]:
        """``(Q, 3)``: phi, theta, omega of each qubit's Rot."""
        return (n_qubits, 3)

    def layer(self, index: int, n_qubits: int) -> tuple[Gate, ...]:
        """Rot on every wire, then the CNOT ring."""
        gates = _rotations(n_qubits)
        if n_qubits > 1:
            reach = index % (n_qubits - 1) + 1
            gates += [Gate("CNOT", (w, (w + reach) % n_qubits)) for w in range(n_qubits)]
        return tuple(gates)


@dataclass(frozen=True, slots=True)
class BasicEntangler(Ansatz):
    """One single-angle rotation on each qubit, then a closed chain of CNOTs (PennyLane's BasicEntanglerLayers).

    Args:
        rotation: ``"X"``, ``"Y"`` or ``"Z"``.

    Example:
        >>> from qmoe.circuits import BasicEntangler
        >>> BasicEntangler(rotation="Y").layer_shape(3)
        (3,)
    """

    rotation: str = "X"
    name: ClassVar[str] = "basic_entangler"

    def __post_init__(self) -> None:
        if self.rotation not in ("X", "Y", "Z"):
            raise unknown("rotation", self.rotation, ("X", "Y", "Z"))

    def layer_shape(self, n_qubits: int) -> tuple[int, ...]:
        """``(Q,)``: one angle a qubit."""
        return (n_qubits,)

    def layer(self, index: int, n_qubits: int) -> tuple[Gate, ...]:
        """A rotation on every wire, then CNOTs in a ring (a single CNOT for two qubits)."""
        del index
        gates = [Gate("R" + self.rotation, (w,), (Weight(w),)) for w in range(n_qubits)]
        if n_qubits == 2:
            gates.append(Gate("CNOT", (0, 1)))
        elif n_qubits > 2:
            gates += [Gate("CNOT", (w, (w + 1) % n_qubits)) for w in range(n_qubits)]
        return tuple(gates)


@dataclass(frozen=True, slots=True)
class NoEntangler(Ansatz):
    """The strongly entangling ansatz without its CNOTs: every qubit stays on its own, the state is a product state.

    Example:
        >>> from qmoe.circuits import NoEntangler
        >>> NoEntangler().layer_shape(2)
        (2, 3)
    """

    name: ClassVar[str] = "no_entangler"

    def layer_shape(self, n_qubits: int) -> tuple[int, ...]:
        """``(Q, 3)``: phi, theta, omega of each qubit's Rot."""
        return (n_qubits, 3)

    def layer(self, index: int, n_qubits: int) -> tuple[Gate, ...]:
        """Rot on every wire."""
        del index
        return tuple(_rotations(n_qubits))


@dataclass(frozen=True, slots=True)
class CustomAnsatz(Ansatz):
    """A layer given as a list of gates; weights are numbered from 0 without gaps and belong to the layer.

    Args:
        gates: such as ``[Gate("RY", (0,), (Weight(0),)), Gate("CZ", (0, 1))]``. A weight may stand in several gates.

    Raises:
        ConfigError: for an empty list, gaps in the numbering, or a `Feature` (features enter through the encoding).

    Example:
        >>> from qmoe.circuits import CustomAnsatz, Gate, Weight
        >>> CustomAnsatz((Gate("RY", (0,), (Weight(0),)), Gate("CNOT", (0, 1)))).layer_shape(2)
        (1,)
    """

    gates: tuple[Gate, ...]
    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", tuple(self.gates))
        if not self.gates or not all(isinstance(gate, Gate) for gate in self.gates):
            raise ConfigError(f"CustomAnsatz takes a non-empty list of Gate, got {self.gates!r}.")
        if any(gate.feature_indices for gate in self.gates):
            raise ConfigError(
                "CustomAnsatz got a Feature as an angle; features enter through the encoding: "
                "use AngleEncoding(uploads=...) to encode them more than once."
            )
        used = {index for gate in self.gates for index in gate.weight_indices}
        if used != set(range(len(used))):
            raise ConfigError(f"CustomAnsatz uses the weights {sorted(used)}; number them 0, 1, 2, ... without gaps.")

    def layer_shape(self, n_qubits: int) -> tuple[int, ...]:
        """``(P,)`` with P the number of different weights in the list."""
        del n_qubits
        return (len(_distinct(self.gates)),)

    def layer(self, index: int, n_qubits: int) -> tuple[Gate, ...]:
        """The gates as given."""
        del index, n_qubits
        return self.gates

    def check_wires(self, n_qubits: int) -> None:
        """Every wire of the list must exist."""
        highest = max(wire for gate in self.gates for wire in gate.wires)
        if highest >= n_qubits:
            raise ConfigError(
                f"CustomAnsatz acts on wire {highest}, but the circuit has {n_qubits} qubit(s) "
                f"(wires 0 to {n_qubits - 1}); use n_qubits={highest + 1} or more."
            )


def _distinct(gates: Iterable[Gate]) -> set[int]:
    return {index for gate in gates for index in gate.weight_indices}


#: Ansatze by name, as `as_ansatz` takes them.
ANSATZE: dict[str, type[Ansatz]] = {
    "strongly_entangling": StronglyEntangling,
    "basic_entangler": BasicEntangler,
    "no_entangler": NoEntangler,
}


def as_ansatz(ansatz: str | Ansatz | Iterable[Gate]) -> Ansatz:
    """Returns ``ansatz`` itself, the default ansatz of that name, or a `CustomAnsatz` for a list of gates.

    Raises:
        ConfigError: for an unknown name, or something else.

    Example:
        >>> from qmoe.circuits import ANSATZE, as_ansatz
        >>> as_ansatz("no_entangler"), sorted(ANSATZE)
        (NoEntangler(), ['basic_entangler', 'no_entangler', 'strongly_entangling'])
    """
    if isinstance(ansatz, Ansatz):
        return ansatz
    if not isinstance(ansatz, (str, Iterable)):
        raise ConfigError(f"ansatz is {ansatz!r}, expected an Ansatz, a list of Gate, or one of {', '.join(ANSATZE)}.")
    if not isinstance(ansatz, str):
        return CustomAnsatz(tuple(ansatz))
    return as_part("ansatz", ansatz, Ansatz, ANSATZE)
