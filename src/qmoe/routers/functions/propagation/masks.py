"""Words on a light cone as bit masks: only those that are there, for cones whose table is too large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qmoe.circuits import Word
from qmoe.routers.functions.propagation.letters import LETTERS
from qmoe.routers.functions.propagation.moves import Move

#: Bits of the numbers that hold words.
BITS = 64


class TooManyTermsError(Exception):
    """More words than the caller has room for."""


@dataclass(frozen=True)
class Truncation:
    """Which terms are dropped on the way.

    Attributes:
        max_weight: terms with more letters other than I, and features, together.
        threshold: terms whose coefficients are all smaller.
    """

    max_weight: int | None = None
    threshold: float = 0.0

    def __bool__(self) -> bool:
        return self.max_weight is not None or self.threshold > 0


@dataclass(eq=False)
class Terms:
    """Terms that are left at the beginning of a circuit: words, products of waves, and coefficients.

    Attributes:
        wires: wires whose letters may be left.
        letters: ``(N, wires)`` numbers of the letters.
        variables: variables of the waves.
        waves: ``(N, variables)`` numbers of the waves 1, cos v, sin v, cos 2v, ...
        values: ``(N, rows)`` coefficients; None for supports.
        dropped: ``(rows,)`` sum over the moves of the root of the sum of the squares of what was dropped, each times the
            mean square of its product over uniform angles, ``2**-m`` for m features.
        dropped_sum: ``(rows,)`` sum of the absolute values of what was dropped.
    """

    wires: tuple[int, ...]
    letters: np.ndarray
    variables: tuple[int, ...]
    waves: np.ndarray
    values: np.ndarray | None
    dropped: np.ndarray = field(default_factory=lambda: np.zeros(0))
    dropped_sum: np.ndarray = field(default_factory=lambda: np.zeros(0))


class _MaskLayout:
    """Where the letters of wires (2 bits) and the waves of variables stand in rows of 64-bit numbers."""

    def __init__(self, wires: Sequence[int], n_waves: dict[int, int]) -> None:
        self.fields: dict[tuple[str, int], tuple[int, int, int]] = {}
        limb, used = 0, 0
        for name, bits in [
            *((("wire", wire), 2) for wire in wires),
            *((("variable", v), (n - 1).bit_length()) for v, n in n_waves.items()),
        ]:
            if used + bits > BITS:
                limb, used = limb + 1, 0
            self.fields[name] = limb, used, bits
            used += bits
        self.n_limbs = limb + 1

    def read(self, keys: np.ndarray, name: tuple[str, int]) -> np.ndarray:
        """``(N,)`` numbers of a field of ``(limbs, N)`` keys."""
        limb, shift, bits = self.fields[name]
        return ((keys[limb] >> np.uint64(shift)) & np.uint64(2**bits - 1)).astype(np.int64)

    def write(self, keys: np.ndarray, name: tuple[str, int], value: np.ndarray | int) -> None:
        """Sets a field that is 0."""
        limb, shift, _ = self.fields[name]
        keys[limb] |= np.asarray(value, dtype=np.uint64) << np.uint64(shift)

    def mask(self, names: Iterable[tuple[str, int]]) -> np.ndarray:
        """``(limbs, 1)``: the bits of all fields but these."""
        found = np.full((self.n_limbs, 1), 2**BITS - 1, dtype=np.uint64)
        for name in names:
            limb, shift, bits = self.fields[name]
            found[limb] &= ~np.uint64((2**bits - 1) << shift)
        return found

    def weights(self, keys: np.ndarray, kind: str) -> np.ndarray:
        """``(N,)``: how many fields of a kind are not 0."""
        count = np.zeros(keys.shape[1], dtype=np.int64)
        for limb in range(self.n_limbs):
            for size in {bits for at, _, bits in self.fields.values() if at == limb}:
                low = sum(
                    1 << shift
                    for (what, _), (at, shift, bits) in self.fields.items()
                    if (what, at, bits) == (kind, limb, size)
                )
                folded = keys[limb].copy()
                for step in range(1, size):
                    folded |= keys[limb] >> np.uint64(step)
                count += np.bitwise_count(folded & np.uint64(low))
        return count


def follow_masks(
    words: Sequence[Word],
    values: np.ndarray | None,
    moves: Sequence[Move],
    *,
    truncation: Truncation | None = None,
    max_terms: int = 2**23,
) -> Terms:
    """Follows words backwards.

    Args:
        words: what is measured.
        values: ``(N, rows)`` their coefficients; None to follow supports, with moves that are supports.
        moves: as `Moves.cone` lists them, the last move first.
        truncation: which terms to drop on the way; none by default.
        max_terms: how many terms there is room for.

    Raises:
        TooManyTermsError: for more terms.
    """
    support = values is None
    n_waves: dict[int, int] = {}
    for move in moves:
        if move.variable is not None:
            n_waves[move.variable] = n_waves.get(move.variable, 1) + move.n_waves - 1
    wires = sorted({wire for word in words for wire, _ in word} | {wire for move in moves for wire in move.wires})
    layout = _MaskLayout(wires, n_waves)
    keys = np.zeros((layout.n_limbs, len(words)), dtype=np.uint64)
    for place, word in enumerate(words):
        for wire, letter in word:
            layout.write(keys[:, place : place + 1], ("wire", wire), LETTERS.index(letter))
    keys, values = _merged(keys, values)
    rows = 0 if values is None else values.shape[1]
    dropped, dropped_sum = np.zeros(rows), np.zeros(rows)
    held: dict[int, int] = {}
    for move in moves:
        keys, values = _moved(layout, keys, values, move, held, support, max_terms)
        if truncation and values is not None:
            gone = _gone(layout, keys, values, truncation)
            if gone.any():
                lost = values[gone]
                mean_square = 0.5 ** layout.weights(keys[:, gone], "variable")
                dropped += np.sqrt((lost**2 * mean_square[:, None]).sum(0))
                dropped_sum += np.abs(lost).sum(0)
                keys, values = keys[:, ~gone], values[~gone]
    variables = tuple(sorted(n_waves))
    letters = np.array([layout.read(keys, ("wire", wire)) for wire in wires], dtype=np.uint8)
    waves = np.array([layout.read(keys, ("variable", v)) for v in variables], dtype=np.uint8)
    n = keys.shape[1]
    return Terms(
        tuple(wires),
        letters.reshape(len(wires), n).T,
        variables,
        waves.reshape(len(variables), n).T,
        values,
        dropped,
        dropped_sum,
    )


def _gone(layout: _MaskLayout, keys: np.ndarray, values: np.ndarray, truncation: Truncation) -> np.ndarray:
    gone = np.abs(values).max(1) < truncation.threshold
    if truncation.max_weight is not None:
        gone |= layout.weights(keys, "wire") + layout.weights(keys, "variable") > truncation.max_weight
    return gone


def _moved(
    layout: _MaskLayout,
    keys: np.ndarray,
    values: np.ndarray | None,
    move: Move,
    held: dict[int, int],
    support: bool,
    max_terms: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    names = [("wire", wire) for wire in move.wires]
    n_held = n_new = 1
    if move.variable is not None:
        n_held = held.get(move.variable, 1)
        held[move.variable] = n_new = n_held + move.n_waves - 1
        names.append(("variable", move.variable))
    code = np.zeros(keys.shape[1], dtype=np.int64)
    for name in names:
        code = code * (4 if name[0] == "wire" else n_held) + layout.read(keys, name)
    matrix = move.matrix(n_held, support)
    from_code, to_code = np.nonzero(matrix)
    counts = np.bincount(from_code, minlength=len(matrix))
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    times = counts[code]
    total = int(times.sum())
    if total > max_terms:
        raise TooManyTermsError
    source = np.repeat(np.arange(len(code)), times)
    entry = first[code][source] + np.arange(total) - np.repeat(np.cumsum(times) - times, times)
    # What each entry of the matrix writes into the fields.
    written = np.zeros((layout.n_limbs, len(to_code)), dtype=np.uint64)
    left = to_code
    if move.variable is not None:
        layout.write(written, ("variable", move.variable), left % n_new)
        left = left // n_new
    if not move.closes:
        for wire in reversed(move.wires):
            layout.write(written, ("wire", wire), left % 4)
            left = left // 4
    keys = (keys & layout.mask(names))[:, source] | written[:, entry]
    if values is not None:
        values = values[source] * matrix[from_code, to_code][entry][:, None]
    if np.bincount(to_code, minlength=1).max() > 1:
        return _merged(keys, values)
    return keys, values


def _merged(keys: np.ndarray, values: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Each key once, with the sum of its values."""
    if keys.shape[1] < 2:
        return keys, values
    order = np.argsort(keys[0]) if len(keys) == 1 else np.lexsort(keys)
    keys = keys[:, order]
    is_first = np.concatenate([[True], (keys[:, 1:] != keys[:, :-1]).any(0)])
    starts = np.flatnonzero(is_first)
    if values is not None:
        values = np.add.reduceat(values[order], starts, axis=0)
    return keys[:, starts], values
