"""Circuits with known answers, which a device must give before it is trusted."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
from pennylane.exceptions import QuantumFunctionError

from qmoe.circuits import Channel, Circuit, Dephase, Depolarize, Disturb
from qmoe.engines.pennylane.named_channels import apply_channel
from qmoe.engines.pennylane.program import DEPHASE
from qmoe.errors import UnsupportedError


class Known(NamedTuple):
    """A circuit with a known answer: <Z> of a qubit after ``gates``, between bounds wide enough for hardware and shots."""

    after: str
    gates: Callable[[], Any]
    answer: float
    low: float
    high: float

    @property
    def shots(self) -> int:
        """How many tell inside from outside by six standard errors."""
        return max(1000, round((12 / (self.high - self.low)) ** 2))


def _noise_after_x() -> None:
    qml.PauliX(0)
    qml.DepolarizingChannel(0.75, wires=0)


def _dephasing_between_hadamards() -> None:
    qml.Hadamard(0)
    DEPHASE["Z"](0)
    qml.Hadamard(0)


_GATE = Known("an X gate", lambda: qml.PauliX(0), -1, -1.1, -0.5)
_NOISE = Known("noise of strength 3/4 after an X gate", _noise_after_x, 0, -0.4, 0.4)
_DEPHASING = {
    "X": Known("dephasing along X", lambda: DEPHASE["X"](0), 0, -0.4, 0.4),
    "Y": Known("dephasing along Y", lambda: DEPHASE["Y"](0), 0, -0.4, 0.4),
    "Z": Known("dephasing between two Hadamard gates", _dephasing_between_hadamards, 0, -0.4, 0.4),
}


#: How far a channel has to move an answer to be told from none, and how often it is repeated at most to get there.
_CLEAR, _REPEATS = 0.5, 64
#: An effect below this is left unchecked; and so is, on devices without exact numbers, one that takes more shots.
_VISIBLE, _MOST_SHOTS = 1e-6, 1_000_000


def known_answers(circuit: Circuit) -> list[Known]:
    """What a device must get right to be trusted with ``circuit``."""
    kinds = {type(op) for op in circuit.operations}
    axes = sorted({op.axis for op in circuit.operations if isinstance(op, Dephase)})
    channels = [op.channel for op in circuit.operations if isinstance(op, Disturb)]
    # One of each kind, the first.
    first = {(type(channel), channel.n_wires): channel for channel in reversed(channels)}
    return [
        _GATE,
        *[_NOISE] * (Depolarize in kinds),
        *(_DEPHASING[axis] for axis in axes),
        *filter(None, map(known_of_channel, reversed(first.values()))),
    ]


#: Pauli coefficients of states of one qubit, and the gates that make them.
_STATES: tuple[tuple[list[float], Callable[[int], Any]], ...] = (
    ([1, 0, 0, 1], lambda wire: qml.Identity(wire)),
    ([1, 0, 0, -1], lambda wire: qml.PauliX(wire)),
    ([1, 1, 0, 0], lambda wire: qml.Hadamard(wire)),
    ([1, 0, 1, 0], lambda wire: qml.RX(-np.pi / 2, wires=wire)),
)


class _Probe(NamedTuple):
    """How far a channel, repeated, moves an answer: <P> of one wire, with a letter P, after the states of all wires."""

    off: float = 0.0
    answer: float = 0.0
    wire: int = 0
    letter: int = 0
    states: tuple[int, ...] = ()
    repeats: int = 0


@functools.lru_cache(maxsize=1024)
def known_of_channel(channel: Channel) -> Known | None:
    """A product state that a channel changes clearly, if need be by repetition; None for one that hardly does anything."""
    best, repeats, power = _Probe(), 1, channel.transfer()
    while best.off < _CLEAR and repeats <= _REPEATS:
        best = max([best, *_probes(channel.n_wires, repeats, power)], key=lambda probe: probe.off)
        repeats, power = 2 * repeats, power @ power
    if best.off < _VISIBLE:
        return None

    def gates() -> None:
        for wire, state in enumerate(best.states):
            _STATES[state][1](wire)
        for _ in range(best.repeats):
            apply_channel(channel, range(channel.n_wires))
        if best.letter == 2:
            qml.adjoint(qml.S(best.wire))
        if best.letter < 3:
            qml.Hadamard(best.wire)
        if best.wire:
            qml.SWAP(wires=(0, 1))

    what = f"{best.repeats} times {channel!r}"
    return Known(what, gates, best.answer, best.answer - best.off / 2, best.answer + best.off / 2)


def _probes(n_wires: int, repeats: int, transfer: np.ndarray) -> Iterator[_Probe]:
    for states in itertools.product(range(len(_STATES)), repeat=n_wires):
        before = functools.reduce(np.kron, [np.array(_STATES[state][0], dtype=float) for state in states])
        after = transfer @ before
        for wire, letter in itertools.product(range(n_wires), (1, 2, 3)):
            word = letter * 4 ** (n_wires - 1 - wire)
            off = round(abs(float(after[word] - before[word])), 9)  # the first of those that are equal
            yield _Probe(off, float(after[word]), wire, letter, states, repeats)


def check_truth(device: Any, name: str, known: Known) -> None:
    """Runs a circuit with a known answer, to catch devices that return placeholders or drop channels."""

    def program() -> Any:
        known.gates()
        return qml.expval(qml.PauliZ(0))

    qnode = qml.QNode(program, device, interface="numpy", diff_method=None)
    try:
        answer = float(qnode())
    except QuantumFunctionError:  # a device without exact numbers
        if known.shots > _MOST_SHOTS:
            return
        answer = float(qml.set_shots(qnode, shots=known.shots)())
    if not known.low <= answer <= known.high:
        raise UnsupportedError(
            f"PennyLane device {name!r} fails a check with a known answer: after {known.after} <Z> is {answer:.4g}, "
            f"expected {known.answer:.4g}. Its numbers cannot be trusted; use another device."
        )
