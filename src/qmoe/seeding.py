"""One root seed, many independent streams.

Every random number of a trial comes from `numpy.random.SeedSequence` children of one root seed, so that the same spec
and seed give the same numbers in another process and on any number of workers. Child ``k`` of a sequence is the one
that ``SeedSequence.spawn`` would return at position ``k``, addressed directly, so that no stream depends on how many
were made before it.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch

from qmoe.errors import ConfigError

Seed = int | np.random.SeedSequence


def child(seed: Seed, *path: int) -> np.random.SeedSequence:
    """Returns the descendant of ``seed`` at ``path`` (equal to repeated ``spawn(...)[k]``)."""
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *path), pool_size=root.pool_size)


def seed_sequence(seed: Seed) -> np.random.SeedSequence:
    """Returns ``seed`` as NumPy's kind of seed.

    Raises:
        ConfigError: for anything but a `numpy.random.SeedSequence` or an integer of at least 0; None would draw another
            stream every time.
    """
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ConfigError(f"A seed is {seed!r}, expected an integer of at least 0 or a numpy.random.SeedSequence.")
    return np.random.SeedSequence(int(seed))


def numpy_generator(seed: Seed) -> np.random.Generator:
    """Returns a NumPy generator for ``seed``.

    Raises:
        ConfigError: for anything but a `numpy.random.SeedSequence` or an integer of at least 0; None would draw another
            stream every time.
    """
    return np.random.default_rng(seed_sequence(seed))


def random_state(seed: Seed) -> np.random.RandomState:
    """Returns scikit-learn's kind of generator; an ``int`` gives what ``random_state=int`` gives there."""
    if isinstance(seed, np.random.SeedSequence):
        return np.random.RandomState(np.random.MT19937(seed))
    return np.random.RandomState(seed)


def torch_generator(seed: Seed) -> torch.Generator:
    """Returns a CPU `torch.Generator` seeded from 64 bits of ``seed``; an ``int`` is used as it is."""
    value = int(seed.generate_state(1, np.uint64)[0]) if isinstance(seed, np.random.SeedSequence) else int(seed)
    # manual_seed takes a signed 64-bit integer or the unsigned one of the same bits.
    return torch.Generator().manual_seed(value)
