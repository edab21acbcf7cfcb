"""What noise and few shots do to trained models: accuracy by four protocols, and where it breaks down."""

from qmoe.analysis.robustness.breaking import CRITERIA, Breakdown, breakdowns
from qmoe.analysis.robustness.noisy_models import noisy_copy, recalibration_obstacle
from qmoe.analysis.robustness.protocols import NOISE_PROTOCOLS, noisy_accuracy, noisy_answers
from qmoe.analysis.robustness.surface import NoiseSurface, noise_surface

__all__ = [
    "CRITERIA",
    "NOISE_PROTOCOLS",
    "Breakdown",
    "NoiseSurface",
    "breakdowns",
    "noise_surface",
    "noisy_accuracy",
    "noisy_answers",
    "noisy_copy",
    "recalibration_obstacle",
]
