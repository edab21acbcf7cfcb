"""Calls of gates in OpenQASM 3, with modifiers, written out in gates of qmoe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qmoe.circuits import GATES, Gate
from qmoe.circuits.decompositions import DECOMPOSITIONS, gates, inverted
from qmoe.circuits.gates import ALIASES
from qmoe.errors import did_you_mean
from qmoe.interop.openqasm.qasm_expressions import RefusedError, TooLongError, Value, integer_of, value_of

#: A gate with one more control, where that is a gate too; all keep the phase of what they control.
_CONTROLLED = {
    "x": "cx",
    "X": "cx",
    "y": "cy",
    "z": "cz",
    "h": "ch",
    "s": "cs",
    "sdg": "csdg",
    "sx": "csx",
    "rx": "crx",
    "ry": "cry",
    "rz": "crz",
    "p": "cp",
    "phase": "cp",
    "u1": "cp",
    "cx": "ccx",
    "CX": "ccx",
    "cz": "ccz",
    "swap": "cswap",
    # The standard library takes the phase of U away from u2 and u3.
    "u3": "CRot",
    "u2": "CRot",
}
_DEEPEST = 60
#: Calls of gates, repetitions included, that a program may come to.
MOST_CALLS = 1_000_000


@dataclass(frozen=True)
class GateCall:
    """A call of a gate, with its modifiers.

    Attributes:
        node: where it stands.
        name: of the gate.
        angles: its arguments.
        wires: those that it acts on, without controls.
        controls: wires that must be 1, or 0, for it to act.
        inverse: whether it is inverted.
        repeats: how often it is applied.
    """

    node: Any
    name: str
    angles: tuple[Value, ...]
    wires: tuple[int, ...]
    controls: tuple[tuple[int, bool], ...] = ()
    inverse: bool = False
    repeats: int = 1


def called(
    node: Any,
    name: str,
    angles: Sequence[Value],
    wires: Sequence[int],
    modifiers: Sequence[Any],
    names: Mapping[str, Any],
) -> GateCall:
    """A call whose modifiers have taken the first wires as controls.

    Raises:
        RefusedError: for a power that is no integer, or too few wires.
    """
    call = GateCall(node, name, tuple(angles), ())
    rest = list(wires)
    for modifier in modifiers:
        kind = modifier.modifier.name
        argument = None if modifier.argument is None else integer_of(modifier.argument, names)
        if kind == "inv":
            call = replace(call, inverse=not call.inverse)
        elif kind == "pow":
            assert argument is not None
            call = replace(call, repeats=call.repeats * abs(argument), inverse=call.inverse != (argument < 0))
        else:
            n = 1 if argument is None else argument
            if len(rest) < n:
                raise RefusedError(node, f"{name} has {n} control(s) and {len(rest)} qubit(s)")
            call = replace(call, controls=call.controls + tuple((wire, kind == "ctrl") for wire in rest[:n]))
            rest = rest[n:]
    return replace(call, wires=tuple(rest))


class Definitions:
    """The gates that a program defines, and those that are known."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}
        self._known: dict[str, bool] = {}
        self._calls = 0

    def define(self, node: Any) -> None:
        """Takes a gate definition."""
        self.bodies[node.name.name] = node

    def written_out(self, call: GateCall, constants: Mapping[str, Any], depth: int = 0) -> list[Gate]:
        """Gates for a call.

        Args:
            call: the call.
            constants: names that definitions may use.
            depth: how many definitions it stands in.

        Raises:
            RefusedError: for gates that are not known, or controlled in a way that is not.
        """
        if len({*call.wires, *(wire for wire, _ in call.controls)}) != len(call.wires) + len(call.controls):
            raise RefusedError(call.node, f"{call.name} names a qubit twice")
        once = self._once(call, constants, depth)
        self._calls += 1 + len(once) * max(call.repeats - 1, 0)
        if self._calls > MOST_CALLS:
            raise TooLongError(call.node, f"{call.name} brings the program to more than {MOST_CALLS} gates")
        return [gate for _ in range(call.repeats) for gate in (inverted(once) if call.inverse else once)]

    def _once(self, call: GateCall, constants: Mapping[str, Any], depth: int) -> list[Gate]:
        body = self.bodies.get(call.name)
        if body is None or (not call.controls and self._is_known(body, constants)):
            return _known(call)
        if depth > _DEEPEST:
            raise RefusedError(call.node, f"{call.name} is defined by itself")
        if len(body.arguments) != len(call.angles) or len(body.qubits) != len(call.wires):
            raise RefusedError(
                call.node,
                f"{call.name} got {len(call.angles)} angle(s) and {len(call.wires)} qubit(s), and is defined with "
                f"{len(body.arguments)} and {len(body.qubits)}",
            )
        names = {**constants, **{a.name: value for a, value in zip(body.arguments, call.angles, strict=True)}}
        places = {q.name: wire for q, wire in zip(body.qubits, call.wires, strict=True)}
        made: list[Gate] = []
        for statement in body.body:
            kind = type(statement).__name__
            if kind == "QuantumBarrier":
                continue
            if kind not in ("QuantumGate", "QuantumPhase"):
                raise RefusedError(statement, f"the gate {call.name} holds a {kind}, expected gates")
            wires = []
            for qubit in statement.qubits:
                if getattr(qubit, "name", None) not in places:
                    raise RefusedError(statement, f"the gate {call.name} acts on a qubit that it does not take")
                wires.append(places[qubit.name])
            inner = called(statement, *gate_of(statement, names), wires, statement.modifiers, names)
            made += self.written_out(replace(inner, controls=call.controls + inner.controls), constants, depth + 1)
        return made

    def _is_known(self, body: Any, constants: Mapping[str, Any]) -> bool:
        """Whether a definition is that of a known gate of the same name: equal matrices at some angles."""
        name = body.name.name
        if name not in self._known:
            self._known[name] = False  # while its own body is looked at
            known = GATES.get(ALIASES.get(name, name), DECOMPOSITIONS.get(name, (None, None))[:2])
            if known == (len(body.qubits), len(body.arguments)) and len(body.qubits) <= 3:
                angles, wires = (0.7, -1.9, 2.6, 0.4)[: len(body.arguments)], tuple(range(len(body.qubits)))
                call = GateCall(body, name, angles, wires)
                self._known[name] = _equal(self._once(call, constants, 0), gates(name, wires, angles), len(wires))
        return self._known[name]


def gate_of(statement: Any, names: Mapping[str, Any]) -> tuple[str, list[Value]]:
    """Name and angles of a call, of a global phase too."""
    if type(statement).__name__ == "QuantumPhase":
        return "gphase", [value_of(statement.argument, names)]
    return statement.name.name, [value_of(argument, names) for argument in statement.arguments]


def _known(call: GateCall) -> list[Gate]:
    name, angles, wires = call.name, call.angles, call.wires
    if name != "gphase" and name not in ALIASES and name not in DECOMPOSITIONS and name not in GATES:
        raise RefusedError(
            call.node, f"the gate {name} is not defined{did_you_mean(name, (*ALIASES, *DECOMPOSITIONS))}"
        )
    expected = (0, 1) if name == "gphase" else DECOMPOSITIONS.get(name, GATES.get(ALIASES.get(name, name), (0, 0)))[:2]
    if (len(wires), len(angles)) != expected:
        raise RefusedError(
            call.node,
            f"{name} got {len(angles)} angle(s) and {len(wires)} qubit(s), expected {expected[1]} and {expected[0]}",
        )
    flips = [Gate("x", (wire,)) for wire, value in call.controls if not value]
    for wire, _ in reversed(call.controls):
        name, angles, wires = _with_control(call, name, angles, wires, wire)
    return [] if name in ("gphase", "id") else [*flips, *gates(name, wires, angles), *flips]


def _with_control(
    call: GateCall, name: str, angles: tuple[Value, ...], wires: tuple[int, ...], control: int
) -> tuple[str, tuple[Value, ...], tuple[int, ...]]:
    """Name, angles and wires of a gate with one more control."""
    if name == "id":
        return name, angles, wires
    if name == "gphase":
        return "p", angles, (control,)
    if name in ("t", "tdg"):
        return "cp", (-math.pi / 4 if name == "tdg" else math.pi / 4,), (control, *wires)
    if name == "U":
        theta, phi, lam = angles
        return "cu", (theta, phi, lam, 0.5 * theta), (control, *wires)
    if name == "u3":
        theta, phi, lam = angles
        return "CRot", (lam, theta, phi), (control, *wires)
    if name == "u2":
        phi, lam = angles
        return "CRot", (lam, math.pi / 2, phi), (control, *wires)
    if name not in _CONTROLLED:
        raise RefusedError(
            call.node,
            f"{call.name} with {len(call.controls)} control(s) has no decomposition here; write it out in gates",
        )
    return _CONTROLLED[name], angles, (control, *wires)


def _equal(some: Sequence[Gate], others: Sequence[Gate], n_wires: int) -> bool:
    """Whether gates without features and weights are the same up to a global phase."""
    import numpy as np
    import torch

    from qmoe.engines.reference import gate_matrix

    def unitary(listed: Sequence[Gate]) -> Any:
        total = np.eye(2**n_wires, dtype=complex).reshape((2,) * n_wires + (-1,))
        for gate in listed:
            n = len(gate.wires)
            matrix = gate_matrix(gate, torch.empty(0, dtype=torch.float64)).numpy().reshape((2,) * (2 * n))
            total = np.tensordot(matrix, total, (range(n, 2 * n), gate.wires))
            total = np.moveaxis(total, range(n), gate.wires)
        return total

    return bool(abs(abs(np.vdot(unitary(some), unitary(others))) / 2**n_wires - 1) < 1e-12)
