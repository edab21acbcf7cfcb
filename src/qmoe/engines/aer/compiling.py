"""A circuit in the gates and on the coupled pairs of a device, for all features and weights, with the device's noise."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from qmoe.circuits import (
    Angle,
    Born,
    Circuit,
    Expval,
    Gate,
    Hamiltonian,
    NoiseModel,
    Parity,
    Pauli,
    Probs,
    Readout,
    Readouts,
    angle_value,
    word_text,
)
from qmoe.circuits.angles.expressions import Feature, Weight
from qmoe.circuits.angles.symbolic import polynomial_of
from qmoe.circuits.noise.ibm_noise import gate_name
from qmoe.circuits.noise.ibm_snapshots import INSTALL, as_backend, as_qubits, backend_name, narrowed
from qmoe.engines.aer.aer_program import add_gate
from qmoe.engines.rewriting import is_linear
from qmoe.engines.rewriting.measuring import measured
from qmoe.errors import ConfigError, UnsupportedError, needed

#: Gates of devices that are no gates here, and are not compiled to.
_WITHOUT = ("id", "delay", "reset", "u2", "if_else", "for_loop", "while_loop", "switch_case", "measure_2", "reset_2")


def compiled(
    circuit: Circuit,
    backend: Any,
    qubits: Iterable[int] | None = None,
    optimization_level: int = 3,
    seed: int = 0,
) -> Circuit:
    """A circuit as a device would run it, with the device's noise.

    Qiskit compiles it once, with features and weights as parameters. Wires 0, 1, ... are the same as before when they are
    measured; wires that routing takes beside them stand behind. Read-outs are equal to those of the circuit but for noise.

    Args:
        circuit: gates alone, without noise.
        backend: the name of a snapshot, such as ``"fake_manila"``, or a backend object of Qiskit.
        qubits: numbers on the device of the wires, in order; further ones are for routing. By default Qiskit chooses.
        optimization_level: of Qiskit, 0 to 3.
        seed: of Qiskit's search.

    Raises:
        ConfigError: for an unknown name or qubit, fewer qubits than wires, or an ``optimization_level`` that there is not.
        UnsupportedError: for noise, prepared amplitudes, angles by a function, read-outs that take several bases, or where
            Qiskit is missing.
    """
    found = as_backend(backend)
    if optimization_level not in (0, 1, 2, 3) or isinstance(optimization_level, bool):
        raise ConfigError(f"optimization_level is {optimization_level!r}, expected 0, 1, 2 or 3.")
    chosen = None if qubits is None else as_qubits(qubits, found)
    room = found.num_qubits if chosen is None else len(chosen)
    if room < circuit.n_qubits:
        raise ConfigError(
            f"The circuit has {circuit.n_qubits} qubit(s), and there are {room} of {backend_name(found)} for it; give more "
            "in qubits=, or a larger device."
        )
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed is {seed!r}, expected an integer from 0 to 2**32 - 1.")
    key = found if not isinstance(backend, str) else backend
    return _compiled(circuit, key, chosen, optimization_level, seed)


@functools.lru_cache(maxsize=256)
def _compiled(circuit: Circuit, backend: Any, chosen: tuple[int, ...] | None, level: int, seed: int) -> Circuit:
    found = as_backend(backend)
    n = circuit.n_qubits
    basis, readout = _measured_along_z(circuit)
    made = _gates_of(circuit, basis)
    transpile = needed("qiskit", INSTALL).transpile
    everywhere = tuple(range(found.num_qubits)) if chosen is None else chosen
    target = narrowed(found.target, everywhere, _WITHOUT)
    layout = None if chosen is None else list(range(n))
    try:
        done = transpile(made, target=target, initial_layout=layout, optimization_level=level, seed_transpiler=seed)
    except needed("qiskit.exceptions", INSTALL).QiskitError as error:
        raise ConfigError(
            f"Qiskit cannot compile the circuit for the qubits {everywhere} of {backend_name(found)}: {error} Where they "
            "are not coupled, leave out qubits=, or give more of them to route through."
        ) from error
    ends = list(range(n)) if done.layout is None else done.layout.final_index_layout()[:n]
    used = {done.find_bit(bit).index for one in done.data if one.operation.name != "barrier" for bit in one.qubits}
    order = [*ends, *sorted(used - set(ends))]
    wire = {place: number for number, place in enumerate(order)}
    factors: dict[str, Feature | Weight] = {f"x[{i}]": Feature(i) for i in range(circuit.in_features)}
    factors |= {f"w[{i}]": Weight(i) for i in range(circuit.n_weights)}
    return Circuit.from_operations(
        [_read(one, [wire[done.find_bit(bit).index] for bit in one.qubits], factors) for one in done.data],
        n_qubits=len(order),
        readout=readout if len(order) == n else _on_first(readout, n),
        noise=NoiseModel.from_ibm(found, [everywhere[place] for place in order]),
        in_features=circuit.in_features,
        weight_shape=circuit.weight_shape,
    )


def _gates_of(circuit: Circuit, basis: tuple[Gate, ...]) -> Any:
    """The circuit and a change of basis as Qiskit's, with the vectors of parameters ``x`` and ``w``."""
    if circuit.noise is not None:
        raise UnsupportedError(
            "The circuit has noise of its own, and a device brings its own; use circuit.with_noise(None), or of a router or "
            "layer drop_noise=True."
        )
    if circuit.body is not None and circuit.body.function is not None:
        raise UnsupportedError("The circuit has angles by a function of torch, which no device computes.")
    qiskit = needed("qiskit.circuit", INSTALL)
    made = qiskit.QuantumCircuit(circuit.n_qubits)
    x, w = qiskit.ParameterVector("x", circuit.in_features), qiskit.ParameterVector("w", circuit.n_weights)
    for op in (*circuit.operations, *basis):
        if not isinstance(op, Gate):
            raise UnsupportedError(
                "The circuit prepares amplitudes from features, which takes another circuit for each sample; encode "
                "features by rotations."
            )
        add_gate(made, op, [angle_value(a, x.__getitem__, w.__getitem__, float) for a in op.angles])
    return made


def _read(instruction: Any, wires: list[int], factors: dict[str, Feature | Weight]) -> Gate:
    op = instruction.operation
    name = gate_name(op.name)
    if name is None:
        raise UnsupportedError(f"Qiskit compiled to {op.name}, which is no gate here; use another device.")
    angles = [polynomial_of(v, factors) if hasattr(v, "parameters") else float(v) for v in op.params]
    if None in angles:
        raise UnsupportedError(f"Qiskit compiled to {op.name} with the angle {op.params}, which is no polynomial.")
    if name == "Rot":  # u3(theta, phi, lam)
        angles = [angles[2], angles[0], angles[1]]
    kept: list[Angle] = [angle for angle in angles if angle is not None]
    return Gate(name, tuple(wires), tuple(kept))


# --- read-outs ------------------------------------------------------------------------------------------------------


def _measured_along_z(circuit: Circuit) -> tuple[tuple[Gate, ...], Readout]:
    """The gates before a measurement along Z, which the device does, and what is then measured."""
    readout = circuit.readout
    if not is_linear(readout):
        raise UnsupportedError(f"{readout!r} is a read-out of your own, which no device measures.")
    runs = measured(readout, circuit.n_qubits).runs
    if len(runs) > 1:
        raise UnsupportedError(
            f"The read-out takes measurements in {len(runs)} bases, which are as many circuits on a device; measure in one, "
            "such as Z of every wire, or make a layer for each."
        )
    return runs[0].basis, _along_z(readout) if runs[0].basis else readout


def _along_z(readout: Readout) -> Readout:
    if isinstance(readout, Readouts):
        return Readouts(tuple(map(_along_z, readout.parts)))
    if isinstance(readout, Pauli):
        return Pauli(_z_word(readout.word))
    if isinstance(readout, Hamiltonian):
        return Hamiltonian(readout.coeffs, [_z_word(word) for word in readout.word_texts])
    return readout


def _z_word(word: str) -> str:
    return word.replace("X", "Z").replace("Y", "Z")


def _on_first(readout: Readout, n: int) -> Readout:
    """A read-out of all wires as one of the first ``n`` of more."""
    if isinstance(readout, Expval):
        return Readouts(tuple(Pauli(word_text(((wire, "Z"),))) for wire in range(n)))
    if isinstance(readout, Born):
        return Probs(tuple(range(n)))
    if isinstance(readout, Parity):
        return Parity(tuple(range(n)) if readout.wires is None else readout.wires)
    if isinstance(readout, Readouts):
        return Readouts(tuple(_on_first(part, n) for part in readout.parts))
    return readout
