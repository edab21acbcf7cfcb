"""Measurements beside the trials: effective dimensions of the routers of some arms, kept in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from qmoe.analysis.statistics import MIN_CLUSTERS
from qmoe.studies.claims.measuring import effective_dimensions
from qmoe.studies.spec import Study
from qmoe.studies.store import Store
from qmoe.studies.trials import make_trials
from qmoe.studies.workers import Workers

#: Initialisations that one repeat averages over.
N_DRAWS = 100


def quantity_of(study: Study) -> str:
    """What claims call the effective dimensions of a study's routers."""
    return f"effective dimension on {study.name}"


def missing_measurements(studies: Iterable[Study], store: Store) -> list[tuple[Study, list[str]]]:
    """Studies with the arms that ask for an effective dimension and do not have it, where seeds are enough to judge by."""
    asked = [(study, study.effective_dimension) for study in studies if study.seeds.data >= MIN_CLUSTERS]
    found = [(study, [arm for arm in arms if not store.has_measurement(_key(study, arm))]) for study, arms in asked]
    return [(study, arms) for study, arms in found if arms]


def measure(
    study: Study, arms: Sequence[str], store: Store, workers: Workers, on_repeat: Callable[[], None] | None = None
) -> None:
    """Measures arms on every draw of the study's data, and keeps the figures."""
    found = effective_dimensions(
        store.at_hand(study), arms, repeats=study.seeds.data, n_draws=N_DRAWS, on_repeat=on_repeat, workers=workers
    )
    for arm, values in found.items():
        store.save_measurement(_key(study, arm), quantity_of(study), arm, values.tolist())


def _key(study: Study, arm: str) -> str:
    """Names all that decides the figures."""
    first = next(member.trial for member in make_trials(study) if member.arm == arm)
    return hashlib.sha256(f"{first.hash}:{study.seeds.data}:{N_DRAWS}".encode()).hexdigest()[:16]
