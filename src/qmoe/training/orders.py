"""In which order each model sees its rows, epoch after epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qmoe.compiled.cache import declare, kernel
from qmoe.seeding import Seed, seed_sequence

KERNELS = declare("qmoe.training.shuffling", ("draw_orders", 5))
#: In the fifth word of a state: the four before are those of a seed.
_FRESH = 2


class Orders:
    """Orders of M models, each a function of its seed alone: those of ``numpy.random.default_rng(seed).permuted``.

    Both ways of training take them from here: autograd by `take`, compiled training by `states`, which it moves on as it
    draws each order where it needs it.

    Args:
        seeds: M seeds.
        n_rows: number of rows N.

    Attributes:
        states: ``(M, 6)`` states of the generators, uint64.
        n_rows: N.
    """

    def __init__(self, seeds: Sequence[Seed], n_rows: int) -> None:
        self.states, self.n_rows = np.zeros((len(seeds), 6), dtype=np.uint64), n_rows
        self.states[:, 4] = _FRESH
        for state, seed in zip(self.states, seeds, strict=True):
            state[:4] = seed_sequence(seed).generate_state(4, np.uint64)

    def take(self, n_epochs: int) -> np.ndarray:
        """``(M, epochs, N)``: the next orders."""
        order = np.empty((len(self.states), n_epochs, self.n_rows), np.int64)
        states, out = int(self.states.ctypes.data), int(order.ctypes.data)
        kernel(KERNELS[0], 8)(states, *order.shape, out)
        return order
