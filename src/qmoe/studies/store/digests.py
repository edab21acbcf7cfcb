"""Digests of rows that are no trials."""

from __future__ import annotations

import hashlib
import json


def of_study(name: str, spec: str) -> str:
    """Guards the row of a study: the first 32 hexadecimal digits of a SHA-256."""
    return _digest(name, spec)


def of_measurement(key: str, quantity: str, name: str, figures: str) -> str:
    """Guards the row of a measurement."""
    return _digest(key, quantity, name, figures)


def _digest(*cells: str) -> str:
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:32]
