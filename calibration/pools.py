"""Really trained models whose true relation is known, to draw simulated studies from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit, Gate, StronglyEntangling
from qmoe.engines import TorchEngine
from qmoe.experts import LinearExperts
from qmoe.moe import MixtureOfExperts
from qmoe.routers import FeatureRouter, QuantumRouter, Router
from qmoe.seeding import child, torch_generator
from qmoe.studies.assembly import prepare_data
from qmoe.studies.trials import Draw
from qmoe.training import TrainingConfig, train_stack

#: Models that train side by side.
STACK = 128

#: ``(data, inits)`` test accuracies by name of the arm.
Pools = dict[str, np.ndarray]
MakeRouter = Callable[[torch.Generator], Router]
MakeData = Callable[[int], tuple[Tensor, Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        data: draws of the data.
        inits: initialisations of each arm for each of them.
        samples: points of each draw, a fifth of which are held out.
        epochs: passes over the data.
    """

    data: int = 100
    inits: int = 16
    samples: int = 500
    epochs: int = 50


def moons(samples: int) -> MakeData:
    """Two moons as in the paper's phase 2, scaled by the training part."""

    def make(data_seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        options = f'{{"n_samples": {samples}, "noise": 0.1}}'
        ready = prepare_data(Draw("moons", options, None, "minmax_pi", 0.2, 0, data_seed, None))
        return ready.x_train.float(), ready.y_train, ready.x_test.float(), ready.y_test

    return make


@dataclass(frozen=True, slots=True)
class WithoutLastPhase(StronglyEntangling):
    """Strongly entangling layers whose last layer ends in RY: the RZ after it cannot change any <Z>.

    An RZ commutes with the controls of the CNOTs behind it, and behind a target it is a phase of the computational basis
    all the same: diagonal gates and permutations of basis states are all that follows before Z is measured.
    """

    name: ClassVar[str] = "strongly_entangling_without_last_phase"

    def layer(self, index: int, n_qubits: int) -> tuple[Gate, ...]:
        """The layer; its last angles are not used in the last of three layers."""
        gates = StronglyEntangling().layer(index, n_qubits)
        if index != 2:
            return gates
        return tuple(
            part
            for gate in gates
            for part in (
                (Gate("RZ", gate.wires, (gate.angles[0],)), Gate("RY", gate.wires, (gate.angles[1],)))
                if gate.name == "Rot"
                else (gate,)
            )
        )


def quantum_router(generator: torch.Generator) -> Router:
    """The paper's router."""
    return QuantumRouter(2, 2, n_layers=3, generator=generator)


def same_router(generator: torch.Generator) -> Router:
    """The paper's router without the last RZ of each qubit: exactly the same functions of x."""
    return QuantumRouter(2, 2, n_layers=3, ansatz=WithoutLastPhase(), generator=generator)


@dataclass(frozen=True)
class _Kept:
    """Which functions are used. Two are equal, since models that differ in such a buffer alone train in one stack."""

    values: tuple[float, ...] = field(compare=False)


class MaskedTwin(FeatureRouter):
    """A linear gate on the 8 products of {1, cos, sin} of two features, some of which may be switched off.

    Args:
        keep: 8 numbers, 1 for a function that is used and 0 for one that is not.
        generator: source of the initial weights.
        dtype: float32 or float64.
    """

    runs_stacked = True

    def __init__(self, keep: Tensor, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(2, 2, 8, dtype=dtype, draw=False)
        self.kept = _Kept(tuple(keep.tolist()))
        self.keep: Tensor
        self.register_buffer("keep", torch.empty(8, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws the weights, and sets which functions are used."""
        super().reset_parameters(generator)
        self.keep.copy_(torch.tensor(self.kept.values, dtype=torch.float64))

    def features(self, x: Tensor) -> Tensor:
        """The products, without the constant."""
        batch = (1,) * (x.dim() - self.keep.dim())
        return products(x) * self.keep.view(*self.keep.shape[:-1], *batch, 8)


def products(x: Tensor) -> Tensor:
    """``(..., 2)`` to the 8 non-constant products ``(..., 8)`` of {1, cos, sin} of either feature."""
    one = torch.ones_like(x[..., 0])
    left, right = ((one, x[..., i].cos(), x[..., i].sin()) for i in (0, 1))
    return torch.stack([a * b for a in left for b in right][1:], -1)


class Teacher:
    """A random circuit that labels points: above or below its median over the square [-pi, pi]^2.

    Args:
        seed: seed of its weights.

    Attributes:
        coefficients: ``(8,)`` of <Z_0> in the `products`.
        strongest: the function that it uses most.
    """

    def __init__(self, seed: int) -> None:
        self.circuit = Circuit(2, 3)
        generator = torch_generator(seed)
        self.weights = 2 * math.pi * torch.rand(self.circuit.weight_shape, generator=generator, dtype=torch.float64)
        x = math.pi * (2 * torch.rand(4096, 2, generator=generator, dtype=torch.float64) - 1)
        z = self.measure(x)
        self.threshold = float(z.median())
        design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), products(x)], 1)
        self.coefficients = torch.linalg.lstsq(design, z.unsqueeze(1)).solution[1:, 0]
        self.strongest = int(self.coefficients.abs().argmax())

    def measure(self, x: Tensor) -> Tensor:
        """<Z_0> at ``x`` ``(N, 2)``."""
        return TorchEngine().evaluate(self.circuit, x, self.weights)[..., 0]

    def data(self, samples: int) -> MakeData:
        """Points drawn evenly from the square, with the teacher's labels."""

        def make(data_seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            generator = torch_generator(child(1, data_seed))
            x = math.pi * (2 * torch.rand(samples, 2, generator=generator, dtype=torch.float64) - 1)
            y, n = (self.measure(x) > self.threshold).long(), samples // 5
            return x[n:].float(), y[n:], x[:n].float(), y[:n]

        return make

    def twin(self, crippled: bool) -> MakeRouter:
        """The teacher's twin, whole or without the function that the teacher uses most."""
        keep = torch.ones(8)
        if crippled:
            keep[self.strongest] = 0
        return lambda generator: MaskedTwin(keep, generator)


def train_pool(make_router: MakeRouter, make_data: MakeData, size: Size, arm: int) -> np.ndarray:
    """Trains mixtures of two linear experts for every draw of the data and initialisation.

    Args:
        make_router: makes the router from a generator.
        make_data: training and test part of a data seed.
        size: how much.
        arm: number of the arm, so that no two arms share initialisations.

    Returns:
        ``(data, inits)`` test accuracies.
    """
    jobs = [(d, k) for d in range(size.data) for k in range(size.inits)]
    data = [make_data(d) for d in range(size.data)]
    found = []
    for start in range(0, len(jobs), STACK):
        part = jobs[start : start + STACK]
        seeds = [child(2, arm, d, k) for d, k in part]
        models = []
        for seed in seeds:
            generator = torch_generator(child(seed, 0))
            models.append(MixtureOfExperts(make_router(generator), LinearExperts(2, 2, 2, generator=generator)))
        x, y, x_test, y_test = (torch.stack([data[d][i] for d, _ in part]) for i in range(4))
        config = TrainingConfig(size.epochs, 32, 0.1)
        result = train_stack(models, x, y, config, [child(seed, 1) for seed in seeds], x_test, y_test)
        found.append(result.test_accuracy[:, -1])
    return np.concatenate(found).reshape(size.data, size.inits)
