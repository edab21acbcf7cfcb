"""Analysis of trained models: boundaries, effective dimension, Fisher information, spectra, kernels, experts, noise."""

from qmoe.analysis.boundaries import Grid, MeanBoundary, make_grid, mean_boundary, off_a_line, probabilities
from qmoe.analysis.boundary_shape import (
    BayesAgreement,
    BoundaryShape,
    bayes_agreement,
    boundary_shape,
    connected_regions,
)
from qmoe.analysis.dimension import (
    EffectiveDimension,
    effective_dimension,
    global_effective_dimension,
    local_effective_dimension,
)
from qmoe.analysis.fisher import Draws, ball_draws, fisher_matrices, initial_draws, uniform_draws
from qmoe.analysis.kernels import (
    GeometricDifference,
    centred,
    centred_alignment,
    fidelity_kernel,
    geometric_difference,
    kernel_target_alignment,
    target_kernel,
)
from qmoe.analysis.parameters import ParameterCount, count_parameters
from qmoe.analysis.plateaus import (
    GradientBlock,
    GradientVariance,
    global_cost,
    gradient_scaling,
    gradient_variance,
    local_cost,
)
from qmoe.analysis.robustness import (
    NOISE_PROTOCOLS,
    Breakdown,
    NoiseSurface,
    breakdowns,
    noise_surface,
    noisy_accuracy,
    noisy_copy,
)
from qmoe.analysis.specialisation import Specialisation, Utilisation, specialisation, utilisation
from qmoe.analysis.spectrum import FourierSpectrum, beyond_degree, circuit_spectrum, fourier_coefficients

__all__ = [
    "NOISE_PROTOCOLS",
    "BayesAgreement",
    "BoundaryShape",
    "Breakdown",
    "Draws",
    "EffectiveDimension",
    "FourierSpectrum",
    "GeometricDifference",
    "GradientBlock",
    "GradientVariance",
    "Grid",
    "MeanBoundary",
    "NoiseSurface",
    "ParameterCount",
    "Specialisation",
    "Utilisation",
    "ball_draws",
    "bayes_agreement",
    "beyond_degree",
    "boundary_shape",
    "breakdowns",
    "centred",
    "centred_alignment",
    "circuit_spectrum",
    "connected_regions",
    "count_parameters",
    "effective_dimension",
    "fidelity_kernel",
    "fisher_matrices",
    "fourier_coefficients",
    "geometric_difference",
    "global_cost",
    "global_effective_dimension",
    "gradient_scaling",
    "gradient_variance",
    "initial_draws",
    "kernel_target_alignment",
    "local_cost",
    "local_effective_dimension",
    "make_grid",
    "mean_boundary",
    "noise_surface",
    "noisy_accuracy",
    "noisy_copy",
    "off_a_line",
    "probabilities",
    "specialisation",
    "target_kernel",
    "uniform_draws",
    "utilisation",
]
