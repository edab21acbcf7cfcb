"""Small building blocks that routers and experts share."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError, StateWarning, UnsupportedError, check_sizes, unknown, warn_caller
from qmoe.torch_internals import is_autocast_anywhere

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": nn.functional.silu,
}

#: Where the random numbers of a part come from; None for torch's default generator.
Rng = torch.Generator | None
#: Where the tensors of a part live; None for torch's default device.
Device = torch.device | str | None
#: Of the parameters of a part, float32 or float64; None for torch's default dtype.
DType = torch.dtype | None

#: Arguments of constructors that say how a module is made, and not what it computes with the weights that it has.
MAKING = frozenset({"generator", "device", "dtype", "draw", "max_functions"})


def check_dtype(dtype: DType) -> torch.dtype:
    """Returns the dtype of new parameters, torch's default for None.

    Raises:
        ConfigError: for any but float32 and float64.
    """
    found = torch.get_default_dtype() if dtype is None else dtype
    if found not in (torch.float32, torch.float64):
        origin = "torch's default dtype is" if dtype is None else "dtype is"
        raise ConfigError(
            f"{origin} {found}, expected torch.float32 or torch.float64: angles and routing need their digits. Pass "
            "dtype=torch.float32; inside torch.autocast the part takes what layers in lower precision give."
        )
    return found


def check_same(x_dtype: torch.dtype, x_device: torch.device, own_dtype: torch.dtype, own_device: torch.device) -> None:
    """Raises `ShapeError` unless an input has the dtype and device of the weights that it meets."""
    if own_dtype != x_dtype or own_device != x_device:
        raise ShapeError(
            f"x is {x_dtype} on {x_device}, the weights are {own_dtype} on {own_device}; "
            "move or cast one of them (nothing is converted silently)."
        )


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
        warned_of_range: whether it has warned of angles beyond one period, which it does once.
    """

    runs_stacked: ClassVar[bool] = False
    #: Options in `described` that a ``state_dict`` may differ in, with a warning.
    may_differ: ClassVar[frozenset[str]] = frozenset()
    checks_input: bool = True
    warned_of_range: bool = False

    def reset_parameters(self, generator: Rng = None) -> None:
        """Gives all parameters and buffers their first values, as `__init__` does; those of modules inside as well.

        So a module that was built without memory works after ``module.to_empty(device=...)`` and this.

        Args:
            generator: source of random numbers; torch's default generator if None. Torch's own modules inside, such as a
                head, always draw from that.

        Raises:
            UnsupportedError: for a class with parameters or buffers of its own that does not define this method.
        """
        _reset_children(self, generator)

    def take(self, x: Tensor) -> Tensor:
        """``x`` as it is; inside autocast, where a layer in front may have lowered it, in the precision of this module."""
        if not is_autocast_anywhere():  # nearly always; asked at every step, so first
            return x
        if isinstance(x, Tensor) and x.is_floating_point() and in_autocast(x.device):
            own = own_tensor(self)
            x = x.to(_LOWERED.get(x.dtype, x.dtype) if own is None else own.dtype)
        return x

    def described(self) -> dict[str, str]:
        """Options, in words, that decide what the numbers of a ``state_dict`` mean though their shapes do not show it."""
        return {}

    def config(self) -> dict[str, Any]:
        """What makes a module like this one, beside the values of its weights: the arguments of the constructor.

        `qmoe.save` writes it down and `from_config` takes it. By default these are the arguments that the constructor
        names, as the attributes of these names hold them, without those of `MAKING`. A class that keeps them otherwise
        overrides both methods. Values are plain, or modules, circuits, tensors, lists, or dicts of these.

        Raises:
            UnsupportedError: for a class that does not keep what it was made of under those names.
        """
        names = _constructor_options(type(self))
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise UnsupportedError(
                f"{type(self).__name__} was made with {', '.join(missing)}, and has no attribute of that name; define "
                "config and from_config, which say what the constructor takes."
            )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **making: Any) -> Self:
        """A new module of what `config` gave.

        Args:
            config: the arguments of the constructor. Those that have defaults may be left out.
            **making: how it is made: arguments of `MAKING`, which a constructor without them does not get.

        Raises:
            ConfigError: for arguments that the constructor does not have, or that it refuses.
        """
        names = _constructor_options(cls)
        for name in config:
            if name not in names:
                raise unknown(f"option of {cls.__name__}", name, names)
        missing = [name for name, option in names.items() if option.default is option.empty and name not in config]
        if missing:
            raise ConfigError(f"The options of {cls.__name__} lack {', '.join(map(repr, missing))}.")
        taken = inspect.signature(cls).parameters
        return cls(**config, **{name: value for name, value in making.items() if name in taken})

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", None)
        if metadata is not None and (described := self.described()):
            metadata.setdefault(prefix[:-1], {})["described"] = described

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As torch's, but refuses numbers that would mean another function here, before any of them is loaded.

        Raises:
            ConfigError: for a ``state_dict`` of a module with other options that its shapes do not show, such as the
                rotation of an encoding.
        """
        metadata = getattr(state_dict, "_metadata", None) or {}
        for path, module in self.named_modules():
            if isinstance(module, Stackable):
                module._refuse_other(metadata.get(path, {}), path)
        return super().load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *others: Any) -> None:
        self._refuse_other(local_metadata, prefix[:-1])  # inside a module of someone else, nobody has looked yet
        for name, message in self._differences(local_metadata, prefix[:-1]).items():
            warn_caller(f"{message}; its weights are loaded, and {name} stays as it is here.", StateWarning)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def _refuse_other(self, metadata: dict[str, Any], path: str) -> None:
        for name, message in self._differences(metadata, path).items():
            if name not in self.may_differ:
                raise ConfigError(
                    f"{message}: the same numbers would mean another function. Build the module with the same options; to "
                    "load the numbers all the same, pass dict(state_dict), which carries no options."
                )

    def _differences(self, metadata: dict[str, Any], path: str) -> dict[str, str]:
        """Options that the module a ``state_dict`` came from has otherwise, each with the beginning of a message."""
        theirs, ours, where = metadata.get("described", {}), self.described(), f" at {path!r}" if path else ""
        return {
            name: f"The state_dict{where} is of a {type(self).__name__} with {name}={theirs[name]}, this one has {value}"
            for name, value in ours.items()
            if name in theirs and theirs[name] != value
        }


def _constructor_options(cls: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """The arguments of a constructor that are not about how a module is made."""
    return {name: option for name, option in inspect.signature(cls).parameters.items() if name not in MAKING}


#: What autocast lowers to -> what a module without parameters computes with instead.
_LOWERED = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def own_tensor(module: nn.Module) -> Tensor | None:
    """The first parameter or buffer of floats, whose dtype and device an input must have; None where there is none."""
    for group in (module._parameters, module._buffers):
        for tensor in group.values():
            if tensor is not None and tensor.is_floating_point():
                return tensor
    for child in module._modules.values():
        if child is not None and (found := own_tensor(child)) is not None:
            return found
    return None


def in_autocast(device: torch.device) -> bool:
    """Whether torch lowers the precision of operations on ``device`` just now."""
    if not is_autocast_anywhere():
        return False
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _reset_children(module: nn.Module, generator: Rng) -> None:
    if any(value is not None for group in (module._parameters, module._buffers) for value in group.values()):
        raise UnsupportedError(
            f"{type(module).__name__} has parameters or buffers of its own, but no reset_parameters that gives them their "
            "first values; define it."
        )
    for child in module.children():
        if isinstance(child, Stackable):
            child.reset_parameters(generator)
        elif callable(reset := getattr(child, "reset_parameters", None)):
            reset()
        else:
            _reset_children(child, generator)


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


def parameter(*shape: int, device: Device = None, dtype: DType = None, frozen: bool = False) -> nn.Parameter:
    """A parameter that `Stackable.reset_parameters` has yet to give its first values."""
    return nn.Parameter(torch.empty(shape, device=device, dtype=check_dtype(dtype)), requires_grad=not frozen)


def draw_linear(weight: Tensor, bias: Tensor, generator: Rng) -> None:
    """Draws weights ``(..., O, F)``, then biases, uniformly from ``+-1 / sqrt(F)``, as `torch.nn.Linear` does."""
    bound = 1 / math.sqrt(weight.shape[-1])
    for value in (weight, bias):
        nn.init.uniform_(value, -bound, bound, generator=generator)


class Linear(Stackable):
    """``W x + b``, for one model or a stack, with its first weights from a generator; otherwise `torch.nn.Linear`.

    Args:
        in_features: number of inputs F.
        out_features: number of outputs O.
        generator: source of the initial weights; torch's default generator if None.
        device: where the weights live.
        dtype: float32 or float64.
        copies: None for one layer; a number for that many side by side, as of experts: weights ``(copies, O, F)``.
        trainable: whether W and b are parameters; otherwise they are buffers.
        draw: whether to draw the initial weights; a module around this one that draws its own numbers first calls
            `reset_parameters` itself.
    """

    runs_stacked = True
    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
        copies: int | None = None,
        trainable: bool = True,
        draw: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features)
        self.in_features = in_features
        stack = () if copies is None else (copies,)
        for name, shape in (("weight", (out_features, in_features)), ("bias", (out_features,))):
            value = parameter(*stack, *shape, device=device, dtype=dtype)
            if trainable:
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value.detach())
        if draw:
            self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the weights, then the biases."""
        draw_linear(self.weight, self.bias, generator)

    def config(self) -> dict[str, Any]:
        """Sizes, number of copies, and whether it trains."""
        copies = None if self.weight.dim() == 2 else self.weight.shape[-3]
        sizes = {"in_features": self.in_features, "out_features": self.weight.shape[-2], "copies": copies}
        return {**sizes, "trainable": "weight" in self._parameters}

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in_features)`` to ``(..., out_features)``.

        Raises:
            ShapeError: for another number of features, dtype or device.
        """
        x = self.take(x)
        weight = self.weight
        if self.checks_input:
            if x.dim() < 1 or x.shape[-1] != self.in_features:
                raise ShapeError(f"x has shape {tuple(x.shape)}, expected (..., {self.in_features}).")
            check_same(x.dtype, x.device, weight.dtype, weight.device)
        return affine(x, weight, self.bias)
