"""What is measured to get a read-out by counting: one circuit for each basis, and the read-out from their frequencies."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.circuits import Body, Born, Circuit, Expval, split_readout
from qmoe.engines.rewriting import Rewriting, is_linear
from qmoe.engines.rewriting.measuring import Measured, measured
from qmoe.errors import UnsupportedError


@dataclass(frozen=True)
class Bases:
    """The circuits that are counted for one read-out.

    Attributes:
        circuits: one for each basis, all with the read-out `Born` and weights ``(P,)``.
        reading: how the read-out follows from the numbers of each.
        measured: what `reading` takes of each.
    """

    circuits: tuple[Circuit, ...]
    reading: Rewriting
    measured: Measured

    def read(self, frequencies: Sequence[Tensor]) -> Tensor:
        """Read-outs from the share of each outcome in each basis.

        All outputs of a basis come from the same samples: they are correlated as on a device.

        Args:
            frequencies: ``(S, B, D)`` of each basis.

        Returns:
            ``(S, B, n_outputs)``.
        """
        numbers = iter(
            signs(shares) if isinstance(run.readout, Expval) else shares
            for run, shares in zip(self.measured.runs, frequencies, strict=True)
        )
        first = frequencies[0]
        return self.reading.run(lambda circuit, x, weights: next(numbers), first, first)


@functools.lru_cache(maxsize=1024)
def bases_of(circuit: Circuit) -> Bases:
    """The circuits that are counted.

    Raises:
        UnsupportedError: for a read-out that is no linear function of the shares of outcomes, or takes tables larger than
            the memory.
    """
    readout = circuit.readout
    if not is_linear(readout):
        raise UnsupportedError(
            f"Shots give the shares of outcomes, and qmoe does not know how {type(readout).__name__} follows from these; "
            "measure 'expval', 'born', Pauli words, Hamiltonians, Probs, Parity or a list of these, or use shots=None."
        )
    found = measured(readout, circuit.n_qubits)
    # Errors of the measurement strike what is measured, and so stand behind the change of basis.
    operations, errors = split_readout(circuit.operations)
    function = None if circuit.body is None else circuit.body.function

    def counted(basis: tuple[object, ...]) -> Circuit:
        body = Body((*operations, *basis, *errors), (circuit.n_weights,), True, function)  # type: ignore[arg-type]
        return Circuit(circuit.n_qubits, None, None, None, Born(), circuit.noise, circuit.in_features, body)

    circuits = tuple(counted(run.basis) for run in found.runs)
    return Bases(circuits, Rewriting(circuit, None, circuits, found), found)


def signs(shares: Tensor) -> Tensor:
    """``(..., D)`` shares of outcomes to ``(..., Q)`` mean signs: Z of every wire, all from the same samples."""
    rest, found = shares, []
    while rest.shape[-1] > 1:
        halves = rest.unflatten(-1, (2, -1))
        found.append((halves[..., 0, :] - halves[..., 1, :]).sum(-1))
        rest = halves.sum(-2)
    return torch.stack(found, -1)
