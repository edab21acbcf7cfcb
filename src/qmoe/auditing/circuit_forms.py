"""The layer's circuit with one thing taken away: coherence, two-qubit gates, or the circuit itself."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import nn

from qmoe.auditing.stand_ins import TwinLayer
from qmoe.circuits import NOISE, Circuit, Gate, NoiseModel
from qmoe.circuits.gates import Dephase
from qmoe.circuits.noise import GATE_PLACES
from qmoe.engines.running import CircuitModule
from qmoe.errors import ConfigError, QMoEError, UnsupportedError
from qmoe.quantum_layer import QuantumLayer
from qmoe.routers import QuantumRouter
from qmoe.routers.functions.reach import circuit_basis
from qmoe.routers.twin import twin

#: A layer whose circuit qmoe knows: a circuit alone, or a router around one.
QuantumPart = CircuitModule | QuantumRouter


def as_quantum_layer(module: nn.Module, in_features: int | None = None) -> QuantumPart | None:
    """A module as a layer whose circuit qmoe knows, with the weights that it has; None where qmoe does not know it.

    Args:
        module: any module. A `QuantumLayer` or a `QuantumRouter` is itself; a ``pennylane.qnn.TorchLayer`` and a
            ``TorchConnector`` of qiskit-machine-learning are imported.
        in_features: number of features, where the module does not say it.

    Example:
        >>> from qmoe.auditing import ARMS, as_quantum_layer
        >>> part = as_quantum_layer(qmoe.QuantumLayer(qmoe.Circuit(2, 1)))
        >>> part is not None
        True
        >>> sorted(ARMS)[:3]
        ['base', 'dephased', 'frozen']
    """
    found = quantum_part(module, in_features)
    return None if isinstance(found, str) else found


def quantum_part(module: nn.Module, in_features: int | None = None) -> QuantumPart | str:
    """As `as_quantum_layer`; but in words why qmoe does not know a circuit."""
    if isinstance(module, (CircuitModule, QuantumRouter)):
        return module
    from qmoe.interop import layer_from

    try:
        imported, weights = layer_from(module, in_features=in_features)
    except UnsupportedError as error:
        return f"its circuit cannot be imported: {error}"
    except QMoEError:
        return f"qmoe does not know the circuit of a {type(module).__name__}"
    like = next(module.parameters(), weights)
    layer = QuantumLayer.from_imported(imported, device="cpu", dtype=like.dtype, generator=torch.Generator())
    layer = layer.to(like.device)
    with torch.no_grad():
        for name, value in imported.named(weights).items():
            layer.get_parameter(name).copy_(value)
    return layer


def circuit_of(layer: QuantumPart) -> Circuit:
    """The circuit of a layer."""
    return layer.circuit


def dephased(circuit: Circuit) -> Circuit | str:
    """The circuit without coherence between basis states, or why there is none.

    Every qubit is dephased along Z, the computational basis, after each encoding and between layers.
    """
    before = circuit.noise or NoiseModel()
    if any(isinstance(op, Dephase) for op in circuit.operations):
        return "the circuit is dephased already"
    found = circuit.with_noise(replace(before, dephasing="all", dephasing_axis="Z"))
    if not any(isinstance(op, Dephase) for op in found.operations):
        return "nothing but the measurement follows the encoding, so there is no place to take coherence away"
    return found


def without_entanglers(circuit: Circuit) -> Circuit | str:
    """The circuit without its gates on two qubits, or why there is none. Weights of those gates go with them."""
    operations = circuit.with_noise(None).operations
    if all(len(op.wires) < 2 for op in operations if isinstance(op, Gate)):
        return "the circuit has no gates on two qubits"
    kept = [op for op in operations if not (isinstance(op, Gate) and len(op.wires) > 1)]
    if not any(isinstance(op, Gate) for op in kept):
        return "the circuit has nothing but gates on two qubits"
    if circuit.noise is not None and circuit.body is None and _stands_at_blocks(circuit.noise):
        return "its noise stands at blocks of the template, which the circuit without these gates is not"
    if circuit.body is not None and any(isinstance(op, NOISE) for op in circuit.body.operations):
        return "its noise stands among its gates, and is not of them alone"
    return Circuit.from_operations(
        kept,
        n_qubits=circuit.n_qubits,
        readout=circuit.readout,
        noise=circuit.noise,
        in_features=circuit.in_features,
        weight_shape=circuit.weight_shape,
        angles=None if circuit.body is None else circuit.body.function,
    )


def _stands_at_blocks(noise: NoiseModel) -> bool:
    places = {placed.place for placed in noise.channels}
    return noise.placement == "block" or noise.dephasing != "none" or bool(places - {*GATE_PLACES, "readout"})


def with_circuit(layer: QuantumPart, circuit: Circuit, generator: torch.Generator) -> nn.Module:
    """The layer with another circuit in place of its own; first weights are the same where their shapes are.

    Args:
        layer: the layer; it is left as it is.
        circuit: of as many features and outputs.
        generator: source of the first weights otherwise.
    """
    inner = layer.quantum if isinstance(layer, QuantumRouter) else layer
    like = inner.flat_weights()
    new = CircuitModule(circuit, generator=generator, device=like.device, dtype=like.dtype)
    new.weights.requires_grad_(like.requires_grad)
    if new.weights.shape == like.shape:
        with torch.no_grad():
            new.weights.copy_(like)
    if not isinstance(layer, QuantumRouter):
        return new
    found = copy.deepcopy(layer)
    found.quantum = new
    return found


def twin_of(layer: QuantumPart, generator: torch.Generator) -> nn.Module:
    """The classical twin of a layer.

    Raises:
        QMoEError: for a circuit of too many functions, or of none.
    """
    if isinstance(layer, QuantumRouter):
        return twin(layer, generator=generator)
    basis = circuit_basis(layer.circuit)
    if not len(basis):
        raise ConfigError("This circuit computes nothing but constants, so it has no twin.")
    return TwinLayer(basis, layer.circuit.n_outputs, layer.flat_weights(), generator)


def why_no_twin(layer: QuantumPart) -> str:
    """Why a layer has no twin, in words; "" where it has one."""
    inner = layer.quantum if isinstance(layer, QuantumRouter) else layer
    try:
        twin_of(layer, torch.Generator(inner.flat_weights().device))
    except QMoEError as error:
        return str(error)
    return ""
