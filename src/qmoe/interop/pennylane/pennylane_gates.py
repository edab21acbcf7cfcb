"""PennyLane's operations brought to the gates of qmoe by PennyLane's own decompositions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pennylane as qml

from qmoe.circuits import GATES
from qmoe.interop.optional import CLASSICAL, Trouble

#: Do nothing to what is measured; a global phase of a whole circuit is one of them.
_IDLE = {"Identity", "GlobalPhase", "Barrier", "WireCut", "Snapshot", "Snapshots"}
_DEEPEST = 60


class Raw(NamedTuple):
    """A gate whose angles are symbols or numbers of any kind.

    Attributes:
        place: number of the operation of the tape that it comes from.
    """

    name: str
    wires: tuple[Any, ...]
    angles: tuple[Any, ...]
    place: int


class Expanded(NamedTuple):
    """Gates; what has no decomposition at all; and what has one that failed with what it was given."""

    gates: list[Raw]
    impossible: list[Trouble]
    failed: list[Trouble]


def place_of(number: int, op: Any) -> str:
    """``"operation 3 (Toffoli on wires [0, 1, 2])"``."""
    return f"operation {number} ({op.name} on wires {list(op.wires)})"


def expand(operations: Sequence[Any], start: int = 0) -> Expanded:
    """Writes operations out in gates of qmoe.

    Args:
        operations: those of a tape.
        start: number of the first.
    """
    found = Expanded([], [], [])
    for number, op in enumerate(operations, start):
        gates: list[Raw] = []
        try:
            _write(op, number, gates, 0)
        except _NoneError as error:
            found.impossible.append(Trouble(place_of(number, op), *map(str, error.args)))
        except Exception as error:  # whatever PennyLane's or the user's decompositions raise
            found.failed.append(Trouble(place_of(number, op), f"its decomposition fails: {_short(error)}"))
        found.gates.extend(gates)
    return found


class _NoneError(Exception):
    """An operation without a decomposition: the reason, and a remedy."""


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


def _write(op: Any, number: int, gates: list[Raw], depth: int) -> None:
    if op.name in GATES:
        gates.append(Raw(op.name, tuple(op.wires), tuple(op.data), number))
        return
    if op.name in _IDLE:
        return
    for part in _parts(op, depth):
        _write(part, number, gates, depth + 1)


def _parts(op: Any, depth: int) -> Iterable[Any]:
    kind = type(op).__name__
    if "MidMeasure" in kind or kind in ("Conditional", "PauliMeasure"):
        raise _NoneError("it measures, or depends on a measurement, inside of the circuit", CLASSICAL)
    if isinstance(op, qml.operation.Channel):
        raise _NoneError(
            "it is a noise channel",
            "Leave channels out and give the noise to the circuit: circuit.with_noise(0.01), or "
            "circuit.with_noise(NoiseModel(channels=[AmplitudeDamping(0.01).after('gate')])).",
        )
    if depth > _DEEPEST:
        raise _NoneError(f"its decomposition is deeper than {_DEEPEST} steps")
    if isinstance(op, qml.ops.Controlled) and (rule := _controlled(op)) is not None:
        return rule
    if not op.has_decomposition:
        raise _NoneError(
            f"{op.name} has no decomposition in PennyLane; write one out, or use qml.QubitUnitary of a matrix"
        )
    with qml.QueuingManager.stop_recording():
        parts: list[Any] = op.decomposition()
    return parts


def _controlled(op: Any) -> list[Any] | None:
    """Controlled rotations for any angle: PennyLane's own are of the matrix at a given angle."""
    base, controls, values = op.base, list(op.control_wires), list(op.control_values)
    makers = {"RX": _rx, "RY": _ry, "RZ": _rz, "PhaseShift": _phase, "GlobalPhase": _global, "Rot": _rot}
    if base.name not in makers:
        if not base.data or len(base.wires) > 1 or not base.has_decomposition:
            return None
        with qml.QueuingManager.stop_recording():
            return [qml.ctrl(part, control=controls, control_values=values) for part in base.decomposition()]
    if len(controls) == 1 and base.name in ("RX", "RY", "RZ") and all(values):
        return None
    with qml.QueuingManager.stop_recording():
        flips = [qml.PauliX(wire) for wire, value in zip(controls, values, strict=True) if not value]
        return [*flips, *makers[base.name](base, controls), *flips]


def _flip(controls: list[Any], target: Any) -> Any:
    return qml.CNOT([*controls, target]) if len(controls) == 1 else qml.MultiControlledX(wires=[*controls, target])


def _turn(rotation: Any, angle: Any, controls: list[Any], target: Any) -> list[Any]:
    """A rotation about Y or Z, which X turns round."""
    flip = _flip(controls, target)
    return [rotation(angle / 2, target), flip, rotation(-angle / 2, target), flip]


def _rz(base: Any, controls: list[Any]) -> list[Any]:
    return _turn(qml.RZ, base.data[0], controls, base.wires[0])


def _ry(base: Any, controls: list[Any]) -> list[Any]:
    return _turn(qml.RY, base.data[0], controls, base.wires[0])


def _rx(base: Any, controls: list[Any]) -> list[Any]:
    h = qml.Hadamard(base.wires[0])
    return [h, *_rz(base, controls), h]


def _rot(base: Any, controls: list[Any]) -> list[Any]:
    (phi, theta, omega), wire = base.data, base.wires[0]
    turns = ((qml.RZ, phi), (qml.RY, theta), (qml.RZ, omega))
    return [part for rotation, angle in turns for part in _turn(rotation, angle, controls, wire)]


def _phase(base: Any, controls: list[Any]) -> list[Any]:
    return _many_phase(base.data[0], [*controls, base.wires[0]])


def _global(base: Any, controls: list[Any]) -> list[Any]:
    return _many_phase(-base.data[0], controls)


def _many_phase(angle: Any, wires: list[Any]) -> list[Any]:
    """The phase of the state whose wires are all 1."""
    if len(wires) == 1:
        return [qml.PhaseShift(angle, wires[0])]
    return [*_turn(qml.RZ, angle, wires[:-1], wires[-1]), *_many_phase(angle / 2, wires[:-1])]
