"""Many models of one shape as one."""

from __future__ import annotations

import copy
import operator
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from qmoe.circuits import Circuit
from qmoe.engines import Engine
from qmoe.engines.shots.shot_streams import SHOT_STREAM
from qmoe.errors import ConfigError
from qmoe.layers import Stackable, runs_stacked
from qmoe.torch_internals import copy_all

_GROUPS = ("_parameters", "_buffers")
#: Attributes of modules that are no options.
_NO_OPTIONS = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "warned_of_range")


class ModelStack:
    """M models side by side: every parameter gains a leading axis M, and one call runs them all.

    Models may differ in the values of their parameters and buffers (noise strength is a buffer), not in anything else.
    Modules of qmoe run on the leading axis as they are; all others through `torch.func.vmap`.

    Args:
        models: at least one module; all of one structure. They are not changed until `write_back`.

    Raises:
        ConfigError: for an empty list, or models of different shapes or options.

    Example:
        >>> from qmoe.training import ModelStack
        >>> stack = ModelStack([qmoe.LinearRouter(2, 3) for _ in range(4)])
        >>> stack(torch.rand(4, 10, 2)).shape
        torch.Size([4, 10, 3])
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        if not models:
            raise ConfigError("A stack needs at least one model, got none.")
        self.models = list(models)
        _options(self.models[0])  # refuses what no stack can hold
        self._modules = [list(model.modules()) for model in self.models]
        first = [_Likeness(module) for module in self._modules[0]]
        for index, model in enumerate(self.models[1:], 1):
            if not _alike(first, self._modules[index]):
                _explain(self.models[0], index, model)
        with torch.no_grad():
            # A parameter that is frozen in the models stays so.
            self.parameters: dict[str, Tensor] = {
                name: nn.Parameter(torch.stack(self._of_models("_parameters", value)), value.requires_grad)
                for name, value in self.models[0].named_parameters()
            }
            self.buffers: dict[str, Tensor] = {
                name: torch.stack(self._of_models("_buffers", value)) for name, value in self.models[0].named_buffers()
            }
        self._model = copy.deepcopy(self.models[0])
        self._natively = runs_stacked(self._model)
        if self._natively:
            for name, value in {**self.parameters, **self.buffers}.items():
                owner, _, leaf = name.rpartition(".")
                setattr(self._model.get_submodule(owner), leaf, value)
            for module in self._model.modules():
                if isinstance(module, Stackable):
                    module.checks_input = False

    def __len__(self) -> int:
        return len(self.models)

    @property
    def module(self) -> nn.Module | None:
        """The module that runs all models on the leading axis; None where `torch.func.vmap` is needed for that."""
        return self._model if self._natively else None

    def __call__(self, x: Tensor) -> Tensor:
        """Runs model m on ``x[m]``: ``(M, B, F)`` to ``(M, B, O)``. Values of ``x`` are not checked."""
        if self._natively:
            return self._model(x)
        if len(self) == 1:
            # Alone, a module may do what vmap cannot: look at values, draw random numbers, call other programs.
            only = [{name: value[0] for name, value in group.items()} for group in (self.parameters, self.buffers)]
            return self._one(only[0], only[1], x[0]).unsqueeze(0)
        return vmap(self._one)(self.parameters, self.buffers, x)

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self._model, (parameters, buffers), (x,))

    @torch.no_grad()
    def write_back(self, skip: Container[int] = ()) -> None:
        """Copies the stack's parameters into the models it was made of, but for those whose places are in ``skip``.

        With them go the streams of random numbers of shots, which go on behind the training.
        """
        written: list[tuple[str, Tensor, Tensor]] = []
        for name, value in self.models[0].named_parameters():
            written.append(("_parameters", value, self.parameters[name]))
        for name, buffer in self.models[0].named_buffers():
            if name.rpartition(".")[2] == SHOT_STREAM:
                written.append(("_buffers", buffer, self.buffers[name]))
        for group, first, stack in written:
            pairs = enumerate(zip(self._of_models(group, first), stack.detach().unbind(0), strict=True))
            kept = [pair for index, pair in pairs if index not in skip]
            if kept:
                copy_all([own for own, _ in kept], [new for _, new in kept])

    def _of_models(self, group: str, first: Tensor) -> list[Tensor]:
        """Of every model the tensor that is ``first`` of model 0."""
        place, name = next(
            (place, name)
            for place, module in enumerate(self._modules[0])
            for name, value in vars(module)[group].items()
            if value is first
        )
        return [vars(modules[place])[group][name] for modules in self._modules]


class _Likeness:
    """What the modules at one place of all models must have in common with that of the first.

    Args:
        module: that of the first model.
    """

    def __init__(self, module: nn.Module) -> None:
        self._type, self._own = type(module), vars(module)
        names = _option_names(module)
        self._hooks = operator.itemgetter(*(name for name in names if "_hooks" in name))
        self._values_of = operator.itemgetter(*(name for name in names if "_hooks" not in name))
        self._values = self._values_of(self._own)
        self._children = self._own["_modules"].keys()

    def is_of(self, module: nn.Module) -> bool:
        """Whether a module differs in values of parameters and buffers alone."""
        its = vars(module)
        if type(module) is not self._type or its.keys() != self._own.keys() or its["_modules"].keys() != self._children:
            return False
        if any(self._hooks(its)):
            return False  # a stack would not call them
        for name in _GROUPS:
            own, value = self._own[name], its[name]
            if own.keys() != value.keys() or not all(map(_like, own.values(), map(value.__getitem__, own))):
                return False
        for own, value in zip(self._values, self._values_of(its), strict=True):
            if own is not value and not _same(_apart_from_strength(own), _apart_from_strength(value)):
                return False
        return True


def _alike(first: Sequence[_Likeness], modules: Sequence[nn.Module]) -> bool:
    """Whether a model differs from the first in values of parameters and buffers alone, as far as is quickly seen."""
    if len(first) != len(modules) or not all(one.is_of(module) for one, module in zip(first, modules, strict=True)):
        return False
    parameters = [p for module in modules for p in vars(module)["_parameters"].values() if p is not None]
    return len(set(map(id, parameters))) == len(
        parameters
    )  # two parameters that are one tensor do not train in a stack


def _like(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and one.dtype == other.dtype and one.requires_grad == other.requires_grad


def _explain(first: nn.Module, index: int, model: nn.Module) -> None:
    """Raises an error that names what is different about model number ``index``, if anything is."""
    if _shape(model) != _shape(first) or type(model) is not type(first):
        raise ConfigError(
            f"Model {index} has other parameters than model 0; only models of one shape train in one stack."
        )
    # The first model computes for all, so a difference in any option would be lost without a word.
    options, others = _options(first), _options(model)
    for name in {**options, **others}:
        if not _same(options.get(name), others.get(name)):
            theirs, ours = (getattr(v, "__name__", v) for v in (others.get(name), options.get(name)))
            raise ConfigError(
                f"Model {index} has {name}={theirs}, model 0 has {ours}; only models that "
                "differ in parameters and buffers alone train in one stack."
            )


def _shape(model: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _options(model: nn.Module) -> dict[str, object]:
    """What a model is apart from its parameters and buffers: types, attributes, what is frozen, hooks.

    Raises:
        ConfigError: for tied parameters and for hooks, which a stack would lose.
    """
    found: dict[str, object] = {f"{k}.requires_grad": p.requires_grad for k, p in model.named_parameters()}
    if len(found) != len(list(model.named_parameters(remove_duplicate=False))):
        raise ConfigError("Two parameters of the model are one tensor; tied parameters do not train in a stack.")
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        found[f"{prefix}type"] = type(module)
        for name in _option_names(module):
            value = vars(module)[name]
            if name.endswith("_hooks") and value:
                raise ConfigError(f"The model has hooks ({prefix}{name}), which a stack would not call for each model.")
            found[prefix + name] = _apart_from_strength(value)
    return found


def _option_names(module: nn.Module) -> list[str]:
    """Attributes of a module that are options; what a `cached_property` keeps follows from the others."""
    kind = type(module)
    return [
        name
        for name in vars(module)
        if name not in _NO_OPTIONS and not isinstance(getattr(kind, name, None), cached_property)
    ]


def _apart_from_strength(value: object) -> object:
    """A circuit without the strength of its noise, which stands in a buffer as well and may differ; all else as it is."""
    if isinstance(value, Circuit) and value.noise is not None:
        return value.with_noise(replace(value.noise, depolarizing=0.0))
    return value


def _same(one: object, other: object) -> bool:
    if isinstance(one, Engine) and isinstance(other, Engine):
        return type(one) is type(other) and repr(one) == repr(other)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError, RuntimeError):  # not comparable as a whole, so not known to be the same
        return False
