"""What a mixture of experts did with a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from qmoe.moe.losses import load_of


@dataclass(frozen=True)
class Routing:
    """Where each row of a batch went, and the auxiliary losses of that.

    Attributes:
        scores: ``(..., E)`` routing weights of all experts, noisy if there was noise.
        weights: ``(..., E)`` as the mixture uses them; 0 where a row is not assigned, or dropped, or padding.
        chosen: ``(..., E)`` True where a row is assigned to an expert.
        kept: ``(..., E)`` True where it is also computed: within the expert's capacity.
        load: ``(E,)`` share of the assignments on each expert. Where every row goes to all experts, each row counts for the
            expert of largest weight.
        losses: name -> auxiliary loss, without its coefficient; of those whose coefficient is not 0.
        loss: their sum, times their coefficients: add it to the training loss. 0 where there are none.
    """

    scores: Tensor
    weights: Tensor
    chosen: Tensor
    kept: Tensor
    load: Tensor
    loss: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def tokens_per_expert(self) -> Tensor:
        """``(E,)`` int64: rows that each expert computes."""
        return self.kept.reshape(-1, self.kept.shape[-1]).sum(0)

    @property
    def drop_rate(self) -> Tensor:
        """Share of the assignments that found no place."""
        return (self.chosen.sum() - self.kept.sum()) / self.chosen.sum().clamp_min(1)

    def padded(self, mask: Tensor) -> Routing:
        """The routing of a batch with padding, from that of its N real rows.

        Args:
            mask: ``(...)``, True on the real rows.
        """
        return replace(
            self,
            scores=spread(self.scores, mask),
            weights=spread(self.weights, mask),
            chosen=spread(self.chosen, mask),
            kept=spread(self.kept, mask),
        )


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """``(N, C)`` values of real rows to ``(..., C)``, with 0 where the mask is False."""
    out = values.new_zeros(*mask.shape, values.shape[-1])
    out[mask] = values
    return out


def shares(weights: Tensor, chosen: Tensor, all_chosen: bool) -> Tensor:
    """``(E,)`` `Routing.load` of routing weights and assignments."""
    if all_chosen:
        best = weights.detach().argmax(-1, keepdim=True)
        chosen = torch.zeros_like(chosen).scatter(-1, best, True)
    return load_of(chosen, weights.dtype)


@contextmanager
def collect_routings(model: nn.Module) -> Iterator[list[Routing]]:
    """Collects the routing of every mixture of experts inside a model, for each call within the context.

    Args:
        model: any module with a `MixtureOfExperts` inside.

    Yields:
        A list that fills as the model runs.

    Example:
        >>> import torch, qmoe
        >>> from qmoe.moe import LossCoefficients, collect_routings
        >>> moe = qmoe.MixtureOfExperts(
        ...     qmoe.LinearRouter(4, 8),
        ...     qmoe.LinearExperts(4, 4, 8),
        ...     top_k=2,
        ...     losses=LossCoefficients(balance=0.01),
        ... )
        >>> net = torch.nn.Sequential(moe, torch.nn.Linear(4, 2))
        >>> with collect_routings(net) as routings:
        ...     out = net(torch.rand(16, 4))
        >>> len(routings), routings[0].weights.shape
        (1, torch.Size([16, 8]))
    """
    found: list[Routing] = []
    recorders = [module for module in model.modules() if isinstance(module, Recording)]
    before = [vars(module).get("recorded_in") for module in recorders]
    for module in recorders:
        module.recorded_in = found
    try:
        yield found
    finally:
        for module, old in zip(recorders, before, strict=True):
            if old is None:
                del module.recorded_in
            else:
                module.recorded_in = old


class Recording:
    """A module whose routings can be collected.

    Attributes:
        recorded_in: where it appends them; None where nobody collects.
    """

    recorded_in: list[Routing] | None = None
