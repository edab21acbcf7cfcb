"""The arms of a study as the page shows them: finished runs at the study's own learning rate."""

from __future__ import annotations

from math import nan

import numpy as np

from qmoe.claims import ArmRuns, runs_of
from qmoe.statistics import mean_interval
from qmoe.studies import StudyResults

MIN_SEEDS = 30  # fewer runs than this and the page says so


def arms_of(results: StudyResults) -> list[ArmRuns]:
    """All arms and noise strengths of a study in its order, those without a finished trial included."""
    return list(runs_of(results).at(results.study.training.lr).arms.values())


def finished(results: StudyResults | None) -> list[ArmRuns]:
    """The arms that have at least one finished trial."""
    return [] if results is None else [arm for arm in arms_of(results) if arm.n]


def at_epoch(arm: ArmRuns, quantity: str, epoch: int | None) -> np.ndarray:
    """``(n,)`` values of a history at an epoch, or of a metric at the end; fewer where they were not recorded."""
    if epoch is None:
        return arm.figures(quantity)
    lines = arm.curves(quantity)
    return lines[:, epoch] if lines.shape[1] > epoch else np.zeros(0)


def router_parameters(arm: ArmRuns) -> int:
    """Trainable parameters of the router of an arm that has a finished run."""
    return int(arm.figures("router_parameters")[0])


def interval_of(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean; NaN where there are too few clusters, which tables print as a dash."""
    return mean_interval(values, clusters) if len(np.unique(clusters)) > 1 else (nan, nan)
