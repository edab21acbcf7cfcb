"""Checks of encodings, ansatze and read-outs that users wrote: what their operations name must be there.

Compiled code reads features and weights by their numbers and writes read-outs where the circuit says that there is room.
Parts of this package are tested instead; their own options are checked where they are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any

from qmoe.circuits.ansatze import Ansatz, BasicEntangler, CustomAnsatz, NoEntangler, StronglyEntangling
from qmoe.circuits.encodings import AmplitudeEncoding, AngleEncoding, Encoding
from qmoe.circuits.expressions import Feature, Weight, indices_of
from qmoe.circuits.gates import Dephase, Depolarize, Gate, Prepare
from qmoe.circuits.readouts import Born, Expval, Hamiltonian, Parity, Pauli, Probs, Readout, Readouts
from qmoe.errors import ConfigError

_ENCODINGS = (AngleEncoding, AmplitudeEncoding)
_ANSATZE = (StronglyEntangling, BasicEntangler, NoEntangler, CustomAnsatz)
_READOUTS = (Expval, Born, Pauli, Hamiltonian, Probs, Parity, Readouts)


def check_encoding(encoding: Encoding, n_qubits: int, in_features: int, has_noise: bool) -> None:
    """Checks one upload of an encoding.

    Raises:
        ConfigError: for a feature or wire that is not there, a weight, a second state preparation or one that is not first,
            channels in a circuit of pure states, or anything but operations.
    """
    if type(encoding) in _ENCODINGS:
        return
    name = type(encoding).__name__
    _check_hash("encoding", encoding)
    if not _is_natural(encoding.uploads, 1):
        raise ConfigError(f"The encoding {name} has uploads={encoding.uploads!r}, expected an integer of at least 1.")
    for place, op in enumerate(_listed(f"The encoding {name}: operations({n_qubits})", encoding.operations(n_qubits))):
        if isinstance(op, Prepare):
            _check_prepare(name, op, place, encoding.uploads, n_qubits, in_features)
            continue
        if isinstance(op, Depolarize | Dephase):
            _check_wires(f"The encoding {name}", op.wires, n_qubits)
            if not has_noise:
                raise ConfigError(
                    f"The encoding {name} holds {op}, and a circuit without noise has pure states: noise=NoiseModel()."
                )
            continue
        _check_gate(f"The encoding {name}", op, n_qubits)
        beyond = (
            f", but the circuit has {in_features} feature(s), numbered from 0; n_features and check_features say how many "
            "it takes."
        )
        _check_angles(f"The encoding {name}", op, Feature, in_features, beyond, "; weights belong to the ansatz.")


def check_ansatz(ansatz: Ansatz, n_qubits: int, n_layers: int) -> None:
    """Checks every layer of an ansatz.

    Raises:
        ConfigError: for a weight beyond the declared shape of a layer, a wire that is not there, a feature, or anything but
            gates.
    """
    if type(ansatz) in _ANSATZE:
        return
    name = type(ansatz).__name__
    _check_hash("ansatz", ansatz)
    shape = ansatz.layer_shape(n_qubits)
    if not isinstance(shape, tuple) or not all(_is_natural(size, 0) for size in shape):
        raise ConfigError(f"The ansatz {name}: layer_shape({n_qubits}) is {shape!r}, expected a tuple of integers.")
    n_weights = math.prod(shape)
    for index in range(n_layers):
        for gate in _listed(f"The ansatz {name}: layer({index}, {n_qubits})", ansatz.layer(index, n_qubits)):
            _check_gate(f"The ansatz {name}", gate, n_qubits)
            beyond = (
                f" in layer {index}, but layer_shape declares {n_weights} weight(s) a layer, numbered from 0 in each."
            )
            _check_angles(
                f"The ansatz {name}", gate, Weight, n_weights, beyond, "; features enter through the encoding."
            )


def check_readout(readout: Readout, n_qubits: int) -> None:
    """Checks what a read-out declares; which read-outs an engine knows is the engine's to say.

    Raises:
        ConfigError: for a wire that is not there, or one that declares no number of outputs.
    """
    for wire in readout.named_wires():
        if wire >= n_qubits:
            raise ConfigError(f"{readout!r} measures wire {wire}, but the circuit has wires 0 to {n_qubits - 1}.")
    if type(readout) in _READOUTS:
        return
    _check_hash("read-out", readout)
    declared = readout.n_outputs(n_qubits)
    if not _is_natural(declared, 1):
        raise ConfigError(
            f"The read-out {type(readout).__name__}: n_outputs({n_qubits}) is {declared!r}, expected an integer of at "
            "least 1."
        )


def _check_prepare(name: str, op: Prepare, place: int, uploads: int, n_qubits: int, in_features: int) -> None:
    if place or uploads > 1:
        raise ConfigError(f"The encoding {name} prepares a state after other operations; it can do so first alone.")
    if op.n_wires != n_qubits or in_features > 2**n_qubits:
        raise ConfigError(
            f"The encoding {name} prepares {in_features} amplitude(s) on {op.n_wires} wire(s); the circuit has {n_qubits} "
            f"qubit(s), and so room for {2**n_qubits} on all of them."
        )


def _check_gate(where: str, op: Any, n_qubits: int) -> None:
    if not isinstance(op, Gate):
        raise ConfigError(f"{where} holds {op!r}, expected a Gate.")
    _check_wires(where, op.wires, n_qubits)


def _check_angles(where: str, gate: Gate, own: type[Feature] | type[Weight], n: int, beyond: str, foreign: str) -> None:
    """Checks that a gate turns by ``own`` alone (features or weights), of which there are ``n``.

    ``beyond`` and ``foreign`` are the ends of the messages: for a number that is too large, and for the other of the two.
    """
    other = Weight if own is Feature else Feature
    for angle in gate.angles:
        for index in indices_of([angle], other):
            raise ConfigError(f"{where} uses {other(index)}{foreign}")
        for index in indices_of([angle], own):
            if index >= n:
                raise ConfigError(f"{where} uses {own(index)}{beyond}")


def _check_wires(where: str, wires: tuple[int, ...], n_qubits: int) -> None:
    for wire in wires:
        if not _is_natural(wire, 0) or wire >= n_qubits:
            raise ConfigError(f"{where} acts on wire {wire!r}, but the circuit has wires 0 to {n_qubits - 1}.")


def _listed(where: str, given: Any) -> tuple[Any, ...]:
    if not isinstance(given, Iterable):
        raise ConfigError(f"{where} returned {given!r}, expected a tuple of operations.")
    return tuple(given)


def _check_hash(what: str, part: object) -> None:
    try:
        hash(part)
    except TypeError as error:
        raise ConfigError(
            f"The {what} {type(part).__name__} cannot be hashed ({error}), and plans are kept by circuit; make it a frozen "
            "dataclass whose fields are numbers, strings and tuples."
        ) from error


def _is_natural(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
