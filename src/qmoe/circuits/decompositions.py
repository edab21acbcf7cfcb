"""Gates by the names of OpenQASM 3, Qiskit and PennyLane, those that take several gates included.

All are right up to a global phase of the whole; where a gate is controlled, the phase of what it controls is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from qmoe.circuits.angles.expressions import Angle, as_angle
from qmoe.circuits.gates import ALIASES, GATES, Gate
from qmoe.errors import ConfigError, unknown

Gates = tuple[Gate, ...]

_HALF, _QUARTER = math.pi / 2, math.pi / 4


def gates(name: str, wires: Iterable[int], angles: Iterable[Any] = ()) -> Gates:
    """Gates of qmoe for a gate of OpenQASM 3, Qiskit or PennyLane, equal to it up to a global phase.

    Args:
        name: one of ours, such as ``"CNOT"``, or theirs, such as ``"cp"``, ``"sdg"``, ``"u3"``, ``"ccx"``.
        wires: in the order of that library; controls come first in all three.
        angles: in radians, in the order of that library: features, weights, expressions or numbers.

    Returns:
        Gates in order; none for the identity.

    Raises:
        ConfigError: for an unknown name, or a wrong number of wires or angles.

    Example:
        >>> from qmoe.circuits import Feature
        >>> [gate.name for gate in gates("cp", (0, 1), (Feature(0),))]
        ['CRZ', 'PhaseShift']
    """
    if name in GATES or name in ALIASES:
        return (Gate(name, wires, angles),)  # type: ignore[arg-type]  # which makes tuples of them
    if not isinstance(name, str) or name not in DECOMPOSITIONS:
        raise unknown("gate", name, (*GATES, *ALIASES, *DECOMPOSITIONS))
    n_wires, n_angles, make = DECOMPOSITIONS[name]
    for part, value in (("wires", wires), ("angles", angles)):
        if not isinstance(value, Iterable):
            raise ConfigError(f"Gate {name}: {part} is {value!r}, expected a tuple such as ({value!r},).")
    wires, angles = tuple(wires), tuple(as_angle(name, angle) for angle in angles)
    if len(wires) != n_wires or len(set(wires)) != n_wires:
        raise ConfigError(f"Gate {name} on wires {wires}: expected {n_wires} different non-negative wire(s).")
    if len(angles) != n_angles:
        raise ConfigError(f"Gate {name} got {len(angles)} angle(s), expected {n_angles}.")
    return make(*wires, *angles)


def inverted(listed: Iterable[Gate]) -> Gates:
    """The inverse of gates, up to a global phase."""
    return tuple(gate for one in reversed(tuple(listed)) for gate in _inverse(one))


def _inverse(gate: Gate) -> Gates:
    name, wires = gate.name, gate.wires
    if name == "Rot":
        phi, theta, omega = gate.angles
        return (Gate("Rot", wires, (-1.0 * omega, -1.0 * theta, -1.0 * phi)),)
    if gate.angles:
        return (Gate(name, wires, (-1.0 * gate.angles[0],)),)
    if name in ("S", "T", "SX"):
        return gates({"S": "sdg", "T": "tdg", "SX": "sxdg"}[name], wires)
    if name == "ISWAP":
        return (Gate("IsingXX", wires, (_HALF,)), Gate("IsingYY", wires, (_HALF,)))
    return (gate,)


def _phase(wire: int, angle: Angle) -> Gates:
    return (Gate("PhaseShift", (wire,), (angle,)),)


def _u3(wire: int, theta: Angle, phi: Angle, lam: Angle) -> Gates:
    return (Gate("Rot", (wire,), (lam, theta, phi)),)


def _cp(control: int, target: int, angle: Angle) -> Gates:
    return (Gate("CRZ", (control, target), (angle,)), *_phase(control, 0.5 * angle))


def _controlled_rot(control: int, target: int, phi: Angle, theta: Angle, omega: Angle) -> Gates:
    return tuple(Gate(n, (control, target), (a,)) for n, a in (("CRZ", phi), ("CRY", theta), ("CRZ", omega)))


def _cu(control: int, target: int, theta: Angle, phi: Angle, lam: Angle, gamma: Angle) -> Gates:
    return (*_controlled_rot(control, target, lam, theta, phi), *_phase(control, gamma + 0.5 * (phi + lam)))


def _cu3(control: int, target: int, theta: Angle, phi: Angle, lam: Angle) -> Gates:
    return _cu(control, target, theta, phi, lam, 0.0)


def _ch(control: int, target: int) -> Gates:
    # H = RY(pi/4) Z RY(-pi/4)
    turn, back = (Gate("RY", (target,), (angle,)) for angle in (-_QUARTER, _QUARTER))
    return (turn, Gate("CZ", (control, target)), back)


def _csx(control: int, target: int) -> Gates:
    return (Gate("CRX", (control, target), (_HALF,)), *_phase(control, _QUARTER))


def _ccz(a: int, b: int, c: int) -> Gates:
    # (-1)^(abc): pi/4 times the phases of a, b, c, less those of a+b, a+c, b+c mod 2, and that of a+b+c mod 2.
    def parity(first: int, second: int, angle: float) -> Gates:
        cnot = Gate("CNOT", (first, second))
        return (cnot, *_phase(second, angle), cnot)

    chain = (Gate("CNOT", (a, b)), *parity(b, c, _QUARTER), Gate("CNOT", (a, b)))
    singles = tuple(gate for wire in (a, b, c) for gate in _phase(wire, _QUARTER))
    return (*singles, *parity(a, b, -_QUARTER), *parity(a, c, -_QUARTER), *parity(b, c, -_QUARTER), *chain)


def _ccx(a: int, b: int, target: int) -> Gates:
    h = Gate("Hadamard", (target,))
    return (h, *_ccz(a, b, target), h)


def _cswap(control: int, a: int, b: int) -> Gates:
    cnot = Gate("CNOT", (b, a))
    return (cnot, *_ccx(control, a, b), cnot)


def _rzx(z: int, x: int, angle: Angle) -> Gates:
    h = Gate("Hadamard", (x,))
    return (h, Gate("IsingZZ", (z, x), (angle,)), h)


def _r(wire: int, theta: Angle, phi: Angle) -> Gates:
    return (
        Gate("RZ", (wire,), (-1.0 * phi,)),
        Gate("RX", (wire,), (theta,)),
        Gate("RZ", (wire,), (phi,)),
    )


#: Name -> (number of wires, number of angles, the gates from wires and angles).
DECOMPOSITIONS: dict[str, tuple[int, int, Callable[..., Gates]]] = {
    "id": (1, 0, lambda wire: ()),
    "sdg": (1, 0, lambda wire: _phase(wire, -_HALF)),
    "tdg": (1, 0, lambda wire: _phase(wire, -_QUARTER)),
    "sxdg": (1, 0, lambda wire: (Gate("RX", (wire,), (-_HALF,)),)),
    "u2": (1, 2, lambda wire, phi, lam: _u3(wire, _HALF, phi, lam)),
    "u3": (1, 3, _u3),
    "u": (1, 3, _u3),
    "r": (1, 2, _r),
    "cp": (2, 1, _cp),
    "cs": (2, 0, lambda control, target: _cp(control, target, _HALF)),
    "csdg": (2, 0, lambda control, target: _cp(control, target, -_HALF)),
    "ch": (2, 0, _ch),
    "csx": (2, 0, _csx),
    "cu3": (2, 3, _cu3),
    "cu": (2, 4, _cu),
    "dcx": (2, 0, lambda a, b: (Gate("CNOT", (a, b)), Gate("CNOT", (b, a)))),
    "rzx": (2, 1, _rzx),
    "CRot": (2, 3, _controlled_rot),
    "ccx": (3, 0, _ccx),
    "ccz": (3, 0, _ccz),
    "cswap": (3, 0, _cswap),
}
DECOMPOSITIONS |= {
    theirs: DECOMPOSITIONS[name]
    for theirs, name in (
        ("Identity", "id"),
        ("U", "u3"),
        ("U2", "u2"),
        ("U3", "u3"),
        ("cu1", "cp"),
        ("cphase", "cp"),
        ("ControlledPhaseShift", "cp"),
        ("CH", "ch"),
        ("CCZ", "ccz"),
        ("Toffoli", "ccx"),
        ("CSWAP", "cswap"),
    )
}
