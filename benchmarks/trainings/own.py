"""The trainings of qmoe."""

from __future__ import annotations

import time

import torch

from benchmarks.trainings.task import CONFIG, Outcome, Task
from qmoe.training import TrainingConfig, train_stack


class Own:
    """`qmoe.training.train_stack`.

    Args:
        task: what to train.
        threads: torch's threads; its own default if None.
    """

    compiling = None

    def __init__(self, task: Task, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._task = task
        self._x, self._y = map(torch.from_numpy, task.data)

    def train(self, epochs: int = CONFIG.epochs) -> tuple[float, Outcome]:
        """Seconds and outcome of one training; the models are built before the clock starts."""
        models, config = self._task.models(), TrainingConfig(epochs, CONFIG.batch_size, CONFIG.lr)
        begin = time.perf_counter()
        result = train_stack(models, self._x, self._y, config, self._task.order_seeds)
        seconds = time.perf_counter() - begin
        return seconds, Outcome(result.loss[:, 0], result.train_accuracy)
