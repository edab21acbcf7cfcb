"""One arm of a study at one noise strength, with the statistics that every table and figure takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan

import numpy as np

from qmoe.statistics import PairedDifference, Summary, mean_interval, paired_difference, summarize
from qmoe.statistics.bootstrap import cluster_means
from qmoe.studies import Record, StudyResults

MIN_SEEDS = 30  # fewer runs than this and the page says so


@dataclass(frozen=True, eq=False)
class Arm:
    """The finished trials of one arm (at one noise strength).

    Attributes:
        study: name of the study.
        name: name of the arm.
        label: what readers call it.
        variant: noise strength, or None.
        records: finished trials in the order of the seeds.
        metric: the accuracy that the study is judged by.
        clustered: whether runs on the same data are averaged before an interval is taken.
    """

    study: str
    name: str
    label: str
    variant: float | None
    records: tuple[Record, ...]
    metric: str
    clustered: bool

    @property
    def n(self) -> int:
        """Number of finished trials."""
        return len(self.records)

    @property
    def key(self) -> tuple[str, float | None]:
        """What tells it from the other arms of its study."""
        return self.name, self.variant

    @property
    def title(self) -> str:
        """Label, with the noise strength where there is one."""
        return self.label if self.variant is None else f"{self.label}, p = {self.variant:g}"

    @cached_property
    def scores(self) -> np.ndarray:
        """``(n,)`` final accuracies."""
        return self.values(self.metric)

    @property
    def parameters(self) -> int:
        """Trainable parameters of the router."""
        return int(self.records[0].metrics["router_parameters"]) if self.records else 0

    def values(self, quantity: str, epoch: int | None = None) -> np.ndarray:
        """``(n,)`` values of a metric at the end, or of a history at an epoch; empty where it was not recorded."""
        if epoch is None:
            return np.array([r.metrics[quantity] for r in self.records if quantity in r.metrics])
        at = -1 if epoch is None else epoch
        lines = [r.history.get(quantity, []) for r in self.records]
        return np.array([line[at] for line in lines if len(line) > at])

    def curves(self, quantity: str) -> np.ndarray:
        """``(n, epochs)`` histories; ``(0, 0)`` where there are none."""
        lines = [r.history[quantity] for r in self.records if quantity in r.history]
        return np.array(lines) if lines else np.zeros((0, 0))

    @property
    def clusters(self) -> np.ndarray:
        """``(n,)`` the seed that runs are grouped by: of the data where it varies, of the initialisation elsewhere."""
        return np.array([r.trial.data_seed if self.clustered else r.trial.init_seed for r in self.records])

    @cached_property
    def summary(self) -> Summary:
        """The final accuracies in eight figures."""
        return summarize(self.scores)

    @property
    def guesses(self) -> bool:
        """Whether its mean accuracy is no better than that of saying the commonest class every time."""
        chance = self.values("chance")
        return 0 < self.n == len(chance) and self.summary.mean <= float(chance.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean final accuracy."""
        return interval_of(self.scores, self.clusters)

    def minus(self, other: Arm, quantity: str | None = None) -> PairedDifference | None:
        """Difference of the means of a metric over the seeds that both have, or None where they share fewer than two.

        Args:
            other: an arm of the same study.
            quantity: name of a metric; None for the accuracy of the study.
        """
        left, right = self._shared(other)
        clusters = self.clusters[left]
        if len(np.unique(clusters)) < 2:
            return None
        what = quantity or self.metric
        return paired_difference(self.values(what)[left], other.values(what)[right], clusters)

    def differences(self, other: Arm) -> np.ndarray:
        """``(n,)`` differences of the accuracies over the seeds that both have, the mean of each group of `clusters`."""
        left, right = self._shared(other)
        return cluster_means(self.scores[left] - other.scores[right], self.clusters[left])

    def _shared(self, other: Arm) -> tuple[list[int], list[int]]:
        """Places of the runs of equal seeds, here and there."""
        mine = {(r.trial.data_seed, r.trial.init_seed): i for i, r in enumerate(self.records)}
        seeds = [(r.trial.data_seed, r.trial.init_seed) for r in other.records]
        return [mine[s] for s in seeds if s in mine], [j for j, s in enumerate(seeds) if s in mine]


def interval_of(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean; NaN where there are too few clusters, which tables print as a dash."""
    return mean_interval(values, clusters) if len(np.unique(clusters)) > 1 else (nan, nan)


def metric_of(results: StudyResults) -> str:
    """The accuracy a study is judged by: on held-out data where there are any, else on the training set."""
    done = [r for r in results.records.values() if r.error is None]
    return "test_accuracy" if done and all("test_accuracy" in r.metrics for r in done) else "train_accuracy"


def metric_name(metric: str) -> str:
    """A metric in words."""
    return {"test_accuracy": "test accuracy", "train_accuracy": "training accuracy"}.get(metric, metric)


def arms_of(results: StudyResults) -> list[Arm]:
    """All arms and noise strengths of a study in its order, those without a finished trial included."""
    metric = metric_of(results)
    clustered = len({m.trial.data_seed for m in results.members}) > 1
    return [
        Arm(results.study.name, arm.name, arm.label, variant, tuple(results.of(arm.name, variant)), metric, clustered)
        for arm in results.study.arms
        for variant in arm.noise or (None,)
    ]


def finished(results: StudyResults | None) -> list[Arm]:
    """The arms that have at least one finished trial."""
    return [] if results is None else [arm for arm in arms_of(results) if arm.n]
