"""The same circuit with its noise several times over, from which zero-noise extrapolation looks back."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from qmoe.circuits.checks import refuse_noisy_encoding
from qmoe.circuits.circuit import Circuit
from qmoe.circuits.gates import Disturb, Operation
from qmoe.circuits.noise.model import NoiseModel
from qmoe.circuits.noise.placement import OverRotation, Placed
from qmoe.errors import check_sizes

Strength = TypeVar("Strength", float, Tensor)


def amplified(circuit: Circuit, times: int) -> Circuit:
    """The circuit with every channel acting ``times`` as often, as a device has it whose gates are repeated and undone.

    A depolarizing channel is repeated (see `amplified_strength`), other channels stand so many times at their places, and
    over-rotations turn so many times as far. Errors of the measurement and full dephasing stay as they are.

    Args:
        circuit: any circuit.
        times: how often, at least once.

    Raises:
        ConfigError: for ``times`` below 1.
        UnsupportedError: for channels that an encoding of your own holds, which no noise model says.

    Example:
        >>> from qmoe.engines.mitigation import SCALES, amplified
        >>> SCALES, amplified(qmoe.Circuit(1, 1, noise=qmoe.NoiseModel(0.01)), 3).noise
        ((1, 2, 3), NoiseModel(depolarizing=0.029601777777777727, placement='block', dephasing='none'))
    """
    check_sizes(times=times)
    if circuit.noise is None or times == 1:
        return circuit
    refuse_noisy_encoding(circuit)
    found = circuit.with_noise(_model(circuit.noise, times))
    if found.body is None:
        return found
    operations = tuple(op for one in found.body.operations for op in (one,) * (times if _repeats(one) else 1))
    return replace(found, body=replace(found.body, operations=operations))


def amplified_strength(strength: Strength, times: int) -> Strength:
    """The probability of a depolarizing channel of probability ``strength`` that acts ``times`` times on a qubit.

    It shrinks the Bloch vector by ``1 - 4p/3`` each time.

    Example:
        >>> from qmoe.engines.mitigation import amplified_strength
        >>> round(amplified_strength(0.01, 3), 5)
        0.0296
    """
    return 0.75 * (1 - (1 - 4 * strength / 3) ** times)


def _model(noise: NoiseModel, times: int) -> NoiseModel:
    rotations = tuple(_turned(placed, times) for placed in noise.channels if isinstance(placed.channel, OverRotation))
    channels = tuple(p for p in noise.channels if not isinstance(p.channel, OverRotation) and not p.channel.is_readout)
    measuring = tuple(p for p in noise.channels if p.channel.is_readout)
    strength = min(max(amplified_strength(noise.depolarizing, times), 0.0), 1.0)
    return replace(noise, depolarizing=strength, channels=rotations + channels * times + measuring)


def _turned(placed: Placed, times: int) -> Placed:
    error = placed.channel
    assert isinstance(error, OverRotation)
    return replace(placed, channel=OverRotation(times * error.relative, times * error.angle))


def _repeats(op: Operation) -> bool:
    return isinstance(op, Disturb) and not op.channel.is_readout
