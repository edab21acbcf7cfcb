"""What the decision boundaries of trained models are like: straight or not, and how near to the best there is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import safetensors.torch
from safetensors import SafetensorError

from qmoe.analysis import bayes_agreement, make_grid, off_a_line, probabilities
from qmoe.data import make_dataset
from qmoe.errors import ConfigError, StoreError
from qmoe.moe import MixtureOfExperts
from qmoe.statistics.bootstrap import MIN_CLUSTERS
from qmoe.studies.assembly import build_model, prepare_data
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Record, Store, StudyResults
from qmoe.studies.trials import make_trials

#: A boundary is straight if one line predicts all but this share of the plane alike.
TOLERANCE = 0.01
#: Nodes of the grid along each feature.
_NODES = 48


def straightness_on(study: Study) -> str:
    """What claims call the share of straight boundaries in a study."""
    return f"share of straight boundaries on {study.name}"


def agreement_on(study: Study) -> str:
    """What claims call the share of the plane in which models agree with the best possible classifier."""
    return f"agreement with the best boundary on {study.name}"


def trained_model(record: Record) -> MixtureOfExperts:
    """The model of a finished trial with its trained parameters.

    Raises:
        StoreError: when its weights are not kept, or not those of such a model.
    """
    if not record.state:
        raise StoreError(
            f"The weights of trial {record.trial.hash} are not kept; give its study keep = 'all' and run it again."
        )
    model = build_model(record.trial)
    try:
        model.load_state_dict(safetensors.torch.load(record.state))
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise StoreError(f"The weights of trial {record.trial.hash} cannot be read: {first}; run it again.") from None
    return model


def missing_boundaries(studies: Iterable[Study], store: Store) -> list[tuple[Study, list[str]]]:
    """Studies with the arms that ask for boundaries which the store does not have, where seeds are enough to judge by."""
    asked = [study for study in studies if study.boundaries and study.seeds.data >= MIN_CLUSTERS]
    return [(s, list(s.boundaries)) for s in asked if not all(map(store.has_measurement, _keys(s).values()))]


def _keys(study: Study) -> dict[tuple[str, str], str]:
    """What the measurements of each quantity and arm are known by."""
    knows_best = make_dataset(study.data.name, **study.data.options).posterior(np.zeros((1, 2))) is not None
    quantities = [straightness_on(study), *([agreement_on(study)] if knows_best else [])]
    arms = study.boundaries
    return {(q, arm): _key(study, q if arm == arms[0] else f"{q}, {arm}") for q in quantities for arm in arms}


def measure_boundaries(study: Study, arms: Sequence[str], store: Store) -> None:
    """Looks at the boundaries of the trained models of a study in the store, and keeps the figures.

    A study that has not finished is left for the next time.
    """
    results = store.load(study.name)
    if results.n_missing:
        return
    keys = _keys(study)
    for quantity, values in boundary_measurements(results, arms).items():
        for arm in arms:
            store.save_measurement(keys[quantity, arm], quantity, arm, values[arm].tolist())


def _key(study: Study, what: str) -> str:
    """Names all that decides the figures: what was trained, and how it is looked at."""
    trials = ",".join(member.trial.hash for member in make_trials(study) if member.arm in study.boundaries)
    asked = f"{','.join(study.boundaries)}:{TOLERANCE}:{_NODES}:{what}"
    return hashlib.sha256(f"boundaries:{asked}:{trials}".encode()).hexdigest()[:16]


def boundary_measurements(results: StudyResults, arms: Sequence[str]) -> Mapping[str, Mapping[str, np.ndarray]]:
    """Looks at the boundary of every finished model of some arms, on one grid around the points of all draws.

    Args:
        results: a study of two features and two classes.
        arms: names of arms, without noise.

    Returns:
        For each quantity and arm ``(draws,)`` means over the runs of each draw that all arms have finished runs of:
        `straightness_on`, and, where the data set knows the best classifier, `agreement_on`.

    Raises:
        ConfigError: for data that are not planar, or an arm without a finished run at the study's own learning rate.
    """
    study = results.study
    if study.sizes != (2, 2):
        raise ConfigError(f"{study.name} has {study.sizes} features and classes; boundaries take 2 and 2.")
    found_of = {arm: _records(results, arm) for arm in arms}
    shared = set.intersection(*({r.trial.data_seed for r in found} for found in found_of.values()))
    records = {arm: [r for r in found if r.trial.data_seed in shared] for arm, found in found_of.items()}
    draws = {record.trial.draw for found in records.values() for record in found}
    raw = [prepare_data(draw).raw for draw in draws]
    grid = make_grid(np.concatenate([split.x_train for split in raw]), _NODES, 0.06)
    dataset = make_dataset(study.data.name, **study.data.options)
    straight, agrees = {}, {}
    for arm, found in records.items():
        scaled = np.stack([prepare_data(r.trial.draw).scaler(grid.points) for r in found])
        probability = probabilities([trained_model(r) for r in found], scaled)
        seeds = np.array([r.trial.data_seed for r in found])
        straight[arm] = _by_draw(off_a_line(probability, grid.points) <= TOLERANCE, seeds)
        best = bayes_agreement(dataset, grid.points, (probability > 0.5).astype(np.int64))
        if best is not None:
            agrees[arm] = _by_draw(best.agreement, seeds)
    return {straightness_on(study): straight} | ({agreement_on(study): agrees} if agrees else {})


def _records(results: StudyResults, arm: str) -> list[Record]:
    """The finished runs of an arm at the study's own learning rate, in the order of their seeds."""
    found = results.of(arm)
    if not found:
        raise ConfigError(f"{results.study.name} has no finished run of an arm {arm!r}; run the study first.")
    return found


def _by_draw(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    return np.array([float(values[seeds == seed].mean()) for seed in np.unique(seeds)])
