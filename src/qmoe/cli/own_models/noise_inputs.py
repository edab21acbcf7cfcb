"""Trained models with held-out data for `qmoe noise`: from a store, a saved model, or a function of the user's own."""

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
from qmoe.data.tables.table import UserTable
from qmoe.errors import ConfigError, unknown
from qmoe.saving import load
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


def from_function(source: str, allowed: bool, placement: str | None) -> NoiseInput:
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
    return _one(returned, source, placement)


def from_file(
    path: Path, data: Path | None, target: str | None, train: Path | None, placement: str | None
) -> NoiseInput:
    """A model that `qmoe.save` wrote, on the rows of a table.

    Args:
        path: the model.
        data: a table with held-out rows, features scaled as the model takes them.
        target: its label column, whose values in order are the classes.
        train: a table with training rows, for recalibration; None for none.
        placement: where noise strikes in circuits that have none.

    Raises:
        ConfigError: without a table or a label column, or for tables that do not fit.
    """
    if data is None or target is None:
        raise ConfigError(f"{path} is a saved model; say on which rows it is used: --data FILE.csv --target COLUMN.")
    held_out = UserTable(data, target)
    rows = held_out.sample(0)
    given = {"model": load(path), "X": rows.x, "y": rows.y}
    if train is not None:
        training = UserTable(train, target)
        if (training.classes, training.columns) != (held_out.classes, held_out.columns):
            raise ConfigError(f"{train} has other columns or other classes than {data}; give both the same.")
        rows = training.sample(0)
        given |= {"X_train": rows.x, "y_train": rows.y}
    return _one(given, str(path), placement)


def _one(given: Mapping[str, Any], source: str, placement: str | None) -> NoiseInput:
    """One model, on rows that are checked to be what it takes."""
    model = given["model"]
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"{source} gives a {type(model).__name__} as its model, expected a torch module that is trained."
        )
    circuits_of(model)  # refuses one without, which has nothing that noise could change
    dtype = next(model.parameters()).dtype
    x, y = _rows(given["X"], given["y"], dtype, source)
    training = _rows(given["X_train"], given["y_train"], dtype, source) if "X_train" in given else None
    if training is not None:
        _right(model, *training, f"the model of {source}")
    rival = _right(given["rival"], x, y, f"the rival of {source}") if "rival" in given else None
    _right(model, x, y, f"the model of {source}")
    chance = float(y[0].bincount().max()) / y.shape[1]
    return NoiseInput([_with_noise(model, given.get("noise"), placement)], x, y, training, None, chance, rival)


def _right(model: Any, x: Tensor, y: Tensor, what: str) -> np.ndarray:
    """``(N,)``: 1 for each row that a model is right on.

    Raises:
        ConfigError: for one that does not run on the rows, or has fewer outputs than there are classes.
    """
    try:
        with torch.no_grad():
            outputs = model(x[0])
    except Exception as error:  # whatever a model of the user's raises
        raise ConfigError(
            f"{what[:1].upper()}{what[1:]} does not run on rows of shape {tuple(x[0].shape)}. It raised "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or outputs.shape[1] <= int(y.max()):
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ConfigError(
            f"{what[:1].upper()}{what[1:]} gives {found}, expected (N, C) numbers for the classes 0 to {int(y.max())}."
        )
    right: np.ndarray = (outputs.argmax(-1) == y[0]).double().numpy()
    return right


def from_store(
    folder: Path, study: str, arm: str, draw: int | None, against: str | None, placement: str | None
) -> NoiseInput:
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
    try:
        features, given = torch.as_tensor(x, dtype=dtype), torch.as_tensor(y)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{source} gives rows or labels that are no numbers: {error}.") from error
    labels = given.long()
    if not bool((labels == given).all()) or bool((labels < 0).any()):
        raise ConfigError(f"{source} gives labels that are no classes, expected whole numbers from 0.")
    if not bool(features.isfinite().all()):
        raise ConfigError(f"{source} gives features that are not finite; drop such rows.")
    if features.dim() != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ConfigError(
            f"{source} gives features of shape {tuple(features.shape)} and labels of {tuple(labels.shape)}, expected (N, F) "
            "and (N,)."
        )
    return features.unsqueeze(0), labels.unsqueeze(0)


def _with_noise(model: nn.Module, noise: Any, placement: str | None) -> nn.Module:
    """The model with a noise model in each circuit, as given or without any strength.

    Raises:
        ConfigError: for a placement where the noise has one already.
    """
    has_noise = all(part.circuit.noise is not None for part in circuits_of(model))
    if placement is not None and (noise is not None or has_noise):
        raise ConfigError("--placement decides nothing where noise is given, or circuits have it; leave it out.")
    if noise is None and has_noise:
        return model
    return noisy_copy(model, NoiseModel(0.0, placement or "block") if noise is None else noise)


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


def _rival(records: list[Record], rivals: list[Record], x: Tensor, y: Tensor, several: bool) -> np.ndarray:
    """Accuracies of the arm to beat on the seeds of the models, or on the rows of their one draw.

    Raises:
        ConfigError: where a model has no rival of its seeds.
    """
    at = {(r.trial.data_seed, r.trial.init_seed): r for r in rivals}
    keys = [(r.trial.data_seed, r.trial.init_seed) for r in records]
    missing = [key for key in keys if key not in at]
    if missing:
        raise ConfigError(
            f"The arm to beat lacks {len(missing)} of {len(keys)} runs, that of draw {missing[0][0]}, initialisation "
            f"{missing[0][1]}, for one; run the study to its end first."
        )
    if several:
        return np.array([at[key].metrics["test_accuracy"] for key in keys])
    with torch.no_grad():
        right = [trained_model(at[key])(x[m]).argmax(-1) == y[m] for m, key in enumerate(keys)]
    found: np.ndarray = torch.stack(right).double().mean(0).numpy()
    return found
