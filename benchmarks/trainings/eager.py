"""Trainings in torch with PennyLane's default.qubit, operation by operation."""

from __future__ import annotations

import time

import torch
from torch.nn.functional import cross_entropy

from benchmarks.contenders.pennylane import backprop_forward
from benchmarks.trainings.task import CONFIG, SHORT_EPOCHS, Outcome, Task


class Eager:
    """default.qubit with backpropagation, all models and samples of a batch in one broadcast call.

    Args:
        task: what to train. In float64: in float32 the device computes in complex128 all the same, and converts.
    """

    compiling = None

    def __init__(self, task: Task) -> None:
        self._task = task
        x, self._y = map(torch.from_numpy, task.data)
        self._x = x.double()
        self._circuit = backprop_forward("default.qubit", task.circuit, task.n_models)

    def train(self, epochs: int = SHORT_EPOCHS) -> tuple[float, Outcome]:
        """Seconds and outcome of so many epochs."""
        first = {name: torch.tensor(value, dtype=torch.float64) for name, value in self._task.first_weights.items()}
        parameters = {name: value.requires_grad_() for name, value in first.items()}
        begin = time.perf_counter()
        optimizer = torch.optim.Adam(parameters.values(), lr=CONFIG.lr)
        orders = torch.from_numpy(self._task.orders(epochs))
        first_loss = torch.zeros(self._task.n_models, dtype=torch.float64)
        models = torch.arange(self._task.n_models)[:, None]
        for epoch in range(epochs):
            for rows in orders[:, epoch].split(CONFIG.batch_size, 1):
                entropy = self._entropy(parameters, self._x[models, rows], self._y[models, rows])
                optimizer.zero_grad()
                entropy.sum().backward()  # each model's gradient is that of its own mean
                optimizer.step()
                if epoch == 0:
                    first_loss += entropy.detach()
        with torch.no_grad():
            right = self._logits(parameters, self._x).argmax(-1) == self._y
        seconds = time.perf_counter() - begin
        return seconds, Outcome(first_loss.numpy(), right.double().mean(1).numpy())

    def _logits(self, parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        weights = parameters["circuit"]
        values = self._circuit(x, weights) if len(x) > 1 else self._circuit(x[0], weights[0])[None]
        routed = values @ parameters["adapter"].mT + parameters["adapter_bias"][:, None]
        experts = torch.einsum("mbf,meof->mbeo", x, parameters["experts"]) + parameters["experts_bias"][:, None]
        return torch.einsum("mbe,mbeo->mbo", routed.softmax(-1), experts)

    def _entropy(self, parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """``(M,)`` mean cross-entropy of a batch."""
        logits = self._logits(parameters, x)
        return cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)
