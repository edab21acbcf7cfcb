"""Early stopping: each model of a stack goes back to the epoch in which it was best."""

from __future__ import annotations

import numpy as np
import torch

from qmoe.training.stack import ModelStack
from qmoe.training.trainer import Trainer


class Best:
    """Keeps the weights of the best epoch of each model, and says which models have stopped.

    The rule is that of scikit-learn's MLPClassifier: a model stops after more than ``patience`` epochs in a row in which its
    accuracy was not above its best by ``tolerance``; the first of equal epochs counts as best. A model is judged by its own
    numbers alone, so it ends with the same weights in any stack.

    Args:
        stack: what is trained.
        trainer: what trains it.
        patience: epochs without a rise.
        tolerance: what counts as a rise.

    Attributes:
        stopped: ``(M,)`` whether each model has stopped.
        epoch: ``(M,)`` its best epoch so far, from 0.
    """

    def __init__(self, stack: ModelStack, trainer: Trainer, patience: int, tolerance: float) -> None:
        self._stack, self._trainer, self._patience, self._tolerance = stack, trainer, patience, tolerance
        n = len(stack)
        self.stopped, self.epoch = np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64)
        self._last, self._without = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._top = np.full(n, -np.inf)
        self._kept = {name: value.detach().clone() for name, value in stack.parameters.items()}

    def look(self, epoch: int, accuracy: np.ndarray) -> None:
        """Takes note of an epoch and the accuracies ``(M,)`` after it; NaN, of a model that failed, is no rise."""
        going = ~self.stopped
        rises, higher = accuracy >= self._top + self._tolerance, going & (accuracy > self._top)
        self._without = np.where(rises, 0, self._without + 1)
        self._top = np.where(higher, accuracy, self._top)
        self.epoch[higher] = epoch
        self._last[going] = epoch
        if higher.any():
            self._trainer.write_back()
            rows = torch.from_numpy(np.flatnonzero(higher))
            for name, value in self._stack.parameters.items():
                at = rows.to(value.device)
                self._kept[name][at] = value.detach()[at]
        self.stopped |= self._without > self._patience

    def n_epochs(self, epochs: int) -> np.ndarray:
        """``(M,)``: how many of the epochs each model trained for."""
        return np.minimum(self._last + 1, epochs)

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the kept weights into the stack's parameters, in their place."""
        for name, value in self._stack.parameters.items():
            value.copy_(self._kept[name])
