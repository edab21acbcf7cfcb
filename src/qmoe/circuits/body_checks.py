"""Checks of operations that no template made."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from qmoe.circuits.gates import Dephase, Depolarize, Gate, Operation, Prepare
from qmoe.circuits.placing import wires_of
from qmoe.errors import ConfigError


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
        if isinstance(op, Depolarize | Dephase) and not has_noise:
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


def _shape(given: int | tuple[int, ...] | None, needed: int) -> tuple[int, ...]:
    shape = (needed,) if given is None else (given,) if isinstance(given, int) else given
    if not isinstance(shape, tuple) or not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape
    ):
        raise ConfigError(f"weight_shape is {given!r}, expected an integer or a tuple of integers, such as (3, 2).")
    return shape
