"""What is trained: many models at once, each with data, first weights and batch orders of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.datasets import make_moons

from qmoe import Circuit, LinearExperts, MixtureOfExperts, QuantumRouter
from qmoe.training import TrainingConfig
from qmoe.training.orders import Orders

N_LAYERS = 3
N_CLASSES = 2
N_EXPERTS = 2
#: Points of a training set.
N_POINTS = 400
#: Fresh points on which a fit is judged.
N_FRESH = 5_000
#: Standard deviation of the moons.
SPREAD = 0.1
#: Fifty epochs of batches of 32 at a rate of 0.1.
CONFIG = TrainingConfig()
#: Epochs of a measurement that is scaled to a whole training.
SHORT_EPOCHS = 5


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Attributes:
        first_loss: ``(M,)`` cross-entropy summed over the batches of the first epoch.
        accuracy: ``(M,)`` accuracy on the training points at the end.
    """

    first_loss: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class Task:
    """M mixtures of experts with quantum routers on two moons.

    Args:
        n_qubits: Q, an even number; the two features are repeated to as many.
        n_models: M.
    """

    n_qubits: int
    n_models: int

    @property
    def circuit(self) -> Circuit:
        """The router's: angle encoding, strongly entangling layers, every ``<Z>``."""
        return Circuit(self.n_qubits, N_LAYERS)

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """``(M, N, Q)`` angles, float32, and ``(M, N)`` labels, int64: one draw per model."""
        draws = [make_moons(N_POINTS, noise=SPREAD, random_state=seed) for seed in range(self.n_models)]
        features = [np.pi * (x - x.min(0)) / (x.max(0) - x.min(0)) for x, _ in draws]
        x = np.tile(np.stack(features), (1, 1, self.n_qubits // 2)).astype(np.float32)
        return x, np.stack([y for _, y in draws]).astype(np.int64)

    def models(self) -> list[MixtureOfExperts]:
        """Models at their first weights, built anew at each call."""
        return [self._model(torch.Generator().manual_seed(seed)) for seed in range(self.n_models)]

    def _model(self, generator: torch.Generator) -> MixtureOfExperts:
        n = self.n_qubits
        router = QuantumRouter(n, N_EXPERTS, n_qubits=n, n_layers=N_LAYERS, generator=generator)
        return MixtureOfExperts(router, LinearExperts(n, N_CLASSES, n_experts=N_EXPERTS, generator=generator))

    @cached_property
    def first_weights(self) -> dict[str, np.ndarray]:
        """Those of all models, stacked: ``circuit`` ``(M, L, Q, 3)``, ``adapter`` and ``experts`` with their biases."""
        models = self.models()

        def stacked(name: str) -> np.ndarray:
            return np.stack([model.get_parameter(name).detach().numpy() for model in models])

        return {
            "circuit": stacked("router.quantum.weights"),
            "adapter": stacked("router.adapter.weight"),
            "adapter_bias": stacked("router.adapter.bias"),
            "experts": stacked("experts.weight"),
            "experts_bias": stacked("experts.bias"),
        }

    @property
    def order_seeds(self) -> list[int]:
        """Seeds of the batch orders, one per model."""
        return list(range(self.n_models))

    def orders(self, epochs: int = CONFIG.epochs) -> np.ndarray:
        """``(M, epochs, N)`` batch orders, those that `qmoe.training.train_stack` draws from `order_seeds`."""
        return Orders(self.order_seeds, N_POINTS).take(epochs)
