"""What an import gives: the circuit, and what its weights were called where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Imported:
    """A circuit from another library.

    Attributes:
        circuit: the circuit; its weights are all parameters, flattened and put one after another.
        parameters: name and shape of each parameter, in the order of the flattened weights.
        initial: first values of the parameters, by name and in these shapes, where the source states some.
        is_bare: whether the source returns its only number without an axis, ``(...)`` in place of ``(..., 1)``.
    """

    circuit: Circuit
    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    initial: dict[str, Tensor] | None = None
    is_bare: bool = False

    @property
    def slices(self) -> dict[str, slice]:
        """Where each parameter stands in the flattened weights."""
        found: dict[str, slice] = {}
        start = 0
        for name, shape in self.parameters:
            found[name] = slice(start, start + math.prod(shape))
            start += math.prod(shape)
        return found

    def flat(self, values: Mapping[str, Tensor]) -> Tensor:
        """``(P,)`` weights of the circuit from the values of the parameters.

        Args:
            values: a tensor for each parameter, in its shape; others, such as a state dict has, are left alone.

        Raises:
            ShapeError: for a parameter that is missing or has another shape.
        """
        parts = []
        for name, shape in self.parameters:
            if name not in values:
                raise ShapeError(f"No values for the parameter {name!r}; got {', '.join(sorted(values)) or 'none'}.")
            if tuple(values[name].shape) != shape:
                raise ShapeError(f"Parameter {name!r} has the shape {tuple(values[name].shape)}, expected {shape}.")
            parts.append(values[name].reshape(-1))
        return torch.cat(parts) if parts else torch.empty(0)

    def named(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameters, by name and in their shapes, from ``(P,)`` weights of the circuit.

        Raises:
            ShapeError: for another number of weights.
        """
        if tuple(weights.shape) != (self.circuit.n_weights,):
            raise ShapeError(f"weights has the shape {tuple(weights.shape)}, expected ({self.circuit.n_weights},).")
        return {name: weights[self.slices[name]].reshape(shape) for name, shape in self.parameters}
