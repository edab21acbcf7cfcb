"""The numbers of the page: rows, scalings and trained weights, as plain data for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from qmoe.circuits import AngleEncoding
from qmoe.circuits.ansatze import NoEntangler
from qmoe.data import Scaler
from qmoe.experts import LinearExperts
from qmoe.explorer.explored_arms import ExploredArms
from qmoe.explorer.explored_data import ExploredData
from qmoe.moe import MixtureOfExperts
from qmoe.routers import LinearRouter, QuantumRouter, TwinRouter
from qmoe.routers.functions.terms import ProductTerm

#: Share of the range of a feature that the maps show beyond its rows, on either side.
_MARGIN = 0.12


def page_data(data: ExploredData, arms: ExploredArms) -> dict[str, Any]:
    """All that the page is made of."""
    split = data.split
    rows = np.concatenate([split.x_train, split.x_test])
    low, high = rows.min(0), rows.max(0)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    return {
        "data": data.name,
        "features": list(data.features),
        "classes": list(data.classes),
        "train": {"x": split.x_train.tolist(), "y": split.y_train.tolist()},
        "heldOut": {"x": split.x_test.tolist(), "y": split.y_test.tolist()},
        "window": [low.tolist(), high.tolist()],
        "scalings": {name: _line(scaler, split.x_train) for name, scaler in data.scalers.items()},
        "settings": _settings(arms),
        "isGiven": arms.is_given,
        "arms": {name: {**_router(model), **_experts(model)} for name, model in arms.models.items()},
    }


def _line(scaler: Scaler, x: np.ndarray) -> dict[str, list[float]]:
    """A scaling of each feature by itself as ``to + slope * (x - from)``, read off at the ends of the training part."""
    low, high = x.min(0), x.max(0)
    ends = scaler(np.stack([low, high]))
    return {"from": low.tolist(), "to": ends[0].tolist(), "slope": ((ends[1] - ends[0]) / (high - low)).tolist()}


def _settings(arms: ExploredArms) -> dict[str, Any]:
    """The settings that the models were trained with."""
    router = arms.models["quantum"].router
    assert isinstance(router, QuantumRouter)
    encoding, noise = router.circuit.encoding, router.circuit.noise
    assert isinstance(encoding, AngleEncoding)
    return {
        "scaling": arms.scaling,
        "axis": encoding.rotation,
        "entangler": not isinstance(router.circuit.ansatz, NoEntangler),
        "strength": 0.0 if noise is None else noise.depolarizing,
        "placement": "block" if noise is None else noise.placement,
        "dephasing": "none" if noise is None else noise.dephasing,
        "dephasingAxis": "Z" if noise is None else noise.dephasing_axis,
    }


def _experts(model: MixtureOfExperts) -> Mapping[str, Any]:
    assert isinstance(model.experts, LinearExperts)
    return {"expertWeight": _list(model.experts.weight), "expertBias": _list(model.experts.bias)}


def _router(model: MixtureOfExperts) -> Mapping[str, Any]:
    router = model.router
    if isinstance(router, QuantumRouter):
        assert router.adapter is not None
        return {
            "angles": _list(router.quantum.weights),
            "adapter": _list(router.adapter.weight),
            "bias": _list(router.adapter.bias),
        }
    if isinstance(router, TwinRouter):
        return {
            "functions": [_place(term) for term in router.basis.terms],
            "weight": _list(router.weight),
            "bias": _list(router.bias),
            "centre": _list(router.centre),
            "scale": _list(router.scale),
        }
    assert isinstance(router, LinearRouter)
    return {"weight": _list(router.weight), "bias": _list(router.bias)}


def _place(term: object) -> list[int]:
    """A product of waves as the place of each feature's factor in (1, sine, cosine)."""
    assert isinstance(term, ProductTerm)
    places = [0, 0]
    for feature, _, function in term.factors:
        assert isinstance(feature, int)
        places[feature] = 1 if function == "sin" else 2
    return places


def _list(tensor: Tensor) -> Any:
    return tensor.detach().double().tolist()
