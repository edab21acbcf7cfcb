"""Studies that ask for what no machine has."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

_STUDY: dict[str, Any] = {
    "name": "ask", "title": "t", "phase": "own", "protocol": "heldout",
    "data": {"name": "hyperplanes", "options": {"n_features": 4}},
    "seeds": {"data": 2, "per_data": 1},
    "training": {"epochs": 1},
    "arms": [
        {"name": "a", "label": "a", "model": {"router": {"kind": "quantum"}, "experts": {"kind": "linear"}}},
    ],
}  # fmt: skip
_HUGE = 10**12
#: Options by their place, and values that are far too large or far too many.
_ASKS: tuple[tuple[str, Any], ...] = (
    ("seeds.data", _HUGE), ("seeds.data", 2 * 10**9), ("seeds.per_data", _HUGE), ("seeds.per_data", 10**9),
    ("seeds", {"data": 10**6, "per_data": 10**6}), ("seeds", {"data": 1, "per_data": 10**9, "fixed": 0}),
    ("training.epochs", _HUGE), ("training.epochs", 10**6), ("training.batch_size", _HUGE),
    ("training", {"optimiser": "lbfgs", "max_iterations": _HUGE}),
    ("data.options", {"n_features": 4, "n_samples": 10**9}), ("data.options", {"n_features": 10**6}),
    ("data.options", {"n_features": _HUGE}), ("data.options", {"n_hyperplanes": 10**6}),
    ("data", {"name": "hidden_manifold", "options": {"manifold_dim": 10**6}}),
    ("data", {"name": "hidden_manifold", "options": {"n_features": 10**6, "manifold_dim": 10**6}}),
    ("data", {"name": "synthetic", "options": {"n_features": 10**6}}),
    ("data", {"name": "synthetic", "options": {"n_classes": 10**9}}),
    ("data", {"name": "synthetic", "options": {"n_features": 40, "n_informative": 40, "n_clusters_per_class": 10**6}}),
    ("data", {"name": "moons", "options": {"n_samples": 10**9}}),
    ("data", {"name": "moons", "options": {"n_samples": _HUGE}}),
    ("data", {"name": "xor", "options": {"n_dims": 10**6}}),
    ("data", {"name": "checkerboard", "options": {"cells": _HUGE}}),
    ("data", {"name": "two_curves", "options": {"n_features": 10**6}}),
    ("data", {"name": "moons", "test_samples": 2 * 10**9}), ("data", {"name": "moons", "components": _HUGE}),
    ("router.n_layers", 10**6), ("router.n_layers", 10_000), ("router.n_qubits", _HUGE),
    ("router", {"kind": "quantum", "n_qubits": 16, "noise": 0.1}), ("router", {"kind": "quantum", "n_qubits": 24}),
    ("router", {"kind": "quantum", "n_qubits": 24, "noise": 0.1}),
    ("router", {"kind": "quantum", "n_qubits": 20, "engine": "torch"}),
    ("router", {"kind": "quantum", "uploads": _HUGE}),
    ("router", {"kind": "mlp", "hidden": _HUGE}), ("router", {"kind": "mlp", "hidden": 2**31 - 1}),
    ("router", {"kind": "twin", "n_qubits": 24}), ("router", {"kind": "twin", "sampling": "tree", "n_functions": 2 * 10**9}),
    ("router", {"kind": "random_fourier", "n_functions": 2 * 10**9}),
    ("router", {"kind": "trigonometric", "max_frequency": 2 * 10**9}),
    ("router", {"kind": "chebyshev", "degree": 4_000}), ("router", {"kind": "stochastic", "n_layers": _HUGE}),
    ("router", {"kind": "single", "expert": _HUGE}),
    ("experts", {"kind": "mlp", "hidden": 2 * 10**9}), ("experts", {"kind": "linear", "out_features": 2 * 10**9}),
    ("experts", {"kind": "quantum", "n_qubits": 24, "readout": "born"}),
    ("model.n_experts", _HUGE), ("model.n_experts", 2 * 10**9), ("model.top_k", _HUGE),
    ("lr_factors", [2 + k / 1000 for k in range(100_000)]),
    ("arms.0.noise", [k / 100_000 for k in range(100_000)]),
    ("multiverse", {"epochs": list(range(1, 40_000)), "initial_scale": [k + 1.0 for k in range(30_000)]}),
    ("multiverse", {"starts": 2 * 10**9, "optimiser": ["lbfgs-best"]}),
    ("multiverse", {"epochs": [10**6 - k for k in range(10_000)]}),
    ("multiverse", {"epochs": [1000 - k for k in range(999)]}),
)  # fmt: skip


#: Those that a large machine runs, given time.
POSSIBLE = (
    "training.epochs = 1000000",
    "router = {'kind': 'quantum', 'n_qubits': 24}",
    "multiverse = {'epochs': [1000, ",
)


def asks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Studies that no machine can run, some of them with a ladder, and what each asks for, in words."""
    for (place, value), has_ladder in itertools.product(_ASKS, (False, True)):
        values = copy.deepcopy(_STUDY)
        holder: Any = values
        *path, last = _PLACES.get(place.partition(".")[0], place.partition(".")[0]).split(".") + place.split(".")[1:]
        for key in path:
            holder = holder[int(key) if key.isdigit() else key]
        holder[last] = value
        if has_ladder:
            values["ladder"] = True
        yield f"{place} = {str(value)[:80]}{' with a ladder' if has_ladder else ''}", values


_PLACES = {
    "router": "arms.0.model.router", "experts": "arms.0.model.experts", "model": "arms.0.model",
}  # fmt: skip
