"""Where in a circuit noise strikes, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from qmoe.circuits.gates import ALIASES, GATES
from qmoe.circuits.noise.channel import Channel, is_number, is_wire
from qmoe.errors import ConfigError, unknown

#: Places of a channel; the last three but one are of gates.
PLACES = ("encoding", "layer", "layers", "gate", "one_qubit_gate", "two_qubit_gate", "readout")
GATE_PLACES = ("gate", "one_qubit_gate", "two_qubit_gate")


@dataclass(frozen=True)
class OverRotation:
    """Gates that turn too far, coherently: by an angle of ``a * (1 + relative) + angle`` in place of ``a``.

    All angles of a gate are concerned, the three of a Rot too. Gates without an angle are not.

    Args:
        relative: the share by which an angle is too large.
        angle: radians that are added to it.

    Raises:
        ConfigError: for values that are not finite numbers, or both 0.

    Example:
        >>> from qmoe.circuits import OverRotation
        >>> OverRotation(angle=0.02).after("one_qubit_gate").place
        'one_qubit_gate'
    """

    relative: float = 0.0
    angle: float = 0.0

    name: ClassVar[str] = "over_rotation"
    n_wires: ClassVar[int] = 0
    is_readout: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for part in ("relative", "angle"):
            value = getattr(self, part)
            if not is_number(value):
                raise ConfigError(f"OverRotation: {part} is {value!r}, expected a finite number.")
            object.__setattr__(self, part, float(value))
        if self.relative == self.angle == 0:
            raise ConfigError("OverRotation got neither relative nor angle, and so changes nothing.")

    def after(
        self, place: str = "gate", wires: Iterable[int] | None = None, gates: Iterable[str] | None = None
    ) -> Placed:
        """As of `Channel`; of gates alone."""
        return Placed(self, place, wires, gates)  # type: ignore[arg-type]  # it makes tuples of them


@dataclass(frozen=True)
class Placed:
    """A channel at its places in a circuit.

    Args:
        channel: a `Channel`, or an `OverRotation` of gates.
        place: ``"encoding"``: after each upload of the features; ``"layer"``: after each trainable layer; ``"layers"``:
            after the layers that follow an upload; ``"gate"``, ``"one_qubit_gate"``, ``"two_qubit_gate"``: after each of
            these, on the qubits it acts on; ``"readout"``: at the end. In a circuit made of operations a run of gates with
            features is an upload, and a run of others both a layer and the layers.
        wires: of a channel of one qubit the qubits that suffer it, by default all there are; of a channel of two the pair,
            in the order in which a gate names it, by default that of each gate.
        gates: names of gates (as in `GATES`) to which a place of gates is limited.

    Raises:
        ConfigError: for unknown names, wires that do not fit, a channel of two qubits where there is no pair, or an error
            of the measurement anywhere but at ``"readout"``.
    """

    channel: Channel | OverRotation
    place: str
    wires: tuple[int, ...] | None = None
    gates: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.channel, Channel | OverRotation):
            raise ConfigError(f"A placed channel is {self.channel!r}, expected one such as BitFlip(0.01).")
        if self.place not in PLACES:
            raise unknown("place", self.place, PLACES)
        name, n = self.channel.name, self.channel.n_wires
        if self.channel.is_readout and self.place != "readout":
            raise ConfigError(f"{name} is an error of the measurement, placed at {self.place!r}; use 'readout'.")
        if isinstance(self.channel, OverRotation) and self.place not in GATE_PLACES:
            raise ConfigError(f"{name} is of gates, placed at {self.place!r}; use one of {', '.join(GATE_PLACES)}.")
        self._check_wires()
        self._check_gates()
        if n == 2 and self.wires is None and self.place not in GATE_PLACES:
            raise ConfigError(f"{name} acts on a pair, and {self.place!r} has none; say which: wires=(0, 1).")
        if n == 2 and not self._only_pairs():
            raise ConfigError(
                f"{name} acts on a pair, and {self.place!r} is of single qubits too; use 'two_qubit_gate'."
            )

    def _check_wires(self) -> None:
        if self.wires is None:
            return
        wires = tuple(self.wires) if isinstance(self.wires, Iterable) else (self.wires,)
        if not wires or not all(is_wire(wire) for wire in wires) or len(set(wires)) < len(wires):
            raise ConfigError(f"wires is {self.wires!r}, expected different non-negative integers.")
        if isinstance(self.channel, OverRotation) and self.place == "two_qubit_gate" and len(wires) < 2:
            raise ConfigError(f"A gate on two qubits turns too far on both, got wires={wires!r}.")
        if self.channel.n_wires == 2 and len(wires) != 2:
            raise ConfigError(f"{self.channel.name} acts on a pair, got wires={wires!r}.")
        object.__setattr__(self, "wires", tuple(int(wire) for wire in wires))

    def _check_gates(self) -> None:
        if self.gates is None:
            return
        if self.place not in GATE_PLACES:
            raise ConfigError(f"gates is {self.gates!r}, but {self.place!r} is no place of gates; leave it out.")
        if isinstance(self.gates, str) or not isinstance(self.gates, Iterable):
            raise ConfigError(f"gates is {self.gates!r}, expected a list of names such as ['RX', 'CNOT'].")
        names = tuple(ALIASES.get(name, name) if isinstance(name, str) else name for name in self.gates)
        for name in names:
            if not isinstance(name, str) or name not in GATES:
                raise unknown("gate", name, GATES)
        if not names:
            raise ConfigError("gates is empty, so the channel strikes nothing; leave it out for all gates.")
        object.__setattr__(self, "gates", names)
        for name in names:
            if not self.concerns(name):
                raise ConfigError(f"gates names {name}, which is no {self.place.replace('_', ' ')}.")
            if isinstance(self.channel, OverRotation) and not GATES[name][1]:
                raise ConfigError(f"gates names {name}, which has no angle that could be too large.")

    def _only_pairs(self) -> bool:
        named = self.gates is not None and all(GATES[name][0] == 2 for name in self.gates)
        return self.place not in GATE_PLACES or self.place == "two_qubit_gate" or named

    def concerns(self, gate: str) -> bool:
        """Whether its place is after gates of that name."""
        if self.place not in GATE_PLACES or (self.gates is not None and gate not in self.gates):
            return False
        return self.place == "gate" or (GATES[gate][0] == 2) == (self.place == "two_qubit_gate")

    def targets(self, wires: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The wires, of those at its place, that it acts on, each time that it acts."""
        if self.channel.n_wires == 2:
            if self.wires is None or self.place not in GATE_PLACES:
                return [wires if self.wires is None else self.wires]
            return [wires] if wires == self.wires else []
        return [(wire,) for wire in wires if self.wires is None or wire in self.wires]
