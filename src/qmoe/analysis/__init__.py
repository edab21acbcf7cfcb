"""What trained models and their figures say: statistics over seeds, and decision boundaries."""

from qmoe.analysis.boundaries import Grid, MeanBoundary, make_grid, mean_boundary, off_a_line, probabilities
from qmoe.analysis.statistics import (
    PairedDifference,
    Summary,
    mean_interval,
    paired_difference,
    percentile_of,
    summarize,
)

__all__ = [
    "Grid",
    "MeanBoundary",
    "PairedDifference",
    "Summary",
    "make_grid",
    "mean_boundary",
    "mean_interval",
    "off_a_line",
    "paired_difference",
    "percentile_of",
    "probabilities",
    "summarize",
]
