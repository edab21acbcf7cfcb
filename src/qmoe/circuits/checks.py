"""Checks of what users wrote, encodings, ansatze, read-outs, operations: what operations name must be there.

Compiled code reads features and weights by their numbers and writes read-outs where the circuit says that there is room.
Parts of this package are tested instead; their own options are checked where they are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any

from qmoe.circuits.angles.expressions import Computed, Feature, Weight, indices_of
from qmoe.circuits.angles.traced import AngleFunction
from qmoe.circuits.ansatze import Ansatz, BasicEntangler, CustomAnsatz, NoEntangler, StronglyEntangling
from qmoe.circuits.encodings import AmplitudeEncoding, AngleEncoding, Encoding
from qmoe.circuits.gates import NOISE, Gate, Operation, Prepare
from qmoe.circuits.noise import NoiseModel
from qmoe.circuits.placing import wires_of
from qmoe.circuits.readouts import Born, Expval, Hamiltonian, Parity, Pauli, Probs, Readout, Readouts
from qmoe.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from qmoe.circuits.circuit import Circuit

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
        if isinstance(op, NOISE):
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


def check_noise(noise: NoiseModel | None, n_qubits: int) -> None:
    """Checks that the wires that channels are placed on are there.

    Raises:
        ConfigError: for one that is not, on which a channel would silently strike nothing; or a device with another
            number of qubits.
    """
    if noise is not None and noise.device is not None:
        noise.device.check_size(n_qubits)
    for placed in () if noise is None else noise.channels:
        for wire in placed.wires or ():
            if wire >= n_qubits:
                raise ConfigError(f"{placed!r} strikes wire {wire}, but the circuit has wires 0 to {n_qubits - 1}.")


def refuse_noisy_encoding(circuit: Circuit) -> None:
    """Refuses a template whose encoding holds channels, where noise is to be taken away or made more.

    Raises:
        UnsupportedError: for such an encoding; its channels stand in no noise model.
    """
    if circuit.encoding is None:
        return
    if any(isinstance(op, NOISE) for op in circuit.encoding.operations(circuit.n_qubits)):
        raise UnsupportedError(
            f"The encoding {type(circuit.encoding).__name__} holds channels of its own, which no noise model says; make the "
            "circuit by Circuit.from_operations, or place them by NoiseModel(channels=[...])."
        )


def check_operations(operations: Iterable[Any]) -> tuple[Operation, ...]:
    """The operations as a tuple.

    Raises:
        ConfigError: for what is none.
    """
    if isinstance(operations, (str, Gate)) or not isinstance(operations, Iterable):
        raise ConfigError(f"operations is {operations!r}, expected a list of Gate.")
    listed = tuple(operations)
    for place, op in enumerate(listed):
        if not isinstance(op, Operation):
            raise ConfigError(f"Operation {place} is {op!r}, expected a Gate, such as Gate('RX', (0,), (Feature(0),)).")
    return listed


def check_body(
    operations: tuple[Operation, ...],
    n_qubits: int,
    in_features: int | None,
    weight_shape: int | tuple[int, ...] | None,
    has_noise: bool,
) -> tuple[int, tuple[int, ...]]:
    """The number of features and the shape of the weights of operations.

    Raises:
        ConfigError: for a wire, feature or weight that is not there, a state preparation that is not first, has features
            beside it or other wires than all, or channels without noise.
    """
    gates = [op for op in operations if isinstance(op, Gate)]
    features = sorted({index for gate in gates for index in gate.feature_indices})
    weights = sorted({index for gate in gates for index in gate.weight_indices})
    prepares = [place for place, op in enumerate(operations) if isinstance(op, Prepare)]
    if prepares and (prepares != [0] or operations[0] != Prepare(n_qubits)):
        raise ConfigError(
            f"Operation {prepares[-1]} prepares a state; Prepare({n_qubits}), on all wires, can stand first alone."
        )
    if prepares and features:
        raise ConfigError("Features are amplitudes of a prepared state here, and so cannot be angles of gates as well.")
    for place, op in enumerate(operations):
        beyond = [wire for wire in wires_of(op) if wire >= n_qubits]
        if beyond:
            raise ConfigError(
                f"Operation {place}, {op}, acts on wire {beyond[0]}; the circuit has wires 0 to {n_qubits - 1}."
            )
        if isinstance(op, NOISE) and not has_noise:
            raise ConfigError(
                f"Operation {place} is {op}, and a circuit without noise has pure states: noise=NoiseModel()."
            )
    needed = 2**n_qubits if prepares else (features[-1] + 1 if features else 1)
    if in_features is None:
        in_features = needed
    if not isinstance(in_features, int) or isinstance(in_features, bool) or in_features < 1:
        raise ConfigError(f"in_features is {in_features!r}, expected an integer of at least 1.")
    if prepares and in_features > needed:
        raise ConfigError(f"in_features is {in_features}, and {n_qubits} qubit(s) have {needed} amplitudes.")
    if features and features[-1] >= in_features:
        raise ConfigError(
            f"An angle uses Feature({features[-1]}), but in_features is {in_features}; features count from 0."
        )
    shape = _shape(weight_shape, weights[-1] + 1 if weights else 0)
    if weights and weights[-1] >= math.prod(shape):
        raise ConfigError(
            f"An angle uses Weight({weights[-1]}), but weight_shape is {shape}: {math.prod(shape)} weights, counted from 0."
        )
    return in_features, shape


def check_computed(operations: tuple[Operation, ...], function: Any, in_features: int, n_weights: int) -> None:
    """Checks the angles that a function computes.

    Raises:
        ConfigError: for one that it does not give, a function of another circuit, or none.
    """
    gates = [op for op in operations if isinstance(op, Gate)]
    named = sorted({index for gate in gates for index in indices_of(gate.angles, Computed)})
    if function is None:
        if named:
            raise ConfigError(f"An angle is Computed({named[0]}), but no function computes it; pass angles=function.")
        return
    if not isinstance(function, AngleFunction) or (function.in_features, function.n_weights) != (
        in_features,
        n_weights,
    ):
        raise ConfigError(
            f"angles is {function!r}, expected a function of {in_features} feature(s) and {n_weights} weight(s)."
        )
    if isinstance(operations[0] if operations else None, Prepare):
        raise ConfigError(
            "Features are amplitudes of a prepared state here, and so cannot give angles of gates as well."
        )
    if named and named[-1] >= function.n_angles:
        raise ConfigError(f"An angle is Computed({named[-1]}), but the function gives {function.n_angles} angle(s).")


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


def _shape(given: int | tuple[int, ...] | None, needed: int) -> tuple[int, ...]:
    shape = (needed,) if given is None else (given,) if isinstance(given, int) else given
    if not isinstance(shape, tuple) or not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape
    ):
        raise ConfigError(f"weight_shape is {given!r}, expected an integer or a tuple of integers, such as (3, 2).")
    return shape
