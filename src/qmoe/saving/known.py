"""The classes that a file may name. No other is ever looked up, imported or called."""

from __future__ import annotations

from torch import nn

from qmoe.experts import LinearExperts, MLPExperts, QuantumExperts
from qmoe.layers import Linear, Stackable
from qmoe.moe import MixtureOfExperts
from qmoe.quantum_layer import QuantumLayer
from qmoe.routers import (
    ChebyshevRouter,
    ConstantRouter,
    DistilledRouter,
    LinearRouter,
    MeanRouting,
    MLPRouter,
    PermutedRouting,
    QuadraticRouter,
    QuantumRouter,
    RandomFourierRouter,
    RandomRouter,
    SingleExpertRouter,
    StochasticRouter,
    TrigonometricRouter,
    TwinRouter,
    UniformRouter,
)
from qmoe.saving.torch_parts import TORCH_PARTS

_OURS: tuple[type[Stackable], ...] = (
    ChebyshevRouter,
    ConstantRouter,
    DistilledRouter,
    Linear,
    LinearExperts,
    LinearRouter,
    MLPExperts,
    MLPRouter,
    MeanRouting,
    MixtureOfExperts,
    PermutedRouting,
    QuadraticRouter,
    QuantumExperts,
    QuantumLayer,
    QuantumRouter,
    RandomFourierRouter,
    RandomRouter,
    SingleExpertRouter,
    StochasticRouter,
    TrigonometricRouter,
    TwinRouter,
    UniformRouter,
)
#: By the names that files have for them.
KNOWN: dict[str, type[nn.Module]] = {**{cls.__name__: cls for cls in _OURS}, **TORCH_PARTS}
