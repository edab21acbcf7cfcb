"""PennyLane's measurements as read-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pennylane as qml

from qmoe.circuits import Born, Expval, Hamiltonian, Pauli, Probs, Readout, Readouts, word_text
from qmoe.interop.optional import Trouble

_REMEDY = "Measure qml.expval of observables or qml.probs, or run this on a PennyLane device."
#: Observables that are only known as matrices are written out in Pauli words up to this many wires.
_MOST_WIRES = 8


def measures_all(measurement: Any) -> bool:
    """Whether it measures every wire that the device has, without naming them."""
    return isinstance(measurement, qml.measurements.ProbabilityMP) and not measurement.wires


def as_readout_of(measurements: Sequence[Any], wires: Mapping[Any, int]) -> tuple[Readout, list[Trouble]]:
    """The read-out of measurements, and those that there is none for.

    Args:
        measurements: those of a tape.
        wires: label -> number of the wire.
    """
    parts: list[Readout] = []
    troubles: list[Trouble] = []
    for number, measurement in enumerate(measurements):
        try:
            parts.append(_one(measurement, wires))
        except _RefusedError as error:
            name = type(measurement).__name__.removesuffix("MP")
            troubles.append(Trouble(f"measurement {number} ({name})", *map(str, error.args)))
    if not parts and not troubles:
        troubles.append(Trouble("the end", "nothing is measured", _REMEDY))
    if troubles:
        return Expval(), troubles
    every = [Pauli(f"Z{wire}") for wire in range(len(wires))]
    if parts == every:
        return Expval(), []
    return (parts[0] if len(parts) == 1 else Readouts(tuple(parts))), []


class _RefusedError(Exception):
    """A measurement that is no read-out: the reason, and a remedy."""


def _one(measurement: Any, wires: Mapping[Any, int]) -> Readout:
    if isinstance(measurement, qml.measurements.ProbabilityMP):
        if measurement.obs is not None:
            raise _RefusedError(f"probabilities of the eigenvalues of {measurement.obs}; change the basis with gates")
        if not measurement.wires:
            return Born()
        numbers = tuple(wires[label] for label in measurement.wires)
        return Born() if numbers == tuple(range(len(wires))) else Probs(numbers)
    if not isinstance(measurement, qml.measurements.ExpectationMP):
        raise _RefusedError("is no expectation value and no probabilities", _REMEDY)
    if measurement.obs is None:
        raise _RefusedError("is of a measurement inside of the circuit", _REMEDY)
    terms: dict[str, float] = {}
    for coefficient, letters in _pauli_terms(measurement.obs):
        word = word_text(tuple(sorted((wires[label], letter) for label, letter in letters)))
        try:
            value = complex(coefficient)
        except TypeError:
            raise _RefusedError(
                "the observable depends on inputs or weights; multiply the outputs after the layer"
            ) from None
        if abs(value.imag) > 1e-10:
            raise _RefusedError(f"the observable is not Hermitian: {value} times {word}")
        terms[word] = terms.get(word, 0.0) + value.real
    if len(terms) == 1 and next(iter(terms.values())) == 1:
        return Pauli(next(iter(terms)))
    return Hamiltonian(terms.values(), terms) if terms else Hamiltonian((0.0,), ("I",))


def _pauli_terms(obs: Any) -> list[tuple[Any, list[tuple[Any, str]]]]:
    sentence = obs.pauli_rep
    if sentence is None:
        if len(obs.wires) > _MOST_WIRES:
            raise _RefusedError(
                f"{obs.name} on {len(obs.wires)} wires, at most {_MOST_WIRES}; write it in Pauli operators"
            )
        try:
            matrix = qml.matrix(obs, wire_order=obs.wires)
        except Exception as error:
            raise _RefusedError(f"{obs.name} has no matrix: {error}") from error
        sentence = qml.pauli_decompose(matrix, wire_order=obs.wires, pauli=True, check_hermitian=False)
    return [(coefficient, list(word.items())) for word, coefficient in sentence.items()]
