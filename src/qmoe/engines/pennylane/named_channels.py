"""Channels of noise as PennyLane's: its own classes where they mean the same, Kraus operators otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml

from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    BitPhaseFlip,
    Channel,
    Depolarizing,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    ThermalRelaxation,
)
from qmoe.circuits.noise.channel import transfer_of_operators

#: How far PennyLane's own class may be off. It adds 1e-14 to probabilities; under a root of 0 that makes 1e-7.
_SAME = 1e-12

Make = Callable[[Sequence[int]], Any]


def apply_channel(channel: Channel, wires: Sequence[int]) -> Any:
    """Queues a channel on wires."""
    return _maker(channel)(wires)


@functools.lru_cache(maxsize=4096)
def _maker(channel: Channel) -> Make:
    named = _named(channel)
    if named is not None:
        with qml.QueuingManager.stop_recording():
            own = np.array([np.asarray(operator) for operator in named(range(channel.n_wires)).kraus_matrices()])
        if np.abs(transfer_of_operators(own) - channel.transfer()).max() < _SAME:
            return named
    operators = list(channel.kraus())
    return lambda wires: qml.QubitChannel(operators, wires=wires)


def _named(channel: Channel) -> Make | None:
    """PennyLane's class of that name, if it has one."""
    found: dict[type[Channel], Callable[[Any, Sequence[int]], Any]] = {
        BitFlip: lambda c, wires: qml.BitFlip(c.p, wires=wires),
        PhaseFlip: lambda c, wires: qml.PhaseFlip(c.p, wires=wires),
        BitPhaseFlip: lambda c, wires: qml.PauliError("Y", c.p, wires=wires),
        PhaseDamping: lambda c, wires: qml.PhaseDamping(c.gamma, wires=wires),
        ThermalRelaxation: lambda c, wires: qml.ThermalRelaxationError(c.excited, c.t1, c.t2, c.time, wires=wires),
    }
    make = found.get(type(channel))
    if isinstance(channel, Depolarizing) and channel.n_wires == 1:
        return lambda wires: qml.DepolarizingChannel(channel.p, wires=wires)
    if isinstance(channel, AmplitudeDamping):
        if channel.excited == 0:
            return lambda wires: qml.AmplitudeDamping(channel.gamma, wires=wires)
        return lambda wires: qml.GeneralizedAmplitudeDamping(channel.gamma, channel.excited, wires=wires)
    if isinstance(channel, PauliError) and len(channel.errors) == 1:
        ((word, p),) = channel.errors
        if "Y" in word:  # without it PennyLane warns of an imaginary part that it drops, and does not need
            return lambda wires: qml.PauliError(word, p, wires=wires)
    return None if make is None else functools.partial(make, channel)
