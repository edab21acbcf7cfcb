"""Quantum routers for mixtures of experts.

Example:
    >>> import torch, qmoe
    >>> router = qmoe.QuantumRouter(in_features=2, n_experts=2)
    >>> moe = qmoe.MixtureOfExperts(router, experts=qmoe.LinearExperts(2, 2, n_experts=2))
    >>> moe(torch.rand(32, 2)).shape
    torch.Size([32, 2])
"""

from typing import TYPE_CHECKING, Any

from qmoe.circuits import AmplitudeEncoding, AngleEncoding, Circuit, Gate, NoiseModel, Weight
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
from qmoe.experts import Experts, LinearExperts, MLPExperts, QuantumExperts
from qmoe.moe import MixtureOfExperts
from qmoe.routers import DistilledRouter, LinearRouter, MLPRouter, QuantumRouter, Router, UniformRouter
from qmoe.routers.distill import distill
from qmoe.routers.functions.span import span
from qmoe.routers.twin import twin

if TYPE_CHECKING:
    from qmoe.estimator import QMoEClassifier

__version__ = "0.1.0"

__all__ = [
    "AmplitudeEncoding",
    "AngleEncoding",
    "Circuit",
    "ConfigError",
    "DistilledRouter",
    "EncodingRangeWarning",
    "Experts",
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
    "QuantumExperts",
    "QuantumRouter",
    "Router",
    "ShapeError",
    "StateWarning",
    "StatisticalWarning",
    "StoreError",
    "UniformRouter",
    "UnsupportedError",
    "Weight",
    "distill",
    "span",
    "twin",
]


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import, so only its own class does it.
    if name == "QMoEClassifier":
        from qmoe.estimator import QMoEClassifier

        return QMoEClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
