"""Errors of the measurement: on probabilities, and as qiskit-aer's noise model for shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qmoe.circuits.noise.ibm_snapshots import INSTALL
from qmoe.errors import needed


@dataclass(frozen=True, eq=False)
class Confusion:
    """How wires are read as others.

    Attributes:
        table: ``(d, d)`` probability that an outcome (row) is read as another (column).
        wires: in its order, the first most significant.
    """

    table: np.ndarray
    wires: tuple[int, ...]


def confusions_of(errors: tuple[Any, ...]) -> tuple[Confusion, ...]:
    """Those of a circuit, from the operations at its end."""
    return tuple(Confusion(op.channel.confusion(), op.wires) for op in errors)


def confusions_in(noise_model: Any, places: list[int]) -> tuple[Confusion, ...]:
    """Those of qiskit-aer's noise model.

    Args:
        noise_model: which may be None.
        places: the qubit of the simulator that each wire is read from.
    """
    found: dict[int, Confusion] = {}
    for error in [] if noise_model is None else noise_model.to_dict()["errors"]:
        if error["type"] != "roerror":
            continue
        table = np.array(error["probabilities"])
        # Without qubits it is of all of them, where a qubit has none of its own.
        named = [on[0] for on in error["gate_qubits"]] if "gate_qubits" in error else None
        for wire, place in enumerate(places):
            if place in named if named is not None else wire not in found:
                found[wire] = Confusion(table, (wire,))
    return tuple(found.values())


def confused(probabilities: np.ndarray, confusions: tuple[Confusion, ...]) -> np.ndarray:
    """``(n, D)`` probabilities of what is, to those of what is read."""
    n_qubits = int(probabilities.shape[-1]).bit_length() - 1
    for one in confusions:
        size = len(one.wires)
        split = probabilities.reshape(-1, *(2,) * n_qubits)
        axes = [1 + wire for wire in one.wires]
        front = np.moveaxis(split, axes, range(1, 1 + size)).reshape(len(split), 2**size, -1)
        read = np.einsum("nir,ij->njr", front, one.table).reshape(-1, *(2,) * n_qubits)
        probabilities = np.moveaxis(read, range(1, 1 + size), axes).reshape(len(split), -1)
    return probabilities


def reading_noise(confusions: tuple[Confusion, ...]) -> Any:
    """A noise model of qiskit-aer with errors of the measurement of single qubits alone."""
    aer = needed("qiskit_aer.noise", INSTALL)
    made = aer.NoiseModel()
    tables: dict[int, np.ndarray] = {}
    for one in confusions:
        (wire,) = one.wires
        tables[wire] = tables.get(wire, np.eye(2)) @ one.table
    for wire, table in tables.items():
        made.add_readout_error(aer.ReadoutError(table), [wire])
    return made
