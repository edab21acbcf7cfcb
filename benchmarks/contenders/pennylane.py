"""PennyLane: default.qubit, lightning.qubit, default.mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
import torch

from benchmarks.contenders.base import Contender, Step, make_answer, torch_step, total_loss
from benchmarks.problem import Answer, Problem
from benchmarks.sizes import NOISE, Size
from qmoe.circuits import Circuit, Weight


def _quantum_function(n_qubits: int, noisy: bool = False) -> Callable[[torch.Tensor, torch.Tensor], list[Any]]:
    """The circuit of one model in PennyLane's own templates."""
    wires = range(n_qubits)

    def circuit(inputs: torch.Tensor, weights: torch.Tensor) -> list[Any]:
        qml.AngleEmbedding(inputs, wires=wires)
        if noisy:
            _depolarize(n_qubits)
        qml.StronglyEntanglingLayers(weights, wires=wires)
        if noisy:
            _depolarize(n_qubits)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    return circuit


def _stack_function(circuit: Circuit) -> Callable[[torch.Tensor, torch.Tensor], list[Any]]:
    """The same for a stack: the template takes weights of one model only, but its gates broadcast.

    Features come as ``(M * B, Q)``, weights as ``(M * B, L * Q * 3)``.
    """
    wires, noisy = range(circuit.n_qubits), circuit.noise is not None
    layers = [
        (layer, gate) for layer in range(circuit.n_layers) for gate in circuit.ansatz.layer(layer, circuit.n_qubits)
    ]
    width = 3 * circuit.n_qubits

    def function(inputs: torch.Tensor, weights: torch.Tensor) -> list[Any]:
        qml.AngleEmbedding(inputs, wires=wires)
        if noisy:
            _depolarize(circuit.n_qubits)
        for layer, gate in layers:
            angles = [weights[:, layer * width + a.index] for a in gate.angles if isinstance(a, Weight)]
            getattr(qml, gate.name)(*angles, wires=gate.wires)
        if noisy:
            _depolarize(circuit.n_qubits)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    return function


def _damped_function(circuit: Circuit) -> Callable[[torch.Tensor, torch.Tensor], list[Any]]:
    """Gates one by one, each with amplitude damping behind it, for one model or for a stack as `_stack_function`."""
    wires, width = range(circuit.n_qubits), 3 * circuit.n_qubits

    def function(inputs: torch.Tensor, weights: torch.Tensor) -> list[Any]:
        angles = weights.flatten(-3) if weights.dim() == 3 else weights
        for wire in wires:
            qml.RX(inputs[..., wire], wires=wire)
            qml.AmplitudeDamping(NOISE, wires=wire)
        for layer in range(circuit.n_layers):
            for gate in circuit.ansatz.layer(layer, circuit.n_qubits):
                own = [angles[..., layer * width + a.index] for a in gate.angles if isinstance(a, Weight)]
                getattr(qml, gate.name)(*own, wires=gate.wires)
                for wire in gate.wires:
                    qml.AmplitudeDamping(NOISE, wires=wire)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    return function


def _depolarize(n_qubits: int) -> None:
    for wire in range(n_qubits):
        qml.DepolarizingChannel(NOISE, wires=wire)


def backprop_forward(
    device: str, circuit: Circuit, n_models: int
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """``(x, weights)`` to expectation values, all samples (and models) in one broadcast call.

    Args:
        device: name of a device of PennyLane that backpropagates.
        circuit: what is run.
        n_models: M; of one model, ``(B, Q)`` features, ``(L, Q, 3)`` weights and ``(B, Q)`` values; of more, all with a
            leading axis M.
    """
    one = n_models == 1
    function = _quantum_function(circuit.n_qubits, circuit.noise is not None) if one else _stack_function(circuit)
    if circuit.noise is not None and circuit.noise.channels:
        function = _damped_function(circuit)
    qnode = qml.QNode(function, qml.device(device, wires=circuit.n_qubits), interface="torch", diff_method="backprop")

    def forward(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        if one:
            return torch.stack(qnode(x, weights), -1)
        rows = weights.flatten(1).repeat_interleave(x.shape[1], 0)
        return torch.stack(qnode(x.flatten(0, 1), rows), -1).reshape(x.shape)

    return forward


class _Backprop(Contender):
    packages = ("pennylane",)
    states_kept = 3.0
    bytes_per_amplitude = 16
    device: str

    def prepare(self, problem: Problem) -> Step:
        """One broadcast call for all samples and models."""
        forward = backprop_forward(self.device, problem.circuit, problem.size.n_models)
        # In float32 input the device computes in complex128 all the same, at the price of conversions.
        return torch_step(problem, forward, torch.float64)


class DefaultQubit(_Backprop):
    """PennyLane's torch program."""

    key = "default.qubit"
    title = "default.qubit"
    advice = "backprop, torch interface, samples (and models) broadcast in one call; computes in complex128"
    device = "default.qubit"

    def applies(self, size: Size) -> bool:
        """It holds pure states and has no noise channels."""
        return not size.is_mixed


class DefaultMixed(_Backprop):
    """PennyLane's density matrices."""

    key = "default.mixed"
    title = "default.mixed"
    advice = "backprop, torch interface, samples (and models) broadcast in one call; computes in complex128"
    device = "default.mixed"

    def applies(self, size: Size) -> bool:
        """Density matrices pay where there is noise only."""
        return size.is_mixed


class Lightning(Contender):
    """PennyLane's compiled simulator, as the paper's notebooks use it."""

    key = "lightning.qubit"
    title = "lightning.qubit"
    packages = ("pennylane-lightning", "pennylane")
    advice = (
        "adjoint through qml.qnn.TorchLayer, complex64, the whole batch in one call (split into one circuit per sample by "
        "PennyLane; faster than a loop, device_vjp or batch_obs), one layer per model"
    )
    loops_over_samples = True

    def applies(self, size: Size) -> bool:
        """It holds pure states and has no noise channels."""
        return not size.is_mixed

    def prepare(self, problem: Problem) -> Step:
        """A TorchLayer for each model."""
        size = problem.size
        layers = []
        for start in problem.weights:
            device = qml.device("lightning.qubit", wires=size.n_qubits, c_dtype=np.complex64)
            qnode = qml.QNode(_quantum_function(size.n_qubits), device, interface="torch", diff_method="adjoint")
            layer = qml.qnn.TorchLayer(qnode, {"weights": start.shape})
            with torch.no_grad():
                layer.weights.copy_(torch.tensor(start))
            layers.append(layer)
        x, targets = torch.tensor(problem.x), torch.tensor(problem.targets)

        def run() -> tuple[torch.Tensor, torch.Tensor]:
            for layer in layers:
                layer.zero_grad()
            out = torch.stack([layer(rows) for layer, rows in zip(layers, x, strict=True)])
            loss = total_loss(out, targets)
            loss.backward()
            return out, loss

        def read(result: tuple[torch.Tensor, torch.Tensor]) -> Answer:
            out, loss = result
            gradient = torch.stack([layer.weights.grad for layer in layers])
            return make_answer(problem, out.detach().numpy(), float(loss.detach()), gradient.numpy())

        return Step(run, read)
