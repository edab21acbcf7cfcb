"""A circuit without the noise that has no part in what functions it can compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qmoe.circuits import NOISE, Channel, Circuit, Disturb, NoiseModel, OverRotation, Placed
from qmoe.circuits.checks import refuse_noisy_encoding
from qmoe.circuits.noise.channel import DUST


def bare(circuit: Circuit) -> Circuit:
    """The circuit without noise that shrinks coefficients of Pauli words, or drops some: it adds no function.

    What stays are channels that add words to others, such as relaxation, and gates that turn too far, which turn by other
    frequencies of the features.
    """
    if circuit.noise is None:
        return circuit
    refuse_noisy_encoding(circuit)
    placed = tuple(one for one in circuit.noise.channels if _counts(one))
    listed = () if circuit.body is None else circuit.body.operations
    ops = tuple(
        op for op in listed if not isinstance(op, NOISE) or (isinstance(op, Disturb) and adds_words(op.channel))
    )
    if not placed and not any(isinstance(op, NOISE) for op in ops):
        return circuit.with_noise(None)
    body = None if circuit.body is None else replace(circuit.body, operations=ops)
    return replace(circuit, noise=NoiseModel(channels=placed), body=body)


def adds_words(channel: Channel) -> bool:
    """Whether a Pauli word becomes another, or several."""
    table = channel.transfer()
    return bool((np.abs(table - np.diag(table.diagonal())) > DUST).any())


def is_unital(channel: Channel) -> bool:
    """Whether it leaves the fully mixed state alone."""
    return bool((np.abs(channel.transfer()[1:, 0]) <= DUST).all())


def _counts(placed: Placed) -> bool:
    return isinstance(placed.channel, OverRotation) or adds_words(placed.channel)
