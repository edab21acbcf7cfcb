"""A circuit as Qiskit's, with a parameter for each angle that is no number; channels become instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import (
    NOISE,
    Angle,
    Circuit,
    Dephase,
    Depolarize,
    Depolarizing,
    Disturb,
    Gate,
    PauliError,
    angle_value,
)
from qmoe.circuits import Channel as NoiseChannel
from qmoe.circuits.gates import QISKIT_METHODS
from qmoe.circuits.noise.ibm_snapshots import INSTALL
from qmoe.errors import UnsupportedError, needed

#: Gates that the simulator does not know, and that Qiskit writes out.
_UNKNOWN = ["iswap", "crx", "cry", "crz"]


@dataclass(frozen=True, eq=False)
class AerProgram:
    """A circuit of Qiskit, and what its parameters are.

    Attributes:
        circuit: the ``QuantumCircuit``; qubit i is wire i.
        parameters: its parameters.
        angles: the angle that each is.
        is_mixed: whether there are channels in it.
    """

    circuit: Any
    parameters: tuple[Any, ...]
    angles: tuple[Angle, ...]
    is_mixed: bool

    def values(self, x: Tensor, weights: Tensor) -> list[Tensor]:
        """``(B,)`` values of each parameter, of ``(B, F)`` features and ``(P,)`` weights."""
        return [
            angle_value(
                angle, lambda i: x[:, i], lambda i: weights[i], lambda c: torch.tensor(c, dtype=x.dtype)
            ).expand(len(x))
            for angle in self.angles
        ]


def program_for(circuit: Circuit, operations: tuple[Any, ...], strength: float | None = None) -> AerProgram:
    """Gates and channels of a circuit.

    Args:
        circuit: which says how many wires there are.
        operations: its own without errors of the measurement, or others on its wires.
        strength: probability of depolarizing channels.

    Raises:
        UnsupportedError: for amplitudes prepared from features.
    """
    qiskit = needed("qiskit.circuit", INSTALL)
    made = qiskit.QuantumCircuit(circuit.n_qubits)
    known: dict[Angle, Any] = {}

    def value(angle: Angle) -> Any:
        if isinstance(angle, float):
            return angle
        return known.setdefault(angle, qiskit.Parameter(f"a{len(known)}"))

    for op in operations:
        if isinstance(op, Gate):
            add_gate(made, op, [value(angle) for angle in op.angles])
        elif isinstance(op, Disturb):
            _add_channel(made, op.channel, op.wires)
        elif isinstance(op, Depolarize):
            assert strength is not None
            for wire in op.wires if strength else ():
                _add_channel(made, Depolarizing(strength), (wire,))
        elif isinstance(op, Dephase):
            for wire in op.wires:
                _add_channel(made, PauliError(((op.axis, 0.5),)), (wire,))
        else:
            raise UnsupportedError(
                "Amplitudes prepared from features are no angles, which Qiskit's parameters are; encode features by "
                "rotations, or use engine='native'."
            )
    return AerProgram(
        made.decompose(gates_to_decompose=_UNKNOWN, reps=2),
        tuple(known.values()),
        tuple(known),
        any(isinstance(op, NOISE) for op in operations),
    )


def add_gate(made: Any, gate: Gate, angles: list[Any]) -> None:
    """Adds a gate to a circuit of Qiskit."""
    if gate.name == "Rot":
        phi, theta, omega = angles
        made.u(theta, omega, phi, *gate.wires)  # equal up to a global phase
    else:
        getattr(made, QISKIT_METHODS[gate.name])(*angles, *gate.wires)


def _add_channel(made: Any, channel: NoiseChannel, wires: tuple[int, ...]) -> None:
    info = needed("qiskit.quantum_info", INSTALL)
    # Qiskit's first qubit counts least.
    made.append(info.Kraus(list(channel.kraus())).to_instruction(), tuple(reversed(wires)))
