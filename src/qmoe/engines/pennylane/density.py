"""Read-outs of density matrices.

default.mixed takes a square root of each probability, whose gradient is NaN where that is 0; so its states are read here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Probs, Readout, Readouts, Sum, Word
from qmoe.engines.rewriting.measuring import marginal


def read_density(rho: Tensor, circuit: Circuit) -> Tensor:
    """``(..., D, D)`` density matrices to ``(..., n_outputs)``."""
    return _read(rho, circuit.readout, circuit.n_qubits)


def _read(rho: Tensor, readout: Readout, n_qubits: int) -> Tensor:
    if isinstance(readout, Readouts):
        return torch.cat([_read(rho, part, n_qubits) for part in readout.parts], -1)
    if isinstance(readout, Born | Probs):
        wires = tuple(range(n_qubits)) if isinstance(readout, Born) else readout.wires
        return marginal(rho.diagonal(dim1=-2, dim2=-1).real, wires, n_qubits)
    sums = readout.words(n_qubits)
    assert sums is not None
    return torch.stack([_sum(rho, terms, n_qubits) for terms in sums], -1)


def _sum(rho: Tensor, terms: Sum, n_qubits: int) -> Tensor:
    total = rho.new_zeros(rho.shape[:-2]).real
    for coefficient, word in terms:
        total = total + coefficient * _expectation(rho, word, n_qubits)
    return total


def _expectation(rho: Tensor, word: Word, n_qubits: int) -> Tensor:
    """``sum_j <j| rho P |j>``, where a word P takes basis state j to another one with a phase."""
    states = torch.arange(2**n_qubits, device=rho.device)
    target, phase = states.clone(), torch.ones(2**n_qubits, dtype=rho.dtype, device=rho.device)
    for wire, letter in word:
        place = n_qubits - 1 - wire
        sign = 1 - 2 * ((states >> place) & 1)
        if letter != "Z":
            target = target ^ (1 << place)
        if letter != "X":
            phase = phase * sign * (1j if letter == "Y" else 1)
    return (rho[..., states, target] * phase).sum(-1).real
