"""One training step of a stack: forward, cross-entropy, gradients, Adam."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from qmoe.training.stack import ModelStack


class Step(ABC):
    """What training asks of a stack: `differentiate` and `update` for each batch, `logits` to see how it does."""

    @abstractmethod
    def differentiate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Runs a batch forward and backward.

        Args:
            x: ``(M, B, F)`` features.
            y: ``(M, B)`` labels from 0 to C - 1.

        Returns:
            Logits ``(M, B, C)`` and cross-entropies ``(M, B)``, detached. The gradients of each model's mean cross-entropy
            stand in the stack's parameters, in place of those of the last batch.
        """

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Runs ``(M, B, F)`` to ``(M, B, C)``, without gradients."""

    @abstractmethod
    def update(self) -> None:
        """Adam's step along the gradients."""


class AutogradStep(Step):
    """The step of any stack, by autograd and `torch.optim.Adam`; what compiled steps must agree with.

    Args:
        stack: what to train; at least one of its parameters is trainable.
        lr: Adam's learning rate.
    """

    def __init__(self, stack: ModelStack, lr: float) -> None:
        self._stack = stack
        leaves = trainable(stack)
        # An optimiser costs by the tensor, not by the element. Modules of someone else may leave a parameter without a
        # gradient for a while, which Adam then passes over; such parameters stay apart.
        self._vector = as_vector(leaves) if stack.module is not None else None
        if self._vector is not None:
            leaves = [self._vector]
        # Not fused: the fused kernel rounds an element by its place in the tensor, and training amplifies that until a
        # trial gives other numbers in another stack. foreach applies the plain elementwise operations, which do not.
        self._optimizer = torch.optim.Adam(leaves, lr=lr, foreach=len(leaves) > 1)

    def differentiate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Runs a batch forward and backward."""
        logits = self._stack(x)
        entropy = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        self._optimizer.zero_grad(set_to_none=self._vector is None)
        # The mean over the batch, summed over models: each model's gradient is that of its own mean.
        (entropy.sum() / y.shape[1]).backward()
        return logits.detach(), entropy.detach().view(y.shape)

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Runs ``(M, B, F)`` to ``(M, B, C)``."""
        return self._stack(x)

    def update(self) -> None:
        """Adam's step along the gradients."""
        self._optimizer.step()


def trainable(stack: ModelStack) -> list[Tensor]:
    """The parameters of a stack that are not frozen."""
    return [value for value in stack.parameters.values() if value.requires_grad]


def as_vector(parameters: Sequence[Tensor]) -> nn.Parameter:
    """Moves parameters of one dtype and device, and their gradients, into one vector; they become views of its parts."""
    vector = nn.Parameter(parameters_to_vector(parameters).detach())
    vector_to_parameters(vector.detach(), parameters)
    gradient = vector.grad = torch.zeros_like(vector)
    for value, part in zip(parameters, gradient.split([value.numel() for value in parameters]), strict=True):
        value.grad = part.view_as(value)
    return vector
