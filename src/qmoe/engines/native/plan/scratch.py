"""What a kernel reads beside its arguments: the header of a program, and how the scratch memory of a thread is divided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qmoe.compiled.threads import THREAD_OPERATIONS

#: Most blocks of lanes whose gradients are added up in one go; fewer where a block alone is worth a thread. The sums must
#: not depend on the number of threads, or on what else is in the stack, so the split of a batch depends on the batch alone.
MAX_CHUNK = 8
#: Operations of one such go, forwards: a thread that shares its core with somebody else's work takes fewer of them.
CHUNK_OPERATIONS = THREAD_OPERATIONS / 4


@dataclass(frozen=True)
class Layout:
    """What a kernel reads beside its arguments. Holds on to the arrays whose addresses it gives.

    Attributes:
        header: of the program.
        parts: offsets of the scratch memory of one thread.
        samples: samples a block.
        cost: operations of one block, roughly.
        program: what the header and the parts are of.
    """

    header: np.ndarray
    parts: np.ndarray
    samples: int
    cost: float
    program: object

    def chunks(self, n_batch: int) -> tuple[int, int, int]:
        """For a batch: its blocks, the blocks of a chunk, the chunks."""
        n_blocks = -(-n_batch // self.samples)
        largest = min(MAX_CHUNK, n_blocks, max(1, round(CHUNK_OPERATIONS / self.cost)))
        # As many chunks as there must be, of one size: three blocks and one would keep a thread waiting.
        chunk = -(-n_blocks // -(-n_blocks // largest))
        return n_blocks, chunk, -(-n_blocks // chunk)
