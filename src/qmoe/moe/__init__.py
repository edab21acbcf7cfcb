"""The mixture of experts, its losses and diagnostics."""

from qmoe.moe.losses import balance_loss, expert_load, z_loss
from qmoe.moe.mixture import Diagnostics, MixtureOfExperts

__all__ = ["Diagnostics", "MixtureOfExperts", "balance_loss", "expert_load", "z_loss"]
