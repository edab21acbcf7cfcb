"""Read-outs estimated from finite numbers of samples, as a device gives them."""

from qmoe.engines.shots.shot_sampling import sampled

__all__ = ["sampled"]
