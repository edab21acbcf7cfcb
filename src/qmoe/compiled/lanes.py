"""How many numbers a vector holds."""

from __future__ import annotations

#: Bytes of a vector of lanes: one cache line.
WIDTH = 64


def n_lanes(itemsize: int) -> int:
    """Numbers of ``itemsize`` bytes side by side in a vector."""
    return WIDTH // itemsize
