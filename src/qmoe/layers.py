"""Small building blocks that routers and experts share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, unknown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": nn.functional.silu,
}


def check_sizes(**sizes: int) -> None:
    """Raises `ConfigError` unless every size is an integer of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{name} is {value!r}, expected an integer of at least 1.")


def check_activation(name: str) -> str:
    """Returns ``name`` if it is an activation of `ACTIVATIONS`."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return name


class Stackable(nn.Module):
    """A module that also runs as a stack of models, once its parameters have a leading axis.

    A class says so in its own body with ``runs_stacked = True``: its parameters, buffers and input may then have leading
    stack axes, the same for all, and it computes as each model would by itself. The promise is not inherited, since a
    subclass may compute something else.

    Attributes:
        checks_input: whether `forward` looks at the values of its input; a training loop that has checked its data once
            turns it off.
    """

    runs_stacked: ClassVar[bool] = False
    checks_input: bool = True


def runs_stacked(model: nn.Module) -> bool:
    """Whether every module of ``model`` promises to run as a stack."""
    return all(vars(type(module)).get("runs_stacked", False) for module in model.modules())


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``W x + b`` for one model or a stack: ``(*S, ..., F)``, ``(*S, O, F)`` and ``(*S, O)`` to ``(*S, ..., O)``."""
    if weight.dim() == 2:
        return nn.functional.linear(x, weight, bias)
    n_out, n_in = weight.shape[-2:]
    stack = weight.shape[:-2]
    rows = x.reshape(stack.numel(), -1, n_in)
    out = torch.baddbmm(bias.reshape(-1, 1, n_out), rows, weight.reshape(-1, n_out, n_in).mT)
    return out.reshape(*x.shape[:-1], n_out)


def uniform_linear(
    *shape: int,
    fan_in: int,
    generator: torch.Generator | None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Parameter:
    """A parameter uniform in ``+-1 / sqrt(fan_in)``, as `torch.nn.Linear` starts its weights and biases."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape, device=device, dtype=dtype).uniform_(-bound, bound, generator=generator))


class LinearHead(Stackable):
    """``W x + b``, with its first weights from a generator; otherwise `torch.nn.Linear`.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        generator: source of the initial weights; torch's default generator if None.
        device: where the parameters live.
        dtype: float32 or float64.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features)
        self.weight = uniform_linear(
            out_features, in_features, fan_in=in_features, generator=generator, device=device, dtype=dtype
        )
        self.bias = uniform_linear(out_features, fan_in=in_features, generator=generator, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in_features)`` to ``(..., out_features)``."""
        return affine(x, self.weight, self.bias)
