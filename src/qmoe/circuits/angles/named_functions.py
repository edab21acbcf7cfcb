"""Functions of angles that have a name, so that a circuit with one of them can be written down."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qmoe.circuits.angles.traced import AngleFunction
from qmoe.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor


def tanh_map(in_features: int, n_angles: int, n_weights: int) -> AngleFunction:
    """``tanh(W x) * pi / 2``, where the first of the weights are W ``(A, F)`` row by row."""
    function = functools.partial(_tanh_map, n_angles=n_angles)
    return AngleFunction(function, in_features, n_weights, n_factors=n_angles * in_features)


def _tanh_map(x: Tensor, weights: Tensor, n_angles: int) -> Tensor:
    n_features = x.shape[1]
    matrix = weights[: n_angles * n_features].reshape(n_angles, n_features)
    return (x @ matrix.T).tanh() * (math.pi / 2)


#: What makes a function of features, angles and weights, so many of each, by its name.
NAMED_FUNCTIONS: dict[str, Callable[[int, int, int], AngleFunction]] = {"tanh_map": tanh_map}


def name_of(function: AngleFunction) -> str | None:
    """The name of a function that is one of `NAMED_FUNCTIONS`; None for any other."""
    in_features, n_angles, n_weights = function.in_features, function.n_angles, function.n_weights
    if function.n_factors != n_angles * in_features:
        return None
    for name, make in NAMED_FUNCTIONS.items():
        if make(in_features, n_angles, n_weights) == function:
            return name
    return None


def function_named(name: Any, in_features: int, n_angles: int, n_weights: int) -> AngleFunction:
    """The function of that name.

    Raises:
        ConfigError: for an unknown name, or sizes that do not fit.
    """
    if not isinstance(name, str) or name not in NAMED_FUNCTIONS:
        raise unknown("function of angles", name, NAMED_FUNCTIONS)
    return NAMED_FUNCTIONS[name](in_features, n_angles, n_weights)
