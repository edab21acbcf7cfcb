"""Options as scikit-learn hands them over: NumPy's numbers, names that may be misspelt, seeds of three kinds."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from qmoe.errors import unknown


def plain(value: Any) -> Any:
    """Python's own kind of a number, since a grid search over a NumPy array hands out NumPy's."""
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def choice(kind: str, name: Any, known: Iterable[str]) -> str:
    """The name, if it is one of those known.

    Raises:
        ConfigError: for another name.
    """
    known = tuple(known)
    if not isinstance(name, str) or name not in known:
        raise unknown(kind, name, known)
    return str(name)


def root_seed(random_state: Any) -> np.random.SeedSequence:
    """The seed that all random numbers of a fit come from."""
    if random_state is None:
        return np.random.SeedSequence()  # fresh entropy; numpy's global generator is left alone
    words = check_random_state(random_state).randint(0, 2**32, size=4, dtype=np.uint32)
    return np.random.SeedSequence(words.tolist())
