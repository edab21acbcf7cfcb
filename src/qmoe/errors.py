"""Exceptions and warnings of qmoe.

Every message names the value that was given, what was expected and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QMoEError(Exception):
    """Base of every error that qmoe raises on purpose."""


class ShapeError(QMoEError, ValueError):
    """A tensor or array has the wrong shape, dtype, device or values."""


class ConfigError(QMoEError, ValueError):
    """An option is unknown, out of range, or does not go with another."""


class UnsupportedError(QMoEError, NotImplementedError):
    """The request is meaningful, but the chosen engine or device cannot do it."""


class StoreError(QMoEError):
    """A result store cannot be opened, read or written."""


class TrainingError(QMoEError):
    """Training stopped because the loss of a trial was no longer finite."""


class EncodingRangeWarning(UserWarning):
    """Angles cover more than one period, so different inputs give the same quantum state."""


class PerformanceWarning(UserWarning):
    """The result is right, but there is a much faster way to get it."""


class StatisticalWarning(UserWarning):
    """A statistic rests on too little, or on data that break its assumptions."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'? Known: a, b, c"`` for an unknown ``name``."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(names)}."


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Builds the error for a name that is not in a registry.

    Args:
        kind: what was looked up, such as ``"data set"``.
        name: the name that was given.
        known: the names that exist.
    """
    return ConfigError(f"Unknown {kind} {name!r}{did_you_mean(name, known)}")
