"""Modules of torch that often stand around ours: what they were made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

#: Class -> what its constructor takes by these names, as the attributes of these names hold them.
_BY_NAME: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Identity: (),
    nn.ReLU: (),
    nn.SiLU: (),
    nn.Tanh: (),
    nn.Sigmoid: (),
    nn.GELU: ("approximate",),
    nn.Softmax: ("dim",),
    nn.LogSoftmax: ("dim",),
    nn.Dropout: ("p",),
    nn.Flatten: ("start_dim", "end_dim"),
}


def _of_linear(module: Any) -> dict[str, Any]:
    return {"in_features": module.in_features, "out_features": module.out_features, "bias": module.bias is not None}


def _of_norm(module: Any) -> dict[str, Any]:
    affine = module.elementwise_affine
    sizes = {"normalized_shape": module.normalized_shape, "eps": module.eps}
    return {**sizes, "elementwise_affine": affine, "bias": affine and module.bias is not None}


def _of_batch_norm(module: Any) -> dict[str, Any]:
    names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
    return {name: getattr(module, name) for name in names}


_OWN: dict[type[nn.Module], Callable[[Any], dict[str, Any]]] = {
    nn.Linear: _of_linear,
    nn.LayerNorm: _of_norm,
    nn.BatchNorm1d: _of_batch_norm,
}

#: By the names that files have for them. `torch.nn.Sequential`, which holds others, is among them.
TORCH_PARTS: dict[str, type[nn.Module]] = {f"torch.nn.{cls.__name__}": cls for cls in (*_BY_NAME, *_OWN, nn.Sequential)}


def torch_config(module: nn.Module) -> dict[str, Any]:
    """What the constructor of a module of `TORCH_PARTS` takes; for `torch.nn.Sequential`, its modules by name."""
    kind = type(module)
    if kind is nn.Sequential:
        return dict(module.named_children())
    if kind in _OWN:
        return _OWN[kind](module)
    return {name: getattr(module, name) for name in _BY_NAME[kind]}


def torch_module(kind: type[nn.Module], config: dict[str, Any], device: str) -> nn.Module:
    """A module of `TORCH_PARTS` of what `torch_config` gave."""
    if kind is nn.Sequential:
        found = nn.Sequential()
        for name, module in config.items():
            found.add_module(name, module)
        return found
    return kind(**config, device=device) if kind in _OWN else kind(**config)
