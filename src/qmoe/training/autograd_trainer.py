"""Training any stack by autograd and `torch.optim.Adam`; what compiled training must agree with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from qmoe.errors import UnsupportedError
from qmoe.moe import MixtureOfExperts, Routing, balance_loss
from qmoe.training.loss import CROSS_ENTROPY, Loss
from qmoe.training.orders import Orders
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import Histories, Part, Trainer, TrainingConfig

#: Samples of each model that one evaluation handles at once; bounds its memory. The same for any number of models: some
#: controls route a sample by its company, which must not depend on how many models train beside.
EVALUATION_ROWS = 1_500


class AutogradTrainer(Trainer):
    """Trains with torch's own operations.

    Args:
        stack: what to train; at least one of its parameters is trainable.
        train: what to train on.
        test: what to evaluate on, or None.
        config: batch size, learning rate and when to evaluate.
    """

    def __init__(self, stack: ModelStack, train: Part, test: Part | None, config: TrainingConfig) -> None:
        self._stack, self._train, self._test, self._batch_size = stack, train, test, config.batch_size
        self._balance = config.balance_loss
        if self._balance:
            balanced_mixture(stack)
        self._each_epoch, self._loss = config.evaluate == "epoch", config.loss
        leaves = trainable(stack)
        # An optimiser costs by the tensor, not by the element. Modules of someone else may leave a parameter without a
        # gradient for a while, which Adam then passes over; such parameters stay apart.
        self._vector = as_vector(leaves) if stack.module is not None else None
        if self._vector is not None:
            leaves = [self._vector]
        # Not fused: the fused kernel rounds an element by its place in the tensor, and training amplifies that until a
        # trial gives other numbers in another stack. foreach applies the plain elementwise operations, which do not.
        self._optimizer = torch.optim.Adam(leaves, lr=config.lr, foreach=len(leaves) > 1)

    def differentiate(self, x: Tensor, y: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Runs a batch forward and backward.

        Args:
            x: ``(M, B, F)`` features.
            y: ``(M, B)`` labels from 0 to C - 1, or what else the loss takes.
            weight: ``(M, B)`` factors of the rows' losses, or None.

        Returns:
            Outputs ``(M, B, C)`` and losses ``(M, B)`` times their factors, detached. The gradients of each model's mean of
            these stand in the stack's parameters, in place of those of the last batch.
        """
        outputs, balance = self._outputs(x)
        losses = self._loss.of_rows(outputs, y)
        if weight is not None:
            losses = losses * weight
        self._optimizer.zero_grad(set_to_none=self._vector is None)
        # The mean over the batch, summed over models: each model's gradient is that of its own mean.
        total = losses.sum() / y.shape[1]
        (total if balance is None else total + self._balance * balance.sum()).backward()
        return outputs.detach(), losses.detach()

    def _outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outputs ``(M, B, C)``, and ``(M,)`` balance losses where they count."""
        if not self._balance:
            return self._stack(x), None
        mixture, seen = balanced_mixture(self._stack), list[Routing]()
        mixture.recorded_in = seen
        try:
            outputs = self._stack(x)
        finally:
            mixture.recorded_in = None
        return outputs, torch.stack([balance_loss(own, mixture.top_k or 1) for own in seen[0].scores.unbind(0)])

    def update(self) -> None:
        """Adam's step along the gradients."""
        self._optimizer.step()

    def run(self, orders: Orders, n_epochs: int) -> Histories:
        """Trains for some epochs."""
        epochs = [self._epoch(torch.from_numpy(orders.take(1)[:, 0])) for _ in range(n_epochs)]
        return Histories(*(np.stack(history, 1) for history in zip(*epochs, strict=True)))

    def _epoch(self, order: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y, weight = self._train.x, self._train.y, self._train.weight
        n_models, n = y.shape[:2]
        rows, targets = x.reshape(-1, x.shape[-1]), y.flatten(0, 1)
        picked = (order + n * torch.arange(n_models).unsqueeze(1)).to(x.device)
        score = torch.zeros(n_models, dtype=torch.float64, device=x.device)
        loss = torch.zeros(n_models, dtype=torch.float64, device=x.device)
        # Batch by batch: what is small enough, torch does on one thread, and threads that wait for each other cost more than
        # they save.
        for batch in picked.split(self._batch_size, 1):
            chosen = batch.flatten()
            yb = targets.index_select(0, chosen).unflatten(0, batch.shape)
            wb = None if weight is None else weight.flatten().index_select(0, chosen).view(batch.shape)
            outputs, losses = self.differentiate(rows.index_select(0, chosen).view(*batch.shape, -1), yb, wb)
            self.update()
            score += self._loss.score(outputs, yb)
            loss += losses.double().mean(1)
        test = self.test_accuracy() if self._each_epoch else np.full(n_models, np.nan)
        return loss.cpu().numpy(), score.cpu().numpy() / n, test

    def train_accuracy(self) -> np.ndarray:
        """Accuracies on the training part."""
        return accuracy(self._stack, self._train.x, self._train.y, self._loss)

    def test_accuracy(self) -> np.ndarray:
        """Accuracies on the test part."""
        if self._test is None:
            return np.full(len(self._train.y), np.nan)
        return accuracy(self._stack, self._test.x, self._test.y, self._loss)

    def write_back(self) -> None:
        """They stand in the stack's parameters already."""


def balanced_mixture(stack: ModelStack) -> MixtureOfExperts:
    """The mixture of a stack, whose routing can be balanced.

    Raises:
        UnsupportedError: for models that are no mixtures, or that run through `torch.func.vmap`.
    """
    if isinstance(stack.module, MixtureOfExperts):
        return stack.module
    kind = type(stack.models[0]).__name__
    raise UnsupportedError(
        f"balance_loss takes a qmoe.MixtureOfExperts with dispatch='dense' whose router and experts run stacked, and got a "
        f"{kind} that is none; leave it out, or train in a loop of your own, as in docs/mixtures.md."
    )


@torch.no_grad()
def accuracy(stack: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss = CROSS_ENTROPY) -> np.ndarray:
    """Share of ``x`` ``(M, N, F)`` that each model of a stack classifies as ``y`` ``(M, N)``: ``(M,)``.

    Of another loss, its mean score. NaN for a model with an output that is not finite, which is no classification.

    Example:
        >>> from qmoe.training import accuracy
        >>> x, y = torch.rand(1, 4, 2), torch.tensor([[0, 1, 1, 0]])
        >>> accuracy(lambda x: torch.nn.functional.one_hot(y, 2).float(), x, y)
        array([1.])
    """
    score = x.new_zeros(len(x), dtype=torch.float64)
    finite = x.new_ones(len(x), dtype=torch.bool)
    for i in range(0, x.shape[1], EVALUATION_ROWS):
        outputs = stack(x[:, i : i + EVALUATION_ROWS])
        score += loss.score(outputs, y[:, i : i + EVALUATION_ROWS])
        finite &= outputs.isfinite().flatten(1).all(1)
    return (score / x.shape[1]).masked_fill(~finite, torch.nan).cpu().numpy()


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
