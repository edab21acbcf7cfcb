"""Other libraries are imported on use, and a missing one is told with the command that installs it."""

import sys

import pytest

from helpers import modules_after
from qmoe.circuits import Circuit
from qmoe.errors import UnsupportedError
from qmoe.interop import from_pennylane, from_qasm3, from_qiskit, to_pennylane, to_qasm3, to_qiskit


def test_interop_imports_no_other_library() -> None:
    (found,) = modules_after("import qmoe.interop")
    assert not found & {"pennylane", "qiskit", "openqasm3", "sympy", "autoray"}


@pytest.mark.parametrize(
    ("package", "call", "command"),
    [
        ("qiskit", lambda: to_qiskit(Circuit(1)), r"pip install 'qmoe\[ibm\]'"),
        ("qiskit", lambda: from_qiskit(None, input_params=[], weight_params=[]), r"pip install 'qmoe\[ibm\]'"),
        ("openqasm3", lambda: from_qasm3("", inputs=[]), r"pip install 'qmoe\[qasm\]'"),
        ("pennylane", lambda: to_pennylane(Circuit(1)), "pip install 'pennylane'"),
        ("pennylane", lambda: from_pennylane(None, {}), "pip install 'pennylane'"),
    ],
)
def test_a_missing_package_is_told(monkeypatch, package: str, call, command: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=f"This needs {package} .*{command}"):
        call()


def test_openqasm_is_written_without_any_package(monkeypatch) -> None:
    for package in ("qiskit", "openqasm3", "pennylane"):
        monkeypatch.setitem(sys.modules, package, None)
    assert to_qasm3(Circuit(1, 0)).splitlines()[-1] == "rx(x0) q[0];"
