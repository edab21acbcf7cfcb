"""Random circuits that no template makes: any gates, angles, and read-outs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from qmoe.circuits import (
    GATES,
    Angle,
    Born,
    Circuit,
    Dephase,
    Disturb,
    Expval,
    Feature,
    Gate,
    Hamiltonian,
    NoiseModel,
    Operation,
    Parity,
    Pauli,
    Prepare,
    Probs,
    Readout,
    Readouts,
    Weight,
)
from qmoe.errors import ConfigError
from qmoe.testing.random_circuits import Random
from qmoe.testing.random_noise import random_channel, random_placed

_N_FEATURES, _N_WEIGHTS = 3, 4


def random_operations(
    seed: Random, *, n_qubits: int | None = None, max_qubits: int = 4, noise: bool | None = None
) -> Circuit:
    """Draws a circuit made of operations: what is not given is drawn from everything there is.

    Gates are any of `GATES`; angles are features, weights, numbers, sums and products of them, each in several gates;
    read-outs are Pauli words, sums of them, probabilities of some wires, parities and lists. One in ten starts from
    prepared amplitudes.

    Args:
        seed: a seed, or a generator to draw from. The same seed gives the same circuit.
        n_qubits: number of qubits; by default drawn from 1 to ``max_qubits``.
        max_qubits: the most qubits to draw.
        noise: whether channels stand in it; drawn if None, one in four. Half of these have more than depolarizing and
            dephasing: `random_placed` channels, and some that stand in the list of operations.

    Raises:
        ConfigError: for fewer than one qubit.

    Example:
        >>> from qmoe.testing import random_operations
        >>> random_operations(0, n_qubits=2).n_qubits
        2
    """
    rng = np.random.default_rng(seed)
    if n_qubits is None:
        if max_qubits < 1:
            raise ConfigError(f"max_qubits is {max_qubits}, expected at least 1.")
        n_qubits = int(rng.integers(1, max_qubits + 1))
    noisy = rng.random() < 0.25 if noise is None else noise
    prepares = rng.random() < 0.1
    ops: list[Operation] = [Prepare(n_qubits)] if prepares else []
    names = sorted(name for name, (n_wires, _) in GATES.items() if n_wires <= n_qubits)
    for name in rng.choice(names, rng.integers(3, 6 + 2 * n_qubits)):
        n_wires, n_angles = GATES[name]
        angles = tuple(_angle(rng, prepares) for _ in range(n_angles))
        ops.append(Gate(str(name), _wires(rng, n_qubits, n_wires), angles))
    if noisy and rng.random() < 0.3:
        ops.insert(len(ops) // 2, Dephase(_wires(rng, n_qubits, 1), "XYZ"[rng.integers(3)]))
    readout = _readout(rng, n_qubits)
    model = NoiseModel(float(rng.uniform(0, 0.3)), ("block", "gate")[rng.integers(2)]) if noisy else None
    if model is not None and rng.random() < 0.5:
        model = replace(model, channels=tuple(random_placed(rng, n_qubits) for _ in range(rng.integers(1, 4))))
        for _ in range(rng.integers(3)):
            channel = random_channel(rng, None if n_qubits > 1 else 1, readout=None)
            struck = Disturb(channel, _wires(rng, n_qubits, channel.n_wires))
            ops.insert(int(rng.integers(1, len(ops) + 1)), struck)
    return Circuit.from_operations(
        ops,
        n_qubits=n_qubits,
        readout=readout,
        noise=model,
        in_features=None if prepares else _N_FEATURES,
        weight_shape=(_N_WEIGHTS,),
    )


def _angle(rng: np.random.Generator, without_features: bool) -> Angle:
    def feature() -> Feature | Weight:
        return weight() if without_features else Feature(int(rng.integers(_N_FEATURES)))

    def weight() -> Weight:
        return Weight(int(rng.integers(_N_WEIGHTS)))

    def number() -> float:
        return float(rng.uniform(-2, 2))

    fate = rng.integers(8)
    if fate < 3:
        return (feature(), weight(), number())[fate]
    return (
        number() * feature() + number(),
        number() * feature() + number() * weight() + number(),
        feature() * weight(),
        0.3 * (math.pi - feature()) * (math.pi - feature()),
        number() * weight() - weight() * weight(),
    )[fate - 3]


def _readout(rng: np.random.Generator, n_qubits: int) -> Readout:
    def pauli() -> str:
        wires = _wires(rng, n_qubits, int(rng.integers(0, n_qubits + 1)))
        return " ".join(f"{'XYZ'[rng.integers(3)]}{wire}" for wire in wires)

    some = _wires(rng, n_qubits, int(rng.integers(1, n_qubits + 1)))
    return (
        Expval(),
        Born(),
        Pauli(pauli()),
        Hamiltonian([0.5, -1.25, 0.25], [pauli() for _ in range(3)]),
        Probs(some),
        Parity(),
        Readouts((Pauli("Z0"), Parity(some), Hamiltonian([0.5, 1.0], ["I", f"Z{n_qubits - 1}"]))),
        Readouts((Pauli(pauli()), Probs(some), Hamiltonian([2.0], ["Z0"]))),
    )[rng.integers(8)]


def _wires(rng: np.random.Generator, n_qubits: int, n: int) -> tuple[int, ...]:
    return tuple(int(wire) for wire in rng.permutation(n_qubits)[:n])
