"""Routers, layers and circuits as a device would run them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from qmoe.circuits import Circuit, Gate
from qmoe.circuits.noise.ibm_noise import known_excitation, readout_tables
from qmoe.circuits.noise.ibm_snapshots import as_backend, narrowed
from qmoe.engines import Engine, choose_engine, get_engine
from qmoe.engines.aer import compiled
from qmoe.engines.running import CircuitModule
from qmoe.errors import ConfigError, UnsupportedError

T = TypeVar("T", bound=Circuit | nn.Module)

#: Gates that take |0> to |1>: name here, angles, and the name on the device.
_FLIPS = (("PauliX", (), "x"), ("Rot", (torch.pi, torch.pi, 0.0), "u3"))
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Compiled:
    """What became of a circuit on a device.

    Attributes:
        device: name of the device.
        qubits: number on the device of each wire; those that routing took stand last.
        n_two_qubit_gates: gates on two qubits, which make most of the noise.
        depth: gates that follow one another at most.
    """

    device: str
    qubits: tuple[int, ...]
    n_two_qubit_gates: int
    depth: int


def on_device(
    given: T,
    backend: Any,
    qubits: Iterable[int] | None = None,
    *,
    optimization_level: int = 3,
    seed: int = 0,
    engine: str | Engine = "auto",
    drop_noise: bool = False,
) -> T:
    """A router, layer or any torch model with circuits inside, or a circuit, as a device would run it, noise included.

    Circuits are compiled by Qiskit to the gates and the coupled pairs of the device, once, with features and weights as
    parameters. A model is copied: the copy has the same parameters with the same values, and runs with the device's noise,
    the error of its measurement included. `compiled_facts` says what came out.

    Args:
        given: a `qmoe.Circuit`, or a module such as `qmoe.QuantumRouter`, `qmoe.QuantumLayer` or a whole mixture.
        backend: the name of a snapshot, such as ``"fake_manila"``, or a backend object of Qiskit; nothing is downloaded.
        qubits: numbers on the device of the circuit's wires, in order; further ones are for routing. By default Qiskit
            chooses those with the least noise.
        optimization_level: of Qiskit, 0 to 3.
        seed: of Qiskit's search.
        engine: what runs the circuits of a model.
        drop_noise: whether noise that a circuit has already gives way to the device's; else it is refused.

    Returns:
        The same kind of object.

    Raises:
        ConfigError: for an unknown snapshot or qubit, or a model without circuits.
        UnsupportedError: for what no device runs, such as prepared amplitudes; or where Qiskit is missing.

    Example:
        >>> circuit = on_device(Circuit(n_qubits=2, n_layers=1), "fake_manila")
        >>> circuit.noise.device.name, circuit.n_two_qubit_gates
        ('fake_manila', 2)
    """
    running = get_engine(engine)

    def there(circuit: Circuit) -> Circuit:
        plain = circuit.with_noise(None) if drop_noise else circuit
        found = compiled(plain, backend, qubits, optimization_level, seed)
        check_known(found, backend, running)
        return found

    if isinstance(given, Circuit):
        return there(given)  # type: ignore[return-value]  # of its own class
    if not isinstance(given, nn.Module):
        raise ConfigError(f"Got a {type(given).__name__}, expected a qmoe.Circuit or a torch module with one inside.")
    made = copy.deepcopy(given)
    modules = [module for module in made.modules() if isinstance(module, CircuitModule)]
    if not modules:
        raise ConfigError(f"{type(given).__name__} holds no circuit, and so nothing runs on a device.")
    for module in modules:
        module.change_circuit(there(module.circuit), engine)
    return made


def compiled_facts(given: Circuit | nn.Module) -> tuple[Compiled, ...]:
    """What became of each circuit of what `on_device` returned, in order.

    Raises:
        ConfigError: for a circuit that was not compiled for a device.
    """
    circuits = (
        [given]
        if isinstance(given, Circuit)
        else [module.circuit for module in given.modules() if isinstance(module, CircuitModule)]
    )
    return tuple(map(_facts, circuits))


def _facts(circuit: Circuit) -> Compiled:
    if circuit.noise is None or circuit.noise.device is None:
        raise ConfigError("The circuit was not compiled for a device; qmoe.interop.on_device does that.")
    device = circuit.noise.device
    return Compiled(device.name, device.qubits, circuit.n_two_qubit_gates, circuit.depth)


# --- a known answer -------------------------------------------------------------------------------------------------


def check_known(circuit: Circuit, backend: Any, engine: Engine | None = None) -> None:
    """Runs a circuit with a known answer with the noise of a compiled one: each wire is turned over and read.

    What is expected comes by formula from T1, T2, the time and the error of the gate, and the error of the measurement.

    Args:
        circuit: what `on_device` returned.
        backend: what it was compiled for.
        engine: what is to run it; None for the engine of its own.

    Raises:
        UnsupportedError: for another answer: noise is missing, or twice there.
    """
    noise = circuit.noise
    assert noise is not None
    assert noise.device is not None
    found = as_backend(backend)
    target = narrowed(found.target, noise.device.qubits)
    flip = next(((name, angles, theirs) for name, angles, theirs in _FLIPS if name in noise.device.gates), None)
    if flip is None:
        return
    name, angles, theirs = flip
    n = circuit.n_qubits
    known = Circuit.from_operations([Gate(name, (wire,), angles) for wire in range(n)], n_qubits=n, noise=noise)
    tables = dict(readout_tables(target))
    expected = []
    for wire in range(n):
        excited = known_excitation(target, theirs, wire)
        read = [1 - excited, excited] @ tables[wire] if wire in tables else [1 - excited, excited]
        expected.append(read[0] - read[1])
    if engine is None:
        engine, _ = choose_engine(known, torch.device("cpu"))
    x = torch.zeros(1, 1, dtype=torch.float64)
    answers = engine.evaluate(known, x, x.new_empty(0))[0].tolist()
    for wire, (answer, truth) in enumerate(zip(answers, expected, strict=True)):
        if not abs(answer - truth) <= _TOLERANCE:
            raise UnsupportedError(
                f"The noise of {noise.device.name} fails a check with a known answer: qubit {noise.device.qubits[wire]} is "
                f"turned over and <Z> is {answer:.6g}, and by what the device reports it is {truth:.6g}. Its numbers cannot "
                "be trusted; take the noise anew by NoiseModel.from_ibm."
            )
