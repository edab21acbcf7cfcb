"""Digests of rows that are no trials, and what such rows hold."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from pydantic_core import from_json

from qmoe.errors import StoreError


def of_study(name: str, spec: str) -> str:
    """Guards the row of a study: the first 32 hexadecimal digits of a SHA-256."""
    return _digest(name, spec)


def of_measurement(key: str, quantity: str, name: str, figures: str) -> str:
    """Guards the row of a measurement."""
    return _digest(key, quantity, name, figures)


def _digest(*cells: str) -> str:
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:32]


def measured(key: str, quantity: str, name: str, figures: str, digest: str) -> np.ndarray:
    """Repeated measurements of a quantity as ``(n,)`` numbers.

    Raises:
        StoreError: when the row is not as it was written, or its figures are no list of numbers.
    """
    what = f"{quantity!r} of {name!r}"
    if of_measurement(key, quantity, name, figures) != digest:
        raise StoreError(f"{what} is not as it was written")
    try:
        values = from_json(figures)
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            raise ValueError("it is no list of numbers")
        return np.array(values, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise StoreError(f"{what} cannot be read: {error}") from None
