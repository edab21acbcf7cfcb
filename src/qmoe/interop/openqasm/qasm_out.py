"""Circuits as OpenQASM 3."""

from __future__ import annotations

from qmoe.circuits import Angle, Circuit, Expression, Feature, Weight
from qmoe.circuits.gates import QISKIT_METHODS
from qmoe.interop.qiskit.qiskit_out import plain_gates

#: Gates that the standard library lacks, in those that it has.
_DEFINITIONS = {
    "iswap": "gate iswap a, b {\n  s a;\n  s b;\n  h a;\n  cx a, b;\n  cx b, a;\n  h b;\n}",
    "ecr": "gate ecr a, b {\n  s a;\n  sx b;\n  cx a, b;\n  x a;\n}",
    "rxx": "gate rxx(t) a, b {\n  h a;\n  h b;\n  cx a, b;\n  rz(t) b;\n  cx a, b;\n  h b;\n  h a;\n}",
    "ryy": "gate ryy(t) a, b {\n  sx a;\n  sx b;\n  cx a, b;\n  rz(t) b;\n  cx a, b;\n  sx a;\n  sx b;\n  x a;\n  x b;\n}",
    "rzz": "gate rzz(t) a, b {\n  cx a, b;\n  rz(t) b;\n  cx a, b;\n}",
}


def to_qasm3(circuit: Circuit) -> str:
    """An OpenQASM 3 program with the inputs ``x0``, ``x1``, ... (features) and ``w0``, ``w1``, ... (weights).

    Qubit ``q[i]`` is wire i. The program has no measurements: what is measured does not fit into OpenQASM. `from_qasm3`
    reads it, and so does ``qiskit.qasm3.loads``.

    Raises:
        UnsupportedError: for amplitude encoding, whose features are no angles; noise; or angles by a function.

    Example:
        >>> print(to_qasm3(Circuit(n_qubits=1, n_layers=0)))
        OPENQASM 3.0;
        include "stdgates.inc";
        input float[64] x0;
        qubit[1] q;
        rx(x0) q[0];
        <BLANKLINE>
    """
    lines: list[str] = []
    used: set[str] = set()
    for op in plain_gates(circuit, "OpenQASM"):
        angles = [_text(angle) for angle in op.angles]
        name = "U" if op.name == "Rot" else QISKIT_METHODS[op.name]
        if op.name == "Rot":
            angles = [angles[1], angles[2], angles[0]]  # equal up to a global phase
        used.add(name)
        arguments = f"({', '.join(angles)})" if angles else ""
        lines.append(f"{name}{arguments} {', '.join(f'q[{wire}]' for wire in op.wires)};")
    head = ["OPENQASM 3.0;", 'include "stdgates.inc";']
    head += [f"input float[64] x{index};" for index in range(circuit.in_features)]
    head += [f"input float[64] w{index};" for index in range(circuit.n_weights)]
    head += [text for name, text in _DEFINITIONS.items() if name in used]
    return "\n".join([*head, f"qubit[{circuit.n_qubits}] q;", *lines, ""])


def _text(angle: Angle) -> str:
    if isinstance(angle, Feature):
        return f"x{angle.index}"
    if isinstance(angle, Weight):
        return f"w{angle.index}"
    if not isinstance(angle, Expression):
        return repr(angle)
    terms = ["*".join([repr(coefficient), *map(_text, factors)]) for coefficient, factors in angle.terms]
    return " + ".join(terms).replace("+ -", "- ") or "0.0"
