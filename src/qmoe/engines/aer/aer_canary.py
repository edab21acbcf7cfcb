"""A circuit with a known answer, which a noisy simulator must give before it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qmoe.circuits import Channel, Circuit, Dephase, Depolarize, Depolarizing, Disturb, Gate, PauliError
from qmoe.circuits.noise.channels import pauli_words
from qmoe.circuits.noise.ibm_snapshots import INSTALL
from qmoe.errors import UnsupportedError, needed


def channels_in(circuit: Circuit) -> tuple[Channel, ...]:
    """The channels of a circuit, each once."""
    found: list[Channel] = []
    for op in circuit.operations:
        if isinstance(op, Disturb):
            found.append(op.channel)
        elif isinstance(op, Depolarize):
            found.append(Depolarizing(0.3))  # whatever its strength
        elif isinstance(op, Dephase):
            found.append(PauliError(((op.axis, 0.5),)))
    return tuple(dict.fromkeys(found))


def known_circuit(channel: Channel) -> tuple[Circuit, np.ndarray]:
    """A turn of each wire, the channel and the turn back, and the probabilities of its outcomes by the channel's formula.

    The turns are such that the state has all of X, Y and Z, so that no part of the channel goes unseen.
    """
    wires = tuple(range(channel.n_wires))
    turn = [Gate("RY", (w,), (0.7 + 0.3 * w,)) for w in wires] + [Gate("RZ", (w,), (0.5 + 0.2 * w,)) for w in wires]
    back = [Gate("RZ", (w,), (-0.9,)) for w in wires] + [Gate("RY", (w,), (-0.4,)) for w in wires]
    between = () if channel.is_readout else back
    circuit = Circuit.from_operations([*turn, Disturb(channel, wires), *between], readout="born", noise=0.0)
    before = _along([_bloch(0.7 + 0.3 * w, 0.5 + 0.2 * w) for w in wires])
    after = channel.transfer() @ before
    density = np.einsum("i,iab->ab", after, pauli_words(len(wires))) / 2 ** len(wires)
    if not channel.is_readout:
        unturn = _kron([_ry(-0.4) @ _rz(-0.9) for _ in wires])
        density = unturn @ density @ unturn.conj().T
    return circuit, density.diagonal().real


def check_channel(measure: Callable[[Circuit], np.ndarray], channel: Channel, shots: int | None) -> None:
    """Runs the known circuit of a channel, and compares.

    Raises:
        UnsupportedError: for an answer that is another, by rounding or by 6 standard deviations of shots.
    """
    circuit, expected = known_circuit(channel)
    found = measure(circuit)
    allowed = 1e-8 if shots is None else 6 * np.sqrt(expected * (1 - expected) / shots) + 6 / shots
    if not bool((np.abs(found - expected) <= allowed).all()):
        raise UnsupportedError(
            f"qiskit-aer fails a check with a known answer: with {channel.name} it gives the probabilities "
            f"{np.round(found, 5).tolist()}, expected {np.round(expected, 5).tolist()}. Its noise cannot be trusted; use "
            "engine='native', or another version of qiskit-aer."
        )


def known_excitation_of(noise_model: Any, place: int) -> np.ndarray:
    """Probabilities to find a qubit in |0> and |1> after an X gate, by the errors that a noise model lists for it."""
    info, aer = needed("qiskit.quantum_info", INSTALL), needed("qiskit_aer.noise", INSTALL)
    state = info.DensityMatrix(np.diag([0.0, 1.0]))
    listed = noise_model.to_dict()["errors"]
    own = [e for e in listed if e["type"] == "qerror" and "x" in e["operations"] and [place] in _listed(e)]
    everywhere = [e for e in listed if e["type"] == "qerror" and "x" in e["operations"] and "gate_qubits" not in e]
    for error in own or everywhere:
        state = state.evolve(info.SuperOp(aer.QuantumError.from_dict(error)))
    populations = np.real(np.diag(state.data))
    return np.asarray(populations)


def check_excitation(found: np.ndarray, expected: np.ndarray, shots: int | None) -> None:
    """Compares what a simulator reads after an X gate with what its noise model says.

    Raises:
        UnsupportedError: for an answer that is another.
    """
    allowed = 1e-8 if shots is None else 6 * np.sqrt(expected * (1 - expected) / shots) + 6 / shots
    if not bool((np.abs(found - expected) <= allowed).all()):
        raise UnsupportedError(
            f"The simulator fails a check with a known answer: after an X gate it reads 1 with probability {found[1]:.6g}, "
            f"and its noise model says {expected[1]:.6g}. Its noise cannot be trusted; make it anew."
        )


def _listed(error: Any) -> list[list[int]]:
    return [list(on) for on in error.get("gate_qubits", [])]


def _bloch(theta: float, phi: float) -> np.ndarray:
    return np.array([1.0, np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def _along(vectors: list[np.ndarray]) -> np.ndarray:
    found = vectors[0]
    for vector in vectors[1:]:
        found = np.kron(found, vector)
    return found


def _kron(matrices: list[np.ndarray]) -> np.ndarray:
    return _along(matrices)


def _ry(angle: float) -> np.ndarray:
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[c, -s], [s, c]], dtype=complex)


def _rz(angle: float) -> np.ndarray:
    return np.diag(np.exp([-0.5j * angle, 0.5j * angle]))
