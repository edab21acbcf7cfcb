"""Data sets of a user's own: what `sample` returns is compared with what they declare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from qmoe.data.base import Dataset, Points
from qmoe.errors import ShapeError

X, Y = np.linspace(0, 1, 24).reshape(12, 2), np.array([0, 1, 2] * 4)


@dataclass(frozen=True)
class Own(Dataset):
    """Returns whatever it is told to."""

    name: ClassVar[str] = "own"
    difficulty: ClassVar[str] = ""
    given: ClassVar[Any] = Points(X, Y)
    n_features: ClassVar[int] = 2
    n_classes: ClassVar[int] = 3

    def sample(self, seed):
        return self.given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, Y), r"sample returned tuple, expected qmoe\.data\.Points"),
        (Points(X[:, :1], Y), r"x must have shape \(N, 2\), got \(12, 1\)"),
        (Points(X.ravel(), Y), r"x must have shape"),
        (Points(np.where(X > 0.9, np.nan, X), Y), "is nan, expected finite"),
        (Points(X, Y[:-1]), r"shape \(11,\), expected integers of shape \(12,\)"),
        (Points(X, Y[:, None]), r"shape \(12, 1\)"),
        (Points(X, Y.astype(float)), "labels are float64"),
        (Points(X, Y.astype(str)), "labels are <U"),
        (Points(X, Y + 1), "run from 1 to 3, expected 0 to 2"),
        (Points(X, Y - 1), "run from -1 to 1, expected 0 to 2"),
    ],
)
def test_points_that_are_not_those_declared_are_refused(given, message, monkeypatch):
    monkeypatch.setattr(Own, "given", given)
    with pytest.raises(ShapeError, match=f"own: .*{message}"):
        Own().split(0, test_fraction=0.25)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16])
def test_labels_of_any_integers_and_rows_of_any_floats_are_taken(dtype, monkeypatch):
    monkeypatch.setattr(Own, "given", Points(X.astype(np.float32), Y.astype(dtype)))
    split = Own().split(0, test_fraction=0.25)
    assert split.x_train.dtype == np.float64
    assert split.y_train.dtype == split.y_test.dtype == np.int64
