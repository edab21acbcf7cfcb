"""An engine that estimates read-outs as a device would: from shots, and with mitigation."""

from __future__ import annotations

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.mitigation.extrapolation import Extrapolation, estimated, mitigated
from qmoe.engines.protocol import Engine
from qmoe.engines.selection import choose_engine


class Measuring(Engine):
    """Runs circuits on the engine that ``"auto"`` chooses, and gives read-outs as a device would.

    Args:
        shots: samples for each measured basis, in all; None for exact expectation values.
        extrapolation: how to extrapolate circuits with noise to none; None for not at all.
        generator: source of the samples.

    Example:
        >>> from qmoe.engines.mitigation import Measuring
        >>> Measuring(shots=1000).shots
        1000
    """

    name = "measuring"

    def __init__(
        self,
        shots: int | None = None,
        extrapolation: Extrapolation | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.shots, self.extrapolation, self.generator = shots, extrapolation, generator

    def evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None) -> Tensor:
        """As of every engine, estimated."""
        engine, _ = choose_engine(circuit, x.device)
        if self.extrapolation is not None and circuit.noise is not None:
            return mitigated(
                engine, circuit, x, weights, extrapolation=self.extrapolation, shots=self.shots,
                generator=self.generator, noise_strength=noise_strength,
            )  # fmt: skip
        return estimated(engine, circuit, x, weights, self.shots, self.generator, noise_strength)

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return self.evaluate(circuit, x, weights.reshape(len(x), *circuit.weight_shape), strength)
