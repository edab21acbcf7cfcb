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
    "Draws",
    "EffectiveDimension",
    "FourierSpectrum",
    "Grid",
    "MeanBoundary",
    "PairedDifference",
    "Summary",
    "ball_draws",
    "beyond_degree",
    "circuit_spectrum",
    "effective_dimension",
    "fisher_matrices",
    "fourier_coefficients",
    "global_effective_dimension",
    "initial_draws",
    "local_effective_dimension",
    "make_grid",
    "mean_boundary",
    "mean_interval",
    "off_a_line",
    "paired_difference",
    "percentile_of",
    "probabilities",
    "summarize",
    "uniform_draws",
]
