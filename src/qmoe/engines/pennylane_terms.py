"""Read-outs and channels in PennyLane's terms. Importing this module imports PennyLane, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pennylane as qml

from qmoe.circuits import Born, Circuit, Probs, Readout, Readouts, Sum, Word


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


def has_probabilities(circuit: Circuit) -> bool:
    """Whether probabilities are measured."""
    readout = circuit.readout
    return any(
        isinstance(part, Born | Probs) for part in (readout.parts if isinstance(readout, Readouts) else (readout,))
    )


#: Axis -> the channel. Not PhaseDamping(1): an epsilon that PennyLane adds under a root of 0 makes it wrong by 1e-8.
DEPHASE: dict[str, Callable[[int], Any]] = {
    "X": lambda wire: qml.BitFlip(0.5, wires=wire),
    "Y": lambda wire: qml.PauliError("Y", 0.5, wires=wire),
    "Z": lambda wire: qml.PhaseFlip(0.5, wires=wire),
}
