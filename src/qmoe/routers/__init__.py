"""Routers: features in, routing weights out."""

from qmoe.routers.base import Router, RouterSpec, SoftmaxRouter, require_router
from qmoe.routers.chebyshev import ChebyshevRouter, ChebyshevSpec
from qmoe.routers.classical import LinearRouter, LinearSpec, MLPRouter, MLPSpec
from qmoe.routers.controls import (
    ConstantRouter,
    ConstantSpec,
    MeanRouting,
    PermutedRouting,
    RandomRouter,
    RandomSpec,
    SingleExpertRouter,
    SingleExpertSpec,
    UniformRouter,
    UniformSpec,
)
from qmoe.routers.distill import DistilledRouter
from qmoe.routers.features import FeatureRouter, FeatureSpec, feature_router
from qmoe.routers.functions.basis import Basis
from qmoe.routers.functions.ranks import dephased_ranks, jacobian_rank
from qmoe.routers.functions.reach import circuit_basis
from qmoe.routers.functions.sampling import Sampling, sample_frequencies
from qmoe.routers.functions.span import Span
from qmoe.routers.quadratic import QuadraticRouter, QuadraticSpec
from qmoe.routers.quantum import QuantumRouter, QuantumRouterSpec
from qmoe.routers.stochastic import StochasticRouter, StochasticSpec
from qmoe.routers.twin import TwinRouter
from qmoe.routers.twin_spec import TwinSpec
from qmoe.routers.waves import RandomFourierRouter, RandomFourierSpec, TrigonometricRouter, TrigonometricSpec

#: What study files and the estimator call routers.
ROUTERS: dict[str, type[RouterSpec]] = {
    "linear": LinearSpec,
    "mlp": MLPSpec,
    "quadratic": QuadraticSpec,
    "trigonometric": TrigonometricSpec,
    "random_fourier": RandomFourierSpec,
    "chebyshev": ChebyshevSpec,
    "twin": TwinSpec,
    "stochastic": StochasticSpec,
    "uniform": UniformSpec,
    "constant": ConstantSpec,
    "random": RandomSpec,
    "single": SingleExpertSpec,
    "quantum": QuantumRouterSpec,
}

__all__ = [
    "ROUTERS",
    "Basis",
    "ChebyshevRouter",
    "ConstantRouter",
    "DistilledRouter",
    "FeatureRouter",
    "FeatureSpec",
    "LinearRouter",
    "MLPRouter",
    "MeanRouting",
    "PermutedRouting",
    "QuadraticRouter",
    "QuantumRouter",
    "RandomFourierRouter",
    "RandomRouter",
    "Router",
    "RouterSpec",
    "Sampling",
    "SingleExpertRouter",
    "SoftmaxRouter",
    "Span",
    "StochasticRouter",
    "StochasticSpec",
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
