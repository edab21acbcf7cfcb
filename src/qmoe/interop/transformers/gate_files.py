"""The gates of a model in a file of their own: one safetensors file with weights and with what the gates are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from qmoe.errors import ConfigError, UnsupportedError, did_you_mean, visible
from qmoe.interop.transformers.families import Family, sizes_of
from qmoe.interop.transformers.swapped_gate import SwappedGate, check_fits, enter
from qmoe.interop.transformers.swapping import gates_of, plain_gates, prepare_models, try_rule
from qmoe.routers import ConstantRouter
from qmoe.saving import load, save
from qmoe.saving.module_files import about_file

#: What a file says beside: the family of each gate, by the name of the gate.
_FAMILIES = "gates"


def save_gates(model: nn.Module, path: str | Path) -> None:
    """Writes the swapped gates of a model to one file, without the rest of the model.

    The file is one of `qmoe.save`: weights, and as data what each gate is made of and the family of its model. It also holds
    what the model's rule of routing has learned beside, such as the correction bias of DeepSeek-V3.

    Args:
        model: a model with swapped gates.
        path: the file, replaced where there is one. Its name should end in ``.safetensors``.

    Raises:
        ConfigError: where no gate is swapped.
        UnsupportedError: for gates of your own classes, which a file cannot describe.
        OSError: when the file cannot be written. What was there stays until the new one is whole.
    """
    gates = gates_of(model)
    if not gates:
        raise ConfigError("No gate of this model is swapped, so there is none to save; call swap_gates first.")
    held = nn.Sequential()
    for name, gate in gates.items():
        parts = nn.Sequential()
        parts.add_module("router", gate.router)
        for adjusted in gate.family.adjusted:
            parts.add_module(adjusted, _constant(getattr(gate, adjusted)))
        held.add_module(name.replace(".", "/"), parts)
    try:
        save(held, path, {_FAMILIES: {name: gate.family.name for name, gate in gates.items()}})
    except UnsupportedError as error:
        raise UnsupportedError(
            f"{error} Gates of your own are kept with the whole model: a class that qmoe.interop.transformers.swapped made "
            "has save_pretrained and from_pretrained."
        ) from error


def load_gates(model: nn.Module, path: str | Path) -> nn.Module:
    """Reads gates that `save_gates` wrote into a model, in the place of those that it has.

    Args:
        model: a model of the same sizes, with its own gates or with swapped ones. It is changed in place.
        path: the file.

    Returns:
        The model.

    Raises:
        ConfigError: for a file of something else, or of a model of another family, with other layers or sizes. The model is
            then as it was.
        OSError: when there is no such file.
    """
    held = load(path)
    gates, families = plain_gates(model), about_file(path).get(_FAMILIES)
    found: list[tuple[nn.Module, Family, Any]] = []
    for key, parts in held.named_children() if isinstance(held, nn.Sequential) else ():
        name = key.replace("/", ".")
        if not isinstance(parts, nn.Sequential) or not hasattr(parts, "router"):
            continue
        if name not in gates:
            raise ConfigError(
                f"{path} has a gate for {name!r}, and the model has none there{did_you_mean(name, gates)}"
            )
        gate, family = gates[name]
        told = families.get(name) if isinstance(families, dict) else None  # files did not always say it
        if isinstance(told, str) and told != family.name:
            raise ConfigError(
                f"{path} has a gate for {name!r} of the family {visible(told)}, and the model's is of {family.name}, which "
                "routes by another rule and has other hidden states. To take the router all the same, give it to "
                "swap_gates: make=lambda in_features, n_experts, layer: router."
            )
        _check_gate(path, name, gate, family, parts)
        found.append((gate, family, parts))
    if not found:
        raise ConfigError(f"{path} holds a {type(held).__name__} and no gates; save_gates writes a file of gates.")
    for gate, family, parts in found:
        if isinstance(gate, SwappedGate):
            gate.take_router(parts.router, name=None)
        else:
            gate = enter(gate, family, parts.router, name=None)
        with torch.no_grad():
            for adjusted in family.adjusted:
                getattr(gate, adjusted).copy_(getattr(parts, adjusted).bias)
    prepare_models(model)
    return model


def _check_gate(path: str | Path, name: str, gate: nn.Module, family: Family, parts: nn.Sequential) -> None:
    if isinstance(gate, SwappedGate):
        sizes = (gate.in_features, gate.n_experts)
    else:
        sizes = sizes_of(gate, family)
        try_rule(gate, family)
    check_fits(parts.get_submodule("router"), *sizes, f"{path} has for {name} ", torch.device("cpu"))
    missing = [adjusted for adjusted in family.adjusted if not hasattr(parts, adjusted)]
    if missing:
        raise ConfigError(f"{path} has no {missing[0]} for {name!r}: it was written for another family of models.")


def _constant(value: torch.Tensor) -> ConstantRouter:
    """A vector with an entry for each expert, as a module that files know."""
    dtype = torch.float64 if value.dtype == torch.float64 else torch.float32
    found = ConstantRouter(1, len(value), dtype=dtype, device="cpu", generator=torch.Generator())  # draws from its own
    with torch.no_grad():
        found.bias.copy_(value)
    return found.requires_grad_(False)
