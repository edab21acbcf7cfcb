"""Channels right before the measurement: probabilities of basis states times a matrix, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Channel, Disturb, Operation
from qmoe.circuits.placing import wires_of
from qmoe.engines.constants import cached_tensors

#: Entries of a transfer matrix that are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class FinalChannel:
    """What a channel does to the probabilities of basis states.

    Attributes:
        wires: one or two.
        rows: ``(d, d)``: the probability that basis state i (row) becomes j (column).
    """

    wires: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]

    @property
    def of_sign(self) -> tuple[float, float]:
        """``(scale, offset)`` of the expectation value of Z, for one wire."""
        (stays, _), (becomes, _) = self.rows
        return stays - becomes, stays + becomes - 1


def split_confusions(
    operations: Sequence[Operation], pairs: bool
) -> tuple[tuple[Operation, ...], tuple[FinalChannel, ...]]:
    """Operations, and channels behind them that change probabilities into probabilities, in their order.

    Args:
        operations: of a circuit.
        pairs: whether channels of two qubits are split off that are no errors of the measurement.
    """
    kept: list[Operation] = []
    found: list[FinalChannel] = []
    blocked: set[int] = set()
    for op in reversed(operations):
        if isinstance(op, Disturb) and blocked.isdisjoint(op.wires) and _is_confusion(op.channel, pairs):
            found.append(FinalChannel(op.wires, _rows(op.channel)))
        else:
            blocked.update(wires_of(op))
            kept.append(op)
    return tuple(reversed(kept)), tuple(reversed(found))


def confuse(probabilities: Tensor, confusions: Sequence[FinalChannel], n_qubits: int) -> Tensor:
    """``(..., D)`` probabilities of basis states to those behind the channels."""
    for confusion in confusions:
        wires = confusion.wires
        lead = probabilities.dim() - 1
        axes, ends = [lead + wire for wire in wires], list(range(-len(wires), 0))
        spread = probabilities.unflatten(-1, (2,) * n_qubits).movedim(axes, ends)
        table = _table(confusion.rows, probabilities.dtype, probabilities.device)
        out = (spread.flatten(-len(wires)) @ table).reshape(spread.shape)
        probabilities = out.movedim(ends, axes).flatten(lead)
    return probabilities


def confused_signs(confusions: Sequence[FinalChannel], n_qubits: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset of the expectation value of Z on each wire, for confusions of single wires."""
    scales, offsets = [1.0] * n_qubits, [0.0] * n_qubits
    for confusion in confusions:
        (wire,) = confusion.wires
        scale, offset = confusion.of_sign
        scales[wire], offsets[wire] = scale * scales[wire], scale * offsets[wire] + offset
    return tuple(scales), tuple(offsets)


def _is_confusion(channel: Channel, pairs: bool) -> bool:
    """Whether the probabilities behind it depend on those before it alone, and it is asked for."""
    if channel.is_readout or (channel.n_wires == 2 and not pairs):
        return channel.is_readout
    diagonal = [0, 3] if channel.n_wires == 1 else [0, 3, 12, 15]
    rest = [word for word in range(4**channel.n_wires) if word not in diagonal]
    return float(np.abs(channel.transfer()[np.ix_(diagonal, rest)]).max()) < _ROUNDING


def _rows(channel: Channel) -> tuple[tuple[float, ...], ...]:
    table = (np.abs(channel.kraus()) ** 2).sum(0).T
    return tuple(tuple(float(number) for number in row) for row in table)


@cached_tensors
def _table(rows: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(rows, dtype=dtype, device=device)
