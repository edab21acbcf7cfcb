"""The slow way to the functions of a circuit: one dense table of all Pauli words and products, for tests.

A read-out is a sum of Pauli words. Going backwards through the circuit (the Heisenberg picture), a gate turns a word into a
sum of words, and an encoding rotation about P multiplies every word that anticommutes with P by ``cos x`` and adds its
product with P, times ``sin x``. Here only the *supports* are followed: which word may come with which product of sines and
cosines. What no path reaches has coefficient 0 for all weights; what a path reaches has a coefficient that is not 0 for
nearly all of them, unless paths cancel. So the result contains every function that the circuit computes. Noise scales words
and dephasing drops some, so neither ever adds a function.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch

from qmoe.circuits import Born, Circuit, Disturb, Feature, Gate, Prepare, Weight, split_readout
from qmoe.engines.reference import gate_matrix
from qmoe.errors import UnsupportedError
from qmoe.routers.functions.islands import islands
from qmoe.routers.functions.propagation.misreadings import misread
from qmoe.routers.functions.terms import ProductTerm

#: Words on one wire, by number.
LETTERS = "IXYZ"
_PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
#: Number of the product of two letters, without its phase.
_PRODUCT = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
#: Angles that stand for weights of any value. An entry of a gate's transfer matrix is a polynomial of low degree in their
#: sines and cosines, with no root at points as odd as these unless it is 0.
_GENERIC = ((0.7131, 1.9373, 2.8517), (2.2391, 0.4177, 1.2773), (1.3109, 2.6123, 0.5839))


def all_terms(circuit: Circuit, n_experts: int) -> set[ProductTerm]:
    """The products of sines and cosines of a template with an angle encoding."""
    terms = set()
    for group in islands(circuit):
        for row in np.argwhere(reached_products(circuit, group, n_experts)):
            pairs = [(feature, int(held)) for feature, held in zip(group, row, strict=True) if held]
            terms.add(ProductTerm(tuple((f, (held + 1) // 2, "cos" if held % 2 else "sin") for f, held in pairs)))
    return terms - {ProductTerm(())}


def reached_products(circuit: Circuit, island: tuple[int, ...], n_experts: int) -> np.ndarray:
    """The products of sines and cosines that the read-outs of an island of wires can hold, for an angle encoding.

    Args:
        circuit: what computes them.
        island: wires of `islands`, whose features these are.
        n_experts: number of experts, which says which differences of Born probabilities count.

    Returns:
        Boolean, one axis ``2R + 1`` for each wire of the island, in the order 1, cos x, sin x, cos 2x, sin 2x, ...
    """
    found = _backwards(circuit, island, n_experts)
    q = len(island)
    # In the state |0> the words of I and Z are worth 1, all others 0.
    for axis in range(q):
        found = found.take([0, 3], axis=axis)
    return np.asarray(found.any(axis=tuple(range(q))))


def _backwards(circuit: Circuit, island: tuple[int, ...], n_experts: int) -> np.ndarray:
    """Support over words (an axis of 4 for each wire) and products (an axis for each wire's feature) at the beginning."""
    q = len(island)
    place = {wire: axis for axis, wire in enumerate(island)}
    support = _read_out(circuit, island, n_experts).reshape((4,) * q + (1,) * q)
    for op in reversed(circuit.operations):
        if isinstance(op, Prepare):
            break  # the features are in the state, and nothing stands before it
        if not isinstance(op, Gate) or op.wires[0] not in place:
            continue  # noise scales words and adds none
        axes = tuple(place[wire] for wire in op.wires)
        if any(isinstance(angle, Feature) for angle in op.angles):
            support = _encode(support, axes[0], LETTERS.index(op.name[-1]), q)
        else:
            plain = Gate(op.name, tuple(range(len(op.wires))), op.angles)
            support = _apply(support, axes, _transfer(plain))
    return support


def _read_out(circuit: Circuit, island: tuple[int, ...], n_experts: int) -> np.ndarray:
    """The words that are measured: Z of each wire, or those in which the weights of experts differ."""
    q = len(island)
    support = np.zeros((4,) * q, dtype=bool)
    if not isinstance(circuit.readout, Born):
        for axis in range(q):
            support[tuple(3 * (a == axis) for a in range(q))] = True
        return support
    outcomes = np.arange(min(n_experts, 2**q))
    for word in itertools.product((0, 1), repeat=q):
        # The projector on outcome i holds the word of Z on a set of wires with the sign of the parity of i there. Outcomes
        # beyond the experts are shared by all alike, so a word whose sign is the same for all experts cancels.
        bits = [(outcomes >> (q - 1 - axis)) & 1 for axis in range(q) if word[axis]]
        parity = functools.reduce(np.bitwise_xor, bits, np.zeros_like(outcomes))
        if len(np.unique(parity)) > 1:
            support[tuple(3 * letter for letter in word)] = True
    return support


def _encode(support: np.ndarray, axis: int, letter: int, q: int) -> np.ndarray:
    """Undoes a rotation about ``letter`` by the feature of the wire at ``axis``, whose products grow by one degree."""
    feature = q + axis
    words = np.moveaxis(support, (axis, feature), (0, 1))
    size = words.shape[1]
    out = np.zeros((4, size + 2, *words.shape[2:]), dtype=bool)
    for old in range(4):
        if old in (0, letter):
            out[old, :size] |= words[old]
            continue
        for held in range(size):
            for kind, new in ((0, old), (1, _PRODUCT[letter, old])):
                for product in _times(held, kind):
                    out[new, product] |= words[old, held]
    return np.moveaxis(out, (0, 1), (axis, feature))


def _times(held: int, kind: int) -> list[int]:
    """The products in ``cos kx`` or ``sin kx`` (number ``held``) times ``cos x`` (kind 0) or ``sin x`` (kind 1)."""
    frequency, sine = (held + 1) // 2, int(held > 0 and held % 2 == 0)
    made_sine = sine ^ kind
    return [2 * k - 1 + made_sine if k else 0 for k in {abs(frequency - 1), frequency + 1} if k or not made_sine]


def _apply(support: np.ndarray, axes: tuple[int, ...], transfer: np.ndarray) -> np.ndarray:
    """Undoes a gate on the wires at ``axes``."""
    words = np.moveaxis(support, axes, range(len(axes)))
    out = np.zeros_like(words)
    for old, new in zip(*np.nonzero(transfer), strict=True):
        at = [np.unravel_index(index, (4,) * len(axes)) for index in (old, new)]
        out[at[1]] |= words[at[0]]
    return np.moveaxis(out, range(len(axes)), axes)


@functools.lru_cache(maxsize=256)
def _transfer(gate: Gate) -> np.ndarray:
    """``(4**w, 4**w)``: whether ``U^dagger old U`` holds ``new`` for some value of the gate's weights."""
    n = len(gate.wires)
    words = [functools.reduce(np.kron, [_PAULI[a] for a in w]) for w in itertools.product(range(4), repeat=n)]
    stack = np.stack(words)
    named = sorted({angle.index for angle in gate.angles if isinstance(angle, Weight)})
    own = Gate(
        gate.name, gate.wires, tuple(Weight(named.index(a.index)) if isinstance(a, Weight) else a for a in gate.angles)
    )
    found = np.zeros((4**n, 4**n), dtype=bool)
    for angles in _GENERIC:
        U = gate_matrix(own, torch.tensor(angles, dtype=torch.float64, device="cpu")).numpy()
        moved = U.conj().T @ stack @ U
        found |= np.abs(np.einsum("nij,oji->on", stack, moved)) > 1e-9
    return found


def bases_are_known(circuit: Circuit) -> bool:
    """False where an error of a pair depends on the basis of a wire that a word does not measure, which is refused."""
    try:
        misread(circuit, [op for op in split_readout(circuit.operations)[1] if isinstance(op, Disturb)])
    except UnsupportedError as error:
        return "Measure words that share a basis" not in str(error)
    return True
