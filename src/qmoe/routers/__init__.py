"""Routers: features in, routing weights out."""

from qmoe.routers.base import Router, require_router
from qmoe.routers.classical import LinearRouter, MLPRouter
from qmoe.routers.controls import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    RandomRouter,
    SingleExpertRouter,
    UniformRouter,
)
from qmoe.routers.features import FeatureRouter, QuadraticRouter, RandomFourierRouter, TrigonometricRouter
from qmoe.routers.quantum import QuantumRouter

__all__ = [
    "ConstantRouter",
    "FeatureRouter",
    "LinearRouter",
    "MLPRouter",
    "MeanRouting",
    "PermutedRouting",
    "QuadraticRouter",
    "QuantumRouter",
    "RandomFourierRouter",
    "RandomRouter",
    "Router",
    "SingleExpertRouter",
    "TrigonometricRouter",
    "UniformRouter",
    "require_router",
]
