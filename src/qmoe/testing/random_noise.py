"""Random channels of noise at random places."""

from __future__ import annotations

import math

import numpy as np

from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    BitPhaseFlip,
    Channel,
    Depolarizing,
    Kraus,
    OverRotation,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    Placed,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
)
from qmoe.testing.random_circuits import Random

_PLACES = ("encoding", "layer", "layers", "gate", "one_qubit_gate", "two_qubit_gate", "readout")


def random_channel(seed: Random, n_wires: int | None = None, *, readout: bool | None = False) -> Channel:
    """Draws a channel of noise.

    Args:
        seed: a seed, or a generator to draw from. The same seed gives the same channel.
        n_wires: how many qubits it acts on, 1 or 2; drawn if None.
        readout: whether it is an error of the measurement; either if None.

    Example:
        >>> from qmoe.testing import random_channel
        >>> random_channel(0, n_wires=1).n_wires
        1
    """
    rng = np.random.default_rng(seed)
    n_wires = int(rng.integers(1, 3)) if n_wires is None else n_wires
    readout = rng.random() < 0.25 if readout is None else readout
    if readout:
        if n_wires == 1 and rng.random() < 0.5:
            return ReadoutError(_share(rng), _share(rng))
        return ReadoutConfusion(tuple(map(tuple, rng.dirichlet(np.ones(2**n_wires), 2**n_wires).tolist())))
    if n_wires == 2:
        return (_kraus(rng, 2), Depolarizing(_share(rng), 2), _pauli_error(rng, 2))[rng.integers(3)]
    t1 = float(rng.uniform(20, 100))
    return (
        Depolarizing(_share(rng)),
        BitFlip(_share(rng)),
        PhaseFlip(_share(rng)),
        BitPhaseFlip(_share(rng)),
        _pauli_error(rng, 1),
        AmplitudeDamping(_share(rng)),
        AmplitudeDamping(_share(rng), _share(rng)),
        PhaseDamping(_share(rng)),
        ThermalRelaxation(t1, float(rng.uniform(0.2, 1.8)) * t1, float(rng.uniform(0, t1)), _share(rng)),
        _kraus(rng, 1),
    )[rng.integers(10)]


def random_placed(seed: Random, n_qubits: int) -> Placed:
    """Draws a channel with its place, on all wires or some, after all gates or some, or an over-rotation.

    Args:
        seed: a seed, or a generator to draw from. The same seed gives the same channel at the same place.
        n_qubits: number of wires of the circuit.

    Example:
        >>> from qmoe.testing import random_placed
        >>> type(random_placed(0, 2)).__name__
        'Placed'
    """
    rng = np.random.default_rng(seed)
    fate = rng.random()
    if fate < 0.1:
        return OverRotation(_share(rng), _share(rng)).after("gate")
    n_wires = 2 if n_qubits > 1 and rng.random() < 0.3 else 1
    if fate < 0.25:
        channel = random_channel(rng, n_wires, readout=True)
        return channel.before_readout(_wires(rng, n_qubits, n_wires) if n_wires == 2 or rng.random() < 0.5 else None)
    channel = random_channel(rng, n_wires)
    place = _PLACES[rng.integers(len(_PLACES))]
    if n_wires == 2:
        if place in ("gate", "one_qubit_gate", "two_qubit_gate"):
            return channel.after("two_qubit_gate")
        return channel.after(place, _wires(rng, n_qubits, 2))
    some = _wires(rng, n_qubits, int(rng.integers(1, n_qubits + 1)))
    names = ("RX", "RY", "Rot", "CNOT", "CZ", "Hadamard")
    limited = rng.random() < 0.3 and place == "gate"
    return channel.after(place, some if rng.random() < 0.3 else None, names if limited else None)


def _share(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.01, 0.4))


def _pauli_error(rng: np.random.Generator, n_wires: int) -> PauliError:
    words = sorted({"".join("IXYZ"[letter] for letter in rng.integers(4, size=n_wires)) for _ in range(3)})
    shares = rng.dirichlet(np.ones(len(words) + 1))
    return PauliError(tuple(zip(words, shares.tolist(), strict=False)))


def _kraus(rng: np.random.Generator, n_wires: int) -> Kraus:
    """Blocks of the first columns of a random unitary: any channel of as many operators."""
    dim, n = 2**n_wires, int(rng.integers(1, 4))
    drawn = rng.normal(size=(n * dim, dim)) + 1j * rng.normal(size=(n * dim, dim))
    columns = np.linalg.qr(drawn)[0].reshape(n, dim, dim)
    weak = math.sqrt(0.2) * columns
    return Kraus(tuple(map(_nested, (math.sqrt(0.8) * np.eye(dim), *weak))))


def _nested(matrix: np.ndarray) -> tuple[tuple[complex, ...], ...]:
    return tuple(tuple(complex(number) for number in row) for row in matrix)


def _wires(rng: np.random.Generator, n_qubits: int, n: int) -> tuple[int, ...]:
    return tuple(int(wire) for wire in rng.permutation(n_qubits)[:n])
