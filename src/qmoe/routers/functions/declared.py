"""Whether a circuit computes the kind of function that its encoding declares by `Encoding.max_frequency`."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from qmoe.circuits import ENCODINGS, Born, Circuit, Feature, Gate, Prepare
from qmoe.errors import ConfigError
from qmoe.routers.functions.propagation.cones import measured


def is_ours(circuit: Circuit) -> bool:
    """Whether the encoding is one of qmoe's, whose declarations the tests hold to the truth, or there is none."""
    encoding = circuit.encoding
    return encoding is None or ENCODINGS.get(encoding.name) is type(encoding)


def check_frequency(circuit: Circuit) -> None:
    """Raises `ConfigError` unless the largest frequency is one, and feature i can belong to wire i where there is one."""
    encoding, top = circuit.template.encoding, circuit.template.encoding.max_frequency
    if top is None:
        return
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ConfigError(
            f"{encoding!r} declares max_frequency={top!r}; expected the largest frequency of a feature, an integer of at "
            "least 1, or None for amplitudes."
        )
    if circuit.in_features != circuit.n_qubits:
        raise ConfigError(
            f"{encoding!r} puts {circuit.in_features} feature(s) on {circuit.n_qubits} qubit(s); spans, twins and distilled "
            "routers need one feature for each qubit, feature i on wire i."
        )


def check_declared(circuit: Circuit) -> None:
    """Checks that the operations of an encoding are such as spans and twins can follow.

    Declared with a largest frequency R, feature i turns wire i by RX, RY or RZ, at most R times; declared with None, the
    features are amplitudes of one state preparation.

    Raises:
        ConfigError: for an encoding of your own of which neither is true.
        UnsupportedError: for a read-out of your own, which may be any function of the state.
    """
    if not isinstance(circuit.readout, Born):
        measured(circuit)
    if is_ours(circuit):
        return
    encoding, top = circuit.template.encoding, circuit.template.encoding.max_frequency
    gates = [op for op in circuit.operations if isinstance(op, Gate) and any(isinstance(a, Feature) for a in op.angles)]
    prepares = any(isinstance(op, Prepare) for op in circuit.operations)
    if top is None:
        if gates or not prepares:
            raise ConfigError(
                f"{encoding!r} declares max_frequency=None, a quadratic form of amplitudes, but its features are "
                f"{f'angles of {gates[0].name}' if gates else 'not prepared as a state'}; declare the largest frequency of "
                "a feature: the number of rotations by it."
            )
        return
    if prepares:
        raise ConfigError(
            f"{encoding!r} declares max_frequency={top}, but prepares its features as amplitudes; declare None."
        )
    check_frequency(circuit)
    turns: Counter[int] = Counter()
    for gate in gates:
        feature = next(angle.index for angle in gate.angles if isinstance(angle, Feature))
        if gate.name not in ("RX", "RY", "RZ") or gate.wires != (feature,):
            raise ConfigError(
                f"{encoding!r} puts feature {feature} into {gate.name} on the wires {gate.wires}; spans and twins follow "
                f"RX, RY or RZ on wire {feature} alone. Encode it so, or take qmoe.distill of a trained router."
            )
        turns[feature] += 1
    feature, most = turns.most_common(1)[0] if turns else (0, 0)
    if most > top:
        raise ConfigError(
            f"{encoding!r} declares max_frequency={top}, but feature {feature} enters by {most} rotations; declare "
            f"max_frequency={most}."
        )


def random_points(circuit: Circuit, n: int, generator: torch.Generator) -> Tensor:
    """``(n, F)`` float64 inputs of the circuit; angles well beyond one period, where other frequencies would show."""
    shape = n, circuit.in_features
    if circuit.prepares:
        return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    return (torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu") - 0.5) * (6 * math.pi)
