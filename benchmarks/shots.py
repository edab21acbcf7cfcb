"""A training step with finite shots: qmoe beside PennyLane's simulators, all by the parameter-shift rule.

A step is the circuit of the paper's router on a batch, forward and backward to its weights, as `qmoe.QuantumLayer` and
``pennylane.qnn.TorchLayer`` are used. PennyLane's layer runs one circuit after another, the samples of a batch as one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import nn

from qmoe.circuits import Circuit
from qmoe.engines.shots import cost
from qmoe.interop import to_pennylane
from qmoe.quantum_layer import QuantumLayer

#: Layers of every circuit, as the paper's.
LAYERS = 3
#: Qubits, samples and shots of the steps.
SIZES = ((2, 32, 1000), (2, 32, 100), (4, 32, 1000), (8, 32, 1000))


class BiasedError(Exception):
    """Estimates of two libraries differ by more than chance."""


@dataclass(frozen=True)
class Steps:
    """Seconds of one training step.

    Attributes:
        n_qubits: of the circuit.
        n_batch: samples of a step.
        shots: of each circuit.
        circuits: how many a step runs.
        seconds: the median of each contender over the rounds.
        spread: the interquartile range of each, over its median.
    """

    n_qubits: int
    n_batch: int
    shots: int
    circuits: int
    seconds: dict[str, float]
    spread: dict[str, float]


def measure_shots(sizes: Sequence[tuple[int, int, int]], rounds: int = 7) -> list[Steps]:
    """Times every size ``(n_qubits, n_batch, shots)``: contenders in turn, so that all see the same machine.

    Raises:
        BiasedError: where a contender computes something else.
    """
    return [_measured(*size, rounds) for size in sizes]


def text(steps: Steps) -> list[str]:
    """Lines to print."""
    head = f"{steps.n_qubits} qubits, batch {steps.n_batch}, {steps.shots} shots: {steps.circuits:,} circuits a step"
    ours = steps.seconds["qmoe"]
    return [head] + [
        f"  {name:28} {1e3 * seconds:10.2f} ms  {seconds / ours:7.1f} x  (spread {steps.spread[name]:.0%})"
        for name, seconds in steps.seconds.items()
    ]


def _measured(n_qubits: int, n_batch: int, shots: int, rounds: int) -> Steps:
    circuit = Circuit(n_qubits, LAYERS)
    draw = torch.Generator().manual_seed(0)
    x = math.pi * torch.rand(n_batch, n_qubits, generator=draw, dtype=torch.float64)
    weights = 2 * math.pi * torch.rand(circuit.weight_shape, generator=draw, dtype=torch.float64)
    layers = {
        "qmoe": QuantumLayer(circuit, {"weights": weights}, shots=shots, shot_seed=0, dtype=torch.float64),
        "PennyLane default.qubit": _pennylane("default.qubit", circuit, shots, weights),
        "PennyLane lightning.qubit": _pennylane("lightning.qubit", circuit, shots, weights),
    }
    exact = QuantumLayer(circuit, {"weights": weights}, dtype=torch.float64)(x).detach()
    for name, layer in layers.items():
        _check(name, exact, layer(x).detach(), shots)
    steps = {name: _step(layer, x) for name, layer in layers.items()}
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begin = perf_counter()
            step()
            times[name].append(perf_counter() - begin)
    seconds = {name: statistics.median(found) for name, found in times.items()}
    spread = {}
    for name, found in times.items():
        low, _, high = statistics.quantiles(found, n=4, method="inclusive")
        spread[name] = (high - low) / seconds[name]
    return Steps(n_qubits, n_batch, shots, cost(circuit, n_batch, shots, epochs=1).circuits, seconds, spread)


def _pennylane(device: str, circuit: Circuit, shots: int, weights: torch.Tensor) -> nn.Module:
    import pennylane as qml

    node = qml.QNode(
        to_pennylane(circuit),
        qml.device(device, wires=circuit.n_qubits),
        interface="torch",
        diff_method="parameter-shift",
    )
    return qml.qnn.TorchLayer(  # type: ignore[no-any-return]
        qml.set_shots(node, shots), {"weights": circuit.weight_shape}, init_method={"weights": weights.clone()}
    )


def _step(layer: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    def run() -> None:
        layer.zero_grad()
        layer(x).square().mean().backward()

    return run


def _check(name: str, exact: torch.Tensor, found: torch.Tensor, shots: int) -> None:
    """Estimates of signs stray by the square root of (1 - <Z>^2) / shots: 6 of these, and a count for rounding."""
    strays = 6 * ((1 - exact.square()).clamp_min(0) / shots).sqrt() + 2 / shots
    if not bool(((found - exact).abs() <= strays).all()):
        raise BiasedError(f"{name} is off by up to {float((found - exact).abs().max()):.3g} with {shots} shots.")
