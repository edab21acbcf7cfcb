"""Gates go into a model of transformers, and out again."""

from __future__ import annotations

import inspect
import numbers
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop.transformers.families import Family, family_of, known_families, sizes_of
from qmoe.interop.transformers.swapped_gate import SwappedGate, enter, leave

#: Makes a gate of the number of features and of experts; one with an argument ``layer`` gets that of the layer too.
Make = Callable[..., nn.Module]
#: How far routing may move in the trial of a rule: what a GPU loses where it multiplies in TF32.
_TOLERANCE = 2e-3
_CHECK = "_qmoe_gates_checked"


def swap_gates(model: nn.Module, make: Make, layers: str | Iterable[int] = "all") -> nn.Module:
    """Puts routers of your own in the place of a model's gates, each with the routing rule that the model has.

    The rule stays: how many experts are chosen, how weights are normalised, sigmoid, groups, correction bias. So do hooks,
    ``output_router_logits`` and the auxiliary loss. Routers are in float32 (float64 in a float64 model), also where the
    model is in bfloat16 or is lowered to it afterwards; logits then have the dtype that the family gives them.

    Args:
        model: a model of transformers, or a module with one in it. It is changed in place.
        make: ``make(in_features, n_experts)`` gives a `qmoe.routers.Router`, or any module from ``(..., F)`` hidden states
            to ``(..., E)`` logits. It is called once for each layer; if it has an argument ``layer``, that gets its number.
        layers: the numbers of the layers to change, counted from 0 as the model counts them; ``"all"`` for all that have a
            gate.

    Returns:
        The model.

    Raises:
        ConfigError: for a model without gates of a known family, layers without one, gates that are swapped already, and
            routers that do not fit, of which modules of your own are tried on two rows. No gate is changed then.
        UnsupportedError: where the rule of the installed version of transformers is not the one that is known.

    Example:
        >>> import qmoe
        >>> from qmoe.interop.transformers import swap_gates
        >>> from transformers import MixtralConfig, MixtralForCausalLM
        >>> sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 16}
        >>> heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 4}
        >>> model = MixtralForCausalLM(MixtralConfig(**sizes, **heads, num_hidden_layers=1))
        >>> model = swap_gates(model, lambda f, e: qmoe.QuantumRouter(f, e, n_qubits=3))
        >>> type(model.model.layers[0].mlp.gate.router).__name__
        'QuantumRouter'
    """
    chosen = _chosen(model, layers)
    takes_layer = _takes_layer(make)
    tried: set[type] = set()
    done: list[SwappedGate] = []
    made: set[int] = set()
    try:
        for name, gate, family in chosen:
            in_features, n_experts = sizes_of(gate, family)
            with _plain_defaults():
                extra = {"layer": layer_of(name)} if takes_layer else {}
                router = make(in_features, n_experts, **extra)
            if id(router) in made:
                raise ConfigError(
                    f"make gave the same {type(router).__name__} twice; give each layer a router of its own."
                )
            made.add(id(router))
            if type(gate) not in tried:
                try_rule(gate, family)
                tried.add(type(gate))
            done.append(enter(gate, family, router, name))
    except Exception:
        for swapped in done:
            leave(swapped)
        raise
    prepare_models(model)
    return model


def unswap_gates(model: nn.Module) -> nn.Module:
    """Puts back the gates that `swap_gates` replaced: the very parameters that were there, with their values.

    They require gradients as they did before the swap, whatever was frozen since.

    Args:
        model: a model with swapped gates. It is changed in place.

    Returns:
        The model.

    Raises:
        ConfigError: where no gate is swapped, or a gate has been there from the start (see `swapped`).
    """
    gates = gates_of(model)
    for name, gate in gates.items():
        if gate.__dict__["_before"] is None:
            raise ConfigError(
                f"{name} replaced no gate: the class of this model builds it with its own. Load the plain class instead."
            )
    if not gates:
        raise ConfigError("No gate of this model is swapped; there is nothing to put back.")
    _release_models(model)
    for gate in gates.values():
        leave(gate)
    return model


def gates_of(model: nn.Module) -> dict[str, SwappedGate]:
    """The swapped gates of a model, by their names in ``named_modules``."""
    return {name: module for name, module in _modules(model) if isinstance(module, SwappedGate)}


def _modules(model: Any) -> Iterable[tuple[str, nn.Module]]:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"Got a {type(model).__name__}, expected a model of transformers.")
    return model.named_modules()


def layer_of(name: str) -> int:
    """The number of the layer in the name of a module: the last number in it; 0 where there is none."""
    found = re.findall(r"(?:^|\.)(\d+)(?=\.|$)", name)
    return int(found[-1]) if found else 0


def plain_gates(model: nn.Module) -> dict[str, tuple[nn.Module, Family]]:
    """All gates of a model that belong to a known family, swapped ones too, by their names."""
    found = {name: (module, family_of(module)) for name, module in _modules(model)}
    return {name: (module, family) for name, (module, family) in found.items() if family is not None}


def _chosen(model: nn.Module, layers: str | Iterable[int]) -> list[tuple[str, nn.Module, Family]]:
    """The gates to swap, with their names and families."""
    gates = plain_gates(model)
    if not gates:
        candidates = sorted({type(m).__name__ for m in model.modules() if re.search(r"Router|Gate$", type(m).__name__)})
        seen = f" It has {', '.join(candidates)}." if candidates else ""
        raise ConfigError(
            f"{type(model).__name__} has no gate of a known family.{seen} Known: {known_families()}. Make another known by "
            "qmoe.interop.transformers.register_family(Family(name, router='the full name of its class'))."
        )
    there = sorted({layer_of(name) for name in gates})
    if isinstance(layers, str):
        if layers != "all":
            raise ConfigError(f"layers is {layers!r}, expected 'all' or numbers of layers, such as [0, 2].")
        wanted = set(there)
    else:
        wanted = set(numbers_of_layers(layers))
        missing = sorted(wanted - set(there), key=str)
        if missing or not wanted:
            raise ConfigError(
                f"layers is {sorted(wanted, key=str)}, and gates are in the layers {there}; choose among these."
            )
    chosen = [(name, gate, family) for name, (gate, family) in gates.items() if layer_of(name) in wanted]
    for name, gate, _ in chosen:
        if isinstance(gate, SwappedGate):
            raise ConfigError(f"{name} is swapped already; call unswap_gates(model) first, or choose other layers.")
    return chosen


def numbers_of_layers(layers: Any) -> tuple[int, ...]:
    """The numbers that ``layers`` lists.

    Raises:
        ConfigError: for anything but integers.
    """
    listed = tuple(layers) if isinstance(layers, Iterable) else (None,)
    if not all(isinstance(layer, numbers.Integral) and not isinstance(layer, bool) for layer in listed):
        raise ConfigError(f"layers is {layers!r}, expected 'all' or numbers of layers, such as [0, 2].")
    return listed


def _takes_layer(make: Make) -> bool:
    if not callable(make):
        raise ConfigError(
            f"make is {make!r}, expected a function: make=lambda in_features, n_experts: "
            "qmoe.QuantumRouter(in_features, n_experts, n_qubits=8)."
        )
    try:
        return "layer" in inspect.signature(make).parameters
    except (TypeError, ValueError):
        return False


@contextmanager
def _plain_defaults() -> Iterator[None]:
    """Gates are made with memory and in float32, though transformers builds a model without memory or in half precision."""
    before = torch.get_default_dtype()
    if before in (torch.float16, torch.bfloat16):
        torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


def try_rule(gate: nn.Module, family: Family) -> None:
    """Raises `UnsupportedError` unless the class routes logits through an identity as it routes them by its own weight."""
    weight = getattr(gate, family.weight)
    if weight.is_meta:
        return
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(16, weight.shape[1], generator=draw, device="cpu").to(weight.device, weight.dtype)
    mode = gate.training
    gate.eval()
    try:
        with torch.no_grad():
            # Called on the class, so that nobody's hooks see it.
            right = type(gate).forward(gate, x)
            trial = enter(gate, family, _OwnLogits(gate, family), name=None)
            try:
                found = type(trial).forward(trial, x)
            finally:
                leave(trial)
    except (RuntimeError, AttributeError, TypeError, IndexError) as error:
        raise _other_rule(gate, family, f"{type(error).__name__}: {error}") from error
    finally:
        gate.train(mode)
    same = len(right) == len(found) and all(
        one.shape == other.shape
        and one.dtype == other.dtype
        and torch.allclose(one.double(), other.double(), _TOLERANCE, _TOLERANCE)
        for one, other in zip(right, found, strict=True)
    )
    if not same:
        raise _other_rule(gate, family, "its logits through an identity give another routing")


class _OwnLogits(nn.Module):
    """The logits that a gate had itself, in the precision that it had them in."""

    def __init__(self, gate: nn.Module, family: Family) -> None:
        super().__init__()
        dtype = family.logits_dtype or getattr(gate, family.weight).dtype
        bias = None if family.bias is None else getattr(gate, family.bias).to(dtype)
        self.held: tuple[torch.Tensor, torch.Tensor | None] = (getattr(gate, family.weight).to(dtype), bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.held
        return nn.functional.linear(x.to(weight.dtype), weight, bias)


def _other_rule(gate: nn.Module, family: Family, reason: str) -> UnsupportedError:
    transformers = sys.modules.get("transformers")
    version = "" if transformers is None else f" of transformers {transformers.__version__}"
    return UnsupportedError(
        f"{type(gate).__name__}{version} does not route as the family {family.name} is described: {reason}. "
        "Describe it anew by register_family, or install a version of transformers that qmoe is tested with."
    )


# --- what models must know ---------------------------------------------------------------------------------------------


def _models_of(model: nn.Module) -> list[nn.Module]:
    """The models of transformers in a module, itself included."""
    transformers = sys.modules.get("transformers")  # where it was never imported, no model is of it
    if transformers is None:
        return []
    return [module for module in model.modules() if isinstance(module, transformers.PreTrainedModel)]


def prepare_models(model: nn.Module) -> None:
    """Models keep gates in float32 when weights are loaded, and look whether all logits were captured."""
    for each in _models_of(model):
        gates = gates_of(each)
        patterns = {f"{'.'.join(name.split('.')[-2:])}.router." for name in gates}
        each._keep_in_fp32_modules_strict = {*(each._keep_in_fp32_modules_strict or ()), *patterns}  # type: ignore
        inner = [other for other in _models_of(each) if other is not each]
        if gates and _CHECK not in each.__dict__ and not any(gates_of(other) for other in inner):
            each.__dict__[_CHECK] = each.register_forward_hook(check_captured, with_kwargs=True)


def _release_models(model: nn.Module) -> None:
    for each in _models_of(model):
        patterns = {f"{'.'.join(name.split('.')[-2:])}.router." for name in gates_of(each)}
        each._keep_in_fp32_modules_strict = set(each._keep_in_fp32_modules_strict or ()) - patterns  # type: ignore
        if _CHECK in each.__dict__:
            each.__dict__.pop(_CHECK).remove()


def check_captured(model: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
    """Raises where router logits were asked for and those of a swapped gate are not among them.

    Raises:
        UnsupportedError: with what to do about it.
    """
    if torch.compiler.is_compiling() or isinstance(output, tuple):
        return
    if not kwargs.get("output_router_logits", getattr(model.config, "output_router_logits", False)):
        return
    n_gates, n_found = len(gates_of(model)), len(getattr(output, "router_logits", None) or ())
    if n_found < n_gates:
        raise UnsupportedError(
            f"{type(model).__name__} was asked for router logits, and captured {n_found} for {n_gates} swapped gate(s), so "
            "its auxiliary loss would leave gates out. Name the class of its routers in _can_record_outputs of the model, "
            "or pass output_router_logits=False."
        )
