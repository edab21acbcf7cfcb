"""Streams of random numbers that belong to modules: a seed and a count of calls, in a buffer.

So a module needs no global state, copies of it go on alike, and a stack of models holds the streams of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from qmoe.errors import ConfigError, not_plain
from qmoe.seeding import child, torch_generator

#: The buffer of a module that holds its stream.
SHOT_STREAM = "shot_stream"
#: Places of a stream: its seed, the calls so far, and whether somebody chose the seed.
SEED, CALLS, IS_GIVEN = range(3)


def begun(seed: int, is_given: bool) -> Tensor:
    """``(3,)``: a stream at its beginning."""
    return torch.tensor([seed, 0, int(is_given)], dtype=torch.int64, device="cpu")


def check_seed(seed: object) -> None:
    """Raises `ConfigError` unless a seed is an integer of 63 bits."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ConfigError(f"shot_seed is {seed!r}{not_plain(seed)}, expected an integer from 0 to 2**63 - 1.")


def seed_of(weights: Tensor, generator: torch.Generator | None) -> int:
    """A seed that follows from first weights, and from the seed of the generator that they were drawn by.

    Nothing is drawn for it, so that a model has the same first weights with shots and without.
    """
    found = hashlib.sha256()
    if not weights.is_meta:
        found.update(weights.detach().cpu().contiguous().numpy().tobytes())
    if generator is not None:
        found.update(str(generator.initial_seed()).encode())
    return int.from_bytes(found.digest()[:8], "little") >> 1


def next_sources(stream: Tensor, device: torch.device) -> Sequence[torch.Generator]:
    """Generators for one call, which is counted.

    Args:
        stream: ``(...S, 3)``: of one module, or of a stack of them.
        device: where numbers are drawn.

    Returns:
        One for each of the streams.
    """
    with torch.no_grad():
        pairs = stream.reshape(-1, 3)[:, : CALLS + 1].tolist()
        stream[..., CALLS] += 1
    made = [torch_generator(child(seed, calls)) for seed, calls in pairs]
    if device.type != "cuda":
        return made
    return [torch.Generator(device).manual_seed(one.initial_seed()) for one in made]
