"""Targets as they were given: what is wrong with them, and in which row."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from qmoe.errors import ConfigError


def check_labels(y: Any) -> None:
    """Raises `ConfigError` for labels that are missing, or of kinds that have no order among them."""
    values = _as_given(y)
    if values is None:
        return
    _refuse_missing(values)
    if values.dtype.kind == "O" and values.ndim == 1:
        is_text = np.array([isinstance(value, str) for value in values], dtype=bool)
        if is_text.any() and not is_text.all():
            text, other = (values[int(np.flatnonzero(which)[0])] for which in (is_text, ~is_text))
            raise ConfigError(f"y holds {text!r} and {other!r}, expected labels that are all strings or all numbers.")


def check_numbers(y: Any) -> None:
    """Raises `ConfigError` for targets that are missing or no numbers."""
    values = _as_given(y)
    if values is None:
        return
    _refuse_missing(values)
    if values.dtype.kind in "biufc":  # complex numbers are refused with those of X
        return
    for place, value in np.ndenumerate(values):
        is_number = isinstance(value, numbers.Number) or hasattr(value, "__float__")
        if isinstance(value, str | bytes | np.datetime64 | np.timedelta64) or not is_number:
            shown = str(value) if isinstance(value, np.generic) else value
            raise ConfigError(f"y holds {shown!r} at row {place[0]}, expected numbers; labels are for QMoEClassifier.")


def _as_given(y: Any) -> np.ndarray | None:
    """The values of ``y`` in its own kinds, None for what is refused elsewhere."""
    if y is None:
        return None
    try:
        # In an array of its own choice NumPy would write strings for None and NaN.
        values = np.asarray(y, dtype=object if isinstance(y, list | tuple) else None)
    except (ValueError, TypeError):
        return None
    return values if values.ndim in (1, 2) else None


def _refuse_missing(values: np.ndarray) -> None:
    if values.dtype.kind == "f":
        missing = np.isnan(values)
    elif values.dtype.kind in "mM":
        missing = np.isnat(values)
    elif values.dtype.kind == "O":
        missing = np.array([_is_missing(value) for value in values.ravel()], dtype=bool).reshape(values.shape)
    else:
        return
    if missing.any():
        places = np.argwhere(missing)
        value = values[tuple(places[0])]
        word = "NaN" if isinstance(value, float | np.floating) else str(value)
        others = len(np.unique(places[:, 0])) - 1
        also = f" and {others} more" if others else ""
        raise ConfigError(f"Input y contains {word} at row {places[0][0]}{also}; drop such rows or fill them in.")


def _is_missing(value: Any) -> bool:
    """None, NaN, and what pandas writes for them, which is not imported for it."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating) and bool(np.isnan(value))
