"""Zero-noise extrapolation (Temme, Bravyi and Gambetta 2017; Li and Benjamin 2017), at a total number of shots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.mitigation.amplified import amplified, amplified_strength
from qmoe.engines.mitigation.inverse_confusion import measured_plainly, undone
from qmoe.engines.protocol import Engine
from qmoe.engines.shots import sampled
from qmoe.errors import ConfigError

#: How many times over the noise acts in the circuits that are run, unless asked otherwise.
SCALES = (1, 2, 3)


@dataclass(frozen=True)
class Extrapolation:
    """A polynomial through read-outs at several amounts of noise, read at none.

    Args:
        scales: how many times over the noise acts: different integers of at least 1.
        degree: of the polynomial; by default the highest that the scales determine, Richardson's extrapolation. A lower
            one is fitted by least squares; 1 is a line.

    Raises:
        ConfigError: for scales or a degree that make no such polynomial.

    Example:
        >>> Extrapolation((1, 2, 3)).coefficients.round(6).tolist()
        [3.0, -3.0, 1.0]
    """

    scales: tuple[int, ...] = SCALES
    degree: int | None = None

    def __post_init__(self) -> None:
        scales = tuple(self.scales) if isinstance(self.scales, Iterable) else ()
        whole = all(isinstance(s, int) and not isinstance(s, bool) and s >= 1 for s in scales)
        if not whole or len(set(scales)) < len(scales) or len(scales) < 2:
            raise ConfigError(
                f"scales is {self.scales!r}, expected at least two different integers from 1, as (1, 2, 3)."
            )
        degree = self.degree
        if degree is not None and (
            not isinstance(degree, int) or isinstance(degree, bool) or not 1 <= degree < len(scales)
        ):
            raise ConfigError(
                f"degree is {self.degree!r}, expected None or a number from 1 to {len(scales) - 1} for {len(scales)} scales."
            )
        object.__setattr__(self, "scales", scales)

    @cached_property
    def coefficients(self) -> np.ndarray:
        """``(n_scales,)`` what the read-outs at each scale are multiplied by; they sum to 1."""
        degree = len(self.scales) - 1 if self.degree is None else self.degree
        powers = np.vander(np.array(self.scales, dtype=np.float64), degree + 1, increasing=True)
        found: np.ndarray = np.linalg.pinv(powers)[0]
        return found

    def split(self, shots: int) -> list[int]:
        """Shots for each scale, ``shots`` in all, in proportion to the size of its coefficient: of least variance so.

        Raises:
            ConfigError: for fewer shots than scales.
        """
        if shots < len(self.scales):
            raise ConfigError(
                f"shots is {shots!r}, and extrapolation runs {len(self.scales)} circuits; give each at least one."
            )
        share = np.abs(self.coefficients) / np.abs(self.coefficients).sum()
        spare = shots - len(self.scales)
        found = np.floor(spare * share).astype(int)
        # What rounding left over goes to those that it took most from.
        for place in np.argsort(-(spare * share - found), kind="stable")[: spare - int(found.sum())]:
            found[place] += 1
        return [1 + int(n) for n in found]


def mitigated(
    engine: Engine,
    circuit: Circuit,
    x: Tensor,
    weights: Tensor,
    *,
    extrapolation: Extrapolation | None = None,
    shots: int | None = None,
    generator: torch.Generator | None = None,
    noise_strength: Tensor | None = None,
) -> Tensor:
    """Read-outs with errors of the measurement undone, extrapolated to no noise.

    Errors of the measurement are taken as known, as from a calibration, and inverted (see `undone`). The rest of the noise
    is amplified (see `amplified`), and a polynomial through the read-outs at each scale is read at 0. Estimates may lie
    outside of what read-outs can be.

    Args:
        engine: what runs the circuits.
        circuit: a circuit with noise.
        x: ``(...S, ...B, F)`` as of `Engine.evaluate`.
        weights: ``(...S, *circuit.weight_shape)``.
        extrapolation: scales and degree; Richardson's through `SCALES` if None.
        shots: samples in all for each measured basis; None for exact expectation values.
        generator: source of the samples.
        noise_strength: ``(...S)`` depolarizing probability in place of the circuit's, as of `Engine.evaluate`.

    Returns:
        ``(...S, ...B, n_outputs)``.

    Raises:
        ConfigError: for a circuit without noise, or fewer shots than scales.
        UnsupportedError: for errors of the measurement that cannot be undone.

    Example:
        >>> from qmoe.engines import get_engine
        >>> from qmoe.engines.mitigation import mitigated
        >>> circuit = qmoe.Circuit(2, 1, noise=qmoe.NoiseModel(0.02))
        >>> x, weights = torch.rand(4, 2), torch.rand(circuit.weight_shape)
        >>> mitigated(get_engine("reference"), circuit, x, weights).shape
        torch.Size([4, 2])
    """
    if circuit.noise is None:
        raise ConfigError(
            "The circuit has no noise, so there is nothing to extrapolate; give it noise=NoiseModel(...)."
        )
    if not isinstance(extrapolation, Extrapolation | None):
        raise ConfigError(f"extrapolation is {extrapolation!r}, expected Extrapolation((1, 2, 3)), for example.")
    asked = extrapolation or Extrapolation()
    plain = measured_plainly(circuit)
    split: Sequence[int | None] = [None] * len(asked.scales) if shots is None else asked.split(shots)
    total: Tensor | None = None
    for scale, coefficient, n in zip(asked.scales, asked.coefficients.tolist(), split, strict=True):
        strength = None if noise_strength is None else amplified_strength(noise_strength, scale).clamp(0.0, 1.0)
        found = estimated(engine, amplified(plain, scale), x, weights, n, generator, strength)
        total = coefficient * found if total is None else total + coefficient * found
    assert total is not None
    return undone(total, circuit)


def estimated(
    engine: Engine, circuit: Circuit, x: Tensor, weights: Tensor, shots: int | None, generator: torch.Generator | None,
    strength: Tensor | None,
) -> Tensor:  # fmt: skip
    """Read-outs from ``shots`` samples, or exact ones for None; arguments as of `mitigated`."""
    if shots is None:
        return engine.evaluate(circuit, x, weights, strength)
    if generator is None:
        raise ConfigError(f"shots is {shots!r} without a generator; pass torch.Generator().manual_seed(0).")
    return sampled(engine, circuit, x, weights, shots=shots, generator=generator, noise_strength=strength)
