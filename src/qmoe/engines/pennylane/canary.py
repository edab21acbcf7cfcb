"""Circuits with known answers, which a device must give before it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pennylane as qml
from pennylane.exceptions import QuantumFunctionError

from qmoe.circuits import Circuit, Dephase, Depolarize
from qmoe.engines.pennylane.program import DEPHASE
from qmoe.errors import UnsupportedError


class Known(NamedTuple):
    """A circuit with a known answer: <Z> of a qubit after ``gates``, between bounds wide enough for hardware and shots."""

    after: str
    gates: Callable[[], Any]
    answer: int
    low: float
    high: float


def _noise_after_x() -> None:
    qml.PauliX(0)
    qml.DepolarizingChannel(0.75, wires=0)


def _dephasing_between_hadamards() -> None:
    qml.Hadamard(0)
    DEPHASE["Z"](0)
    qml.Hadamard(0)


_GATE = Known("an X gate", lambda: qml.PauliX(0), -1, -1.1, -0.5)
_NOISE = Known("noise of strength 3/4 after an X gate", _noise_after_x, 0, -0.4, 0.4)
_DEPHASING = {
    "X": Known("dephasing along X", lambda: DEPHASE["X"](0), 0, -0.4, 0.4),
    "Y": Known("dephasing along Y", lambda: DEPHASE["Y"](0), 0, -0.4, 0.4),
    "Z": Known("dephasing between two Hadamard gates", _dephasing_between_hadamards, 0, -0.4, 0.4),
}


def known_answers(circuit: Circuit) -> list[Known]:
    """What a device must get right to be trusted with ``circuit``."""
    kinds = {type(op) for op in circuit.operations}
    axes = sorted({op.axis for op in circuit.operations if isinstance(op, Dephase)})
    return [_GATE, *[_NOISE] * (Depolarize in kinds), *(_DEPHASING[axis] for axis in axes)]


def check_truth(device: Any, name: str, known: Known) -> None:
    """Runs a circuit with a known answer, to catch devices that return placeholders or drop channels."""

    def program() -> Any:
        known.gates()
        return qml.expval(qml.PauliZ(0))

    qnode = qml.QNode(program, device, interface="numpy", diff_method=None)
    try:
        answer = float(qnode())
    except QuantumFunctionError:  # a device without exact numbers
        answer = float(qml.set_shots(qnode, shots=1000)())
    if not known.low <= answer <= known.high:
        raise UnsupportedError(
            f"PennyLane device {name!r} fails a check with a known answer: after {known.after} <Z> is {answer:.4g}, "
            f"expected {known.answer}. Its numbers cannot be trusted; use another device."
        )
