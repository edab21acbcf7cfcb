"""Measurements beside the trials, kept in the store: effective dimensions of untrained routers, over draws of the data."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor

import numpy as np
import torch

from qmoe.analysis import global_effective_dimension
from qmoe.errors import unknown
from qmoe.routers import Router
from qmoe.seeding import child
from qmoe.statistics.bootstrap import MIN_CLUSTERS
from qmoe.studies.assembly import build_router, prepare_data, standardise
from qmoe.studies.run.dispatch import results
from qmoe.studies.run.executors import InProcess
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Store
from qmoe.studies.trials import TrialSpec, make_trials

#: Draws of the data, unless asked otherwise: as many as a claim rests on.
REPEATS = 30
#: Initialisations that one repeat averages over.
N_DRAWS = 100
_INITS = 2**31


def effective_dimension_on(study: Study) -> str:
    """What claims call the effective dimensions of a study's routers."""
    return f"effective dimension on {study.name}"


def missing_measurements(studies: Iterable[Study], store: Store) -> list[tuple[Study, list[str]]]:
    """Studies with the arms that ask for an effective dimension and do not have it, where seeds are enough to judge by."""
    asked = [(study, study.effective_dimension) for study in studies if study.seeds.data >= MIN_CLUSTERS]
    found = [(study, [arm for arm in arms if not store.has_measurement(_key(study, arm))]) for study, arms in asked]
    return [(study, arms) for study, arms in found if arms]


def measure(
    study: Study, arms: Sequence[str], store: Store, executor: Executor, on_repeat: Callable[[], None] | None = None
) -> None:
    """Measures arms on every draw of the study's data, and keeps the figures."""
    found = effective_dimensions(
        store.at_hand(study), arms, repeats=study.seeds.data, n_draws=N_DRAWS, on_repeat=on_repeat, executor=executor
    )
    for arm, values in found.items():
        store.save_measurement(_key(study, arm), effective_dimension_on(study), arm, values.tolist())


def _key(study: Study, arm: str) -> str:
    """Names all that decides the figures."""
    first = next(member.trial for member in make_trials(study) if member.arm == arm)
    return hashlib.sha256(f"{first.hash}:{study.seeds.data}:{N_DRAWS}".encode()).hexdigest()[:16]


def effective_dimensions(
    study: Study,
    arms: Sequence[str],
    *,
    repeats: int = REPEATS,
    n_draws: int = 100,
    seed: int = 0,
    on_repeat: Callable[[], None] | None = None,
    executor: Executor | None = None,
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
        executor: what the repeats run on; by default this process.

    Returns:
        For each arm ``(repeats,)`` values, as `judge` takes them: ``measurements={effective_dimension_on(study): ...}``.

    Raises:
        ConfigError: for an arm that the study does not have, or data too few for an effective dimension.
    """
    first = {member.arm: member.trial for member in reversed(make_trials(study))}
    for arm in arms:
        if arm not in first:
            raise unknown(f"arm of study {study.name!r}:", arm, first)
    found: dict[str, np.ndarray] = {arm: np.zeros(repeats) for arm in arms}
    tasks = [(arm, first[arm], repeat, n_draws, seed) for arm in arms for repeat in range(repeats)]
    for arm, repeat, value in results(executor or InProcess(), _one, tasks):
        found[arm][repeat] = value
        if on_repeat is not None:
            on_repeat()
    return found


def _one(task: tuple[str, TrialSpec, int, int, int]) -> tuple[str, int, float]:
    arm, trial, repeat, n_draws, seed = task
    drawn = dataclasses.replace(trial, data_seed=repeat)
    x = prepare_data(drawn.draw).x_train

    def make(generator: torch.Generator) -> Router:
        init = int(torch.randint(_INITS, (), generator=generator))
        router = build_router(dataclasses.replace(drawn, init_seed=init))
        standardise(router, drawn.model, x)
        return router

    return arm, repeat, global_effective_dimension(make, x, n_draws=n_draws, seed=child(seed, repeat)).value
