"""Groups of wires that a circuit joins."""

from __future__ import annotations

from qmoe.circuits import Born, Circuit, Disturb, Gate


def islands(circuit: Circuit) -> list[tuple[int, ...]]:
    """Groups of wires that gates or channels join; one group of all wires for the Born read-out, which joins them too."""
    group = list(range(circuit.n_qubits))
    for op in circuit.operations:
        wires = op.wires if isinstance(op, Gate | Disturb) else ()
        for wire in wires[1:]:
            old, new = group[wire], group[wires[0]]
            group = [new if g == old else g for g in group]
    if isinstance(circuit.readout, Born):
        return [tuple(range(circuit.n_qubits))]
    return [tuple(w for w, g in enumerate(group) if g == name) for name in dict.fromkeys(group)]
