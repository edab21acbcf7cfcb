"""How an engine that knows plain angles and two read-outs runs any circuit: it runs others, whose results are summed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.circuits import Body, Circuit, Readout
from qmoe.engines.rewriting.measuring import LINEAR, measurements, tables
from qmoe.engines.rewriting.plain_angles import AngleMap, has_plain_angles, plain_angles
from qmoe.layers import in_autocast


@dataclass(frozen=True)
class Abilities:
    """What an engine runs as it is.

    Attributes:
        readouts: read-outs that it computes.
        takes_expressions: whether angles may be any expression.
        takes_factors: whether they may be a feature or weight times a number plus a number.
        couples_features: whether a gate on two wires may turn by a feature, and one gate by features and weights.
    """

    readouts: tuple[type[Readout], ...]
    takes_expressions: bool
    takes_factors: bool
    couples_features: bool


@dataclass(frozen=True)
class Rewriting:
    """Circuits in place of one.

    Attributes:
        circuit: the circuit.
        angles: what becomes of features and weights; None for nothing.
        runs: what to run instead; their measurements, multiplied by the tables of the read-out, add up to the result.
        tabled: whether there are tables.
    """

    circuit: Circuit
    angles: AngleMap | None
    runs: tuple[Circuit, ...]
    tabled: bool

    def run(self, evaluate: Callable[[Circuit, Tensor, Tensor], Tensor], x: Tensor, weights: Tensor) -> Tensor:
        """``(S, B, F)`` features and ``(S, P)`` weights to ``(S, B, n_outputs)``, by way of a function for one circuit."""
        if in_autocast(x.device):  # angles need their digits
            with torch.autocast(x.device.type, enabled=False):
                return self.run(evaluate, x, weights)
        if self.angles is not None:
            x, weights = self.angles(x, weights)
        total = self._result(0, evaluate(self.runs[0], x, weights))
        for index, run in enumerate(self.runs[1:], start=1):
            total = total + self._result(index, evaluate(run, x, weights))
        return total

    def _result(self, index: int, out: Tensor) -> Tensor:
        if not self.tabled:
            return out
        circuit = self.circuit
        table, offset = tables(circuit.readout, circuit.n_qubits, index, out.dtype, out.device)
        out = out if table is None else out @ table
        return out if offset is None else out + offset


@functools.lru_cache(maxsize=1024)
def rewriting_for(circuit: Circuit, abilities: Abilities) -> Rewriting | None:
    """What an engine of these abilities runs in place of ``circuit``; None for the circuit itself.

    A read-out of a user's own, which no engine here knows, is left to the engine to refuse.
    """
    readable = type(circuit.readout) in abilities.readouts or type(circuit.readout) not in LINEAR
    takes = abilities.takes_expressions, abilities.takes_factors, abilities.couples_features
    plain = has_plain_angles(circuit, *takes)
    if readable and plain:
        return None
    ops, angles = (circuit.operations, None) if plain else plain_angles(circuit, *takes)
    n_weights = circuit.n_weights + (0 if angles is None else len(angles.weights))
    n_features = circuit.in_features + (0 if angles is None else angles.n_features)

    def core(behind: tuple[object, ...], readout: Readout) -> Circuit:
        body = Body((*ops, *behind), (n_weights,), is_noisy=True)  # type: ignore[arg-type]
        return Circuit(circuit.n_qubits, None, None, None, readout, circuit.noise, n_features, body)

    if readable:
        return Rewriting(circuit, angles, (core((), circuit.readout),), tabled=False)
    found = measurements(circuit.readout, circuit.n_qubits)
    return Rewriting(circuit, angles, tuple(core(one.basis, one.readout) for one in found), tabled=True)
