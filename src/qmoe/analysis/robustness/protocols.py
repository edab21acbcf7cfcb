"""Four protocols of noise: what is trained with it, and what is done against it when the model is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.analysis.robustness.noisy_models import Noisy
from qmoe.analysis.robustness.recalibration import recalibrate
from qmoe.engines.mitigation import Extrapolation, Measuring
from qmoe.errors import ConfigError, ShapeError, unknown

#: Protocol -> what it says of a model at one noise strength.
NOISE_PROTOCOLS = {
    "retrained": "trained and used with the noise",
    "evaluated": "trained without noise, used with it",
    "recalibrated": "trained without noise, used with it after its adapter was fitted again",
    "mitigated": "trained without noise, used with zero-noise extrapolation and errors of the measurement undone",
}


def noisy_answers(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    strength: float,
    protocol: str = "evaluated",
    *,
    shots: int | None = None,
    calibration: tuple[Tensor, Tensor] | None = None,
    extrapolation: Extrapolation | None = None,
    generator: torch.Generator | None = None,
) -> np.ndarray:
    """Which answers of trained models on a noisy device are right.

    Args:
        models: M models of one shape, ``(B, F)`` to ``(B, C)`` logits, whose circuits have a noise model; for
            ``"retrained"`` those that were trained at ``strength``, for the others those that were trained without noise.
        x: ``(M, N, F)`` features.
        y: ``(M, N)`` class labels from 0, int64.
        strength: depolarizing probability.
        protocol: one of `NOISE_PROTOCOLS`.
        shots: samples for each read-out of a circuit, all scales of an extrapolation together; None for exact values.
        calibration: for ``"recalibrated"``: ``(M, N', F)`` features and ``(M, N')`` labels that the adapter is fitted to,
            read out with the same noise and shots.
        extrapolation: for ``"mitigated"``; Richardson's if None.
        generator: source of the samples.

    Returns:
        ``(M, N)`` whether each answer is right.

    Raises:
        ConfigError: for an unknown protocol, a model without noise, shots without a generator, a protocol without what it
            needs.
        ShapeError: for features or labels that do not fit the models.
        UnsupportedError: for a model whose adapter cannot be recalibrated, or whose errors cannot be undone.
    """
    if protocol not in NOISE_PROTOCOLS:
        raise unknown("noise protocol", protocol, NOISE_PROTOCOLS)
    _check(models, x, y)
    asked = (extrapolation or Extrapolation()) if protocol == "mitigated" else None
    noisy = Noisy(models, strength, Measuring(shots, asked, generator))
    if protocol == "recalibrated":
        if calibration is None:
            raise ConfigError("'recalibrated' fits the adapter to labelled rows; pass calibration=(x_train, y_train).")
        _check(models, *calibration)
        recalibrate(noisy, *calibration)
    found: np.ndarray = (noisy(x).argmax(-1) == y).cpu().numpy()
    return found


def noisy_accuracy(
    models: Sequence[nn.Module], x: Tensor, y: Tensor, strength: float, protocol: str = "evaluated", **options: Any
) -> np.ndarray:
    """The accuracies ``(M,)`` of trained models on a noisy device: the means of `noisy_answers`, with its arguments.

    Example:
        >>> from qmoe.analysis import NOISE_PROTOCOLS, noisy_accuracy
        >>> models = [qmoe.QuantumRouter(2, 2, noise=0.0)]
        >>> x, y = torch.rand(1, 8, 2), torch.zeros(1, 8).long()
        >>> sorted(NOISE_PROTOCOLS), noisy_accuracy(models, x, y, 0.05).shape
        (['evaluated', 'mitigated', 'recalibrated', 'retrained'], (1,))
    """
    found: np.ndarray = noisy_answers(models, x, y, strength, protocol, **options).mean(axis=1)
    return found


def _check(models: Sequence[nn.Module], x: Tensor, y: Tensor) -> None:
    if x.dim() != 3 or len(x) != len(models) or y.shape != x.shape[:2]:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} and y {tuple(y.shape)} for {len(models)} models, expected (M, N, F) and (M, N)."
        )
