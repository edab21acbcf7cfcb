"""What trained models and their figures say: statistics over seeds, comparisons, boundaries, capacity, kernels."""

from qmoe.analysis.boundaries import (
    Grid,
    MeanBoundary,
    make_grid,
    mean_boundary,
    off_a_line,
    probabilities,
)
from qmoe.analysis.dimension import (
    EffectiveDimension,
    effective_dimension,
    global_effective_dimension,
    local_effective_dimension,
)
from qmoe.analysis.fisher import (
    Draws,
    ball_draws,
    fisher_matrices,
    initial_draws,
    uniform_draws,
)
from qmoe.analysis.gradients import (
    Block,
    GradientVariance,
    LogSlope,
    fit_log_slope,
    global_cost,
    gradient_scaling,
    gradient_variance,
    local_cost,
)
from qmoe.analysis.kernels import (
    GeometricDifference,
    centred,
    centred_alignment,
    fidelity_kernel,
    geometric_difference,
    kernel_target_alignment,
    target_kernel,
)
from qmoe.analysis.spectrum import (
    FourierSpectrum,
    beyond_degree,
    circuit_spectrum,
    fourier_coefficients,
)
from qmoe.analysis.statistics import (
    PairedDifference,
    Summary,
    mean_interval,
    paired_difference,
    percentile_of,
    summarize,
)

__all__ = [
    "Block",
    "Draws",
    "EffectiveDimension",
    "FourierSpectrum",
    "GeometricDifference",
    "GradientVariance",
    "Grid",
    "LogSlope",
    "MeanBoundary",
    "PairedDifference",
    "Summary",
    "ball_draws",
    "beyond_degree",
    "centred",
    "centred_alignment",
    "circuit_spectrum",
    "effective_dimension",
    "fidelity_kernel",
    "fisher_matrices",
    "fit_log_slope",
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
    "mean_interval",
    "off_a_line",
    "paired_difference",
    "percentile_of",
    "probabilities",
    "summarize",
    "target_kernel",
    "uniform_draws",
]
