"""OpenQASM 3: what is understood, and what is refused on which line."""

import math

import numpy as np
import pytest
from unitaries import distance, unitary_of

from qmoe.circuits import Feature, Gate, Pauli, Weight
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop import from_qasm3, gates, to_qasm3
from qmoe.interop.openqasm import qasm_calls

HEAD = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] a;
input angle b;
gate mine(t) u, v { rx(t) u; cx u, v; s v; }
gate rzz(t) u, v { cx u, v; rz(t) v; cx u, v; }
gate cz u, v { cx u, v; }
const float quarter = pi / 4;
qubit[3] q;
bit[3] c;
"""


def operations(body: str) -> tuple:
    return from_qasm3(HEAD + body, inputs=["a"]).circuit.operations


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("rx(-2*a*b + quarter) q[1];", [Gate("RX", (1,), (-2 * Feature(0) * Weight(0) + math.pi / 4,))]),
        ("rz(a/2 - (b + 1)**2) q[0];", [Gate("RZ", (0,), (Feature(0) / 2 - (Weight(0) + 1) * (Weight(0) + 1),))]),
        ("p(sin(pi/2) + arccos(0.0)) q[0];", [Gate("p", (0,), (1 + math.pi / 2,))]),
        ("h q;", [Gate("h", (wire,)) for wire in range(3)]),
        ("cx q[0:1], q[{1, 2}];", [Gate("cx", (0, 1)), Gate("cx", (1, 2))]),
        ("cx q[0], q[1:2];", [Gate("cx", (0, 1)), Gate("cx", (0, 2))]),
        ("let r = q[1:2] ++ q[0]; x r[-1];", [Gate("x", (0,))]),
        ("for int i in [0:2:2] { ry(i*a) q[i]; }", [Gate("ry", (0,), (0.0,)), Gate("ry", (2,), (2 * Feature(0),))]),
        ("for int i in {2, 0} { h q[i]; }", [Gate("h", (2,)), Gate("h", (0,))]),
        ("mine(a) q[2], q[0];", [Gate("rx", (2,), (Feature(0),)), Gate("cx", (2, 0)), Gate("s", (0,))]),
        ("rzz(b) q[0], q[1];", [Gate("IsingZZ", (0, 1), (Weight(0),))]),  # equal to the known gate
        ("cz q[0], q[1];", [Gate("cx", (0, 1))]),  # called like a known gate, and another one
        ("reset q[0]; h q[0]; barrier q; c = measure q;", [Gate("h", (0,))]),
        ("gphase(pi); pow(2) @ t q[0]; end; x q[0];", [Gate("t", (0,))] * 2),
        ("box { h q[0]; }", [Gate("h", (0,))]),
        ("h $1;", [Gate("h", (1,))]),
    ],
)
def test_a_program_is_read(body: str, expected: list[Gate]) -> None:
    assert list(operations(body)) == expected


def controlled(matrix: np.ndarray) -> np.ndarray:
    n = len(matrix)
    return np.block([[np.eye(n), np.zeros((n, n))], [np.zeros((n, n)), matrix]])


def u(theta: float, phi: float, lam: float) -> np.ndarray:
    """The gate U as the specification of OpenQASM 3 has it, with its phase."""
    e = np.exp
    return 0.5 * np.array(
        [
            [1 + e(1j * theta), -1j * e(1j * lam) * (1 - e(1j * theta))],
            [1j * e(1j * phi) * (1 - e(1j * theta)), e(1j * (phi + lam)) * (1 + e(1j * theta))],
        ]
    )


X, Z, T = np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.diag([1, np.exp(0.25j * np.pi)])
H = (X + Z) / math.sqrt(2)


@pytest.mark.parametrize(
    ("body", "matrix"),
    [
        ("ctrl @ U(0.7, -1.1, 0.4) q[0], q[1];", controlled(u(0.7, -1.1, 0.4))),
        ("inv @ ctrl @ U(0.7, -1.1, 0.4) q[0], q[1];", controlled(u(0.7, -1.1, 0.4).conj().T)),
        ("ctrl @ inv @ t q[0], q[1];", controlled(T.conj())),
        ("ctrl @ tdg q[0], q[1];", controlled(T.conj())),
        ("ctrl @ pow(3) @ t q[0], q[1];", controlled(T @ T @ T)),
        ("pow(-2) @ ctrl @ h q[0], q[1]; ctrl @ h q[0], q[1];", controlled(H)),
        ("negctrl @ x q[0], q[1];", np.block([[X, np.zeros((2, 2))], [np.zeros((2, 2)), np.eye(2)]])),
        ("ctrl @ gphase(0.3) q[0]; id q[1];", np.diag([1, 1, np.exp(0.3j), np.exp(0.3j)])),
        ("ctrl @ u3(0.7, -1.1, 0.4) q[0], q[1];", controlled(u(0.7, -1.1, 0.4) * np.exp(-0.5j * (0.7 - 1.1 + 0.4)))),
        (
            "ctrl @ u2(-1.1, 0.4) q[0], q[1];",
            controlled(u(np.pi / 2, -1.1, 0.4) * np.exp(-0.5j * (np.pi / 2 - 1.1 + 0.4))),
        ),
        ("gate g p { h p; gphase(0.2); t p; } ctrl @ g q[0], q[1];", controlled(np.exp(0.2j) * T @ H)),
    ],
)
def test_modifiers_keep_the_phase_of_what_is_controlled(body: str, matrix) -> None:
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\n' + body
    found = unitary_of(from_qasm3(text, inputs=[]).circuit.operations, 2)
    assert distance(found, matrix) < 1e-12


@pytest.mark.parametrize("n", [2, 3])
def test_doubly_controlled_gates_are_toffolis(n: int) -> None:
    text = f"OPENQASM 3.0;\nqubit[{n + 1}] q;\nctrl(2) @ x q[0], q[1], q[2];\nctrl @ ctrl @ z q[0], q[1], q[2];"
    assert from_qasm3(text, inputs=[]).circuit.operations == gates("ccx", (0, 1, 2)) + gates("ccz", (0, 1, 2))


def test_names_are_kept_and_inputs_ordered() -> None:
    head = "OPENQASM 3;\n" + "".join(f"input float {name};\n" for name in "uvwz")
    text = head + "qubit p;\nrx(u) p;\nrx(z) p;\nry(w*v) p;"
    found = from_qasm3(text, inputs=["z", "v"], readout=[Pauli("X0")])
    assert found.parameters == (("u", ()), ("w", ()))
    assert found.circuit.operations[2].angles == (Feature(1) * Weight(1),)
    assert found.circuit.readout.words(1) == (((1.0, ((0, "X"),)),),)
    again = from_qasm3(to_qasm3(found.circuit), inputs=["x0", "x1"], readout=[Pauli("X0")])
    assert again.circuit == found.circuit


def test_all_that_cannot_be_converted_is_named_with_its_line() -> None:
    lines = {
        "c[0] = measure q[0];\nh q[0];": "line 12: h acts on qubit 0, which was measured before",
        "if (c[0] == 1) { x q[1]; }": "line 13: an if stands there",
        "while (true) { x q[1]; }": "line 14: a while loop stands there",
        "for int i in c { x q[1]; }": "line 15: a loop over values that are not known",
        "foo q[1];": "line 16: the gate foo is not defined",
        "rx(sin(a)) q[1];": "line 17: sin of x0, which is no polynomial",
        "rx(1/b) q[1];": "line 18: an operation / of 1 and w0",
        "rx(1/2) q[1];": "line 19: 1/2 divides integers, and OpenQASM rounds; write 1.0/2",
        "reset q[1]; x q[1]; reset q[1];": "line 20: it resets qubit 1 inside",
        "reset q[2];": "",
        "x q[7];": "line 22: index 7 of 3 qubit(s)",
        "x r;": "line 23: no qubits are called r",
        "cx q[1], q[1];": "line 24: cx names a qubit twice",
        "rx q[1];": "line 25: rx got 0 angle(s) and 1 qubit(s), expected 1 and 1",
        "mine(a) q[1];": "line 26: mine got 1 angle(s) and 1 qubit(s)",
        "int n = 3; n = 4;": "line 27: an assignment stands there",
        "cx q[1:2], q;": "line 28: registers of 2, 3 qubits do not go together",
        'include "other.inc";': "line 29: it includes 'other.inc'",
        "input int k;": "line 30: the input k is no float or angle",
    }
    with pytest.raises(UnsupportedError) as error:
        from_qasm3(HEAD + "\n".join(lines), inputs=["a"])
    text = str(error.value)
    for message in lines.values():
        assert message in text
    assert text.count("Circuits here have no classical bits") == 1


def test_a_control_without_decomposition_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"line 11: iswap with 1 control\(s\) has no decomposition here"):
        operations("ctrl @ iswap q[0], q[1], q[2];")
    with pytest.raises(UnsupportedError, match=r"line 11: x has 3 control\(s\) and 3 qubit\(s\)|line 11: x got"):
        operations("ctrl(3) @ x q[0], q[1], q[2];")
    with pytest.raises(UnsupportedError, match="loop is defined by itself"):
        operations("gate loop p { loop p; } loop q[0];")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pow(1000000000) @ x q[0];", "more than 10000 gates"),
        (
            " ".join(f"gate g{i + 1} p {{ g{i} p; g{i} p; }}" for i in range(40)).replace("g0 ", "id ") + "g40 q[0];",
            "more than 10000 gates",
        ),
        ("for int i in [1:1000] { for int j in [1:1000] { for int k in [1:1000] { } } }", "more than 1000000 turns"),
        ("rx(2**100000) q[0];", "no number that an angle can be"),
        ("rx((-2)**0.5) q[0];", "no number that an angle can be"),
        ("rx(0**-1) q[0];", "no number that an angle can be"),
        ("rx(sqrt(-1)) q[0];", "sqrt of -1, which has no value"),
        ("rx(exp(1000)) q[0];", "exp of 1000, which has no value"),
        ("qubit[100000000000] r;", "qubits, at most"),
    ],
)
def test_what_grows_beyond_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, body: str, message: str) -> None:
    monkeypatch.setattr(qasm_calls, "MOST_CALLS", 10_000)
    with pytest.raises(UnsupportedError, match=message):
        operations(body)


def test_text_and_names_that_do_not_fit_are_refused() -> None:
    for text in ("", "   ", "// nothing"):
        with pytest.raises(ConfigError, match=r"is empty|no statements|declares no qubits"):
            from_qasm3(text, inputs=[])
    with pytest.raises(ConfigError, match="nested too deeply"):
        from_qasm3(HEAD + "rx(" + "(" * 1000 + "1" + ")" * 1000 + ") q[0];", inputs=[])
    with pytest.raises(ConfigError, match="inputs is None, expected a list of names"):
        from_qasm3(HEAD, inputs=None)
    with pytest.raises(ConfigError, match="cannot be parsed: line 3 cannot go on with 'h'"):
        from_qasm3("OPENQASM 3.0;\nqubit q\nh q;", inputs=[])
    with pytest.raises(ConfigError, match=r"inputs has 'aa', which the program does not declare .*did you mean 'a'"):
        from_qasm3(HEAD, inputs=["aa"])
    with pytest.raises(ConfigError, match="inputs names one twice"):
        from_qasm3(HEAD, inputs=["a", "a"])
    with pytest.raises(ConfigError, match="declares no qubits"):
        from_qasm3("OPENQASM 3.0;", inputs=[])
    with pytest.raises(ConfigError, match="expected the text"):
        from_qasm3(b"OPENQASM 3.0;", inputs=[])
