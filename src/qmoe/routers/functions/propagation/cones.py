"""What a circuit measures, as Pauli words, grouped by light cones."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.circuits import Born, Circuit, Probs, Readout, Readouts, Sum, Word
from qmoe.errors import UnsupportedError
from qmoe.routers.functions.propagation.moves import Move, Moves


@dataclass(frozen=True, eq=False)
class Cone:
    """Read-outs that spread to the same wires, or to some of them.

    Attributes:
        outputs: numbers of the read-outs.
        moves: what their words meet, last first.
        wires: where they spread to.
    """

    outputs: tuple[int, ...]
    moves: tuple[Move, ...]
    wires: frozenset[int]

    @property
    def n_waves(self) -> dict[int, int]:
        """Variables that can occur, and the number of waves of each."""
        found: dict[int, int] = {}
        for move in self.moves:
            if move.variable is not None:
                found[move.variable] = found.get(move.variable, 1) + move.n_waves - 1
        return found


#: Wires whose probabilities are written as sums of words: as many words for each outcome as there are outcomes.
_MAX_WIRES = 8


def measured(circuit: Circuit) -> tuple[Sum, ...]:
    """Each read-out as a sum of Pauli words, 0 left out.

    Raises:
        UnsupportedError: for a read-out of your own, or the probabilities of too many wires.
    """
    return tuple(tuple((c, word) for c, word in terms if c) for terms in _sums(circuit.readout, circuit.n_qubits))


def _sums(readout: Readout, n_qubits: int) -> tuple[Sum, ...]:
    if isinstance(readout, Readouts):
        return tuple(terms for part in readout.parts for terms in _sums(part, n_qubits))
    found = readout.words(n_qubits)
    if found is not None and len(found) != readout.n_outputs(n_qubits):
        raise UnsupportedError(
            f"Spans, twins and distilled routers follow Pauli words, got {type(readout).__name__}, which says that it has "
            f"{readout.n_outputs(n_qubits)} output(s) and names words for {len(found)}."
        )
    if found is not None:
        return found
    wires = tuple(range(n_qubits)) if isinstance(readout, Born) else readout.wires if isinstance(readout, Probs) else ()
    if not wires or len(wires) > _MAX_WIRES:
        raise UnsupportedError(
            f"Spans, twins and distilled routers follow read-outs that are sums of Pauli words, and probabilities of up to "
            f"{_MAX_WIRES} wires; got {readout!r} of {n_qubits} qubit(s)."
        )
    sets = list(itertools.product((0, 1), repeat=len(wires)))
    words = [tuple(sorted((wire, "Z") for wire, there in zip(wires, one, strict=True) if there)) for one in sets]
    signs = [[(-1.0) ** sum(map(int.__mul__, outcome, one)) for one in sets] for outcome in sets]
    return tuple(tuple((sign / len(sets), word) for sign, word in zip(row, words, strict=True)) for row in signs)


def words_that_count(circuit: Circuit, n_experts: int) -> tuple[tuple[Word, ...], ...]:
    """For each read-out the words that routing sees; the Born read-out counts as one."""
    if not isinstance(circuit.readout, Born):
        return tuple(tuple(word for _, word in words if word) for words in measured(circuit))
    q = circuit.n_qubits
    outcomes = np.arange(min(n_experts, 2**q))
    found: list[Word] = []
    for word in itertools.product((0, 1), repeat=q):
        # The projector on outcome i holds the word of Z on a set of wires with the sign of the parity of i there. Outcomes
        # beyond the experts are shared by all alike, so a word whose sign is the same for all experts cancels.
        bits = [(outcomes >> (q - 1 - axis)) & 1 for axis in range(q) if word[axis]]
        parity = functools.reduce(np.bitwise_xor, bits, np.zeros_like(outcomes))
        if len(np.unique(parity)) > 1:
            found.append(tuple((wire, "Z") for wire, there in enumerate(word) if there))
    return (tuple(found),)


def cones_of(moves: Moves, words: Sequence[Sequence[Word]]) -> list[Cone]:
    """Groups the read-outs, each with its words: one whose cone is inside another's goes with it."""
    wires = [{wire for word in held for wire, _ in word} for held in words]
    spread = {output: moves.cone(on)[1] for output, on in enumerate(wires) if on}
    groups: list[tuple[frozenset[int], list[int]]] = []
    for output in sorted(spread, key=lambda output: -len(spread[output])):
        home = next((members for reach, members in groups if spread[output] <= reach), None)
        if home is None:
            groups.append((spread[output], [output]))
        else:
            home.append(output)
    found = []
    for _, outputs in groups:
        met, reach = moves.cone(set().union(*(wires[output] for output in outputs)))
        found.append(Cone(tuple(sorted(outputs)), tuple(met), reach))
    return sorted(found, key=lambda cone: cone.outputs)
