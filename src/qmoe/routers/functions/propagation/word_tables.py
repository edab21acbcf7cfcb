"""Words on a light cone as a dense table, one axis a wire: the fast way where it fits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qmoe.routers.functions.propagation.moves import Move

#: The axis of a table: a wire, a variable (numbered from -1 downwards), or the rows.
_ROWS = "rows"


def peak(words_on: Sequence[int], moves: Sequence[Move]) -> int:
    """Cells of the largest table, for one row, when words on these wires are followed through the moves."""
    sizes: dict[int, int] = dict.fromkeys(words_on, 4)
    largest = 4 ** len(sizes)
    for move in moves:
        _grow(sizes, move)
        largest = max(largest, math.prod(sizes.values()))
        _settle(sizes, move)
        largest = max(largest, math.prod(sizes.values()))
    return largest


def follow_table(
    start: np.ndarray, words_on: Sequence[int], moves: Sequence[Move], support: bool
) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
    """Follows words backwards.

    Args:
        start: ``(rows, 4, ..., 4)`` coefficients of words, an axis for each wire of ``words_on``.
        words_on: the wires that the words are on.
        moves: as `Moves.cone` lists them, the last move first.
        support: whether coefficients are 0 and 1, and only count as reached.

    Returns:
        ``(rows, *letters, *waves)``, the wires whose letters are left, and the variables of the waves.
    """
    table = start.astype(np.float32 if support else np.float64)
    axes: list[int | str] = [_ROWS, *words_on]
    sizes: dict[int, int] = dict.fromkeys(words_on, 4)
    for move in moves:
        for wire in move.wires:
            if wire not in axes:
                grown = np.zeros((4, *table.shape), dtype=table.dtype)
                grown[0] = table
                table, axes = grown, [wire, *axes]
        held = 1
        named: list[int | str] = list(move.wires)
        if move.variable is not None:
            label = _label(move.variable)
            if label not in axes:
                table, axes = table[None], [label, *axes]
            held = sizes.get(label, 1)
            named.append(label)
        _grow(sizes, move)
        _settle(sizes, move)
        front = [axes.index(name) for name in named]
        rest = [place for place in range(len(axes)) if place not in front]
        kept = tuple(table.shape[place] for place in rest)
        matrix = move.matrix(held, support).astype(table.dtype)
        table = matrix.T @ table.transpose(front + rest).reshape(len(matrix), -1)
        if support:
            table = (table > 0).astype(np.float32)
        named = [name for name in named if name in sizes]
        table = table.reshape(*(sizes[name] for name in named if isinstance(name, int)), *kept)
        axes = [*named, *(axes[place] for place in rest)]
    wires = tuple(sorted(name for name in axes if isinstance(name, int) and name >= 0))
    variables = tuple(sorted(-1 - name for name in axes if isinstance(name, int) and name < 0))
    order = [axes.index(_ROWS), *(axes.index(wire) for wire in wires), *(axes.index(_label(v)) for v in variables)]
    return table.transpose(order), wires, variables


def _label(variable: int) -> int:
    return -1 - variable


def _grow(sizes: dict[int, int], move: Move) -> None:
    for wire in move.wires:
        sizes.setdefault(wire, 4)
    if move.variable is not None:
        label = _label(move.variable)
        sizes[label] = sizes.get(label, 1) + move.n_waves - 1


def _settle(sizes: dict[int, int], move: Move) -> None:
    if move.closes:
        for wire in move.wires:
            del sizes[wire]
