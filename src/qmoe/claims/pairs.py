"""The runs that two arms share, paired by their seeds, and what of them is compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qmoe.claims.runs import ArmRuns, StudyRuns
from qmoe.claims.vocabulary import Estimand


@dataclass(frozen=True, eq=False)
class Pairs:
    """The runs that two arms share.

    Attributes:
        a: ``(n,)`` scores of a.
        b: ``(n,)`` scores of b, of the same seeds.
        clusters: ``(n,)`` the seed that is the unit of inference.
        planned: pairs there would be had all trials run well.
        lost: planned pairs in which a trial failed.
        missing: planned pairs in which a trial has not run yet.
        unit: what a cluster is, in words.
        starts: initialisations that a cluster has in each arm, the fewest of any.
        loss_a: ``(n,)`` final training loss of the runs of a, NaN where not known.
        loss_b: ``(n,)`` the same of b.
    """

    a: np.ndarray
    b: np.ndarray
    clusters: np.ndarray
    planned: int
    lost: int
    missing: int
    unit: str
    starts: int
    loss_a: np.ndarray
    loss_b: np.ndarray

    @property
    def unit_of_one(self) -> str:
        """The unit where there is one cluster: ``draw of the data``."""
        first, _, rest = self.unit.partition(" ")
        return f"{first.removesuffix('s')} {rest}".strip()


def pair(study: StudyRuns, a: ArmRuns, b: ArmRuns, metric: str) -> Pairs | str:
    """Pairs two arms by their seeds, or says in words why that cannot be done.

    Metrics that only part of the trials have, such as ``seconds``, are paired where both have them.
    """
    for runs in (a, b):
        if metric not in runs.values:
            return f"{runs.title} has no finished run with the metric {metric!r} in {study.name}"
    keys = [list(zip(r.data_seeds.tolist(), r.init_seeds.tolist(), strict=True)) for r in (a, b)]
    if any(len(set(k)) < len(k) for k in keys):
        return (
            f"{study.name} has runs at several learning rates; choose one with StudyRuns.at, or the best of each arm with "
            "StudyRuns.tuned"
        )
    at = {key: j for j, key in enumerate(keys[1])}
    both = [(i, at[key]) for i, key in enumerate(keys[0]) if key in at]
    i, j = np.array([p for p, _ in both], dtype=int), np.array([q for _, q in both], dtype=int)
    lost = a.failed[i] | b.failed[j]
    waiting = ~lost & ~(a.done[i] & b.done[j])
    x, y = a.values[metric][i], b.values[metric][j]
    use = ~lost & ~waiting & np.isfinite(x) & np.isfinite(y)
    seeds = a.data_seeds if study.clustered else a.init_seeds
    clusters, unit = seeds[i][use], "draws of the data" if study.clustered else "initialisations"
    if metric == "seconds":
        # How long training takes does not depend on the data drawn; each run is a measurement of the machine by itself.
        clusters, unit = np.arange(int(use.sum())), "pairs of models that trained alone"
    starts = int(np.unique(clusters, return_counts=True)[1].min()) if use.any() else 0
    losses = (r.values.get("loss", np.full(len(r.data_seeds), np.nan)) for r in (a, b))
    loss_a, loss_b = (loss[k][use] for loss, k in zip(losses, (i, j), strict=True))
    return Pairs(x[use], y[use], clusters, len(both), int(lost.sum()), int(waiting.sum()), unit, starts, loss_a, loss_b)


def scores(pairs: Pairs, estimand: Estimand, success: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray] | str:
    """What an estimand compares: scores of a and of b ``(n,)`` with their clusters, or in words why there is none.

    ``"mean"`` are the runs themselves, ``"success"`` is 1 for a run at or above ``success`` and 0 for others, and
    ``"best"`` is for each cluster and arm the run of the least training loss.
    """
    if estimand == "success" and success is not None:
        return (pairs.a >= success).astype(float), (pairs.b >= success).astype(float), pairs.clusters
    if estimand != "best":
        return pairs.a, pairs.b, pairs.clusters
    if not (np.isfinite(pairs.loss_a).all() and np.isfinite(pairs.loss_b).all()):
        return "the best initialisation is that of the least training loss, and some runs have no loss"
    labels = np.unique(pairs.clusters)
    rows = [np.flatnonzero(pairs.clusters == label) for label in labels]
    a = np.array([pairs.a[r[np.argmin(pairs.loss_a[r])]] for r in rows])
    b = np.array([pairs.b[r[np.argmin(pairs.loss_b[r])]] for r in rows])
    return a, b, labels
