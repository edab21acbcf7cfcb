"""Gates and operations as data: what an engine has to do, in order. Definitions are PennyLane's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

from qmoe.circuits.angles.expressions import Angle, Computed, Feature, Weight, as_angle, indices_of
from qmoe.errors import ConfigError, unknown

if TYPE_CHECKING:
    from qmoe.circuits.noise.channel import Channel  # channels have places, which name gates

#: name -> (number of wires, number of angles).
GATES: dict[str, tuple[int, int]] = {
    "Hadamard": (1, 0),
    "PauliX": (1, 0),
    "PauliY": (1, 0),
    "PauliZ": (1, 0),
    "S": (1, 0),
    "T": (1, 0),
    "SX": (1, 0),
    "RX": (1, 1),
    "RY": (1, 1),
    "RZ": (1, 1),
    "PhaseShift": (1, 1),
    "Rot": (1, 3),
    "CNOT": (2, 0),
    "CY": (2, 0),
    "CZ": (2, 0),
    "SWAP": (2, 0),
    "ISWAP": (2, 0),
    "ECR": (2, 0),
    "CRX": (2, 1),
    "CRY": (2, 1),
    "CRZ": (2, 1),
    "IsingXX": (2, 1),
    "IsingYY": (2, 1),
    "IsingZZ": (2, 1),
}

#: Names that OpenQASM 3, Qiskit and PennyLane have for gates of `GATES`, and their names here.
ALIASES: dict[str, str] = {
    "h": "Hadamard",
    "H": "Hadamard",
    "x": "PauliX",
    "X": "PauliX",
    "y": "PauliY",
    "Y": "PauliY",
    "z": "PauliZ",
    "Z": "PauliZ",
    "s": "S",
    "t": "T",
    "sx": "SX",
    "rx": "RX",
    "ry": "RY",
    "rz": "RZ",
    "p": "PhaseShift",
    "phase": "PhaseShift",
    "u1": "PhaseShift",
    "U1": "PhaseShift",
    "cx": "CNOT",
    "CX": "CNOT",
    "cy": "CY",
    "cz": "CZ",
    "swap": "SWAP",
    "iswap": "ISWAP",
    "ecr": "ECR",
    "crx": "CRX",
    "cry": "CRY",
    "crz": "CRZ",
    "rxx": "IsingXX",
    "ryy": "IsingYY",
    "rzz": "IsingZZ",
}


#: Name here -> method of a ``QuantumCircuit``, which takes angles first.
QISKIT_METHODS: dict[str, str] = {
    "Hadamard": "h",
    "PauliX": "x",
    "PauliY": "y",
    "PauliZ": "z",
    "S": "s",
    "T": "t",
    "SX": "sx",
    "RX": "rx",
    "RY": "ry",
    "RZ": "rz",
    "PhaseShift": "p",
    "CNOT": "cx",
    "CY": "cy",
    "CZ": "cz",
    "SWAP": "swap",
    "ISWAP": "iswap",
    "ECR": "ecr",
    "CRX": "crx",
    "CRY": "cry",
    "CRZ": "crz",
    "IsingXX": "rxx",
    "IsingYY": "ryy",
    "IsingZZ": "rzz",
}


@dataclass(frozen=True, slots=True)
class Gate:
    """One unitary gate.

    Args:
        name: a key of `GATES`, with PennyLane's meaning, or of `ALIASES`, which becomes that; `qmoe.interop.gates` knows
            further names, of what takes several gates.
        wires: the wires it acts on; the first is the control where there is one. Wire 0 is the most significant bit.
        angles: in radians; each a `Feature`, a `Weight`, sums and products of these, or a number.

    Raises:
        ConfigError: for an unknown name, a wrong number of wires or angles, or values that are neither.

    Example:
        >>> from qmoe.circuits import GATES, Gate, Weight
        >>> GATES["CRX"], Gate("CRX", (0, 1), (Weight(0),))
        ((2, 1), Gate(name='CRX', wires=(0, 1), angles=(Weight(index=0),)))
    """

    name: str
    wires: tuple[int, ...]
    angles: tuple[Angle, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.name, str):
            object.__setattr__(self, "name", ALIASES.get(self.name, self.name))
        if not isinstance(self.name, str) or self.name not in GATES:
            raise _unknown_gate(self.name)
        n_wires, n_angles = GATES[self.name]
        for part, value in (("wires", self.wires), ("angles", self.angles)):
            if not isinstance(value, Iterable):
                raise ConfigError(f"Gate {self.name}: {part} is {value!r}, expected a tuple such as ({value!r},).")
            object.__setattr__(self, part, tuple(value))
        if (
            not all(isinstance(wire, Integral) and not isinstance(wire, bool) and wire >= 0 for wire in self.wires)
            or len(self.wires) != n_wires
            or len(set(self.wires)) != n_wires
        ):
            raise ConfigError(
                f"Gate {self.name} on wires {self.wires}: expected {n_wires} different non-negative wire(s)."
            )
        object.__setattr__(self, "wires", tuple(int(wire) for wire in self.wires))
        if len(self.angles) != n_angles:
            raise ConfigError(
                f"Gate {self.name} got {len(self.angles)} angle(s), expected {n_angles}; "
                "write each as Weight(k), Feature(k) or a number of radians."
            )
        object.__setattr__(self, "angles", tuple(as_angle(self.name, angle) for angle in self.angles))

    @property
    def weight_indices(self) -> tuple[int, ...]:
        """Indices of the weights in the angles."""
        return indices_of(self.angles, Weight)

    @property
    def encodes(self) -> bool:
        """Whether an angle differs between samples: by a feature, or what a function computes."""
        return bool(self.feature_indices or indices_of(self.angles, Computed))

    @property
    def feature_indices(self) -> tuple[int, ...]:
        """Indices of the features in the angles."""
        return indices_of(self.angles, Feature)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Prepares the state whose amplitudes are the padded, normalised features (amplitude encoding).

    Example:
        >>> from qmoe.circuits import Prepare
        >>> Prepare(2).n_wires
        2
    """

    n_wires: int


@dataclass(frozen=True, slots=True)
class Depolarize:
    """The depolarizing channel, at the circuit's noise strength, on each of ``wires`` in turn.

    Example:
        >>> from qmoe.circuits import Circuit, Depolarize, NOISE
        >>> circuit = Circuit(1, 1, noise=qmoe.NoiseModel(0.1))
        >>> [type(op).__name__ for op in circuit.operations if isinstance(op, NOISE)]
        ['Depolarize', 'Depolarize']
        >>> Depolarize((0,))
        Depolarize(wires=(0,))
    """

    wires: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dephase:
    """Full dephasing of each of ``wires``: the density matrix loses all coherence between the eigenstates of ``axis``.

    ``rho`` becomes ``(rho + P rho P) / 2`` with the Pauli operator P of that name, as if it were measured and the outcome
    forgotten; along Z PennyLane's ``PhaseFlip(0.5)`` or ``PhaseDamping(1)``, along X its ``BitFlip(0.5)``.

    Example:
        >>> from qmoe.circuits import Dephase
        >>> Dephase((0, 1), axis="X").wires
        (0, 1)
    """

    wires: tuple[int, ...]
    axis: str = "Z"


@dataclass(frozen=True, slots=True)
class Disturb:
    """A channel of noise on wires, as many as it acts on; an error of the measurement stands behind all gates.

    Raises:
        ConfigError: for another number of wires.

    Example:
        >>> from qmoe.circuits import BitFlip, Disturb
        >>> Disturb(BitFlip(0.1), (0,)).channel
        BitFlip(p=0.1)
    """

    channel: Channel
    wires: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.wires) != self.channel.n_wires or len(set(self.wires)) < len(self.wires):
            raise ConfigError(
                f"{self.channel.name} on wires {self.wires}: expected {self.channel.n_wires} different wire(s)."
            )


def _unknown_gate(name: object) -> ConfigError:
    from qmoe.circuits.decompositions import DECOMPOSITIONS  # it is made of gates, and so comes later

    if isinstance(name, str) and name in DECOMPOSITIONS:
        return ConfigError(
            f"{name!r} is no single gate here; qmoe.interop.gates({name!r}, wires, angles) gives those that make it up."
        )
    return unknown("gate", name, GATES)


#: Operations that leave mixed states.
NOISE = (Depolarize, Dephase, Disturb)

#: What a circuit is a list of.
Operation = Gate | Prepare | Depolarize | Dephase | Disturb
