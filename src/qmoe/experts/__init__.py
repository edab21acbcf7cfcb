"""Experts: features in, one output vector per expert out."""

from qmoe.experts.base import Experts, ExpertsSpec
from qmoe.experts.classical import LinearExperts, LinearExpertsSpec, MLPExperts, MLPExpertsSpec
from qmoe.experts.quantum import QuantumExperts, QuantumExpertsSpec

#: What study files and the estimator call experts.
EXPERTS: dict[str, type[ExpertsSpec]] = {
    "linear": LinearExpertsSpec,
    "mlp": MLPExpertsSpec,
    "quantum": QuantumExpertsSpec,
}

__all__ = ["EXPERTS", "Experts", "ExpertsSpec", "LinearExperts", "MLPExperts", "QuantumExperts"]
