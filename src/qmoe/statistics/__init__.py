"""Statistics over seeds, draws and data sets, with NumPy and SciPy only."""

from typing import TYPE_CHECKING

from qmoe.lazy import lazy

if TYPE_CHECKING:
    from qmoe.statistics.bootstrap import (
        PairedDifference,
        Summary,
        mean_interval,
        paired_difference,
        percentile_of,
        summarize,
    )
    from qmoe.statistics.crossings import Crossing, crossing
    from qmoe.statistics.equivalence import Equivalence, equivalence_test
    from qmoe.statistics.paired_tests import PairedTest, sign_flip_test, wilcoxon_test
    from qmoe.statistics.pooling import RandomEffects, random_effects
    from qmoe.statistics.power import draws_needed, equivalence_draws, equivalence_power, smallest_effect, t_test_power
    from qmoe.statistics.proportions import Proportion, probability_of_superiority, success_rate
    from qmoe.statistics.ranking import CriticalDifference, critical_difference, holm
    from qmoe.statistics.slopes import LogSlope, fit_log_slope

__all__ = [
    "CriticalDifference",
    "Crossing",
    "Equivalence",
    "LogSlope",
    "PairedDifference",
    "PairedTest",
    "Proportion",
    "RandomEffects",
    "Summary",
    "critical_difference",
    "crossing",
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

_HOMES = {
    "PairedDifference": "qmoe.statistics.bootstrap",
    "Summary": "qmoe.statistics.bootstrap",
    "mean_interval": "qmoe.statistics.bootstrap",
    "paired_difference": "qmoe.statistics.bootstrap",
    "percentile_of": "qmoe.statistics.bootstrap",
    "summarize": "qmoe.statistics.bootstrap",
    "Crossing": "qmoe.statistics.crossings",
    "crossing": "qmoe.statistics.crossings",
    "Equivalence": "qmoe.statistics.equivalence",
    "equivalence_test": "qmoe.statistics.equivalence",
    "PairedTest": "qmoe.statistics.paired_tests",
    "sign_flip_test": "qmoe.statistics.paired_tests",
    "wilcoxon_test": "qmoe.statistics.paired_tests",
    "RandomEffects": "qmoe.statistics.pooling",
    "random_effects": "qmoe.statistics.pooling",
    "draws_needed": "qmoe.statistics.power",
    "equivalence_draws": "qmoe.statistics.power",
    "equivalence_power": "qmoe.statistics.power",
    "smallest_effect": "qmoe.statistics.power",
    "t_test_power": "qmoe.statistics.power",
    "Proportion": "qmoe.statistics.proportions",
    "probability_of_superiority": "qmoe.statistics.proportions",
    "success_rate": "qmoe.statistics.proportions",
    "CriticalDifference": "qmoe.statistics.ranking",
    "critical_difference": "qmoe.statistics.ranking",
    "holm": "qmoe.statistics.ranking",
    "LogSlope": "qmoe.statistics.slopes",
    "fit_log_slope": "qmoe.statistics.slopes",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, _HOMES)
