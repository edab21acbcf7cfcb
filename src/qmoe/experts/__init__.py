"""Experts: features in, one output vector per expert out."""

from qmoe.experts.base import Experts
from qmoe.experts.classical import LinearExperts, MLPExperts
from qmoe.experts.quantum import QuantumExperts

__all__ = ["Experts", "LinearExperts", "MLPExperts", "QuantumExperts"]
