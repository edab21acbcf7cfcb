"""Routers: features in, routing weights out."""

from qmoe.routers.base import Router, SoftmaxRouter, require_router
from qmoe.routers.classical import LinearRouter, MLPRouter
from qmoe.routers.controls import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    RandomRouter,
    SingleExpertRouter,
    UniformRouter,
)
from qmoe.routers.distill import DistilledRouter
from qmoe.routers.features import (
    FeatureRouter,
    QuadraticRouter,
    RandomFourierRouter,
    TrigonometricRouter,
    feature_router,
)
from qmoe.routers.functions.basis import Basis
from qmoe.routers.functions.ranks import dephased_ranks, jacobian_rank
from qmoe.routers.functions.reach import circuit_basis
from qmoe.routers.functions.sampling import Sampling, sample_frequencies
from qmoe.routers.functions.span import Span
from qmoe.routers.quantum import QuantumRouter
from qmoe.routers.stochastic import StochasticRouter
from qmoe.routers.twin import TwinRouter

__all__ = [
    "Basis",
    "ConstantRouter",
    "DistilledRouter",
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
    "Sampling",
    "SingleExpertRouter",
    "SoftmaxRouter",
    "Span",
    "StochasticRouter",
    "TrigonometricRouter",
    "TwinRouter",
    "UniformRouter",
    "circuit_basis",
    "dephased_ranks",
    "feature_router",
    "jacobian_rank",
    "require_router",
    "sample_frequencies",
]
