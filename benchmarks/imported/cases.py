"""What is timed with a circuit: one step of the circuit alone, or one epoch of a hybrid model around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn
from torch.nn.functional import mse_loss

from benchmarks.agreement import check_agreement
from benchmarks.contenders import Step
from benchmarks.imported.sources import FeatureMap, Source, Template
from benchmarks.problem import Answer
from qmoe import QuantumLayer

#: Batches of an epoch whose losses are compared.
CHECKED = 8
#: Of Adam.
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Case(ABC):
    """What every contender computes.

    Attributes:
        source: the circuit.
        size: samples of a step, or batches of an epoch; a contender may be run on the first few of them.
        parts: what these are called.
    """

    source: Source
    size: int
    parts: ClassVar[str]

    @property
    @abstractmethod
    def kind(self) -> str:
        """``map``, ``template`` or ``epoch``: which table it belongs to."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, in that table."""

    def first(self, size: int) -> Self:
        """The same with the first samples or batches only."""
        return replace(self, size=size)

    @abstractmethod
    def prepare(self, layer: nn.Module) -> Step:
        """The work with a layer of torch."""

    @abstractmethod
    def check(self, found: Any) -> None:
        """Compares what `Step.read` gives with the right answer.

        Raises:
            DisagreementError: where it is wrong.
        """

    @cached_property
    def weights(self) -> np.ndarray:
        """First weights of the circuit, in PennyLane's shape, float32."""
        return self._rng(0).uniform(0, 2 * np.pi, self.source.weight_shape).astype(np.float32)

    def _rng(self, stream: int) -> np.random.Generator:
        # Rows are drawn one after another, so that those of `first` are the same.
        return np.random.default_rng([self.source.n_qubits, self.source.n_weights, stream])


@dataclass(frozen=True)
class OneStep(Case):
    """A mean square error of all outputs, and its gradient with respect to the weights."""

    parts = "samples"

    @property
    def kind(self) -> str:
        """By the circuit."""
        return "template" if isinstance(self.source, Template) else "map"

    @property
    def title(self) -> str:
        """The circuit and the batch."""
        return f"{_named(self.source)}, batch {self.size}"

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """``(B, Q)`` features and ``(B, O)`` targets, float32."""
        x = self._rng(1).uniform(0, np.pi, (self.size, self.source.n_qubits))
        targets = self._rng(2).uniform(-1, 1, (self.size, self.source.n_outputs))
        return x.astype(np.float32), targets.astype(np.float32)

    def prepare(self, layer: nn.Module) -> Step:
        """Forward and backward of the layer alone."""
        x, targets = map(torch.from_numpy, self.data)

        def run() -> tuple[torch.Tensor, torch.Tensor]:
            layer.zero_grad()
            out = layer(x)
            loss = mse_loss(out.reshape(targets.shape), targets)
            loss.backward()
            return out, loss

        def read(result: tuple[torch.Tensor, torch.Tensor]) -> Answer:
            out, loss = (value.detach() for value in result)
            gradient = torch.cat([value.grad.flatten() for value in layer.parameters() if value.grad is not None])
            return self.answer(out.numpy(), float(loss), gradient.numpy())

        return Step(run, read)

    def answer(self, outputs: Any, loss: float, gradient: Any) -> Answer:
        """An `Answer` from arrays in any shape."""
        outputs = np.asarray(outputs, dtype=float).reshape(self.size, self.source.n_outputs)
        return Answer(outputs, float(loss), np.asarray(gradient, dtype=float).reshape(-1))

    def check(self, found: Answer) -> None:
        """Outputs, loss and gradient, by Qiskit's dense matrices and the parameter-shift rule."""
        check_agreement(found, right_step(self))


@lru_cache(maxsize=16)
def right_step(case: OneStep) -> Answer:
    """Values and gradient in float64, by Qiskit alone: states of the features, matrices of the ansatz at shifted weights."""
    from qiskit.quantum_info import Statevector

    source = case.source.in_qiskit()
    x, targets = (array.astype(float) for array in case.data)
    states = np.stack([Statevector(source.features.assign_parameters(row)).data for row in x])
    measured = [observable.to_matrix() for observable in source.observables]

    def outputs(matrix: np.ndarray) -> np.ndarray:
        evolved = states @ matrix.T
        return np.stack([np.einsum("bi,bi->b", evolved.conj(), evolved @ m.T).real for m in measured], -1)

    centre, *shifted = map(outputs, _matrices(case.first(1)))
    upstream = 2 * (centre - targets) / centre.size
    pairs = zip(shifted[::2], shifted[1::2], strict=True)
    gradient = np.array([(upstream * (above - below)).sum() / 2 for above, below in pairs])
    return Answer(centre, float(((centre - targets) ** 2).mean()), gradient)


@lru_cache(maxsize=1)
def _matrices(case: OneStep) -> list[np.ndarray]:
    """Of the ansatz at the weights, then with each of them a quarter turn further and a quarter turn back."""
    from qiskit.quantum_info import Operator

    ansatz, weights = case.source.in_qiskit().ansatz, case.weights.astype(float).reshape(-1)
    shifts = [sign * row for row in np.pi / 2 * np.eye(len(weights)) for sign in (1, -1)]
    return [Operator(ansatz.assign_parameters(weights + shift)).data for shift in (0.0, *shifts)]


@dataclass(frozen=True)
class OneEpoch(Case):
    """One epoch of Linear(2, Q), the circuit and Linear(Q, 1), trained by Adam on a mean square error.

    Attributes:
        batch: samples of a batch; ``size`` is the number of batches.
    """

    source: Template
    batch: int = 32
    parts = "batches"

    @property
    def kind(self) -> str:
        """It has a table of its own."""
        return "epoch"

    @property
    def title(self) -> str:
        """The circuit, and how it is trained."""
        return f"{_named(self.source)}, an epoch of {self.size * self.batch:,} points in batches of {self.batch}"

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """``(N, 2)`` features, and the ``(N, 1)`` numbers to be fitted, float32."""
        x = self._rng(1).uniform(-1, 1, (self.size * self.batch, 2))
        y = np.sin(np.pi * x[:, :1]) * np.cos(np.pi * x[:, 1:])
        return x.astype(np.float32), y.astype(np.float32)

    @cached_property
    def linear(self) -> dict[str, np.ndarray]:
        """First values of both linear layers, float32."""
        rng, n = self._rng(3), self.source.n_qubits
        shapes = {"in_weight": (n, 2), "in_bias": (n,), "out_weight": (1, n), "out_bias": (1,)}
        return {name: rng.uniform(-0.7, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}

    def prepare(self, layer: nn.Module) -> Step:
        """The epoch, always from the first weights."""
        return self.step(layer, torch.float32)

    def step(self, layer: nn.Module, dtype: torch.dtype) -> Step:
        """The same in another precision; the parameters come in the order of the model."""
        n = self.source.n_qubits
        model = nn.Sequential(nn.Linear(2, n, dtype=dtype), layer, nn.Linear(n, 1, dtype=dtype))
        with torch.no_grad():
            for module, name in ((model[0], "in"), (model[2], "out")):
                module.weight.copy_(torch.from_numpy(self.linear[f"{name}_weight"]))
                module.bias.copy_(torch.from_numpy(self.linear[f"{name}_bias"]))
        x, y = (torch.from_numpy(array).to(dtype) for array in self.data)
        first = [value.detach().clone() for value in model.parameters()]

        def restart() -> None:
            with torch.no_grad():
                for value, start in zip(model.parameters(), first, strict=True):
                    value.copy_(start)

        def run() -> list[torch.Tensor]:
            restart()
            optimizer, losses = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE), []
            for rows, wanted in zip(x.split(self.batch), y.split(self.batch), strict=True):
                optimizer.zero_grad()
                loss = mse_loss(model(rows), wanted)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return losses

        def read(losses: list[torch.Tensor]) -> Answer:
            restart()
            model.zero_grad()
            mse_loss(model(x[: self.batch]), y[: self.batch]).backward()
            gradient = torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])
            return self.answer([float(loss) for loss in losses], gradient.numpy())

        return Step(run, read)

    def answer(self, losses: Any, gradient: Any) -> Answer:
        """What is compared: the losses of the first batches, and the gradient of the very first.

        Adam takes no notice of the length of a gradient, so that losses alone would not tell one that is too long.
        """
        losses = np.asarray(losses[:CHECKED], dtype=float)
        return Answer(losses, float(losses[0]), np.asarray(gradient, dtype=float))

    def check(self, found: Answer) -> None:
        """By qmoe's dense reference engine in float64, and without an import."""
        check_agreement(found, right_epoch(self.first(min(self.size, CHECKED))))


@lru_cache(maxsize=16)
def right_epoch(case: OneEpoch) -> Answer:
    """Losses and gradient in float64."""
    layer = QuantumLayer(
        case.source.circuit,
        lambda value: value.copy_(torch.from_numpy(case.weights)),
        engine="reference",
        dtype=torch.float64,
    )
    step = case.step(layer, torch.float64)
    return step.read(step.run())


def _named(source: Source) -> str:
    if isinstance(source, Template):
        return f"{source.n_qubits} qubits, {source.n_layers} layers"
    return f"{source.n_qubits} qubits"


#: What a full run times; the template is what the import is compared with.
CASES: tuple[Case, ...] = (
    OneStep(FeatureMap(4), 32),
    OneStep(FeatureMap(8), 32),
    OneEpoch(Template(2, 2), 512),
    OneStep(Template(2, 3), 32),
    OneStep(Template(4, 3), 32),
)
#: What ``--quick`` times.
QUICK_CASES: tuple[Case, ...] = (
    OneStep(FeatureMap(4), 32),
    OneEpoch(Template(2, 2), 16),
    OneStep(Template(2, 3), 32),
)
