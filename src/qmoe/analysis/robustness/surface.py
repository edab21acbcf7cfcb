"""Accuracy over noise and shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.analysis.robustness.protocols import noisy_answers
from qmoe.engines.mitigation import Extrapolation
from qmoe.errors import ShapeError
from qmoe.statistics import mean_interval
from qmoe.statistics.bootstrap import Clusters


@dataclass(frozen=True, eq=False)
class NoiseSurface:
    """Accuracies of M models (or on as many rows) at P noise strengths and S numbers of shots.

    Attributes:
        protocol: one of `NOISE_PROTOCOLS`.
        strengths: P depolarizing probabilities, rising.
        shots: S numbers of shots, rising; None, for exact expectation values, is last.
        accuracy: ``(M, P, S)``.
        clusters: ``(M,)`` what each model belongs to, such as its draw of the data; None for a cluster each.
    """

    protocol: str
    strengths: tuple[float, ...]
    shots: tuple[int | None, ...]
    accuracy: np.ndarray
    clusters: Clusters = None

    def __post_init__(self) -> None:
        expected = (len(self.strengths), len(self.shots))
        if self.accuracy.ndim != 3 or self.accuracy.shape[1:] != expected:
            raise ShapeError(f"accuracy has shape {self.accuracy.shape}, expected (M, {expected[0]}, {expected[1]}).")

    @property
    def mean(self) -> np.ndarray:
        """``(P, S)`` means over the models."""
        found: np.ndarray = self.accuracy.mean(axis=0)
        return found

    def interval(self, strength: int, shots: int) -> tuple[float, float]:
        """The 95% interval of the mean at one point, given by its places; NaN for fewer than two clusters."""
        values = self.accuracy[:, strength, shots]
        if len(values if self.clusters is None else np.unique(self.clusters)) < 2:
            return float("nan"), float("nan")
        return mean_interval(values, self.clusters)


def shots_words(shots: int | None) -> str:
    """A number of shots in words."""
    return "exact" if shots is None else f"{shots:,} shots" if shots != 1 else "1 shot"


def noise_surface(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    strengths: Sequence[float],
    shots: Sequence[int] = (),
    protocol: str = "evaluated",
    *,
    calibration: tuple[Tensor, Tensor] | None = None,
    extrapolation: Extrapolation | None = None,
    clusters: Clusters = None,
    by_rows: bool = False,
    seed: int = 0,
) -> NoiseSurface:
    """Runs models that were trained without noise on a grid of noise strengths and shots.

    Args:
        models: M models, as of `noisy_accuracy`.
        x: ``(M, N, F)`` features.
        y: ``(M, N)`` class labels.
        strengths: depolarizing probabilities.
        shots: numbers of shots; exact expectation values are always added.
        protocol: one of `NOISE_PROTOCOLS`.
        calibration: rows that ``"recalibrated"`` fits the adapter to.
        extrapolation: of ``"mitigated"``.
        clusters: ``(M,)`` what each model belongs to.
        by_rows: whether the surface is over the N rows instead of the M models: for each the share of models that are right
            on it. What is then told holds for these models alone, whatever other draws of the data would give.
        seed: seed of the samples.
    """
    places, numbers = sorted(set(strengths)), [*sorted(set(shots)), None]
    generator = torch.Generator().manual_seed(seed)
    found = [
        [
            noisy_answers(
                models, x, y, strength, protocol, shots=n, calibration=calibration, extrapolation=extrapolation,
                generator=generator,
            )
            for n in numbers
        ]
        for strength in places
    ]  # fmt: skip
    units = np.moveaxis(np.array(found).mean(axis=2 if by_rows else 3), 2, 0)
    return NoiseSurface(protocol, tuple(places), tuple(numbers), units, None if by_rows else clusters)
