"""Read-outs estimated from finite numbers of samples, as a device gives them."""

from qmoe.engines.shots.ledger import Ledger, Rates, cost
from qmoe.engines.shots.outcome_counts import as_shots
from qmoe.engines.shots.shot_sampling import GRADIENTS, Gradient, sampled

__all__ = ["GRADIENTS", "Gradient", "Ledger", "Rates", "as_shots", "cost", "sampled"]
