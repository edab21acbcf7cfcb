"""From the results of a study to those at every specification of its multiverse, as the judge takes them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from qmoe.claims.runs import Runs, StudyRuns, Universe, runs_of
from qmoe.studies.store import SpecificationResults, StudyResults


def universes(results: StudyResults) -> tuple[Universe, ...]:
    """The results of a study at each of its specifications, its own first; none for a study without a multiverse.

    A specification of which no trial is finished is left out; one that is finished in part keeps what is missing as missing,
    so that the judge leaves it open.

    Args:
        results: the study with its store.
    """
    found = results.specifications
    return tuple(
        Universe(each.specification.choices, selected(each))
        for place, each in enumerate(found)
        if place == 0 or any(record.error is None for record in each.records.values())
    )


def selected(results: SpecificationResults) -> StudyRuns:
    """The runs that count at a specification: all, those at each arm's best learning rate, or each draw's best start."""
    study = runs_of(results)
    if results.specification.select == "best_start":
        return best_starts(study)
    own = results.study.training.lr
    return best_rates(study, own) if results.specification.select == "best_rate" else study.at(own)


def best_rates(study: StudyRuns, own: float) -> StudyRuns:
    """Each arm at its best rate by training loss; one without a finished run, and so without loss, at ``own``."""
    arms = {key: runs if "loss" in runs.values else runs.take(runs.lrs == own) for key, runs in study.arms.items()}
    return dataclasses.replace(study, arms=arms).tuned(by="loss")


def best_starts(study: StudyRuns) -> StudyRuns:
    """For each arm and draw of the data the one run with the least training loss.

    Those of a draw bear the initialisation 0, so that arms pair by their draws whichever start was best. A draw counts as
    not run yet while any of its starts is missing, and as failed only if all of them failed.
    """
    return dataclasses.replace(study, arms={key: _best_of(runs) for key, runs in study.arms.items()})


def _best_of(runs: Runs) -> Runs:
    loss = np.where(runs.done, runs.values.get("loss", np.full(len(runs.done), math.nan)), math.nan)
    rows, whole, broken = [], [], []
    for seed in np.unique(runs.data_seeds):
        at = np.flatnonzero(runs.data_seeds == seed)
        known = at[np.isfinite(loss[at])]
        rows.append(int(known[np.argmin(loss[known])]) if len(known) else int(at[0]))
        broken.append(bool(runs.failed[at].all()))
        whole.append(bool(len(known)) and not (~runs.done[at] & ~runs.failed[at]).any())
    place = np.array(rows, dtype=np.int64)
    kept = runs.take(place)
    nothing = np.zeros(len(place), dtype=kept.init_seeds.dtype)
    return dataclasses.replace(kept, init_seeds=nothing, done=np.array(whole), failed=np.array(broken))
