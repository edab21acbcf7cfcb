"""A circuit with every angle apart: each that depends on features or weights becomes a feature or weight that stands once.

So an angle can be shifted by itself, however often its weight stands in the circuit, and in whatever expression.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.circuits import Angle, AngleFunction, Body, Circuit, Computed, Expression, Feature, Gate, Operation, Weight
from qmoe.circuits.angles.expressions import Factor, replaced
from qmoe.engines.rewriting.plain_angles import polynomials


@dataclass(frozen=True)
class Slot:
    """Where an angle stands that depends on features or weights.

    Attributes:
        gate: name of the gate.
        per_sample: whether it differs between samples: a feature is in it.
        index: its number among the features of the circuit with separate angles where it does, else among the weights.
        has_weight: whether a weight is.
    """

    gate: str
    per_sample: bool
    index: int
    has_weight: bool


@dataclass(frozen=True)
class Separated:
    """A circuit with every angle apart.

    Attributes:
        circuit: with the features ``(Kx,)`` and weights ``(Kw,)`` that `angles` gives.
        slots: where they stand.
        of_samples: angles of samples, as polynomials in the features of the circuit before, with what ``function`` gives
            behind them, and in its weights.
        of_models: angles that all samples share, in the weights.
        function: what gives the angles that are `Computed`.
        prepares: whether features are amplitudes.
    """

    circuit: Circuit
    slots: tuple[Slot, ...]
    of_samples: tuple[Expression, ...]
    of_models: tuple[Expression, ...]
    function: AngleFunction | None
    prepares: bool

    def angles(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """``(S, B, F)`` features and ``(S, P)`` weights to ``(S, B, Kx)`` and ``(S, Kw)``; autograd knows the way back."""
        shared = weights[:, :0]
        if self.of_models:
            shared = polynomials(self.of_models, None, weights).squeeze(1)
        if self.prepares:
            return x, shared
        if not self.of_samples:
            return x[..., :1], shared  # a circuit has a feature, if only one that stands nowhere
        wide = x if self.function is None else torch.cat([x, self.function(x, weights)], -1)
        return polynomials(self.of_samples, wide, weights), shared


@functools.lru_cache(maxsize=1024)
def separated(circuit: Circuit) -> Separated:
    """The circuit with every angle apart."""
    function = None if circuit.body is None else circuit.body.function
    of_samples: list[Expression] = []
    of_models: list[Expression] = []
    slots: list[Slot] = []

    def numbered(factor: Factor) -> Factor:
        return Feature(circuit.in_features + factor.index) if isinstance(factor, Computed) else factor

    def apart(gate: str, angle: Angle) -> Angle:
        if isinstance(angle, float):
            return angle
        whole = replaced(angle, numbered) * 1.0
        assert isinstance(whole, Expression)
        computed = any(index >= circuit.in_features for index in whole.features)
        found = of_samples if whole.features else of_models
        slot = Slot(gate, bool(whole.features), len(found), bool(whole.weights) or computed)
        found.append(whole)
        slots.append(slot)
        return Feature(slot.index) if slot.per_sample else Weight(slot.index)

    operations: list[Operation] = [
        Gate(op.name, op.wires, tuple(apart(op.name, angle) for angle in op.angles)) if isinstance(op, Gate) else op
        for op in circuit.operations
    ]
    n_features = circuit.in_features if circuit.prepares else max(1, len(of_samples))
    body = Body(tuple(operations), (len(of_models),), is_noisy=True)
    plain = Circuit(circuit.n_qubits, None, None, None, circuit.readout, circuit.noise, n_features, body)
    return Separated(plain, tuple(slots), tuple(of_samples), tuple(of_models), function, circuit.prepares)
