"""DeepQuantum."""

from __future__ import annotations

import math

import deepquantum
import torch

from benchmarks.contenders.base import Contender, Step, make_answer, total_loss
from benchmarks.problem import Answer, Problem
from benchmarks.sizes import NOISE


class DeepQuantum(Contender):
    """DeepQuantum's QubitCircuit, a torch module that maps itself over the batch."""

    key = "deepquantum"
    title = "DeepQuantum"
    packages = ("deepquantum",)
    advice = "QubitCircuit with data encoded by rxlayer, U3 gates (faster than RZ RY RZ), vmap over samples, complex64"
    states_kept = 3.0

    def prepare(self, problem: Problem) -> Step:
        """A circuit for each model: its parameters are its own and it has no axis of models."""
        circuits = [_build(problem) for _ in problem.weights]
        gates = [[op for op in circuit.operators if op.name == "U3Gate"] for circuit in circuits]
        with torch.no_grad():
            for own, start in zip(gates, torch.tensor(problem.weights), strict=True):
                for gate, (phi, theta, omega) in zip(own, start.reshape(-1, 3), strict=True):
                    # Rot(phi, theta, omega) is U3(theta, omega, phi) up to a phase that nothing sees.
                    for parameter, value in ((gate.theta, theta), (gate.phi, omega), (gate.lambd, phi)):
                        parameter.copy_(value)
        x, targets = torch.tensor(problem.x), torch.tensor(problem.targets)

        def run() -> tuple[torch.Tensor, torch.Tensor]:
            outputs = []
            for circuit, rows in zip(circuits, x, strict=True):
                circuit.zero_grad()
                circuit(data=rows)
                outputs.append(circuit.expectation())
            out = torch.stack(outputs)
            loss = total_loss(out, targets)
            loss.backward()
            return out, loss

        def read(result: tuple[torch.Tensor, torch.Tensor]) -> Answer:
            out, loss = result
            gradient = [[(gate.lambd.grad, gate.theta.grad, gate.phi.grad) for gate in own] for own in gates]
            return make_answer(problem, out.detach().numpy(), float(loss.detach()), torch.tensor(gradient).numpy())

        return Step(run, read)


def _build(problem: Problem) -> deepquantum.QubitCircuit:
    size, described = problem.size, problem.circuit
    circuit = deepquantum.QubitCircuit(size.n_qubits, den_mat=size.noisy)
    circuit.rxlayer(encode=True)
    _depolarize(circuit, size.noisy)
    for layer in range(size.n_layers):
        circuit.u3layer()
        for gate in described.ansatz.layer(layer, size.n_qubits):
            if gate.name == "CNOT":
                circuit.cnot(*gate.wires)
    _depolarize(circuit, size.noisy)
    for wire in range(size.n_qubits):
        circuit.observable(wire)
    return circuit


def _depolarize(circuit: deepquantum.QubitCircuit, noisy: bool) -> None:
    if noisy:
        for wire in range(circuit.nqubit):
            circuit.depolarizing(wire, inputs=math.asin(math.sqrt(NOISE)))  # its channel takes p = sin(angle)^2
