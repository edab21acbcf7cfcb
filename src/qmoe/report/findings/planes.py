"""Trained models of two features, read back from the store: what they predict over the plane of their data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.analysis import Grid, MeanBoundary, make_grid, mean_boundary, off_a_line, probabilities
from qmoe.claims import ArmRuns
from qmoe.data import Split
from qmoe.studies import TrialSpec
from qmoe.studies.assembly import prepare_data, raw_sizes
from qmoe.studies.boundary_measures import TOLERANCE, trained_model
from qmoe.studies.specs.imported import ImportedRouterSpec

#: Runs of an arm whose boundaries are drawn.
MOST_RUNS = 400


@dataclass(frozen=True, eq=False)
class Planes:
    """What the models of one arm predict over the plane of the data.

    Attributes:
        arm: whose models.
        grid: where, in the units of the data.
        probability: ``(M, N)`` probability of class 1, in the order of the arm's trials.
    """

    arm: ArmRuns
    grid: Grid
    probability: np.ndarray

    @property
    def mean(self) -> MeanBoundary:
        """Mean over the runs."""
        return mean_boundary(self.probability)

    def n_straight(self, tolerance: float = TOLERANCE) -> int:
        """How many boundaries a straight line reproduces but for this share of the plane."""
        every_second = np.ix_(np.arange(0, len(self.grid.y), 2), np.arange(0, len(self.grid.x), 2))
        nodes = np.arange(len(self.grid.points)).reshape(len(self.grid.y), len(self.grid.x))[every_second].ravel()
        return int((off_a_line(self.probability[:, nodes], self.grid.points[nodes]) <= tolerance).sum())


def is_planar(arms: Sequence[ArmRuns]) -> bool:
    """Whether the data of these arms have two features and two classes."""
    return raw_sizes(arms[0].first) == (2, 2)


def can_be_built(arm: ArmRuns) -> bool:
    """Whether a report can build the models of an arm; it runs no code of routers that a study imports."""
    return not isinstance(arm.first.model.router, ImportedRouterSpec)


def planes_of(arms: Sequence[ArmRuns], nodes: int = 70) -> list[Planes]:
    """Evaluates the models of the arms, the first `MOST_RUNS` of each, on one grid around the points of their seeds.

    Raises:
        QMoEError: when weights or data that they need cannot be read.
    """
    arms = [arm.take(np.flatnonzero(arm.done)[:MOST_RUNS]) for arm in arms]
    for arm in arms:
        if arm.finished:
            trained_model(arm.finished[0])  # before the points of all draws are sampled
    draws = {trial.draw for arm in arms for trial in arm.trials}
    grid = make_grid(np.concatenate([_points(prepare_data(draw).raw)[0] for draw in draws]), nodes, 0.06)
    found = []
    for arm in arms:
        scaled = np.stack([prepare_data(t.draw).scaler(grid.points) for t in arm.trials])
        found.append(Planes(arm, grid, probabilities([trained_model(r) for r in arm.finished], scaled)))
    return found


def points_of(trial: TrialSpec) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes of all points of a trial, in the units of the data."""
    return _points(prepare_data(trial.draw).raw)


def _points(split: Split) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([split.x_train, split.x_test])
    return x, np.concatenate([split.y_train, split.y_test])
