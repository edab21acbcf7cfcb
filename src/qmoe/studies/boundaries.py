"""What the decision boundaries of trained models are like: straight or not, and how near to the best there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import safetensors.torch

from qmoe.analysis import bayes_agreement, make_grid, off_a_line, probabilities
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.moe import MixtureOfExperts
from qmoe.studies.build import build_model, prepare_data, raw_sizes
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Record, StudyResults

#: A boundary is straight if one line predicts all but this share of the plane alike.
TOLERANCE = 0.01
#: What a claim that lines are straight compares with: each of them is.
A_LINE = "a straight line"
#: Nodes of the grid along each feature.
_NODES = 48


def straightness_on(study: Study) -> str:
    """What claims call the share of straight boundaries in a study."""
    return f"share of straight boundaries on {study.name}"


def agreement_on(study: Study) -> str:
    """What claims call the share of the plane in which models agree with the best possible classifier."""
    return f"agreement with the best boundary on {study.name}"


def trained_model(record: Record) -> MixtureOfExperts:
    """The model of a finished trial with its trained parameters."""
    model = build_model(record.trial)
    model.load_state_dict(safetensors.torch.load(record.state))
    return model


def boundary_measurements(results: StudyResults, arms: Sequence[str]) -> Mapping[str, Mapping[str, np.ndarray]]:
    """Looks at the boundary of every finished model of some arms, on one grid around the points of all draws.

    Args:
        results: a study of two features and two classes.
        arms: names of arms, without noise.

    Returns:
        For each quantity and arm ``(draws,)`` means over the runs of a draw: `straightness_on`, with ``"a straight line"``,
        which is 1, beside them; and, where the data set knows the best classifier, `agreement_on`.

    Raises:
        ConfigError: for data that are not planar, or an arm without a finished run at the study's own learning rate.
    """
    study = results.study
    records = {arm: _records(results, arm) for arm in arms}
    first = next(iter(records.values()))[0]
    if raw_sizes(first.trial) != (2, 2):
        raise ConfigError(f"{study.name} has {raw_sizes(first.trial)} features and classes; boundaries take 2 and 2.")
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
    straight[A_LINE] = np.ones_like(next(iter(straight.values())))
    return {straightness_on(study): straight} | ({agreement_on(study): agrees} if agrees else {})


def _records(results: StudyResults, arm: str) -> list[Record]:
    """The finished runs of an arm at the study's own learning rate, in the order of their seeds."""
    members = [m for m in results.members if m.arm == arm and m.trial.training.lr == results.study.training.lr]
    found = [results.records[m.trial.hash] for m in members if m.trial.hash in results.records]
    found = [record for record in found if record.error is None]
    if not found:
        raise ConfigError(f"{results.study.name} has no finished run of an arm {arm!r}; run the study first.")
    return found


def _by_draw(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    return np.array([float(values[seeds == seed].mean()) for seed in np.unique(seeds)])
