"""What an estimator does with its rows before it trains: weigh them, set some aside, choose where they go."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight

from qmoe.errors import ConfigError
from qmoe.seeding import Seed, random_state

_CLASS_WEIGHTS = "expected None, 'balanced', or a dict from label to weight"


def weigh(
    X: np.ndarray, y: np.ndarray, sample_weight: Any, class_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Rows, labels and weights of the rows whose weight is not 0; weights are None where all are equal.

    Raises:
        ConfigError: for weights below 0 or all 0, and for class weights that scikit-learn does not take.
    """
    if sample_weight is None and class_weight is None:
        return X, y, None
    weights = np.ones(len(y))
    if isinstance(sample_weight, str):
        raise ConfigError(
            f"sample_weight is {sample_weight!r}, expected a number for each row; 'balanced' is for class_weight."
        )
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weights < 0).any() or not (weights > 0).any():
        row = int(np.argmin(weights))
        raise ConfigError(
            f"sample_weight is {float(weights[row])!r} at row {row}, expected weights of at least 0, and one above 0."
        )
    weights = weights / weights.max()  # only ratios matter, and sums of huge weights are infinite
    kept = weights > 0
    X, y, weights = X[kept], y[kept], weights[kept]
    if class_weight is not None:
        if isinstance(class_weight, str) and class_weight != "balanced":
            raise ConfigError(f"class_weight is {class_weight!r}, {_CLASS_WEIGHTS}.")
        try:
            weights = weights * compute_sample_weight(class_weight, y)
        except ValueError as error:
            reason = str(error).rstrip(".")
            raise ConfigError(f"class_weight is {class_weight!r}: {reason}; {_CLASS_WEIGHTS}.") from error
        if not ((weights > 0) & np.isfinite(weights)).all():
            raise ConfigError(
                f"class_weight is {class_weight!r}, expected weights above 0 and finite; leave such rows out instead."
            )
        weights = weights / weights.max()
    return X, y, None if (weights == weights[0]).all() else weights


def held_out(n_rows: int, fraction: Any, seed: Seed, labels: np.ndarray | None = None) -> np.ndarray:
    """``(N,)``: which rows are set aside to stop by; where there are labels, a share of each class.

    Raises:
        ConfigError: for a share outside (0, 1), or too few rows of a class for both parts.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
        raise ConfigError(f"validation_fraction is {fraction!r}, expected a number between 0 and 1, such as 0.1.")
    try:
        _, aside = train_test_split(
            np.arange(n_rows), test_size=fraction, stratify=labels, random_state=random_state(seed)
        )
    except ValueError as error:
        raise ConfigError(
            f"validation_fraction={fraction!r} of {n_rows} rows cannot be set aside for early stopping: {error} Give "
            "more rows, another share, or early_stopping=False."
        ) from error
    held = np.zeros(n_rows, dtype=bool)
    held[aside] = True
    return held


def usable_device(device: Any) -> torch.device:
    """The device of that name; the CPU for None.

    Raises:
        ConfigError: for a device that torch does not know or cannot use here.
    """
    try:
        found = torch.device("cpu" if device is None else device)
        if found.type != "meta":
            torch.empty(0, device=found)
            return found
        reason = "it holds no numbers"
    except (RuntimeError, TypeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
    raise ConfigError(f"device is {device!r}, which cannot be used here ({reason}); expected None, 'cpu', 'cuda', ...")
