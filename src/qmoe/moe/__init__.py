"""The mixture of experts, how it routes, its losses and diagnostics."""

from qmoe.moe.losses import balance_loss, expert_load, importance_loss, load_loss, z_loss
from qmoe.moe.mixture import Diagnostics, MixtureOfExperts
from qmoe.moe.routing import Routing, collect_routings
from qmoe.moe.routing_options import BiasCorrection, Capacity, ExpertChoice, LossCoefficients, RouterNoise

__all__ = [
    "BiasCorrection",
    "Capacity",
    "Diagnostics",
    "ExpertChoice",
    "LossCoefficients",
    "MixtureOfExperts",
    "RouterNoise",
    "Routing",
    "balance_loss",
    "collect_routings",
    "expert_load",
    "importance_loss",
    "load_loss",
    "z_loss",
]
