"""Noise as part of what a circuit is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qmoe.errors import ConfigError, unknown

PLACEMENTS = ("block", "gate")


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Depolarizing noise: with probability p a qubit suffers X, Y or Z, each with p/3 (PennyLane's convention).

    ``p = 3/4`` mixes the qubit fully; the channel shrinks its Bloch vector by ``1 - 4p/3``.

    Args:
        depolarizing: the probability p, between 0 and 1.
        placement: ``"block"``: on every qubit after each encoding and again after the layers that follow it (what the
            paper's notebook does); ``"gate"``: after every gate, on the wires it acts on (what its text says).

    Raises:
        ConfigError: for a probability outside [0, 1] or an unknown placement.
    """

    depolarizing: float = 0.0
    placement: str = "block"

    def __post_init__(self) -> None:
        p = self.depolarizing
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not math.isfinite(p) or not 0 <= p <= 1:
            raise ConfigError(
                f"depolarizing={p!r} is not a probability: expected a number from 0 to 1 (0.75 mixes fully)."
            )
        object.__setattr__(self, "depolarizing", float(p))
        if self.placement not in PLACEMENTS:
            raise unknown("noise placement", self.placement, PLACEMENTS)


def as_noise(noise: float | NoiseModel | None) -> NoiseModel | None:
    """Returns ``noise`` itself, or a `NoiseModel` of that depolarizing probability."""
    return noise if noise is None or isinstance(noise, NoiseModel) else NoiseModel(noise)
