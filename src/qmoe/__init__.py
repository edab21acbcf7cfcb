"""Quantum routers for mixtures of experts.

Example:
    >>> import torch, qmoe
    >>> router = qmoe.QuantumRouter(in_features=2, n_experts=2)
    >>> moe = qmoe.MixtureOfExperts(router, experts=qmoe.LinearExperts(2, 2, n_experts=2))
    >>> moe(torch.rand(32, 2)).shape
    torch.Size([32, 2])
"""

from typing import TYPE_CHECKING

from qmoe.lazy import lazy

if TYPE_CHECKING:
    from qmoe.auditing import audit
    from qmoe.circuits import AmplitudeEncoding, AngleEncoding, Circuit, Feature, Gate, NoiseModel, Weight
    from qmoe.errors import (
        ConfigError,
        EncodingRangeWarning,
        PerformanceWarning,
        QMoEError,
        ShapeError,
        StateWarning,
        StatisticalWarning,
        StoreError,
        UnsupportedError,
    )
    from qmoe.estimators import CircuitOptions, QMoEClassifier, QMoERegressor
    from qmoe.experts import Experts, LinearExperts, MLPExperts, QuantumExperts
    from qmoe.moe import MixtureOfExperts
    from qmoe.quantum_layer import QuantumLayer
    from qmoe.routers import DistilledRouter, LinearRouter, MLPRouter, QuantumRouter, Router, UniformRouter
    from qmoe.routers.distilling import distill
    from qmoe.routers.functions.span import span
    from qmoe.routers.twin import twin
    from qmoe.saving import load, save

__version__ = "0.1.0"

__all__ = [
    "AmplitudeEncoding",
    "AngleEncoding",
    "Circuit",
    "CircuitOptions",
    "ConfigError",
    "DistilledRouter",
    "EncodingRangeWarning",
    "Experts",
    "Feature",
    "Gate",
    "LinearExperts",
    "LinearRouter",
    "MLPExperts",
    "MLPRouter",
    "MixtureOfExperts",
    "NoiseModel",
    "PerformanceWarning",
    "QMoEClassifier",
    "QMoEError",
    "QMoERegressor",
    "QuantumExperts",
    "QuantumLayer",
    "QuantumRouter",
    "Router",
    "ShapeError",
    "StateWarning",
    "StatisticalWarning",
    "StoreError",
    "UniformRouter",
    "UnsupportedError",
    "Weight",
    "audit",
    "distill",
    "load",
    "save",
    "span",
    "twin",
]


#: Where each public name stands. Importing torch takes seconds, so it happens with the first of them.
_HOMES = {
    "AmplitudeEncoding": "qmoe.circuits",
    "AngleEncoding": "qmoe.circuits",
    "Circuit": "qmoe.circuits",
    "CircuitOptions": "qmoe.estimators",
    "ConfigError": "qmoe.errors",
    "DistilledRouter": "qmoe.routers",
    "EncodingRangeWarning": "qmoe.errors",
    "Experts": "qmoe.experts",
    "Feature": "qmoe.circuits",
    "Gate": "qmoe.circuits",
    "LinearExperts": "qmoe.experts",
    "LinearRouter": "qmoe.routers",
    "MLPExperts": "qmoe.experts",
    "MLPRouter": "qmoe.routers",
    "MixtureOfExperts": "qmoe.moe",
    "NoiseModel": "qmoe.circuits",
    "PerformanceWarning": "qmoe.errors",
    "QMoEClassifier": "qmoe.estimators",
    "QMoEError": "qmoe.errors",
    "QMoERegressor": "qmoe.estimators",
    "QuantumExperts": "qmoe.experts",
    "QuantumLayer": "qmoe.quantum_layer",
    "QuantumRouter": "qmoe.routers",
    "Router": "qmoe.routers",
    "ShapeError": "qmoe.errors",
    "StateWarning": "qmoe.errors",
    "StatisticalWarning": "qmoe.errors",
    "StoreError": "qmoe.errors",
    "UniformRouter": "qmoe.routers",
    "UnsupportedError": "qmoe.errors",
    "Weight": "qmoe.circuits",
    "audit": "qmoe.auditing",
    "distill": "qmoe.routers.distilling",
    "load": "qmoe.saving",
    "save": "qmoe.saving",
    "span": "qmoe.routers.functions.span",
    "twin": "qmoe.routers.twin",
}


if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, _HOMES)
