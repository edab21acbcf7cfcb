"""Many models of one shape as one."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from qmoe.errors import ConfigError


class ModelStack:
    """M models side by side: every parameter gains a leading axis M, and one call runs them all.

    Models may differ in the values of their parameters and buffers (noise strength is a buffer), not in anything else.
    Works for any module that `torch.func.vmap` can run.

    Args:
        models: at least one module; all of one structure. They are not changed until `write_back`.

    Raises:
        ConfigError: for an empty list or models of different shapes.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        if not models:
            raise ConfigError("A stack needs at least one model, got none.")
        self.models = list(models)
        shapes = [{k: (v.shape, v.dtype) for k, v in _tensors(m).items()} for m in self.models]
        for index, shape in enumerate(shapes):
            if shape != shapes[0] or type(self.models[index]) is not type(self.models[0]):
                raise ConfigError(
                    f"Model {index} has other parameters than model 0; only models of one shape train in one stack."
                )
        parameters, buffers = stack_module_state(self.models)
        self.parameters: dict[str, Tensor] = {k: v.detach().requires_grad_() for k, v in parameters.items()}
        self.buffers: dict[str, Tensor] = dict(buffers)
        self._skeleton = copy.deepcopy(self.models[0])

    def __len__(self) -> int:
        return len(self.models)

    def __call__(self, x: Tensor) -> Tensor:
        """Runs model m on ``x[m]``: ``(M, B, F)`` to ``(M, B, O)``."""
        return vmap(self._one)(self.parameters, self.buffers, x)

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self._skeleton, (parameters, buffers), (x,))

    def write_back(self) -> None:
        """Copies the stack's parameters into the models it was made of."""
        with torch.no_grad():
            for name, stacked in self.parameters.items():
                for model, value in zip(self.models, stacked, strict=True):
                    model.get_parameter(name).copy_(value)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
