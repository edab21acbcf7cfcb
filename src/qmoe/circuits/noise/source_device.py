"""The device that a noise model was taken from: its gates, and the pairs that it couples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qmoe.circuits.gates import GATES, Gate, Prepare
from qmoe.errors import ConfigError, unknown


@dataclass(frozen=True)
class SourceDevice:
    """What a device can do, on the qubits of a noise model.

    A model that knows its device is for circuits in the gates of that device: noise of other gates is not known, and would
    be missing.

    Args:
        name: such as ``"fake_manila"``.
        qubits: number on the device of each wire.
        gates: names of its gates, as in `GATES`.
        couplings: ``(name, a, b)`` of each gate on two wires, in the order in which it acts.

    Raises:
        ConfigError: for unknown gates, or wires that are not there.
    """

    name: str
    qubits: tuple[int, ...]
    gates: tuple[str, ...]
    couplings: tuple[tuple[str, int, int], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "qubits", tuple(map(int, self.qubits)))
        object.__setattr__(self, "gates", tuple(self.gates))
        object.__setattr__(self, "couplings", tuple((str(name), int(a), int(b)) for name, a, b in self.couplings))
        for name in (*self.gates, *(name for name, _, _ in self.couplings)):
            if name not in GATES:
                raise unknown("gate of a device", name, GATES)
        for name, *pair in self.couplings:
            if not all(0 <= wire < len(self.qubits) for wire in pair):
                raise ConfigError(
                    f"{self.name} couples wires {pair} by {name}, and has wires 0 to {len(self.qubits) - 1}."
                )

    @property
    def n_qubits(self) -> int:
        """How many of its qubits the model has."""
        return len(self.qubits)

    @property
    def _remedy(self) -> str:
        return f"qmoe.interop.on_device(circuit, {self.name!r}) compiles a circuit for it"

    def check_size(self, n_qubits: int) -> None:
        """Checks the number of wires of a circuit.

        Raises:
            ConfigError: for more or fewer than it has qubits.
        """
        if n_qubits == self.n_qubits:
            return
        wires = ", ".join(map(str, self.qubits[:n_qubits]))
        fewer = f", or take the noise of as many: NoiseModel.from_ibm({self.name!r}, qubits=({wires},))"
        raise ConfigError(
            f"The noise is that of {self.n_qubits} qubit(s) of {self.name}, and the circuit has {n_qubits}; {self._remedy}"
            f"{fewer if n_qubits < self.n_qubits else ''}."
        )

    def check(self, operations: Iterable[object]) -> None:
        """Checks that the operations of a circuit can run on it as they are.

        Raises:
            ConfigError: for a gate that it does not have, or a pair that it does not couple.
        """
        for op in operations:
            if isinstance(op, Prepare):
                raise ConfigError(
                    f"The circuit prepares amplitudes, and {self.name} has no noise for that; encode features by rotations."
                )
            if not isinstance(op, Gate):
                continue
            if op.name not in self.gates:
                raise ConfigError(
                    f"The circuit has the gate {op.name}, and {self.name} has {', '.join(self.gates)}: its noise would be "
                    f"missing. {self._remedy}."
                )
            if len(op.wires) == 2 and (op.name, *op.wires) not in self.couplings:
                raise ConfigError(
                    f"The circuit has {op.name} on the wires {op.wires}, and {self.name} does not couple them in that "
                    f"order: its noise would be missing. {self._remedy}."
                )
