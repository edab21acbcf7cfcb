"""A circuit as a PennyLane quantum function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pennylane as qml
from torch import Tensor

from qmoe.circuits import (
    Angle,
    Born,
    Circuit,
    Dephase,
    Depolarize,
    Disturb,
    Prepare,
    Probs,
    Readout,
    Readouts,
    Sum,
    Word,
    angle_value,
)
from qmoe.engines.pennylane.named_channels import apply_channel

# default.mixed multiplies by the eigenvalues of these, which PennyLane computes in complex64 for an angle without a batch.
_DIAGONAL = ("RZ", "CRZ", "IsingZZ")


def program_of(circuit: Circuit, as_state: bool = False) -> Callable[[Tensor, Tensor, Any], Any]:
    """The circuit as a PennyLane quantum function of ``(..., F)`` features, ``(P,)`` weights and the noise strength.

    It returns the read-outs, or with ``as_state`` the density matrix.
    """
    wires = range(circuit.n_qubits)

    def program(features: Tensor, weights: Tensor, strength: Any) -> Any:
        def value(angle: Angle, diagonal: bool) -> Tensor:
            # Constants as tensors too: PennyLane's Rot does not mix tensors with plain numbers.
            tensor = angle_value(
                angle,
                feature=lambda index: features[..., index],
                weight=lambda index: weights[index],
                number=lambda constant: weights.new_tensor(constant),
            )
            return tensor.expand(features.shape[:-1]) if diagonal else tensor

        for op in circuit.operations:
            if isinstance(op, Prepare):
                qml.StatePrep(features, wires=wires)
            elif isinstance(op, Depolarize):
                for wire in op.wires:
                    qml.DepolarizingChannel(strength, wires=wire)
            elif isinstance(op, Dephase):
                for wire in op.wires:
                    DEPHASE[op.axis](wire)
            elif isinstance(op, Disturb):
                apply_channel(op.channel, op.wires)
            else:
                # Up to a global phase; default.mixed cuts a batch of angles of PhaseShift off from their gradients.
                name = "RZ" if as_state and op.name == "PhaseShift" else op.name
                angles = [value(angle, diagonal=name in _DIAGONAL) for angle in op.angles]
                getattr(qml, name)(*angles, wires=op.wires)
        if as_state:
            return qml.density_matrix(wires=wires)
        measured = measurements_of(circuit.readout, circuit.n_qubits)
        return measured[0] if isinstance(circuit.readout, Born | Probs) else measured

    return program


def measurements_of(readout: Readout, n_qubits: int) -> list[Any]:
    """What measures a read-out, one part after another; a list of read-outs has those of each."""
    if isinstance(readout, Readouts):
        return [one for part in readout.parts for one in measurements_of(part, n_qubits)]
    if isinstance(readout, Born | Probs):
        return [qml.probs(wires=range(n_qubits) if isinstance(readout, Born) else readout.wires)]
    sums = readout.words(n_qubits)
    assert sums is not None
    return [qml.expval(_observable(terms)) for terms in sums]


def _observable(terms: Sum) -> Any:
    if len(terms) == 1 and terms[0][0] == 1:
        return _product(terms[0][1])
    return qml.Hamiltonian([coefficient for coefficient, _ in terms], [_product(word) for _, word in terms])


def _product(word: Word) -> Any:
    factors = [getattr(qml, f"Pauli{letter}")(wire) for wire, letter in word]
    if not factors:
        return qml.Identity(0)
    return factors[0] if len(factors) == 1 else qml.prod(*factors)


def measured_widths(circuit: Circuit) -> list[int | None]:
    """How many outcomes each measurement of a circuit has probabilities of; None for an expectation value."""
    found: list[int | None] = []
    for part in _parts(circuit.readout):
        n = part.n_outputs(circuit.n_qubits)
        found += [n] if isinstance(part, Born | Probs) else [None] * n
    return found


def has_probabilities(circuit: Circuit) -> bool:
    """Whether a part of its read-out is made of probabilities."""
    return any(isinstance(part, Born | Probs) for part in _parts(circuit.readout))


def _parts(readout: Readout) -> tuple[Readout, ...]:
    return readout.parts if isinstance(readout, Readouts) else (readout,)


#: Axis -> the channel. Not PhaseDamping(1): an epsilon that PennyLane adds under a root of 0 makes it wrong by 1e-8.
DEPHASE: dict[str, Callable[[int], Any]] = {
    "X": lambda wire: qml.BitFlip(0.5, wires=wire),
    "Y": lambda wire: qml.PauliError("Y", 0.5, wires=wire),
    "Z": lambda wire: qml.PhaseFlip(0.5, wires=wire),
}
