"""How an engine that knows plain angles and two read-outs runs any circuit: it runs others, whose results are summed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.circuits import Body, Born, Circuit, Expval, Readout, split_readout
from qmoe.engines.constants import constant
from qmoe.engines.rewriting.measuring import Measured, is_linear, marginal, measured, tables
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
        runs: what to run instead.
        measured: what becomes of their numbers; None where the only run gives the result.
    """

    circuit: Circuit
    angles: AngleMap | None
    runs: tuple[Circuit, ...]
    measured: Measured | None

    def run(self, evaluate: Callable[[Circuit, Tensor, Tensor], Tensor], x: Tensor, weights: Tensor) -> Tensor:
        """``(S, B, F)`` features and ``(S, P)`` weights to ``(S, B, n_outputs)``, by way of a function for one circuit."""
        if in_autocast(x.device):  # angles need their digits
            with torch.autocast(x.device.type, enabled=False):
                return self.run(evaluate, x, weights)
        if self.angles is not None:
            x, weights = self.angles(x, weights)
        if self.measured is None:
            return evaluate(self.runs[0], x, weights)
        words: Tensor | None = None
        marginals: list[Tensor] = []
        for index, (run, measurement) in enumerate(zip(self.runs, self.measured.runs, strict=True)):
            out = evaluate(run, x, weights)
            marginals += [marginal(out, wires, run.n_qubits) for wires in measurement.marginals]
            if measurement.table is not None or not measurement.marginals:
                found = self._words(index, out)
                words = found if words is None else words + found
        parts = marginals if words is None else [words, *marginals]
        total = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        order = self.measured.order
        return total if order is None else total.index_select(-1, constant(order, torch.int64, total.device))

    def _words(self, index: int, out: Tensor) -> Tensor:
        circuit = self.circuit
        table, offset = tables(circuit.readout, circuit.n_qubits, index, out.dtype, out.device)
        out = out if table is None else out @ table
        return out if offset is None else out + offset


@functools.lru_cache(maxsize=1024)
def rewriting_for(circuit: Circuit, abilities: Abilities) -> Rewriting | None:
    """What an engine of these abilities runs in place of ``circuit``; None for the circuit itself.

    A read-out of a user's own, which no engine here knows, is left to the engine to refuse.
    """
    readable = type(circuit.readout) in abilities.readouts or not is_linear(circuit.readout)
    if is_linear(circuit.readout) and not isinstance(circuit.readout, Expval | Born):
        # Errors of the measurement strike what is measured: behind the change to its basis, which no engine does itself.
        readable = readable and not split_readout(circuit.operations)[1]
    takes = abilities.takes_expressions, abilities.takes_factors, abilities.couples_features
    plain = has_plain_angles(circuit, *takes)
    if readable and plain:
        return None
    ops, angles = (circuit.operations, None) if plain else plain_angles(circuit, *takes)
    ops, errors = split_readout(ops)
    n_weights = circuit.n_weights + (0 if angles is None else len(angles.weights))
    n_features = circuit.in_features + (0 if angles is None else angles.n_features)

    def core(behind: tuple[object, ...], readout: Readout) -> Circuit:
        body = Body((*ops, *behind, *errors), (n_weights,), is_noisy=True)  # type: ignore[arg-type]
        return Circuit(circuit.n_qubits, None, None, None, readout, circuit.noise, n_features, body)

    if readable:
        return Rewriting(circuit, angles, (core((), circuit.readout),), None)
    found = measured(circuit.readout, circuit.n_qubits)
    return Rewriting(circuit, angles, tuple(core(one.basis, one.readout) for one in found.runs), found)
