"""Trained models with held-out data for `qmoe noise`: from a function of the user's own, or from a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.analysis.robustness.noisy_models import circuits_of, noisy_copy
from qmoe.circuits import NoiseModel
from qmoe.cli.jobs import STORE
from qmoe.cli.own_models.user_function import returned_by
from qmoe.data.sources import only_from
from qmoe.errors import ConfigError, unknown
from qmoe.studies import Store, StudyResults
from qmoe.studies.assembly import prepare_data
from qmoe.studies.boundary_measures import trained_model
from qmoe.studies.store import Record

#: What a function for `qmoe noise` returns, where it returns no dict; and what a dict may have beside these.
_POSITIONS = ("model", "X", "y")
_MORE = ("X_train", "y_train", "noise", "rival")


@dataclass(frozen=True, eq=False)
class NoiseInput:
    """Models that were trained without noise, and what they are used on.

    Attributes:
        models: M models of one shape, whose circuits have a noise model.
        x: ``(M, N, F)`` held-out features.
        y: ``(M, N)`` labels.
        calibration: training rows of each, or None.
        clusters: ``(M,)`` draw of the data of each model; None where there is one, so that rows are what is resampled.
        chance: accuracy of saying the commonest class.
        rival: accuracies of the arm or model to beat, over models or rows; None where there is none.
    """

    models: list[nn.Module]
    x: Tensor
    y: Tensor
    calibration: tuple[Tensor, Tensor] | None
    clusters: list[int] | None
    chance: float
    rival: np.ndarray | None


def from_function(source: str, allowed: bool, placement: str) -> NoiseInput:
    """What a function of the user's own returns: ``(model, X, y)``, or a dict with these and more.

    Raises:
        ConfigError: for anything else.
    """
    returned = returned_by(source, allowed)
    if isinstance(returned, tuple) and len(returned) == len(_POSITIONS):
        returned = dict(zip(_POSITIONS, returned, strict=True))
    if not isinstance(returned, Mapping):
        raise ConfigError(
            f"{source} returned a {type(returned).__name__}, expected (model, X, y), or a dict with these and any of "
            f"{', '.join(_MORE)}."
        )
    for name in returned:
        if name not in (*_POSITIONS, *_MORE):
            raise unknown(f"key in the dict of {source}:", name, (*_POSITIONS, *_MORE))
    missing = [name for name in _POSITIONS if name not in returned]
    if missing or ("X_train" in returned) != ("y_train" in returned):
        lacking = ", ".join(missing) or "one of X_train and y_train"
        raise ConfigError(
            f"The dict of {source} lacks {lacking}; it needs {', '.join(_POSITIONS)}, and both or neither."
        )
    model = returned["model"]
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"{source} gives a {type(model).__name__} as its model, expected a torch module that is trained."
        )
    dtype = next(model.parameters()).dtype
    x, y = _rows(returned["X"], returned["y"], dtype, source)
    training = None
    if "X_train" in returned:
        training = _rows(returned["X_train"], returned["y_train"], dtype, source)
    rival = None
    if "rival" in returned:
        with torch.no_grad():
            rival = (returned["rival"](x[0]).argmax(-1) == y[0]).double().numpy()
    chance = float(y[0].bincount().max()) / y.shape[1]
    return NoiseInput([_with_noise(model, returned.get("noise"), placement)], x, y, training, None, chance, rival)


def from_store(folder: Path, study: str, arm: str, draw: int | None, against: str | None, placement: str) -> NoiseInput:
    """The trained models of an arm in a results folder, on the held-out rows of their draws.

    Args:
        folder: a results folder.
        study: name of the study.
        arm: name of the arm; of one that lists noise strengths the models without noise.
        draw: number of a draw of the data; None for all.
        against: an arm to beat; None for the study's own.
        placement: where noise strikes in circuits that have none.

    Raises:
        ConfigError: for what the store does not have.
    """
    with Store(folder / STORE, create=False) as store, only_from(store.path):
        if study not in store.study_names():
            raise unknown("study in the store:", study, store.study_names())
        results = store.load(study)
        if not results.study.data.holds_out:
            raise ConfigError(f"{study} holds out no data, so accuracy under noise would be that on its training part.")
        records = _records(results, arm, draw)
        against = against or (None if results.study.noise is None else results.study.noise.against)
        rivals = [] if against is None else _records(results, against, draw)
        data = [prepare_data(record.trial.draw) for record in records]
        dtype = getattr(torch, records[0].trial.training.dtype)
        models: list[nn.Module] = [_with_noise(trained_model(record), None, placement) for record in records]
        x, y = torch.stack([d.x_test for d in data]).to(dtype), torch.stack([d.y_test for d in data])
        calibration = torch.stack([d.x_train for d in data]).to(dtype), torch.stack([d.y_train for d in data])
        draws = [record.trial.data_seed for record in records]
        several = len(set(draws)) > 1
        rival = _rival(records, rivals, x, y, several) if rivals else None
    chance = float(np.mean([d.chance for d in data]))
    return NoiseInput(models, x, y, calibration, draws if several else None, chance, rival)


def _rows(x: Any, y: Any, dtype: torch.dtype, source: str) -> tuple[Tensor, Tensor]:
    features, labels = torch.as_tensor(x, dtype=dtype), torch.as_tensor(y).long()
    if features.dim() != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ConfigError(
            f"{source} gives features of shape {tuple(features.shape)} and labels of {tuple(labels.shape)}, expected (N, F) "
            "and (N,)."
        )
    return features.unsqueeze(0), labels.unsqueeze(0)


def _with_noise(model: nn.Module, noise: Any, placement: str) -> nn.Module:
    """The model with a noise model in each circuit, as given or without any strength."""
    if noise is None and all(part.circuit.noise is not None for part in circuits_of(model)):
        return model
    return noisy_copy(model, NoiseModel(0.0, placement) if noise is None else noise)


def _records(results: StudyResults, arm: str, draw: int | None) -> list[Record]:
    strengths = {member.strength for member in results.members if member.arm == arm}
    if not strengths:
        raise unknown(f"arm of study {results.study.name!r}:", arm, {member.arm for member in results.members})
    strength = 0.0 if 0.0 in strengths else None
    found = results.of(arm, strength)
    if strength not in strengths or not found:
        raise ConfigError(f"{results.study.name} has no finished run of {arm!r} without noise; run it first.")
    if draw is None:
        return found
    chosen = [record for record in found if record.trial.data_seed == draw]
    if not chosen:
        most = max(record.trial.data_seed for record in found)
        raise ConfigError(f"--draw is {draw}, and {results.study.name} has the draws 0 to {most} of {arm!r}.")
    return chosen


def _rival(records: list[Record], rivals: list[Record], x: Tensor, y: Tensor, several: bool) -> np.ndarray | None:
    """Accuracies of the arm to beat on the seeds of the models, or on the rows of their one draw; None where one lacks."""
    at = {(r.trial.data_seed, r.trial.init_seed): r for r in rivals}
    keys = [(r.trial.data_seed, r.trial.init_seed) for r in records]
    if any(key not in at for key in keys):
        return None
    if several:
        return np.array([at[key].metrics["test_accuracy"] for key in keys])
    with torch.no_grad():
        right = [trained_model(at[key])(x[m]).argmax(-1) == y[m] for m, key in enumerate(keys)]
    found: np.ndarray = torch.stack(right).double().mean(0).numpy()
    return found
