"""Errors of the measurement undone by the inverse of their confusion matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Disturb, Expval, split_readout
from qmoe.errors import ConfigError, UnsupportedError

#: A confusion matrix whose inverse enlarges errors by more than this tells nothing of what was there.
_WORST = 1e6


def measured_plainly(circuit: Circuit) -> Circuit:
    """The circuit that is measured so that errors of the measurement can be undone: itself, where it has none.

    Raises:
        UnsupportedError: for a read-out other than Pauli Z of every qubit or the probabilities of all basis states.
    """
    if not _errors(circuit):
        return circuit
    if not isinstance(circuit.readout, Expval | Born):
        raise UnsupportedError(
            f"Errors of the measurement are undone for 'expval' and 'born', got the read-out {circuit.readout.name!r}; "
            "measure one of these, or leave ReadoutError and ReadoutConfusion out."
        )
    return circuit.with_readout("born")


def undone(readouts: Tensor, circuit: Circuit) -> Tensor:
    """What ``circuit`` measures from the read-outs of `measured_plainly`, with the errors of its measurement undone.

    Args:
        readouts: ``(..., n)``: probabilities where there are such errors.
        circuit: the circuit.

    Raises:
        ConfigError: for a confusion matrix without an inverse, as of a qubit that is read by tossing a coin.
    """
    errors = _errors(circuit)
    if not errors:
        return readouts
    n = circuit.n_qubits
    joint = readouts.reshape(*readouts.shape[:-1], *[2] * n)
    for error in reversed(errors):
        joint = _applied(joint, _inverse(error), error.wires, n)
    if isinstance(circuit.readout, Born):
        return joint.reshape(readouts.shape)
    lead = joint.dim() - n
    ones = [joint.select(lead + wire, 0) - joint.select(lead + wire, 1) for wire in range(n)]
    return torch.stack([one.reshape(*readouts.shape[:-1], -1).sum(-1) for one in ones], -1)


def _errors(circuit: Circuit) -> list[Disturb]:
    return [op for op in split_readout(circuit.operations)[1] if isinstance(op, Disturb)]


def _inverse(error: Disturb) -> np.ndarray:
    confusion = error.channel.confusion()  # type: ignore[attr-defined]  # every error of the measurement has one
    if np.linalg.cond(confusion) > _WORST:
        raise ConfigError(
            f"{error.channel!r} cannot be undone: what is read does not depend on what was there. Leave that error out, or "
            "the mitigation."
        )
    found: np.ndarray = np.linalg.inv(confusion)
    return found


def _applied(joint: Tensor, matrix: np.ndarray, wires: tuple[int, ...], n: int) -> Tensor:
    """A row-stochastic matrix, or its inverse, acting on some wires of ``(..., 2, ..., 2)`` probabilities."""
    lead, k = joint.dim() - n, len(wires)
    places = [lead + wire for wire in wires]
    moved = joint.movedim(places, list(range(-k, 0)))
    table = torch.from_numpy(matrix).to(joint.device, joint.dtype)
    mixed = (moved.reshape(*moved.shape[:-k], 2**k) @ table).reshape(moved.shape)
    return mixed.movedim(list(range(-k, 0)), places)
