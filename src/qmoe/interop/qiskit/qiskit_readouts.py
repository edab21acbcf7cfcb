"""Qiskit's observables and outcomes as read-outs, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qmoe.circuits import Born, Circuit, Hamiltonian, Pauli, Probs, Readout, Readouts, word_text
from qmoe.errors import ConfigError, UnsupportedError, needed
from qmoe.interop.optional import check_circuit

#: Gives the number of the output for an outcome; of several axes, a tuple.
Interpret = Callable[[int], int | tuple[int, ...]]

#: Outcomes of this many qubits are written out as products of Z at most: 2**12 words.
_MOST_QUBITS = 12


def observed(observables: Any, n_qubits: int) -> Readout:
    """The read-out of one observable or a list of them.

    Raises:
        ConfigError: for observables of another number of qubits, or what is none.
        UnsupportedError: for coefficients that are parameters or complex.
    """
    listed = list(observables) if isinstance(observables, list | tuple) else [observables]
    parts = [_observable(observable, n_qubits) for observable in listed]
    return parts[0] if len(parts) == 1 else Readouts(tuple(parts))


def _observable(observable: Any, n_qubits: int) -> Readout:
    if isinstance(observable, str) and any(character.isdigit() for character in observable):
        return Pauli(observable)
    info = needed("qiskit.quantum_info", "qmoe[ibm]")
    try:
        if isinstance(observable, info.SparseObservable):
            operator = info.SparsePauliOp.from_sparse_observable(observable)
        elif isinstance(observable, info.SparsePauliOp):
            operator = observable
        elif isinstance(observable, str | info.Pauli):
            operator = info.SparsePauliOp(observable)
        else:
            operator = info.SparsePauliOp.from_operator(observable)
    except Exception as error:
        raise ConfigError(f"The observable {observable!r} is no sum of Pauli labels: {error}.") from error
    if operator.num_qubits != n_qubits:
        raise ConfigError(f"The observable {observable!r} has {operator.num_qubits} qubit(s), the circuit {n_qubits}.")
    terms: dict[str, float] = {}
    for label, coefficient in zip(operator.paulis.to_labels(), operator.coeffs, strict=True):
        try:
            value = complex(coefficient)
        except TypeError as error:
            raise UnsupportedError(
                f"The observable has the coefficient {coefficient}, a parameter; multiply the outputs after the layer."
            ) from error
        sign = label[0] if label[0] in "+-i" else ""
        if value.imag or "i" in sign:
            raise UnsupportedError(f"The observable {observable!r} is not Hermitian: {coefficient} times {label}.")
        letters = label.removeprefix(sign)[::-1]  # the last letter is that of qubit 0
        word = word_text(tuple((qubit, letter) for qubit, letter in enumerate(letters) if letter != "I"))
        terms[word] = terms.get(word, 0.0) + (-value.real if sign == "-" else value.real)
    return _sum(terms)


def _sum(terms: dict[str, float]) -> Readout:
    if len(terms) == 1 and next(iter(terms.values())) == 1:
        return Pauli(next(iter(terms)))
    return Hamiltonian(terms.values(), terms)


def interpreted(
    wires: tuple[int, ...], interpret: Interpret | None, output_shape: int | Sequence[int] | None, n_qubits: int
) -> Readout:
    """The read-out of outcomes, or of sums of their probabilities.

    Args:
        wires: qubits of an outcome, the most significant bit first.
        interpret: outcome -> number of the output.
        output_shape: number of outputs, or a shape of them.
        n_qubits: number of all qubits.

    Raises:
        ConfigError: for outputs that are negative or beyond ``output_shape``.
        UnsupportedError: for an ``interpret`` of more than 12 qubits.
    """
    plain = Born() if wires == tuple(range(n_qubits)) else Probs(wires)
    if interpret is None:
        return plain
    if len(wires) > _MOST_QUBITS:
        raise UnsupportedError(
            f"interpret is a table of 2**{len(wires)} outcomes here, at most 2**{_MOST_QUBITS}; give observables, such "
            "as the product of Z for a parity, or add the probabilities up after the layer."
        )
    table = [_place(interpret(outcome), outcome, output_shape) for outcome in range(2 ** len(wires))]
    shape = (max(table) + 1,) if output_shape is None else _shape(output_shape)
    n_outputs = math.prod(shape)
    if table == list(range(n_outputs)):
        return plain
    parts = tuple(_indicator(np.array(table) == output, wires) for output in range(n_outputs))
    return parts[0] if len(parts) == 1 else Readouts(parts)


def _shape(output_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (int(output_shape),) if isinstance(output_shape, int) else tuple(map(int, output_shape))


def _place(given: Any, outcome: int, output_shape: int | Sequence[int] | None) -> int:
    indices = tuple(given) if isinstance(given, tuple | list) else (given,)
    if len(indices) > 1 and output_shape is None:
        raise ConfigError(
            f"interpret gives {given!r} for outcome {outcome}; say how many there are: output_shape=(2, 2)."
        )
    try:
        numbers = tuple(map(int, indices))
        shape = (max(numbers) + 1,) if output_shape is None else _shape(output_shape)
        return int(np.ravel_multi_index(numbers, shape))
    except (TypeError, ValueError) as error:
        outputs = "numbers from 0 on" if output_shape is None else f"an output of output_shape={output_shape!r}"
        raise ConfigError(f"interpret gives {given!r} for outcome {outcome}, expected {outputs}.") from error


def _indicator(chosen: Any, wires: tuple[int, ...]) -> Readout:
    """The sum of the probabilities of the chosen outcomes, as a sum of products of Z (Walsh-Hadamard)."""
    coefficients = chosen.astype(float).reshape((2,) * len(wires))
    for axis in range(len(wires)):
        zero, one = np.take(coefficients, 0, axis), np.take(coefficients, 1, axis)
        coefficients = np.stack([zero + one, zero - one], axis) / 2
    terms: dict[str, float] = {}
    for bits in np.argwhere(coefficients):
        word = word_text(tuple(sorted((wire, "Z") for wire, bit in zip(wires, bits, strict=True) if bit)))
        terms[word] = float(coefficients[tuple(bits)])
    return _sum(terms) if terms else Hamiltonian((0.0,), ("I",))


def to_qiskit_observables(circuit: Circuit) -> list[Any]:
    """What a circuit measures as Qiskit's ``SparsePauliOp``, one for each output, for ``EstimatorQNN``.

    Raises:
        UnsupportedError: for probabilities, which ``SamplerQNN`` gives; or where Qiskit is missing.

    Example:
        >>> from qmoe.interop import to_qiskit_observables
        >>> [str(observable.paulis[0]) for observable in to_qiskit_observables(qmoe.Circuit(2, 1))]
        ['IZ', 'ZI']
    """
    check_circuit(circuit)
    info = needed("qiskit.quantum_info", "qmoe[ibm]")
    sums = circuit.readout.words(circuit.n_qubits)
    if sums is None:
        raise UnsupportedError(
            f"{circuit.readout!r} holds probabilities, which are no observables; sample them instead."
        )
    n = circuit.n_qubits
    return [
        info.SparsePauliOp.from_sparse_list(
            [("".join(letter for _, letter in word), [wire for wire, _ in word], c) for c, word in terms], num_qubits=n
        )
        for terms in sums
    ]
