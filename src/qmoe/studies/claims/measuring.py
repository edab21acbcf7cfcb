"""Measurements that claims compare and no trial has: effective dimensions of untrained routers, over draws of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from qmoe.analysis import global_effective_dimension
from qmoe.errors import unknown
from qmoe.routers import Router
from qmoe.seeding import child
from qmoe.studies.build import build_router, prepare_data
from qmoe.studies.claims.spec import HEADLINE_SEEDS
from qmoe.studies.spec import Study
from qmoe.studies.trials import TrialSpec, make_trials
from qmoe.studies.workers import Workers

_INITS = 2**31


def effective_dimensions(
    study: Study,
    arms: Sequence[str],
    *,
    repeats: int = HEADLINE_SEEDS,
    n_draws: int = 100,
    seed: int = 0,
    on_repeat: Callable[[], None] | None = None,
    workers: Workers | None = None,
) -> dict[str, np.ndarray]:
    """The effective dimension of the routers of some arms, measured anew on each draw of the data.

    Repeat r takes the training part of data seed r and ``n_draws`` initialisations that no other repeat has, so repeats are
    independent, and the arms are paired by the data.

    Args:
        study: the study that has the arms; its results are not needed.
        arms: names of arms.
        repeats: number of draws of the data.
        n_draws: initialisations that a repeat averages over.
        seed: seed of the initialisations.
        on_repeat: called after each draw of each arm.
        workers: processes to share the repeats; by default this one alone.

    Returns:
        For each arm ``(repeats,)`` values, as `judge` takes them: ``measurements={"effective_dimension": ...}``.

    Raises:
        ConfigError: for an arm that the study does not have, or data too few for an effective dimension.
    """
    first = {member.arm: member.trial for member in reversed(make_trials(study))}
    for arm in arms:
        if arm not in first:
            raise unknown(f"arm of study {study.name!r}:", arm, first)
    found: dict[str, np.ndarray] = {arm: np.zeros(repeats) for arm in arms}
    tasks = [(arm, first[arm], repeat, n_draws, seed) for arm in arms for repeat in range(repeats)]
    for arm, repeat, value in (workers or Workers()).run(_one, tasks):
        found[arm][repeat] = value
        if on_repeat is not None:
            on_repeat()
    return found


def _one(task: tuple[str, TrialSpec, int, int, int]) -> tuple[str, int, float]:
    arm, trial, repeat, n_draws, seed = task
    drawn = trial.model_copy(update={"data_seed": repeat})

    def make(generator: torch.Generator) -> Router:
        init = int(torch.randint(_INITS, (), generator=generator))
        return build_router(drawn.model_copy(update={"init_seed": init}))

    x = prepare_data(drawn.draw).x_train
    return arm, repeat, global_effective_dimension(make, x, n_draws=n_draws, seed=child(seed, repeat)).value
