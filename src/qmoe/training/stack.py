"""Many models of one shape as one."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from qmoe.circuits import Circuit
from qmoe.engines import Engine
from qmoe.errors import ConfigError
from qmoe.layers import Stackable, runs_stacked

_TENSORS_AND_MODULES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


class ModelStack:
    """M models side by side: every parameter gains a leading axis M, and one call runs them all.

    Models may differ in the values of their parameters and buffers (noise strength is a buffer), not in anything else.
    Modules of qmoe run on the leading axis as they are; all others through `torch.func.vmap`.

    Args:
        models: at least one module; all of one structure. They are not changed until `write_back`.

    Raises:
        ConfigError: for an empty list, or models of different shapes or options.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        if not models:
            raise ConfigError("A stack needs at least one model, got none.")
        self.models = list(models)
        _options(self.models[0])  # refuses what no stack can hold
        modules, n_parameters = list(self.models[0].modules()), len(list(self.models[0].parameters()))
        for index, model in enumerate(self.models[1:], 1):
            if not _alike(modules, list(model.modules())) or len(list(model.parameters())) != n_parameters:
                _explain(self.models[0], index, model)
        parameters, buffers = stack_module_state(self.models)
        # A parameter that is frozen in the models stays so.
        self.parameters: dict[str, Tensor] = {
            k: nn.Parameter(v.detach(), requires_grad=self.models[0].get_parameter(k).requires_grad)
            for k, v in parameters.items()
        }
        self.buffers: dict[str, Tensor] = dict(buffers)
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

    def write_back(self, skip: Container[int] = ()) -> None:
        """Copies the stack's parameters into the models it was made of, but for those whose places are in ``skip``."""
        stacked = {name: value.detach().unbind(0) for name, value in self.parameters.items()}
        with torch.no_grad():
            for index, model in enumerate(self.models):
                if index not in skip:
                    for name, value in model.named_parameters():
                        value.copy_(stacked[name][index])


def _alike(ours: Sequence[nn.Module], theirs: Sequence[nn.Module]) -> bool:
    """Whether the modules of two models differ in values of parameters and buffers alone, as far as is quickly seen."""
    if len(ours) != len(theirs):
        return False
    for mine, other in zip(ours, theirs, strict=True):
        if type(mine) is not type(other) or vars(mine).keys() != vars(other).keys():
            return False
        for group in ("_parameters", "_buffers"):
            own, its = vars(mine)[group], vars(other)[group]
            if own.keys() != its.keys() or any(not _like(tensor, its[name]) for name, tensor in own.items()):
                return False
        if vars(mine)["_modules"].keys() != vars(other)["_modules"].keys():
            return False
        for name, value in vars(other).items():
            if name not in _TENSORS_AND_MODULES and not _is_same(name, vars(mine)[name], value):
                return False
    return True


def _like(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.shape, one.dtype, one.requires_grad) == (other.shape, other.dtype, other.requires_grad)


def _is_same(name: str, one: object, other: object) -> bool:
    if name.endswith("_hooks"):
        return not other  # a stack would not call them
    return one is other or _same(_apart_from_strength(one), _apart_from_strength(other))


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
        for name, value in vars(module).items():
            if name in _TENSORS_AND_MODULES:
                continue
            if name.endswith("_hooks") and value:
                raise ConfigError(f"The model has hooks ({prefix}{name}), which a stack would not call for each model.")
            found[prefix + name] = _apart_from_strength(value)
    return found


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
