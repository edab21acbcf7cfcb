"""What trained models and their figures say: statistics over seeds, comparisons, boundaries, capacity, kernels."""

from qmoe.analysis.boundaries import (
    Grid,
    MeanBoundary,
    make_grid,
    mean_boundary,
    off_a_line,
    probabilities,
)
from qmoe.analysis.boundary_shape import (
    BayesAgreement,
    BoundaryShape,
    bayes_agreement,
    boundary_shape,
    connected_regions,
)
from qmoe.analysis.comparison import (
    PairedTest,
    sign_flip_test,
    wilcoxon_test,
)
from qmoe.analysis.dimension import (
    EffectiveDimension,
    effective_dimension,
    global_effective_dimension,
    local_effective_dimension,
)
from qmoe.analysis.equivalence import (
    Equivalence,
    equivalence_test,
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
from qmoe.analysis.parameters import (
    ParameterCount,
    count_parameters,
)
from qmoe.analysis.pooling import (
    RandomEffects,
    random_effects,
)
from qmoe.analysis.power import (
    draws_needed,
    equivalence_draws,
    equivalence_power,
    smallest_effect,
    t_test_power,
)
from qmoe.analysis.proportions import (
    Proportion,
    probability_of_superiority,
    success_rate,
)
from qmoe.analysis.ranking import (
    CriticalDifference,
    critical_difference,
    holm,
)
from qmoe.analysis.slopes import (
    LogSlope,
    fit_log_slope,
)
from qmoe.analysis.specialisation import (
    Specialisation,
    Utilisation,
    specialisation,
    utilisation,
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
    "BayesAgreement",
    "Block",
    "BoundaryShape",
    "CriticalDifference",
    "Draws",
    "EffectiveDimension",
    "Equivalence",
    "FourierSpectrum",
    "GeometricDifference",
    "GradientVariance",
    "Grid",
    "LogSlope",
    "MeanBoundary",
    "PairedDifference",
    "PairedTest",
    "ParameterCount",
    "Proportion",
    "RandomEffects",
    "Specialisation",
    "Summary",
    "Utilisation",
    "ball_draws",
    "bayes_agreement",
    "beyond_degree",
    "boundary_shape",
    "centred",
    "centred_alignment",
    "circuit_spectrum",
    "connected_regions",
    "count_parameters",
    "critical_difference",
    "draws_needed",
    "effective_dimension",
    "equivalence_draws",
    "equivalence_power",
    "equivalence_test",
    "fidelity_kernel",
    "fisher_matrices",
    "fit_log_slope",
    "fourier_coefficients",
    "geometric_difference",
    "global_cost",
    "global_effective_dimension",
    "gradient_scaling",
    "gradient_variance",
    "holm",
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
    "probability_of_superiority",
    "random_effects",
    "sign_flip_test",
    "smallest_effect",
    "specialisation",
    "success_rate",
    "summarize",
    "t_test_power",
    "target_kernel",
    "uniform_draws",
    "utilisation",
    "wilcoxon_test",
]
