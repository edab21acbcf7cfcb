"""What a contender is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from benchmarks.machine import free_memory
from benchmarks.problem import Answer, Problem
from benchmarks.sizes import Size

#: Share of the free memory that a step may be expected to take.
MEMORY_SHARE = 0.6


@dataclass(frozen=True)
class Step:
    """One training step, ready to be repeated.

    Attributes:
        run: does it: loss and gradient with respect to the weights; returns when all of it is done.
        read: what came out of the latest run, from what that returned.
    """

    run: Callable[[], Any]
    read: Callable[[Any], Answer]


class Contender(ABC):
    """A simulator, used as its documentation advises for speed.

    Attributes:
        key: short name, in the record and on the command line.
        title: name in tables.
        packages: distributions whose versions are recorded.
        advice: how it is used here, in one sentence.
        ours: whether it belongs to qmoe.
        compiles: whether its first step compiles and says nothing of the later ones.
        loops_over_samples: whether its step costs so much per sample, and nothing besides, that the cost of a large batch
            can be extrapolated from a small one.
        states_kept: state vectors that backpropagation keeps for each gate, to foretell memory; 0 where it keeps none.
        bytes_per_amplitude: 8 for complex64, 16 for complex128.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    advice: ClassVar[str]
    ours: ClassVar[bool] = False
    compiles: ClassVar[bool] = False
    loops_over_samples: ClassVar[bool] = False
    states_kept: ClassVar[float] = 0.0
    bytes_per_amplitude: ClassVar[int] = 8

    @abstractmethod
    def prepare(self, problem: Problem) -> Step:
        """Builds the step of a problem. Imports of the simulator happen here, or in ``__init__``."""

    def applies(self, size: Size) -> bool:
        """Whether it computes such circuits at all: with noise, or without. Few are written for relaxation."""
        return self.ours or not size.damped

    def why_not(self, size: Size) -> str | None:
        """Why this size is left out, in one sentence; None where it is not."""
        need, free = self.memory(size), self.free()
        if need > MEMORY_SHARE * free:
            return f"needs about {need / 2**30:.1f} GiB for one step, {free / 2**30:.1f} GiB are free"
        return None

    def free(self) -> int:
        """Bytes that there are for a step."""
        return free_memory()

    def memory(self, size: Size) -> float:
        """Rough bytes of one step."""
        dim = size.dim**2 if size.is_mixed else size.dim
        n_gates = size.n_qubits * (1 + 2 * size.n_layers)
        return self.states_kept * n_gates * size.n_samples * dim * self.bytes_per_amplitude


def torch_step(
    problem: Problem,
    forward: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Step:
    """The step of a simulator that is a function of torch tensors ``(x, weights)``.

    Args:
        problem: with one model, ``x`` and ``weights`` come without the axis M.
        forward: to ``(M, B, Q)``, or ``(B, Q)`` for one model.
        dtype: of all tensors.
        device: of all tensors; a GPU is waited for at the end of each step.
    """
    x, weights, targets = problem.tensors(dtype, device)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        weights.grad = None
        out = forward(x, weights)
        loss = total_loss(out, targets)
        loss.backward()
        wait_for(device)
        return out, loss

    def read(result: tuple[torch.Tensor, torch.Tensor]) -> Answer:
        out, loss = result
        assert weights.grad is not None
        return make_answer(problem, out.detach().cpu().numpy(), float(loss.detach()), weights.grad.cpu().numpy())

    return Step(run, read)


def wait_for(device: str) -> None:
    """Returns when all that was asked of the device is done."""
    if device != "cpu":
        torch.cuda.synchronize()


def total_loss(out: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean square of one model, or the sum of those of a stack; as torch's users write it, one operation."""
    if out.dim() == 2:
        return torch.nn.functional.mse_loss(out, targets)
    return torch.nn.functional.mse_loss(out, targets, reduction="sum") / out[0].numel()


def make_answer(problem: Problem, outputs: Any, loss: float, gradient: Any) -> Answer:
    """An `Answer` from arrays that lack the axis M where there is one model."""
    return Answer(
        np.asarray(outputs, dtype=float).reshape(problem.x.shape),
        float(loss),
        np.asarray(gradient, dtype=float).reshape(problem.weights.shape),
    )
