"""pyqtorch."""

from __future__ import annotations

import warnings

import pyqtorch
import torch

from benchmarks.contenders.base import Contender, Step, torch_step
from benchmarks.problem import Problem
from benchmarks.sizes import NOISE


class Pyqtorch(Contender):
    """Pasqal's simulator on torch."""

    key = "pyqtorch"
    title = "pyqtorch"
    packages = ("pyqtorch",)
    advice = (
        "one run for all samples, one observable per qubit on its state, autograd (faster than its adjoint mode, which runs "
        "the circuit once per observable), U gates, complex64; one run per model"
    )
    states_kept = 3.0

    def prepare(self, problem: Problem) -> Step:
        """Gates take their angles by name; a batch of angles makes a batch of states."""
        size = problem.size
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Complex modules")  # torch's, about what pyqtorch does
            circuit = pyqtorch.QuantumCircuit(size.n_qubits, _operations(problem)).to(dtype=torch.complex64)
            observables = [
                pyqtorch.Observable([pyqtorch.Z(wire)]).to(dtype=torch.complex64) for wire in range(size.n_qubits)
            ]
        names = [
            _name(layer, wire, k) for layer in range(size.n_layers) for wire in range(size.n_qubits) for k in range(3)
        ]

        def one(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            values = {f"x{wire}": column for wire, column in enumerate(x.unbind(-1))}
            values.update(zip(names, weights.reshape(-1, 1).unbind(0), strict=True))
            state = circuit.run(state=circuit.init_state(1), values=values)
            return torch.stack([observable.expectation(state) for observable in observables], -1)

        def forward(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            if size.n_models == 1:
                return one(x, weights)
            return torch.stack([one(rows, own) for rows, own in zip(x, weights, strict=True)])

        return torch_step(problem, forward)


def _name(layer: int, wire: int, k: int) -> str:
    return f"w{layer}_{wire}_{k}"


def _operations(problem: Problem) -> list[torch.nn.Module]:
    size = problem.size
    operations: list[torch.nn.Module] = [pyqtorch.RX(wire, f"x{wire}") for wire in range(size.n_qubits)]
    operations += _depolarize(problem)
    for layer in range(size.n_layers):
        for gate in problem.circuit.ansatz.layer(layer, size.n_qubits):
            if gate.name == "CNOT":
                operations.append(pyqtorch.CNOT(*gate.wires))
            else:
                wire = gate.wires[0]
                operations.append(pyqtorch.U(wire, *(_name(layer, wire, k) for k in range(3))))
    return operations + _depolarize(problem)


def _depolarize(problem: Problem) -> list[torch.nn.Module]:
    wires = range(problem.size.n_qubits) if problem.size.noisy else ()
    return [pyqtorch.noise.Depolarizing(wire, NOISE) for wire in wires]
