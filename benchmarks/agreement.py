"""Whether a contender computes what all others do; nothing is timed before it does."""

from __future__ import annotations

import numpy as np

from benchmarks.problem import Answer

#: Largest difference, as a share of the largest number of the right answer (at least of 1 for outputs and loss).
TOLERANCE = 1e-4


class DisagreementError(Exception):
    """A contender's answer is wrong; the message says by how much."""


def check_agreement(answer: Answer, right: Answer) -> None:
    """Compares outputs, loss and gradient.

    The gradient is compared in units of its own largest entry: it shrinks with more qubits, and a wrong one must not pass
    by being small.

    Raises:
        DisagreementError: for another shape, or a difference above `TOLERANCE`.
    """
    _check("outputs", answer.outputs, right.outputs, 1.0)
    _check("loss", np.asarray(answer.loss), np.asarray(right.loss), max(1.0, abs(right.loss)))
    _check("gradient", answer.gradient, right.gradient, float(np.abs(right.gradient).max()))


def _check(name: str, found: np.ndarray, right: np.ndarray, unit: float) -> None:
    if found.shape != right.shape:
        raise DisagreementError(f"{name}: shape {found.shape}, expected {right.shape}")
    worst = float(np.abs(found - right).max()) / unit
    if not worst <= TOLERANCE:  # also where it is NaN
        raise DisagreementError(f"{name}: off by {worst:.1e}, allowed are {TOLERANCE:.0e}")
