"""Measurements beside the trials: effective dimensions of the routers of some arms, kept in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from qmoe.analysis.statistics import MIN_CLUSTERS
from qmoe.studies.claims.measuring import effective_dimensions
from qmoe.studies.spec import Study
from qmoe.studies.store import Store
from qmoe.studies.trials import make_trials

#: Initialisations that one repeat averages over.
N_DRAWS = 100


def quantity_of(study: Study) -> str:
    """What claims call the effective dimensions of a study's routers."""
    return f"effective dimension on {study.name}"


def missing_measurements(studies: Iterable[Study], store: Store) -> list[tuple[Study, str]]:
    """Studies and arms that ask for an effective dimension and do not have it, where there are seeds enough to judge by."""
    asked = [(s, arm) for s in studies for arm in s.effective_dimension if s.seeds.data >= MIN_CLUSTERS]
    return [(study, arm) for study, arm in asked if not store.has_measurement(_key(study, arm))]


def measure(study: Study, arm: str, store: Store, on_repeat: Callable[[], None] | None = None) -> None:
    """Measures one arm on every draw of the study's data, and keeps the figures."""
    values = effective_dimensions(study, [arm], repeats=study.seeds.data, n_draws=N_DRAWS, on_repeat=on_repeat)[arm]
    store.save_measurement(_key(study, arm), quantity_of(study), arm, values.tolist())


def _key(study: Study, arm: str) -> str:
    """Names all that decides the figures."""
    first = next(member.trial for member in make_trials(study) if member.arm == arm)
    return hashlib.sha256(f"{first.hash}:{study.seeds.data}:{N_DRAWS}".encode()).hexdigest()[:16]
