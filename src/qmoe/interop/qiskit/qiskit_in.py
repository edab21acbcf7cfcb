"""Circuits from Qiskit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from qmoe.circuits import Angle, Circuit, Feature, Gate, Weight
from qmoe.circuits.angles.symbolic import polynomial_of
from qmoe.circuits.decompositions import DECOMPOSITIONS, gates
from qmoe.circuits.gates import ALIASES
from qmoe.errors import ConfigError, UnsupportedError, did_you_mean, needed
from qmoe.interop.imported import Imported
from qmoe.interop.optional import CLASSICAL, NOT_POLYNOMIAL, Trouble, refuse
from qmoe.interop.qiskit.qiskit_readouts import Interpret, interpreted, observed

_SOURCE = "The Qiskit circuit"
_INSTALL = "qmoe[ibm]"
_IDLE = ("barrier", "delay", "global_phase", "id")
_DEEPEST = 60


def from_qiskit(
    circuit: Any,
    *,
    input_params: Iterable[Any] | None,
    weight_params: Iterable[Any] | None,
    observables: Any = None,
    interpret: Interpret | None = None,
    output_shape: int | Sequence[int] | None = None,
) -> Imported:
    """A Qiskit circuit, with the arguments of qiskit-machine-learning's ``EstimatorQNN`` and ``SamplerQNN``.

    Wire i is Qiskit's qubit i. Qiskit's qubit 0 is the least significant bit of an outcome and the last letter of a Pauli
    label; both are translated, so probabilities come in Qiskit's order and ``"IZ"`` is Z of qubit 0. The one parameter is
    called ``weight``, as in ``TorchConnector``.

    Args:
        circuit: a ``QuantumCircuit``; measurements at its end say which qubits make up an outcome.
        input_params: its parameters, or their names, that are features, in their order.
        weight_params: those that train.
        observables: a ``SparsePauliOp``, a Pauli label such as ``"ZIX"`` or a word such as ``"Z0 X2"``, or a list of
            these: an expectation value for each. None for the probability of every outcome.
        interpret: a function of outcomes, integers, that gives the number of the output to which its probability is added.
        output_shape: number of outputs of ``interpret``; by default as many as it gives. A tuple is flattened.

    Raises:
        ConfigError: for what is no circuit, parameters that are not there or not given, or observables of another size.
        UnsupportedError: for what a circuit cannot hold, with the place of all of it: measurements inside, classical
            control, instructions without a definition, angles that are no polynomials; or where Qiskit is missing.
    """
    qiskit = needed("qiskit.circuit", _INSTALL)
    if not isinstance(circuit, qiskit.QuantumCircuit):
        raise ConfigError(f"Got {circuit!r}, expected a qiskit.QuantumCircuit.")
    if observables is not None and interpret is not None:
        raise ConfigError("observables give expectation values and interpret takes outcomes; give one of both.")
    if output_shape is not None and interpret is None:
        raise ConfigError(
            f"output_shape is {output_shape!r}, the shape of what interpret gives; give both, or leave it out."
        )
    known = {parameter.name: parameter for parameter in circuit.parameters}
    inputs, weights = _names("input_params", input_params, known), _names("weight_params", weight_params, known)
    for name in inputs:
        if name in weights:
            raise ConfigError(f"The parameter {name!r} stands in input_params and in weight_params.")
    missing = [name for name in known if name not in inputs and name not in weights]
    if missing:
        raise ConfigError(
            f"The circuit has the parameters {', '.join(missing)}, which stand neither in input_params nor in "
            "weight_params; bind them with circuit.assign_parameters, or name them."
        )
    factors: dict[str, Feature | Weight] = {name: Feature(i) for i, name in enumerate(inputs)}
    factors |= {name: Weight(i) for i, name in enumerate(weights)}
    reader = _QiskitReader(factors)
    reader.read(circuit, list(range(circuit.num_qubits)), list(range(circuit.num_clbits)), "", 0)
    if reader.troubles:
        raise refuse(_SOURCE, reader.troubles)
    readout = (
        observed(observables, circuit.num_qubits)
        if observables is not None
        else interpreted(reader.outcome_wires(circuit), interpret, output_shape, circuit.num_qubits)
    )
    made = Circuit.from_operations(
        reader.gates,
        n_qubits=circuit.num_qubits,
        readout=readout,
        in_features=max(len(inputs), 1),
        weight_shape=(len(weights),),
    )
    return Imported(made, (("weight", (len(weights),)),))


def _names(what: str, given: Iterable[Any] | None, known: Mapping[str, Any]) -> list[str]:
    if isinstance(given, str):
        raise ConfigError(f"{what} is {given!r}, expected a list of parameters.")
    names = [parameter if isinstance(parameter, str) else parameter.name for parameter in given or ()]
    for name in names:
        if name not in known:
            raise ConfigError(f"{what} has {name!r}, which is no parameter of the circuit{did_you_mean(name, known)}")
    if len(set(names)) != len(names):
        raise ConfigError(f"{what} names a parameter twice: {', '.join(names)}.")
    return names


class _Bits(NamedTuple):
    """What a measurement wrote."""

    qubit: int
    clbit: int


class _QiskitReader:
    """Instructions as gates, written out by Qiskit's own definitions."""

    def __init__(self, factors: Mapping[str, Feature | Weight]) -> None:
        self.factors = factors
        self.control_flow = needed("qiskit.circuit", _INSTALL).ControlFlowOp
        self.standard = needed("qiskit.circuit.library", _INSTALL).get_standard_gate_name_mapping()
        self.gates: list[Gate] = []
        self.troubles: list[Trouble] = []
        self.measured: list[_Bits] = []
        self.touched: set[int] = set()

    def read(self, circuit: Any, qubits: Sequence[int], clbits: Sequence[int], place: str, depth: int) -> None:
        """Reads all instructions of a circuit.

        Args:
            circuit: the circuit, or the definition of an instruction.
            qubits: number of each of its qubits in the whole.
            clbits: that of its classical bits.
            place: where it stands, for errors; empty for the whole.
            depth: how many definitions it stands in.
        """
        for number, instruction in enumerate(circuit.data):
            op = instruction.operation
            on = [qubits[circuit.find_bit(bit).index] for bit in instruction.qubits]
            into = [clbits[circuit.find_bit(bit).index] for bit in instruction.clbits]
            where = place or f"instruction {number} ({op.name} on qubits {on})"
            n_troubles = len(self.troubles)
            self._one(op, on, into, where, depth)
            if place and len(self.troubles) > n_troubles:
                return  # the instruction as a whole is named once

    def _one(self, op: Any, on: list[int], into: list[int], where: str, depth: int) -> None:
        if op.name in _IDLE:
            return
        if op.name == "measure":
            self.measured.append(_Bits(on[0], into[0]))
            return
        again = [qubit for qubit in on if any(bits.qubit == qubit for bits in self.measured)]
        if again:
            self._trouble(where, f"it acts on qubit {again[0]}, which was measured before", CLASSICAL)
        elif op.name == "reset":
            if on[0] in self.touched:
                self._trouble(where, "it resets a qubit inside of the circuit", CLASSICAL)
        elif isinstance(op, self.control_flow):
            self._control(op, on, into, where, depth)
        else:
            self._gate(op, on, into, where, depth)

    def _control(self, op: Any, on: list[int], into: list[int], where: str, depth: int) -> None:
        if op.name != "for_loop":
            self._trouble(where, "it depends on classical values", CLASSICAL)
            return
        indices, parameter, body = op.params
        for index in indices:
            turn = body if parameter is None else body.assign_parameters({parameter: index})
            self.read(turn, on, into, where, depth + 1)

    def _gate(self, op: Any, on: list[int], into: list[int], where: str, depth: int) -> None:
        # A gate of one's own may have the name of a standard one.
        standard = op.name in self.standard and op.base_class is self.standard[op.name].base_class
        if standard and (op.name in ALIASES or op.name in DECOMPOSITIONS):
            angles = [self._angle(value, where, op.name) for value in op.params]
            if None not in angles:
                self.gates += gates(op.name, on, angles)
                self.touched.update(on)
            return
        definition = op.definition if depth < _DEEPEST else None
        if definition is None:
            self._trouble(where, f"{op.name} has no definition in gates")
            return
        self.read(definition, on, into, where, depth + 1)

    def _angle(self, value: Any, where: str, name: str) -> Angle | None:
        if not hasattr(value, "parameters"):
            return float(value)
        unknown = [parameter.name for parameter in value.parameters if parameter.name not in self.factors]
        if unknown:
            self._trouble(where, f"{name} has the parameter {unknown[0]!r} that the circuit does not have")
            return None
        found = polynomial_of(value, self.factors)
        if found is None:
            self._trouble(where, f"{name} has the angle {value}, which is no polynomial", NOT_POLYNOMIAL)
        return found

    def _trouble(self, where: str, reason: str, remedy: str = "") -> None:
        if Trouble(where, reason, remedy) not in self.troubles:
            self.troubles.append(Trouble(where, reason, remedy))

    def outcome_wires(self, circuit: Any) -> tuple[int, ...]:
        """Qubits that make up an outcome, the most significant first: all, or those that were measured."""
        if not self.measured:
            return tuple(reversed(range(circuit.num_qubits)))
        written = {bits.clbit: bits.qubit for bits in self.measured}
        if len(set(written.values())) != len(self.measured) or len(written) != circuit.num_clbits:
            raise UnsupportedError(
                f"{_SOURCE} measures {len(self.measured)} time(s) into {circuit.num_clbits} classical bit(s); measure each "
                "qubit at most once, and into each bit once."
            )
        return tuple(written[clbit] for clbit in sorted(written, reverse=True))
