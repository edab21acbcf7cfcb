"""Why products of few features are nearly all that a circuit computes, and when that can be proven for all weights.

Let a circuit be an encoding without trainable gates, and then any gates and unital noise. A read-out is the expectation
value of ``O = sum_j h_j P_j`` with different Pauli words P_j. What stands behind the encoding turns O into
``sum_W c_W W``. A unitary keeps the sum of squares ``|c|^2 = |h|^2`` (Pauli words are orthogonal, and it keeps the trace of
O^2). A channel that leaves the fully mixed state alone never makes it larger: mixtures of Pauli errors multiply coefficients
by numbers of magnitude at most 1. Relaxation adds words to others, and may. So ``|c| <= |h|`` at all weights.

The encoding turns each word W into a function of the features: ``sum_p C[W, p] p(x)`` over products p of 1, cos kx and
sin kx, with a matrix C that knows no weights. So the read-out is ``f = sum_p a_p p`` with ``a = C^T c``. Over uniform angles
different products are orthogonal, and one of m features has the mean square ``2^-m``. If no singular value of C is above 1,

    E (f - f_k)^2 = sum over m_p > k of 2^-m_p a_p^2  <=  2^-(k+1) |a|^2  <=  2^-(k+1) |h|^2

where f_k holds the products of at most k features; ``|h| = 1`` for a Pauli word. One RX of a feature on ``|0>`` has
``I -> 1, X -> 0, Y -> -sin x, Z -> cos x``, whose singular values are 1, 0, 1, 1: the condition holds. It fails for a qubit
without a feature (I and Z are both 1, whose singular value is the root of 2). Qubits that the encoding does not join have
C as a Kronecker product, so each group is looked at by itself. Features must enter all before trainable gates, since C would
depend on weights else, and each in one group, since products would not be orthogonal else.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from qmoe.circuits import Born, Circuit, Disturb, Gate
from qmoe.errors import QMoEError, UnsupportedError
from qmoe.routers.functions.bare import is_unital
from qmoe.routers.functions.basis import Basis
from qmoe.routers.functions.propagation.cones import measured
from qmoe.routers.functions.propagation.moves import moves_of
from qmoe.routers.functions.propagation.rotations import check_followed
from qmoe.routers.functions.propagation.word_tables import follow_table

#: Qubits that an encoding may join: a matrix of 4**n rows is looked at.
_MAX_JOINED = 4
_ROUNDING = 1e-9


def weight_certificate(circuit: Circuit, max_weight: int) -> tuple[float | None, str | None]:
    """A bound on ``E_x (f - f_k)^2`` for every read-out f of a circuit, at all weights, over uniform angles.

    Args:
        circuit: the circuit.
        max_weight: the number k of features in the largest products that f_k keeps.

    Returns:
        The bound ``2**-(k+1)``, times the largest sum of squares of the coefficients of a read-out, which is 1 for a Pauli
        word; or None and the reason why none was found.
    """
    why = why_no_certificate(circuit)
    if why is not None:
        return None, why
    if isinstance(circuit.readout, Born):
        return None, "the Born read-out gives routing weights that no softmax of such functions is"
    largest = max((sum(c**2 for c, word in terms if word) for terms in measured(circuit)), default=0.0)
    return 0.5 ** (max_weight + 1) * largest, None


@functools.lru_cache(maxsize=64)
def left_out_certificate(
    circuit: Circuit, basis: Basis | None, max_weight: int | None, left_out: tuple[object, ...]
) -> tuple[float | None, str | None]:
    """What a twin's functions leave out of every read-out at most, or why that is not known.

    Args:
        circuit: what they are the functions of, with its noise.
        basis: the functions; None for a random sample.
        max_weight: of how many features their products are at most.
        left_out: names of functions that were taken out besides.
    """
    if basis is None:
        return None, "the functions are a random sample"
    if left_out:
        return None, "functions were left out by name"
    return (0.0, None) if max_weight is None or basis.complete else weight_certificate(circuit, max_weight)


def why_no_certificate(circuit: Circuit) -> str | None:
    """Why the conditions in the docstring of this module are not met; None where they are."""
    if circuit.prepares:
        return "amplitudes are no angles"
    try:
        check_followed(circuit)
    except UnsupportedError as error:
        return str(error)
    for op in circuit.operations:
        if isinstance(op, Disturb) and not is_unital(op.channel):
            return f"{op.channel.name} does not leave the fully mixed state alone, so that coefficients can grow"
    part = _encoding_part(circuit)
    if isinstance(part, str):
        return part
    homes: dict[int, int] = {}
    for number, wires in enumerate(_joined(circuit.n_qubits, part)):
        own = [gate for gate in part if gate.wires[0] in wires]
        for feature in {index for gate in own for index in gate.feature_indices}:
            if homes.setdefault(feature, number) != number:
                return f"feature x{feature} enters on qubits that the encoding does not join"
        if len(wires) > _MAX_JOINED:
            return f"the encoding joins {len(wires)} qubits, and up to {_MAX_JOINED} are looked at"
        largest = _largest_singular_value(own, wires, circuit.in_features)
        if isinstance(largest, str):
            return largest
        if largest > 1 + _ROUNDING:
            named = ", ".join(map(str, wires))
            without = "" if any(gate.feature_indices for gate in own) else ", which no feature enters"
            return f"the encoding of qubit {named}{without} has the singular value {largest:.4g}, which is above 1"
    return None


def _encoding_part(circuit: Circuit) -> list[Gate] | str:
    """The operations that some feature comes after, or enters by; or what among them trains, or is noise."""
    needed: set[int] = set()
    part: list[Gate] = []
    for op in reversed(circuit.operations):
        wires = set(getattr(op, "wires", ()))
        is_feature = isinstance(op, Gate) and bool(op.feature_indices)
        if not is_feature and needed.isdisjoint(wires):
            continue  # what comes later on its wires is no encoding either, so it may be done after all of it
        if not isinstance(op, Gate):
            return "features enter after noise"
        if op.weight_indices:
            return (
                f"{op.name} on {op.wires} mixes features and weights"
                if is_feature
                else f"features enter again after the trainable {op.name} on {op.wires}: more than one upload"
            )
        needed |= wires
        part.append(op)
    return part[::-1]


def _joined(n_qubits: int, part: list[Gate]) -> list[tuple[int, ...]]:
    group = list(range(n_qubits))
    for gate in part:
        for wire in gate.wires[1:]:
            old, new = group[wire], group[gate.wires[0]]
            group = [new if g == old else g for g in group]
    return [tuple(w for w, g in enumerate(group) if g == name) for name in dict.fromkeys(group)]


def _largest_singular_value(gates: list[Gate], wires: tuple[int, ...], n_features: int) -> float | str:
    """Of the matrix from words on the wires to products, or what is no product of sines and cosines of whole features."""
    place = {wire: number for number, wire in enumerate(wires)}
    own = [Gate(gate.name, tuple(place[wire] for wire in gate.wires), gate.angles) for gate in gates]
    n = len(wires)
    try:
        moves = moves_of(Circuit.from_operations(own, n_qubits=n, in_features=n_features), np.zeros(0))
    except QMoEError as error:
        return str(error)
    for move in moves.listed:
        if move.variable is not None:
            variable = moves.variables[move.variable]
            if len(variable.features) > 1 or abs(variable.unit - round(variable.unit)) > _ROUNDING:
                named = "*".join(f"x{feature}" for feature in variable.features)
                return f"an angle holds {variable.unit:.3g} {named}, which is no whole multiple of one feature"
    start = np.zeros((4**n, *(4,) * n))
    for row, word in enumerate(itertools.product(range(4), repeat=n)):
        start[(row, *word)] = 1
    met, _ = moves.cone(range(n))
    found, _, _ = follow_table(start, range(n), met, support=False)
    return float(np.linalg.norm(found.reshape(4**n, -1), 2))
