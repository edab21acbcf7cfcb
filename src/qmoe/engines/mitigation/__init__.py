"""Estimates of what a circuit measures without its noise: zero-noise extrapolation, errors of the measurement undone."""

from qmoe.engines.mitigation.amplified import amplified, amplified_strength
from qmoe.engines.mitigation.device_readouts import Measuring
from qmoe.engines.mitigation.extrapolation import SCALES, Extrapolation, mitigated

__all__ = ["SCALES", "Extrapolation", "Measuring", "amplified", "amplified_strength", "mitigated"]
