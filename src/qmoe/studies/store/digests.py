"""Digests of rows that are no trials, and what rows can say.

A right digest shows that a row is as it was written, not that a training wrote it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy
from pydantic_core import from_json

from qmoe.errors import StoreError

if TYPE_CHECKING:
    from qmoe.studies.store.trial_rows import TrialRow
    from qmoe.studies.trials import TrialSpec

_FAILURES = (None, "diverged", "error", "memory", "died")
#: Final figures that every trial has that is done, those of one with held-out rows, and those that are whole numbers.
_ALWAYS = {"train_accuracy", "loss", "chance", "router_parameters", "parameters"}
_HELD_OUT = {"test_accuracy", "test_balanced_accuracy"}
_ALL = _ALWAYS | _HELD_OUT
_WHOLE = {"router_parameters", "parameters", "n_iterations"}
#: What a history has of each epoch.
_BY_EPOCH = {"loss", "running_accuracy"}


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


def check_figures(row: TrialRow, trial: TrialSpec | None) -> None:
    """Raises StoreError unless final figures, and how the trial ran, can be; quick, for millions of rows.

    Args:
        row: the row.
        trial: the trial that it is of, where that is known.
    """
    for name, value in row.figures.items():
        if not isinstance(value, float) or not _can_be(name, value):
            raise StoreError(f"{name!r} = {value!r} cannot be")
    if row.failure not in _FAILURES or (row.failure is None) != (row.error is None) or (row.error and row.figures):
        raise StoreError(f"failure = {row.failure!r} with {len(row.figures)} figures cannot be")
    ran = row.execution
    if not 0 <= ran.seconds < math.inf or min(ran.stack_size, ran.threads, row.attempts) < 1:
        raise StoreError(
            f"{ran.seconds} seconds for a stack of {ran.stack_size} on {ran.threads} threads, tried {row.attempts} times, "
            "cannot be"
        )
    if row.error is None:
        held_out = trial is not None and trial.data.holds_out
        if lacks := (_ALL if held_out else _ALWAYS) - row.figures.keys():
            raise StoreError(f"it lacks {', '.join(sorted(lacks))}")


def _can_be(name: str, value: float) -> bool:
    if name == "chance" or name.endswith("accuracy"):
        return 0.0 <= value <= 1.0
    return math.isfinite(value) and (name not in _WHOLE or (value >= 0 and value == int(value)))


def check_history(names: list[str], history: np.ndarray, trial: TrialSpec | None) -> None:
    """Raises StoreError unless a history can be.

    Args:
        names: what it has.
        history: ``(names, epochs)`` values.
        trial: the trial that it is of, where that is known.
    """
    if not names:
        return
    shares = [values for name, values in zip(names, history, strict=True) if str(name).endswith("accuracy")]
    is_right = set(names) >= _BY_EPOCH and np.isfinite(history).all()
    is_right = is_right and (trial is None or history.shape[1] == trial.training.epochs)
    if not is_right or any(values.min(initial=0) < 0 or values.max(initial=0) > 1 for values in shares):
        words = ", ".join(map(str, names))
        raise StoreError(f"the history of {words} cannot be, over {history.shape[1]} epochs")


def check_weights(row: TrialRow, trial: TrialSpec | None) -> None:
    """Raises StoreError unless the weights of a row can be those of its model."""
    if row.weights is None:
        return
    header = row.header.encode()
    try:
        found = safetensors.numpy.load(len(header).to_bytes(8, "little") + header + row.weights)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"its weights cannot be read: {error}") from None
    shapes = {name: value.shape for name, value in found.items()}
    wanted = None if trial is None else _shapes(trial)
    if (wanted is not None and shapes != wanted) or (
        row.error is None and not all(np.isfinite(value).all() for value in found.values())
    ):
        raise StoreError("its weights cannot be those of its model")


def _shapes(trial: TrialSpec) -> dict[str, tuple[int, ...]] | None:
    """Shapes of the weights of a trial's model; None where building it would import code of the user's own."""
    if "import" in {trial.model.router.kind, trial.model.experts.kind}:
        return None
    return _shapes_of(json.dumps([trial.data.identity, trial.model.shape_key]), _Held(trial))


class _Held:
    """A trial that equals any other: of a shape, one is as good as another."""

    def __init__(self, trial: TrialSpec) -> None:
        self.trial = trial

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=256)
def _shapes_of(key: str, held: _Held) -> dict[str, tuple[int, ...]]:
    from qmoe.studies.assembly import build_model  # torch, for whoever reads weights

    del key
    return {name: tuple(value.shape) for name, value in build_model(held.trial).state_dict().items()}
