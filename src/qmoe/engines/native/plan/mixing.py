"""Channels of noise on Pauli words: what multiplies each, and sparse matrices for what adds some to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qmoe.circuits import Channel
from qmoe.circuits.noise.channel import DUST
from qmoe.engines.native.plan.lowering import Mix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Rows that a pass costs beside its entries: two matrices become one where that has fewer than both and such a pass.
PASS_ROWS = 2.0
#: Rows by which it is told beforehand whether a product is worth its time.
_FEW_ROWS = 64

# By whether it has X, and Z: the number of a letter among I, X, Y, Z; and the other way around.
_LETTERS = np.array([[0, 3], [1, 2]])
_X, _Z = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])


def transfer_of(channel: Channel) -> np.ndarray:
    """Its transfer matrix, without dust."""
    matrix = channel.transfer()
    return np.where(abs(matrix) < DUST, 0.0, matrix)


def is_diagonal(channel: Channel) -> bool:
    """Whether it multiplies each Pauli word by a number."""
    matrix = transfer_of(channel)
    return not (matrix - np.diag(matrix.diagonal())).any()


def turned_flips(mix: Mix) -> set[int]:
    """Of the words that a channel adds to others, how the flips differ."""
    targets, sources = np.nonzero(transfer_of(mix.channel))
    return {
        _joined(_X[_letters(int(i), mix)] ^ _X[_letters(int(j), mix)], [flip for flip, _, _ in mix.wires])
        for i, j in zip(targets, sources, strict=True)
    } - {0}


def letters_at(mix: Mix, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """``(n,)`` number of each word's part on the wires of a channel, among I, X, Y, Z or II, IX, ..."""
    number = np.zeros(len(x), dtype=np.int64)
    for flip, sign, _ in mix.wires:
        number = 4 * number + _LETTERS[_odd(x & sign), _odd(z & flip)]
    return number


def factors_of(mix: Mix, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """``(n,)`` what a diagonal channel multiplies each of the words (x, z) by."""
    return transfer_of(mix.channel).diagonal()[letters_at(mix, x, z)]


def matrix_of(mix: Mix, x: np.ndarray, z: np.ndarray, dim: int) -> csr_array:
    """What a channel does to the coefficients of all words (x, z), of which ``x * dim + z`` is the index."""
    transfer, letters = transfer_of(mix.channel), letters_at(mix, x, z)
    flips, signs = [flip for flip, _, _ in mix.wires], [sign for _, sign, _ in mix.wires]
    shifts = np.array([shift for _, _, shift in mix.wires])
    n = len(x)
    own = _power(x, z, _Z[_all_letters(letters, mix)], _X[_all_letters(letters, mix)], shifts)
    rows, columns, values = [], [], []
    for j in range(len(transfer)):
        from_x, from_z = _X[_letters(j, mix)], _Z[_letters(j, mix)]
        here = np.flatnonzero(transfer[letters, j])
        now = _all_letters(letters[here], mix)
        source_x = x[here] ^ _joined(_X[now] ^ from_x, flips)
        source_z = z[here] ^ _joined(_Z[now] ^ from_z, signs)
        # Words of the circuit's own wires are these up to a sign, which differs before and after.
        power = own[here] - _power(source_x, source_z, from_z[None], from_x[None], shifts)
        rows.append(here)
        columns.append(source_x * dim + source_z)
        values.append(transfer[letters[here], j] * np.where(power % 4 == 0, 1.0, -1.0))
    return _sparse(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), n)


def diagonal(factors: np.ndarray) -> csr_array:
    """A matrix with these on its diagonal."""
    places = np.arange(len(factors))
    return _sparse(places, places, factors, len(factors))


def product(later: csr_array, earlier: csr_array) -> csr_array:
    """Both as one matrix, without dust."""
    found = (later @ earlier).tocsr()
    found.data[abs(found.data) < DUST] = 0.0
    found.eliminate_zeros()
    return found


def joined(later: csr_array, earlier: csr_array) -> csr_array | None:
    """Both as one matrix, where one pass with it costs less than two; None elsewhere."""
    n, few = later.shape[0], _few_rows(later)
    most = later.nnz + earlier.nnz + PASS_ROWS * n
    if (later[few] @ earlier).nnz * n > 2 * most * len(few):
        return None  # by far, as some rows tell
    found = product(later, earlier)
    return found if found.nnz <= most else None


def commutes_with_turn(matrix: csr_array, pairs: np.ndarray) -> bool:
    """Whether a channel may as well come before a rotation of these pairs of words."""
    first, second = pairs.T
    ones = np.ones(len(pairs))
    rotation = _sparse(
        np.concatenate([second, first]), np.concatenate([first, second]), np.concatenate([ones, -ones]), matrix.shape[0]
    )
    few = _few_rows(matrix)
    return _is_zero(matrix[few] @ rotation - rotation[few] @ matrix) and _is_zero(matrix @ rotation - rotation @ matrix)


def commutes_with_damping(matrix: csr_array, kinds: np.ndarray) -> bool:
    """Whether words are added to words of the same kind alone, which are multiplied by the same."""
    entries = matrix.tocoo()
    return bool((kinds[entries.row] == kinds[entries.col]).all())


def _few_rows(matrix: csr_array) -> np.ndarray:
    """Some rows, by which much can be told at little cost."""
    n = matrix.shape[0]
    return np.arange(0, n, max(1, n // _FEW_ROWS) | 1)  # an odd step, so that all bits of the words occur


def _is_zero(matrix: Any) -> bool:
    return not matrix.nnz or float(abs(matrix.data).max()) < DUST


def _sparse(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n: int) -> csr_array:
    from scipy.sparse import csr_array  # takes a tenth of a second to import, and few circuits need it

    return csr_array((values, (rows, columns)), shape=(n, n))


def _power(x: np.ndarray, z: np.ndarray, on_z: np.ndarray, on_x: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The power of i by which the words of the wires differ from those of the index bits, but for the other wires' part."""
    found: np.ndarray = (on_x * on_z).sum(-1) + 2 * (on_z * shifts).sum(-1) - np.bitwise_count(x & z).astype(np.int64)
    return found


def _letters(number: int, mix: Mix) -> np.ndarray:
    """The letters of a channel's word, by its number."""
    return _all_letters(np.array([number]), mix)[0]


def _all_letters(numbers: np.ndarray, mix: Mix) -> np.ndarray:
    n = len(mix.wires)
    return np.stack([numbers // 4 ** (n - 1 - w) % 4 for w in range(n)], -1)


def _joined(bits: np.ndarray, masks: list[int]) -> Any:
    """The masks at whose places stands a 1, all added up."""
    found = np.zeros(bits.shape[:-1], dtype=np.int64)
    for place, mask in enumerate(masks):
        found ^= bits[..., place] * mask
    return found if found.ndim else int(found)


def _odd(bits: np.ndarray) -> np.ndarray:
    return np.bitwise_count(bits).astype(np.int64) & 1
