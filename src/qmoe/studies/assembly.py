"""From a trial to a model and its data."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import cachetools
import torch
from torch import Tensor, nn

from qmoe.data import Scaler, Split, fit_scaling, make_dataset
from qmoe.data.base import check_points
from qmoe.errors import ConfigError
from qmoe.layers import Linear
from qmoe.moe import MixtureOfExperts
from qmoe.routers import FeatureSpec, MeanRouting, PermutedRouting, Router, feature_router
from qmoe.seeding import numpy_generator, torch_generator
from qmoe.studies.specs.study import DataSpec, ModelSpec
from qmoe.studies.trials import Draw, TrialSpec

#: Bytes of prepared data that a process keeps; what is larger by itself is prepared anew each time.
MAX_KEPT_BYTES = 256 << 20


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

    @property
    def chance(self) -> float:
        """The share of the commonest class in the test part, or in the training part where nothing is held out.

        Accuracy that takes no look at the features.
        """
        y = self.y_test if len(self.y_test) else self.y_train
        return float(y.bincount().max()) / len(y)


def _size(data: PreparedData) -> int:
    """Bytes of prepared data; its labels are the split's own."""
    arrays = vars(data.raw).values()
    return sum(array.nbytes for array in arrays) + data.x_train.nbytes + data.x_test.nbytes


@cachetools.cached(cachetools.LRUCache(MAX_KEPT_BYTES, _size), lock=threading.Lock(), info=True)
def prepare_data(draw: Draw) -> PreparedData:
    """Samples, splits and scales the data of a trial; a test part that is sampled anew is of the same family."""
    dataset = make_dataset(draw.name, **json.loads(draw.options))
    split = dataset.split(draw.sample_seed, draw.test_fraction, draw.split_seed)
    if draw.test_samples is not None:
        fresh = check_points(dataset, dataset.resized(draw.test_samples).sample(draw.test_seed))
        split = Split(split.x_train, split.y_train, fresh.x, fresh.y)
    if draw.labels == "random":
        # Within the parts: the split is stratified, so other labels before it would give other points to each part.
        generator = numpy_generator(draw.labels_seed)
        y_train, y_test = (generator.permutation(y) for y in (split.y_train, split.y_test))
        split = Split(split.x_train, y_train, split.x_test, y_test)
    scaler = fit_scaling(draw.scaling, split.x_train, draw.components, standardise=draw.standardise)
    x_test = scaler(split.x_test) if len(split.x_test) else split.x_test
    return PreparedData(
        split,
        scaler,
        torch.from_numpy(scaler(split.x_train)),
        torch.from_numpy(split.y_train),
        torch.from_numpy(x_test),
        torch.from_numpy(split.y_test),
    )


class Generators(NamedTuple):
    """Sources of first weights, one for each part of a mixture, so that no part's depend on another."""

    router: torch.Generator
    experts: torch.Generator
    head: torch.Generator

    @classmethod
    def of(cls, trial: TrialSpec) -> Self:
        """Those of a trial."""
        return cls(*map(torch_generator, (trial.router_seed, trial.experts_seed, trial.head_seed)))


def build_model(trial: TrialSpec) -> MixtureOfExperts:
    """The untrained model of a trial, with its first weights."""
    n_features, n_classes, dtype = _sizes(trial)
    model = build_mixture(trial.model, n_features, n_classes, Generators.of(trial), dtype)
    _scale(model.router, trial.training.initial_scale)
    return model


def build_router(trial: TrialSpec) -> Router:
    """The router of `build_model` alone, with the same first weights."""
    n_features, _, dtype = _sizes(trial)
    router = _routing(trial.model, n_features, torch_generator(trial.router_seed), dtype)
    _scale(router, trial.training.initial_scale)
    return router


def build_mixture(
    spec: ModelSpec, n_features: int, n_classes: int, generators: Generators, dtype: torch.dtype
) -> MixtureOfExperts:
    """The model of an arm, with first weights from ``generators``.

    Raises:
        ConfigError: for parts that do not fit together, the features or the classes.
    """
    router = _routing(spec, n_features, generators.router, dtype)
    experts = spec.experts.build(n_features, n_classes, spec.n_experts, generator=generators.experts, dtype=dtype)
    head = None
    if spec.head:
        head = Linear(experts.out_features, n_classes, generator=generators.head, dtype=dtype)
    elif experts.out_features != n_classes:
        raise ConfigError(
            f"The experts have {experts.out_features} outputs for {n_classes} classes; set head = true, or out_features."
        )
    return MixtureOfExperts(router, experts, head, spec.top_k, spec.norm_topk_prob)


@torch.no_grad()
def _scale(router: Router, factor: float) -> None:
    """Multiplies the first weights that train."""
    if factor != 1.0:
        for parameter in router.parameters():
            if parameter.requires_grad:
                parameter.mul_(factor)


def standardise(router: Router, spec: ModelSpec, x_train: Tensor) -> None:
    """Fits the fixed functions of a new router to the training part ``(N, F)``, where it has some and the spec says so."""
    gate = feature_router(router)
    asked = isinstance(spec.router, FeatureSpec) and spec.router.standardised
    if asked and gate is not None and not gate.functions_train:
        gate.standardise(x_train.to(gate.weight.dtype))


def n_trainable(module: nn.Module) -> int:
    """Number of parameters that train."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


_ROUTING: dict[str, Callable[[Router], Router]] = {"mean": MeanRouting, "permuted": PermutedRouting}


def raw_sizes(trial: TrialSpec) -> tuple[int, int]:
    """Features and classes of the data as they are, which needs no row of them."""
    return data_sizes(trial.data)


def data_sizes(data: DataSpec) -> tuple[int, int]:
    """Features and classes of the data as they are, which needs no row of them."""
    found = _sizes_of(data.name, _options(data), data.test_fraction)
    return found.n_features, found.n_classes


def row_counts(data: DataSpec) -> tuple[int, int]:
    """Rows of the training and of the test part."""
    found = _sizes_of(data.name, _options(data), data.test_fraction)
    return found.n_train, found.n_test if data.test_samples is None else data.test_samples


def problem_numbers(data: DataSpec) -> int:
    """Numbers that the rule behind a sampled data set may have: all products of two of its sizes."""
    return _sizes_of(data.name, _options(data), data.test_fraction).n_problem


def _options(data: DataSpec) -> str:
    return json.dumps(data.options, sort_keys=True)


def _sizes(trial: TrialSpec) -> tuple[int, int, torch.dtype]:
    """Features and classes that a model of the trial sees, and its numbers."""
    n_features, n_classes = raw_sizes(trial)
    return trial.data.components or n_features, n_classes, getattr(torch, trial.training.dtype)


#: Whole numbers among the options of data sets that make nothing larger but the sample.
_NO_SIZES = ("n_samples", "problem_seed", "seed")


class _Sizes(NamedTuple):
    n_features: int
    n_classes: int
    n_train: int
    n_test: int
    n_problem: int


@functools.lru_cache(maxsize=128)
def _sizes_of(name: str, options: str, test_fraction: float) -> _Sizes:
    dataset = make_dataset(name, **json.loads(options))
    sizes = [value for name, value in vars(dataset).items() if type(value) is int and name not in _NO_SIZES]
    n_problem = (sum(sizes) + dataset.n_features) ** 2
    return _Sizes(dataset.n_features, dataset.n_classes, *dataset.part_sizes(test_fraction), n_problem)


def _routing(spec: ModelSpec, n_features: int, generator: torch.Generator, dtype: torch.dtype) -> Router:
    router = spec.router.build(n_features, spec.n_experts, generator=generator, dtype=dtype)
    return router if spec.routing == "input" else _ROUTING[spec.routing](router)
