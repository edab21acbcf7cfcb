"""Many models of one architecture as one, by `torch.func.vmap`, where that computes what each of them computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

#: Parameters of all models together beyond which they train one after the other.
MAX_NUMBERS = 20_000_000
#: Packages whose layers leave torch when they run, so that they are not tried.
_FOREIGN = ("pennylane", "qiskit")
#: Largest difference of losses and gradients from those of each model alone, relative to their size.
_AGREES = 1e-3


@dataclass(frozen=True, eq=False)
class Together:
    """M models as one.

    Attributes:
        template: one of them, whose code runs.
        parameters: ``(M, ...)`` for each parameter.
        buffers: ``(M, ...)`` for each buffer.
        loss: of outputs and targets of one model.
    """

    template: nn.Module
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def of(
        cls, models: Sequence[nn.Module], x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> Together | None:
        """The models as one, in training mode; None where they cannot be, or would compute something else.

        Args:
            models: of one architecture.
            x: ``(B, ...)`` rows that this is tried on.
            y: ``(B, ...)`` their targets.
            loss: of outputs and targets.
        """
        if len(models) < 2 or not all(map(_may_run_stacked, models)):
            return None
        if sum(p.numel() for model in models for p in model.parameters()) > MAX_NUMBERS:
            return None
        for model in models:
            model.train()
        first = models[0]
        names = dict(first.named_parameters())
        stacked = {
            name: torch.stack([model.get_parameter(name).detach() for model in models]).requires_grad_(p.requires_grad)
            for name, p in names.items()
        }
        buffers = {name: torch.stack([m.get_buffer(name) for m in models]) for name, _ in first.named_buffers()}
        found = cls(first, stacked, buffers, loss)
        try:
            return found if found._agrees(models, x, y) else None
        except Exception:  # whatever a module raises that does not run under vmap; alone, it says so itself
            return None

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that train."""
        return [p for p in self.parameters.values() if p.requires_grad]

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """``(M,)`` loss of each model on rows ``(M, B, ...)`` of its own."""

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return self.loss(functional_call(self.template, (parameters, buffers), (x,)), y)

        return vmap(one)(self.parameters, self.buffers, x, y)

    def unload(self, models: Sequence[nn.Module]) -> None:
        """Gives every model the parameters that it has here."""
        with torch.no_grad():
            for name, values in self.parameters.items():
                for model, value in zip(models, values, strict=True):
                    model.get_parameter(name).copy_(value)

    def _agrees(self, models: Sequence[nn.Module], x: Tensor, y: Tensor) -> bool:
        """Whether loss and gradients are those of the models by themselves, for the first and last of them."""
        n = len(models)
        ours = self.losses(x.expand(n, *x.shape), y.expand(n, *y.shape))
        slopes = _gradients(ours.sum(), self.trained)
        for at in (0, n - 1):
            model = models[at]
            loss = self.loss(model(x), y)
            own = _gradients(loss, [p for p in model.parameters() if p.requires_grad])
            pairs = [(ours[at], loss), *((a[at], b) for a, b in zip(slopes, own, strict=True))]
            if not all(bool((a - b).abs().max() <= _AGREES * (1e-3 + b.abs().max())) for a, b in pairs):
                return False
        return True


def _gradients(loss: Tensor, of: list[Tensor]) -> list[Tensor]:
    if not of or not loss.requires_grad:
        return []
    return list(torch.autograd.grad(loss, of, materialize_grads=True))


def _may_run_stacked(model: nn.Module) -> bool:
    """Whether nothing is known that speaks against it: foreign layers, and buffers that training may change."""
    for module in model.modules():
        home = type(module).__module__.split(".")[0]
        if home.startswith(_FOREIGN) or (home != "qmoe" and any(b is not None for b in module._buffers.values())):
            return False
    return True
