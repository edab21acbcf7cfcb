"""Circuits as text."""

from __future__ import annotations

from collections.abc import Iterable

from qmoe.circuits.angles.expressions import angle_text
from qmoe.circuits.gates import Dephase, Depolarize, Disturb, Gate, Operation, Prepare
from qmoe.circuits.readouts import Readout, readout_text

_TARGETS = {"CNOT": "X", "CY": "Y", "CZ": "Z", "CRX": "RX", "CRY": "RY", "CRZ": "RZ"}
_SHORT = {"Hadamard": "H", "PauliX": "X", "PauliY": "Y", "PauliZ": "Z"}


def _labels(op: Operation) -> dict[int, str]:
    """The text of one operation on each wire it touches."""
    if isinstance(op, Prepare):
        return dict.fromkeys(range(op.n_wires), "|x>")
    if isinstance(op, Depolarize):
        return dict.fromkeys(op.wires, "~")
    if isinstance(op, Dephase):
        return dict.fromkeys(op.wires, "≈" if op.axis == "Z" else f"≈{op.axis}")
    if isinstance(op, Disturb):
        return dict.fromkeys(op.wires, f"~{op.channel.name}")
    assert isinstance(op, Gate)
    args = f"({','.join(angle_text(a) for a in op.angles)})" if op.angles else ""
    if op.name in _TARGETS:
        return {op.wires[0]: "●", op.wires[1]: _TARGETS[op.name] + args}
    return {wire: _SHORT.get(op.name, op.name) + args for wire in op.wires}


def draw_operations(operations: Iterable[Operation], n_qubits: int, readout: Readout) -> str:
    """Draws operations as a grid of columns; ``~`` is depolarizing, ``~name`` another channel, ``●`` a control.

    ``≈`` is dephasing along Z, ``≈X`` and ``≈Y`` along another axis.

    Args:
        operations: what to draw, in order.
        n_qubits: number of wires.
        readout: shown at the end of each line where it is one for every wire, else below.
    """
    columns: list[dict[int, str]] = []
    busy = [0] * n_qubits  # first free column of each wire
    for op in operations:
        labels = _labels(op)
        # A gate on two wires blocks the wires between them, so that nothing crosses its vertical line.
        span = range(min(labels), max(labels) + 1) if isinstance(op, Gate) else labels
        column = max(busy[wire] for wire in span)
        if column == len(columns):
            columns.append({})
        if isinstance(op, Gate) and len(labels) > 1:
            columns[column].update({wire: "│" for wire in span if wire not in labels})
        columns[column].update(labels)
        for wire in span:
            busy[wire] = column + 1
    end = {"expval": " <Z>", "born": " P(i)"}.get(readout.name, "")
    lines = []
    for wire in range(n_qubits):
        cells = [column.get(wire, "").center(max(map(len, column.values())), "─") for column in columns]
        lines.append(f"{wire}: ─" + "─".join(cells) + "─" + end)
    if not end:
        lines.append(readout_text(readout, n_qubits))
    return "\n".join(lines)
