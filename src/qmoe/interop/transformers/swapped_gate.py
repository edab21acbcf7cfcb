"""A gate that asks another router for its logits, and then routes as its model does."""

from __future__ import annotations

import contextlib
import copy
import functools
import warnings
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError
from qmoe.interop.transformers.families import Family, sizes_of
from qmoe.layers import in_autocast, own_tensor
from qmoe.routers import Router

#: What gates are not lowered to: angles and routing need their digits.
_LOW = (torch.float16, torch.bfloat16)
#: Modules without this mark get new first weights when transformers loads or initialises a model.
_DRAWN = "_is_hf_initialized"


class SwappedGate(nn.Module):
    """The gate of a model with another router in it. It stays an instance of the model's own class of routers.

    `swap_gates` makes these out of the gates that are there. The hidden states go to `router`, in its precision; its logits
    go through an identity weight to the ``forward`` of the model's class, which selects and weighs the experts.

    Attributes:
        router: gives the logits: a `qmoe.routers.Router`, or any module from ``(..., F)`` to ``(..., E)``.
        family: where the model's class keeps what was changed.
        in_features: number of features F.
        n_experts: number of experts E.
    """

    router: nn.Module
    family: Family
    in_features: int
    n_experts: int

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Routes ``(..., F)`` hidden states as the model's own class does, by the logits of `router`."""
        return super().forward(self.logits(hidden_states), *args, **kwargs)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """``(..., F)`` hidden states to ``(..., E)`` logits, in the dtype that the family has them in."""
        own = own_tensor(self.router)
        x = hidden_states.to(torch.float32 if own is None else own.dtype)
        with torch.autocast(x.device.type, enabled=False) if in_autocast(x.device) else contextlib.nullcontext():
            logits = _logits(self.router, x)
        if logits.shape != (*x.shape[:-1], self.n_experts):
            raise ShapeError(
                f"The gate {type(self.router).__name__} gave {tuple(logits.shape)} for hidden states {tuple(x.shape)}, "
                f"expected {(*x.shape[:-1], self.n_experts)}: one logit for each expert."
            )
        return logits.to(self.family.logits_dtype or hidden_states.dtype).contiguous()

    def take_router(self, router: nn.Module, name: str | None = "") -> None:
        """Puts ``router`` in: in the mode and on the device of this gate, in float32 (float64 in a float64 model).

        Args:
            router: gives the logits.
            name: of this gate in its model, for errors; None for a router that is known to fit.

        Raises:
            ConfigError: for anything but a module that gives a logit for each expert; nothing is put in then.
        """
        weight = getattr(self, self.family.weight)
        if not isinstance(router, nn.Module):
            raise ConfigError(
                f"make gave a {type(router).__name__}, expected a module: make=lambda in_features, n_experts: "
                "qmoe.QuantumRouter(in_features, n_experts, n_qubits=8)."
            )
        if name is not None:
            whose = f"make gave {f'for {name} ' if name else ''}"
            before = self.__dict__["_before"]
            place = weight.device if before is None else before[self.family.weight].device
            if place.type != "meta" and _lacks_memory(router):
                raise ConfigError(
                    f"{whose}a {type(router).__name__} on the device meta, which has no values, and the model is on "
                    f"{place}; make it without device='meta', or give it values first (to_empty, then an initialisation)."
                )
            check_fits(router, self.in_features, self.n_experts, whose, place)
        router.to(torch.float64 if weight.dtype == torch.float64 else torch.float32)
        self.router = router.train(self.training)
        if not weight.is_meta and not _lacks_memory(router):
            router.to(weight.device)
        for module in self.modules():
            module.__dict__[_DRAWN] = True
        self.__dict__["_unsaved"] = {
            name: value.detach().clone()
            for name, value in router.named_buffers()
            if name not in router.state_dict() and not value.is_meta
        }

    def renew(self) -> None:
        """Writes again what no checkpoint holds, where loading has left memory without values."""
        with torch.no_grad():
            for name, value in self.__dict__["_unsaved"].items():
                self.router.get_buffer(name).copy_(value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As torch's, but the router is not lowered to half precision."""
        if recurse:
            for child in self.children():
                child._apply(functools.partial(_not_lowered, fn) if child is self.router else fn)
        if (before := self.__dict__["_before"]) is not None:
            before._apply(fn)
        return super()._apply(fn, recurse=False)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _blank, (type(self).__mro__[2],), dict(self.__dict__)


def check_fits(router: nn.Module, in_features: int, n_experts: int, whose: str, device: torch.device) -> None:
    """Checks that a router gives one logit for each expert.

    A router of qmoe says its sizes. Of any other module a copy is tried on two rows, in evaluation, so that neither the
    module nor random numbers change. The first forward tells of one that cannot be tried: it cannot be copied, it has hooks,
    which would see the trial, or there is no memory yet, as where transformers builds a model to load it.

    Args:
        router: gives the logits.
        in_features: number of features F.
        n_experts: number of experts E.
        whose: how the message begins: where the router comes from, and for which gate.
        device: where the gate is; a module without parameters is tried there.

    Raises:
        ConfigError: with what it gave and what was expected.
    """
    kind, remedy = type(router).__name__, "; pass on what make is given." if whose.startswith("make") else "."
    if isinstance(router, Router):
        if (router.in_features, router.n_experts) != (in_features, n_experts):
            raise ConfigError(
                f"{whose}a {kind} from {router.in_features} features to {router.n_experts} experts, and this gate has "
                f"{in_features} features and {n_experts} experts{remedy}"
            )
        return
    if device.type == "meta" or _lacks_memory(router) or _has_hooks(router):
        return
    try:
        # What torch.compile wraps, so that nothing is compiled for the trial.
        trial = copy.deepcopy(getattr(router, "_orig_mod", router)).eval()
    except Exception:  # whatever a module of somebody else holds
        return
    own = own_tensor(router)
    if own is not None:
        device = own.device
    draw = torch.Generator().manual_seed(0)
    x = 0.1 * torch.randn(2, in_features, generator=draw, dtype=torch.float64, device="cpu")
    expected = f"expected a module from (..., {in_features}) hidden states to (..., {n_experts}) logits{remedy}"
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            logits = trial(x.to(device, torch.float32 if own is None else own.dtype))
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"{whose}a {kind} that fails on hidden states {(2, in_features)} ({reason}); {expected}"
            ) from error
    shape = tuple(getattr(logits, "shape", ()))
    if not isinstance(logits, Tensor) or shape != (2, n_experts):
        found = f"{shape}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ConfigError(f"{whose}a {kind} that gives {found} for hidden states {(2, in_features)}; {expected}")


def _lacks_memory(router: nn.Module) -> bool:
    return any(value.is_meta for value in (*router.parameters(), *router.buffers()))


def _has_hooks(router: nn.Module) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in router.modules())


def _logits(router: nn.Module, x: Tensor) -> Tensor:
    """Logits of a router of qmoe, logarithms of its weights where it has none; of other modules, what they give."""
    if not isinstance(router, Router):
        return router(x)
    softmax = router.as_softmax()
    if softmax is not None:
        return softmax.logits(x)
    return router(x).clamp_min(torch.finfo(x.dtype).tiny).log()


def _not_lowered(fn: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    made = fn(value)
    return value.to(made.device) if made.dtype in _LOW and value.dtype not in _LOW else made


#: Class of routers -> that of swapped gates with its rule, so that there is one of each.
_CLASSES: dict[type[nn.Module], type[SwappedGate]] = {}


def gate_class(parent: type[nn.Module]) -> type[SwappedGate]:
    """The class of a swapped gate whose rule is that of ``parent``."""
    if parent in _CLASSES:
        return _CLASSES[parent]
    found = type(f"Swapped{parent.__name__}", (SwappedGate, parent), {"__doc__": SwappedGate.__doc__})
    found.__module__ = parent.__module__
    _CLASSES[parent] = found
    return found


def _blank(parent: type[nn.Module]) -> SwappedGate:
    """A gate without anything in it, for pickle and copy."""
    cls = gate_class(parent)
    return cls.__new__(cls)


def enter(gate: nn.Module, family: Family, router: nn.Module, name: str | None = "") -> SwappedGate:
    """Makes a swapped gate of a gate, in its place: hooks on it stay, and whatever refers to it.

    Args:
        gate: what becomes a swapped gate.
        family: of its class.
        router: gives the logits.
        name: of the gate in its model, for errors; None for a router that is known to fit.

    Raises:
        ConfigError: for a router that does not fit; the gate is then as it was.
    """
    parent, held, width = type(gate), getattr(gate, family.weight), family.width
    in_features, n_experts = sizes_of(gate, family)
    # Where the values are without memory, as when transformers loads a model, those of the identity are there already.
    device = torch.device("cpu") if held.is_meta else held.device
    before = nn.ParameterDict()
    for part in (family.weight, family.bias):
        if part is not None:
            before[part] = getattr(gate, part)
            delattr(gate, part)
    gate.__class__ = gate_class(parent)
    assert isinstance(gate, SwappedGate)
    gate.__dict__["_before"] = before  # not a module of the gate, so no part of its state_dict
    gate.__dict__["_was_drawn"] = gate.__dict__.get(_DRAWN, False)
    gate.family, gate.in_features, gate.n_experts = family, in_features, n_experts
    # Persistent: a buffer that is not gets no values from a checkpoint, and a plain model refuses it by its shape.
    gate.register_buffer(family.weight, torch.eye(n_experts, dtype=held.dtype, device=device))
    if family.bias is not None:
        gate.register_buffer(family.bias, torch.zeros(n_experts, dtype=held.dtype, device=device))
    if width is not None:
        setattr(gate, width, n_experts)
    try:
        gate.take_router(router, name)
    except Exception:
        leave(gate)
        raise
    return gate


def leave(gate: SwappedGate) -> None:
    """Makes a gate what it was before `enter`, with the very same parameters."""
    family, before = gate.family, gate.__dict__.pop("_before")
    for name in (family.weight, family.bias):
        if name is not None:
            delattr(gate, name)
    gate._modules.pop("router", None)
    in_features = gate.in_features
    if not gate.__dict__.pop("_was_drawn"):
        gate.__dict__.pop(_DRAWN, None)
    for name in ("family", "in_features", "n_experts", "_unsaved"):
        gate.__dict__.pop(name, None)
    gate.__class__ = type(gate).__mro__[2]
    for name, value in before.items():
        gate.register_parameter(name, value)
    if family.width is not None:
        setattr(gate, family.width, in_features)
