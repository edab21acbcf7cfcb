"""Where the audited layer stands in a model, and what goes through it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qmoe.engines.running import CircuitModule
from qmoe.errors import ConfigError, unknown


@dataclass(frozen=True)
class Seen:
    """What a layer was given and what it returned, when the model was run on some samples.

    Attributes:
        inputs: ``(B, ...)`` its input; None if that was not one tensor.
        outputs: ``(B, ...)`` what it returned.
    """

    inputs: Tensor | None
    outputs: Tensor

    @property
    def leading(self) -> bool:
        """Whether the layer maps the last axis alone, ``(..., F)`` to ``(..., O)``."""
        return self.inputs is not None and self.inputs.shape[:-1] == self.outputs.shape[:-1]

    @property
    def bare(self) -> bool:
        """Whether it gives a number without an axis, ``(..., F)`` to ``(...)``, as a TorchLayer of one measurement does."""
        return self.inputs is not None and self.inputs.shape[:-1] == self.outputs.shape

    @property
    def mean(self) -> Tensor:
        """The mean output of a sample: ``(O,)`` for a layer that maps the last axis alone, else ``(...)``."""
        return self.outputs.flatten(0, -2).mean(0) if self.leading else self.outputs.mean(0)

    def cpu(self) -> Seen:
        """The same on the CPU."""
        return Seen(None if self.inputs is None else self.inputs.cpu(), self.outputs.cpu())


def layer_at(model: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path, such as ``"layers.2"``.

    Raises:
        ConfigError: where there is none, with what there is.
    """
    modules = dict(model.named_modules())
    if path == "" or path not in modules:
        raise unknown("layer", path, [name for name in modules if name])
    return modules[path]


def replace_layer(model: nn.Module, path: str, new: nn.Module) -> None:
    """Puts another module at a path that `layer_at` knows; in place of a circuit it says which, as routers ask it."""
    parent, _, name = path.rpartition(".")
    old = model.get_submodule(path)
    if isinstance(old, CircuitModule) and not hasattr(new, "circuit"):
        new.circuit = old.circuit  # type: ignore[assignment]  # not a tensor; modules hold any attribute
    model.get_submodule(parent)._modules[name] = new


def watch(model: nn.Module, path: str, x: Tensor) -> tuple[Seen, Tensor]:
    """Runs a model on samples ``x`` ``(B, ...)``, without training it.

    Returns:
        What went through the layer at ``path`` when it was first called, and what the model returned.

    Raises:
        ConfigError: for a model that cannot be run on x, and a layer that is not called or returns no tensor.
    """
    found: list[tuple[tuple[object, ...], object]] = []
    hook = layer_at(model, path).register_forward_hook(lambda _, given, out: found.append((given, out)))
    before = model.training
    try:
        model.eval()
        with torch.no_grad():
            out = model(x)
    except Warning:  # where the user turns warnings into errors
        raise
    except Exception as error:  # whatever a model of the user's raises
        raise ConfigError(
            f"The model cannot be called on X: rows of shape {tuple(x.shape)}, {x.dtype}. It raised "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        hook.remove()
        model.train(before)
    if not found:
        raise ConfigError(f"The model does not call {path!r} when it is run on X; name a layer that it uses.")
    given, returned = found[0]
    if not isinstance(returned, Tensor) or returned.dim() < 1 or returned.shape[0] != x.shape[0]:
        what = tuple(returned.shape) if isinstance(returned, Tensor) else type(returned).__name__
        raise ConfigError(
            f"{path!r} returned {what} for {x.shape[0]} samples, expected one tensor with a row for each; name a layer that "
            "does so."
        )
    if not isinstance(out, Tensor):
        raise ConfigError(
            f"The model returned a {type(out).__name__}, expected a tensor; wrap it in a module that does."
        )
    inputs = given[0] if len(given) == 1 and isinstance(given[0], Tensor) else None
    return Seen(inputs, returned), out
