"""From a trial to a model and its data."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import AmplitudeEncoding, AngleEncoding, Encoding, NoiseModel
from qmoe.data import Scaler, Split, fit_scaling, make_dataset
from qmoe.errors import ConfigError
from qmoe.experts import Experts, LinearExperts, MLPExperts, QuantumExperts
from qmoe.layers import LinearHead
from qmoe.moe import MixtureOfExperts
from qmoe.routers import LinearRouter, MLPRouter, QuantumRouter, Router, UniformRouter
from qmoe.seeding import torch_generator
from qmoe.studies.spec import (
    LinearExpertsSpec,
    LinearRouterSpec,
    MLPRouterSpec,
    ModelSpec,
    QuantumSpec,
)
from qmoe.studies.trials import Draw, TrialSpec


@dataclass(frozen=True)
class PreparedData:
    """A split, scaled by its training part; float64.

    Attributes:
        raw: the split before scaling.
        scaler: what was fitted on the training part.
        x_train: ``(N, F)``.
        y_train: ``(N,)``.
        x_test: ``(T, F)``, T = 0 where nothing is held out.
        y_test: ``(T,)``.
    """

    raw: Split
    scaler: Scaler
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


@functools.lru_cache(maxsize=128)
def prepare_data(draw: Draw) -> PreparedData:
    """Samples, splits and scales the data of a trial."""
    dataset = make_dataset(draw.name, **json.loads(draw.options))
    split = dataset.split(draw.sample_seed, draw.test_fraction, draw.split_seed)
    scaler = fit_scaling(draw.scaling, split.x_train, draw.components)
    x_test = scaler(split.x_test) if len(split.x_test) else split.x_test
    return PreparedData(
        split,
        scaler,
        torch.from_numpy(scaler(split.x_train)),
        torch.from_numpy(split.y_train),
        torch.from_numpy(x_test),
        torch.from_numpy(split.y_test),
    )


def build_model(trial: TrialSpec) -> MixtureOfExperts:
    """The untrained model of a trial, with its first weights."""
    dataset = make_dataset(trial.data.name, **trial.data.options)
    dtype = getattr(torch, trial.training.dtype)
    n_features = trial.data.components or dataset.n_features
    return _mixture(trial.model, n_features, dataset.n_classes, torch_generator(trial.weights_seed), dtype)


def _mixture(
    spec: ModelSpec, n_features: int, n_classes: int, generator: torch.Generator, dtype: torch.dtype
) -> MixtureOfExperts:
    router = _router(spec, n_features, generator, dtype)
    experts = _experts(spec, n_features, n_classes, generator, dtype)
    head = None
    if spec.head:
        head = LinearHead(experts.out_features, n_classes, generator=generator, dtype=dtype)
    elif experts.out_features != n_classes:
        raise ConfigError(
            f"The experts have {experts.out_features} outputs for {n_classes} classes; set head = true, or out_features."
        )
    return MixtureOfExperts(router, experts, head, spec.top_k)


def _router(spec: ModelSpec, n_features: int, generator: torch.Generator, dtype: torch.dtype) -> Router:
    kind, n = spec.router, spec.n_experts
    if isinstance(kind, LinearRouterSpec):
        return LinearRouter(n_features, n, generator=generator, dtype=dtype)
    if isinstance(kind, MLPRouterSpec):
        return MLPRouter(n_features, n, kind.hidden, kind.activation, generator=generator, dtype=dtype)
    if isinstance(kind, QuantumSpec):
        return QuantumRouter(n_features, n, **_circuit_options(kind), generator=generator, dtype=dtype)
    return UniformRouter(n_features, n)


def _experts(
    spec: ModelSpec, n_features: int, n_classes: int, generator: torch.Generator, dtype: torch.dtype
) -> Experts:
    kind, n = spec.experts, spec.n_experts
    if isinstance(kind, QuantumSpec):
        return QuantumExperts(n_features, n, **_circuit_options(kind), generator=generator, dtype=dtype)
    out = kind.out_features or n_classes
    if isinstance(kind, LinearExpertsSpec):
        return LinearExperts(n_features, out, n, generator=generator, dtype=dtype)
    return MLPExperts(n_features, out, n, kind.hidden, kind.activation, generator=generator, dtype=dtype)


def _circuit_options(spec: QuantumSpec) -> dict[str, Any]:
    encoding: Encoding = AmplitudeEncoding()
    if spec.encoding == "angle":
        encoding = AngleEncoding(spec.rotation, spec.uploads)
    return {
        "n_qubits": spec.n_qubits,
        "n_layers": spec.n_layers,
        "encoding": encoding,
        "ansatz": spec.ansatz,
        "readout": spec.readout,
        "engine": spec.engine,
        "noise": NoiseModel(spec.noise or 0.0, spec.placement, spec.dephasing) if spec.mixed else None,
    }
