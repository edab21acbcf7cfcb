"""Circuits from OpenQASM 3."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import Any

from qmoe.circuits import Circuit, Feature, Gate, Weight
from qmoe.circuits.circuit import MAX_SIZE
from qmoe.errors import ConfigError, did_you_mean, needed
from qmoe.interop.imported import Imported
from qmoe.interop.openqasm.qasm_calls import Definitions, called, gate_of
from qmoe.interop.openqasm.qasm_expressions import RefusedError, TooLongError, integer_of, line_of, value_of
from qmoe.interop.optional import CLASSICAL, Trouble, refuse

_SOURCE = "The OpenQASM program"
_INSTALL = "qmoe[qasm]"
_IDLE = ("QuantumBarrier", "DelayInstruction")
_LIBRARIES = ("stdgates.inc", "qelib1.inc")
#: What to call kinds of statements that are refused.
_WORDS = {
    "BranchingStatement": "an if",
    "WhileLoop": "a while loop",
    "SwitchStatement": "a switch",
    "ClassicalAssignment": "an assignment",
    "SubroutineDefinition": "a subroutine",
    "ExpressionStatement": "a call",
    "ExternDeclaration": "an extern",
}
#: Turns of a loop at most.
_MOST_TURNS = 100_000


def from_qasm3(text: str, *, inputs: Iterable[str], readout: Any = "expval") -> Imported:
    """An OpenQASM 3 program whose ``input float`` and ``input angle`` declarations are features and weights.

    Wires are numbered as qubits are declared: the first is wire 0, our most significant bit. Measurements at the end are
    taken for granted: ``readout`` says what is measured. Weights keep their names, each a parameter of its own.

    Args:
        text: the program.
        inputs: names of the declarations that are features, in their order; all others are weights, in the program's.
        readout: as of `Circuit`: a name, a read-out, or a list of them.

    Raises:
        ConfigError: for text that does not parse, or names that are not declared.
        UnsupportedError: for what a circuit cannot hold, with the line of all of it: measurements inside, classical control,
            loops that are not constant, gates that are not defined, angles that are no polynomials; or where the parser is
            missing.
    """
    program = _parsed(text)
    features = _listed(inputs)
    reader = _QasmReader(features)
    reader.read(program.statements)
    if reader.troubles:
        raise refuse(_SOURCE, reader.troubles)
    for name in features:
        if name not in reader.declared:
            raise ConfigError(
                f"inputs has {name!r}, which the program does not declare as an input{did_you_mean(name, reader.declared)}"
            )
    if not reader.n_qubits:
        raise ConfigError("The OpenQASM program declares no qubits.")
    circuit = Circuit.from_operations(
        reader.gates,
        n_qubits=reader.n_qubits,
        readout=readout,
        in_features=max(len(features), 1),
        weight_shape=(len(reader.weights),),
    )
    return Imported(circuit, tuple((name, ()) for name in reader.weights))


def _listed(inputs: Iterable[str]) -> list[str]:
    if not isinstance(inputs, Iterable):
        raise ConfigError(f"inputs is {inputs!r}, expected a list of names; [] if nothing is a feature.")
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    if len(set(names)) != len(names):
        raise ConfigError(f"inputs names one twice: {', '.join(map(str, names))}.")
    return names


def _parsed(text: str) -> Any:
    parser = needed("openqasm3", _INSTALL)
    needed("openqasm3.parser", _INSTALL)
    if not isinstance(text, str):
        raise ConfigError(f"Got {type(text).__name__}, expected the text of an OpenQASM 3 program.")
    if not text.strip():
        raise ConfigError("The OpenQASM program is empty.")
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where ANTLR writes
            return parser.parse(text)
    except parser.parser.QASM3ParsingError as error:
        raise ConfigError(f"The OpenQASM program cannot be parsed: {_offending(error)}.") from error
    except RecursionError as error:
        raise ConfigError("The OpenQASM program cannot be parsed: its brackets are nested too deeply.") from error
    except AttributeError as error:  # comments alone
        raise ConfigError("The OpenQASM program cannot be parsed: it holds no statements.") from error


def _offending(error: Exception) -> str:
    """Where ANTLR gave up; the parser's own message is empty."""
    cause: Any = error
    while cause is not None:
        token = getattr(cause, "offendingToken", None)
        if token is not None:
            return f"line {token.line} cannot go on with {token.text!r}"
        cause = cause.args[0] if cause.args and isinstance(cause.args[0], Exception) else cause.__cause__
    return str(error) or "it is no OpenQASM 3"


class _EndError(Exception):
    """The program ends here."""


class _QasmReader:
    """Statements as gates."""

    def __init__(self, features: list[str]) -> None:
        self.features = features
        self.weights: list[str] = []
        self.declared: list[str] = []
        self.names: dict[str, Any] = {}
        self.registers: dict[str, list[int]] = {}
        self.definitions = Definitions()
        self.gates: list[Gate] = []
        self.troubles: list[Trouble] = []
        self.measured: set[int] = set()
        self.touched: set[int] = set()
        self.n_qubits = 0
        self.turns = 0

    def read(self, statements: Iterable[Any]) -> None:
        """Reads all statements; what cannot be converted is kept, to be told at once."""
        with contextlib.suppress(_EndError):
            self._read(statements)

    def _read(self, statements: Iterable[Any]) -> None:
        for statement in statements:
            try:
                self._one(statement)
            except RefusedError as error:
                trouble = Trouble(f"line {error.line or line_of(statement)}", str(error), error.remedy)
                if trouble not in self.troubles:
                    self.troubles.append(trouble)
                if isinstance(error, TooLongError):
                    raise _EndError from None

    def _one(self, node: Any) -> None:
        kind = type(node).__name__
        if kind in _IDLE:
            return
        read = getattr(self, f"_{kind}", None)
        if read is None:
            raise RefusedError(node, f"{_WORDS.get(kind, f'a {kind}')} stands there", CLASSICAL)
        read(node)

    # One method for each kind of statement, by its name in openqasm3.

    def _Include(self, node: Any) -> None:  # noqa: N802
        if node.filename not in _LIBRARIES:
            raise RefusedError(
                node, f"it includes {node.filename!r}, and files are not read; put its gates into the text"
            )

    def _IODeclaration(self, node: Any) -> None:  # noqa: N802
        if node.io_identifier.name == "output":
            return
        name, kind = node.identifier.name, type(node.type).__name__
        if kind not in ("FloatType", "AngleType"):
            raise RefusedError(node, f"the input {name} is no float or angle, and a circuit has no other parameters")
        self.declared.append(name)
        if name in self.features:
            self.names[name] = Feature(self.features.index(name))
        else:
            self.names[name] = Weight(len(self.weights))
            self.weights.append(name)

    def _QubitDeclaration(self, node: Any) -> None:  # noqa: N802
        size = 1 if node.size is None else integer_of(node.size, self.names)
        if self.n_qubits + size > MAX_SIZE:
            raise TooLongError(node, f"{self.n_qubits + size} qubits, at most {MAX_SIZE}")
        self.registers[node.qubit.name] = list(range(self.n_qubits, self.n_qubits + size))
        self.n_qubits += size

    def _ClassicalDeclaration(self, node: Any) -> None:  # noqa: N802
        start = node.init_expression
        if start is None:
            return
        if type(start).__name__ == "QuantumMeasurement":
            self._measure(start)
        else:
            self.names[node.identifier.name] = value_of(start, self.names)

    def _ConstantDeclaration(self, node: Any) -> None:  # noqa: N802
        self.names[node.identifier.name] = value_of(node.init_expression, self.names)

    def _QuantumGateDefinition(self, node: Any) -> None:  # noqa: N802
        self.definitions.define(node)

    def _AliasStatement(self, node: Any) -> None:  # noqa: N802
        self.registers[node.target.name] = self._qubits(node.value)

    def _EndStatement(self, node: Any) -> None:  # noqa: N802
        raise _EndError

    def _Box(self, node: Any) -> None:  # noqa: N802
        self._read(node.body)

    def _CompoundStatement(self, node: Any) -> None:  # noqa: N802
        self._read(node.statements)

    def _QuantumGate(self, node: Any) -> None:  # noqa: N802
        operands = [self._qubits(qubit) for qubit in node.qubits]
        length = max((len(operand) for operand in operands), default=1)
        if any(len(operand) not in (1, length) for operand in operands):
            raise RefusedError(
                node, f"registers of {', '.join(str(len(o)) for o in operands)} qubits do not go together"
            )
        name, angles = gate_of(node, self.names)
        for turn in range(length):
            wires = [operand[turn if len(operand) > 1 else 0] for operand in operands]
            again = self.measured.intersection(wires)
            if again:
                raise RefusedError(node, f"{name} acts on qubit {min(again)}, which was measured before", CLASSICAL)
            call = called(node, name, angles, wires, node.modifiers, self.names)
            self.gates += self.definitions.written_out(call, self.names)
            self.touched.update(wires)

    _QuantumPhase = _QuantumGate

    def _QuantumMeasurementStatement(self, node: Any) -> None:  # noqa: N802
        self._measure(node.measure)

    def _measure(self, node: Any) -> None:
        self.measured.update(self._qubits(node.qubit))

    def _QuantumReset(self, node: Any) -> None:  # noqa: N802
        again = self.touched.union(self.measured).intersection(self._qubits(node.qubits))
        if again:
            raise RefusedError(node, f"it resets qubit {min(again)} inside of the circuit", CLASSICAL)

    def _ForInLoop(self, node: Any) -> None:  # noqa: N802
        name = node.identifier.name
        indices = self._indices(node, node.set_declaration, None)
        before = self.names.get(name)
        for index in indices:
            self.turns += 1
            if self.turns > 10 * _MOST_TURNS:
                raise TooLongError(node, f"its loops make more than {10 * _MOST_TURNS} turns")
            self.names[name] = index
            self._read(node.block)
        self.names.pop(name, None)
        if before is not None:
            self.names[name] = before

    def _qubits(self, node: Any) -> list[int]:
        kind = type(node).__name__
        if kind == "Concatenation":
            return self._qubits(node.lhs) + self._qubits(node.rhs)
        if kind == "Identifier":
            if node.name not in self.registers:
                if not node.name.startswith("$"):
                    raise RefusedError(node, f"no qubits are called {node.name}")
                self.registers[node.name] = [int(node.name[1:])]
                self.n_qubits = max(self.n_qubits, int(node.name[1:]) + 1)
            return self.registers[node.name]
        if kind == "IndexedIdentifier":
            whole, indices = self._qubits(node.name), node.indices
        elif kind == "IndexExpression":
            whole, indices = self._qubits(node.collection), [node.index]
        else:
            raise RefusedError(node, f"a {kind} where qubits are expected")
        for index in indices:
            parts = [index] if type(index).__name__ == "DiscreteSet" else index
            places = [place for part in parts for place in self._indices(node, part, len(whole))]
            beyond = [place for place in places if not -len(whole) <= place < len(whole)]
            if beyond:
                raise RefusedError(node, f"index {beyond[0]} of {len(whole)} qubit(s)")
            whole = [whole[place] for place in places]
        return whole

    def _indices(self, node: Any, given: Any, size: int | None) -> list[int]:
        """The integers of an index or of what a loop runs over; ranges include their end."""
        kind = type(given).__name__
        if kind == "DiscreteSet":
            return [integer_of(value, self.names) for value in given.values]
        if kind != "RangeDefinition":
            if size is None:
                raise RefusedError(node, "a loop over values that are not known before the circuit runs; write it out")
            return [integer_of(given, self.names)]
        step = 1 if given.step is None else integer_of(given.step, self.names)
        ends = [None if end is None else integer_of(end, self.names) for end in (given.start, given.end)]
        if step == 0 or (size is None and None in ends):
            raise RefusedError(node, "a range without an end, or with steps of 0")
        first, last = ends
        if size is not None:
            first = (0 if step > 0 else size - 1) if first is None else first + size * (first < 0)
            last = (size - 1 if step > 0 else 0) if last is None else last + size * (last < 0)
        assert first is not None
        assert last is not None
        found = range(first, last + (1 if step > 0 else -1), step)
        if len(found) > _MOST_TURNS:
            raise RefusedError(node, f"a range of {len(found)} values, at most {_MOST_TURNS}")
        return list(found)
