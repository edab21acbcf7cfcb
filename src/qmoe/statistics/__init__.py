"""Statistics over seeds, draws and data sets, with NumPy and SciPy only."""

from qmoe.statistics.bootstrap import (
    PairedDifference,
    Summary,
    mean_interval,
    paired_difference,
    percentile_of,
    summarize,
)
from qmoe.statistics.equivalence import Equivalence, equivalence_test
from qmoe.statistics.paired_tests import PairedTest, sign_flip_test, wilcoxon_test
from qmoe.statistics.pooling import RandomEffects, random_effects
from qmoe.statistics.power import draws_needed, equivalence_draws, equivalence_power, smallest_effect, t_test_power
from qmoe.statistics.proportions import Proportion, probability_of_superiority, success_rate
from qmoe.statistics.ranking import CriticalDifference, critical_difference, holm
from qmoe.statistics.slopes import LogSlope, fit_log_slope

__all__ = [
    "CriticalDifference",
    "Equivalence",
    "LogSlope",
    "PairedDifference",
    "PairedTest",
    "Proportion",
    "RandomEffects",
    "Summary",
    "critical_difference",
    "draws_needed",
    "equivalence_draws",
    "equivalence_power",
    "equivalence_test",
    "fit_log_slope",
    "holm",
    "mean_interval",
    "paired_difference",
    "percentile_of",
    "probability_of_superiority",
    "random_effects",
    "sign_flip_test",
    "smallest_effect",
    "success_rate",
    "summarize",
    "t_test_power",
    "wilcoxon_test",
]
