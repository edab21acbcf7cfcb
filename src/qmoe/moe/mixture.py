"""The mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError, not_plain
from qmoe.experts import Experts
from qmoe.layers import Stackable
from qmoe.moe.losses import balance_loss, expert_load, z_loss
from qmoe.routers import Router, require_router


@dataclass(frozen=True)
class Diagnostics:
    """Routing statistics of a batch.

    Attributes:
        weights: ``(..., E)`` routing weights as the mixture uses them (after top-k); those that are dropped are 0.
        load: ``(E,)`` share of the assignments that each expert gets, counting the K experts of largest weight.
        importance: ``(E,)`` mean routing weight of each expert.
        entropy: mean entropy of the routing weights that are kept, rescaled to sum to 1, in nats: 0 (hard routing) to ln E
            (uniform).
        balance_loss: 1 for uniform routing, E for a collapsed router.
        z_loss: mean squared log-partition of the logits; None for a router that has none.
    """

    weights: Tensor
    load: Tensor
    importance: Tensor
    entropy: Tensor
    balance_loss: Tensor
    z_loss: Tensor | None


class MixtureOfExperts(Stackable):
    """Weighs the outputs of experts by a router: ``y(x) = sum_e g_e(x) f_e(x)``.

    Router and experts may each be classical or quantum.

    Args:
        router: a `Router` with E experts.
        experts: an `Experts` with as many.
        head: a module applied to the mixture's output ``(..., O)``, or None.
        top_k: keep the K largest routing weights of each sample; None keeps all (the paper). All experts are evaluated
            either way.
        norm_topk_prob: whether the weights that are kept are rescaled to sum to 1. None rescales them from ``top_k=2`` on.
            A single weight, rescaled, would always be 1, so the router would never train; it stays as it is, and scales its
            expert's output (Fedus et al. 2021, Switch Transformers).

    Raises:
        ConfigError: when router and experts do not fit together, top_k is not from 1 to E, or a single weight is to be
            rescaled.

    Example:
        >>> import qmoe
        >>> moe = MixtureOfExperts(qmoe.QuantumRouter(2, 2), qmoe.LinearExperts(2, 2, n_experts=2))
        >>> tuple(moe(torch.zeros(5, 2)).shape)
        (5, 2)
    """

    runs_stacked = True

    def __init__(
        self,
        router: Router,
        experts: Experts,
        head: nn.Module | None = None,
        top_k: int | None = None,
        norm_topk_prob: bool | None = None,
    ) -> None:
        super().__init__()
        require_router(router)
        if not isinstance(experts, Experts):
            raise ConfigError(
                f"experts is a {type(experts).__name__}, expected Experts such as LinearExperts(2, 2, n_experts=2)."
            )
        for what in ("n_experts", "in_features"):
            ours, theirs = getattr(router, what), getattr(experts, what)
            if ours != theirs:
                raise ConfigError(f"The router has {what}={ours}, the experts {what}={theirs}; make them equal.")
        if top_k is not None and (
            not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= router.n_experts
        ):
            raise ConfigError(
                f"top_k is {top_k!r}{not_plain(top_k)}, expected None or an integer from 1 to {router.n_experts}."
            )
        if norm_topk_prob is not None and not isinstance(norm_topk_prob, bool):
            raise ConfigError(f"norm_topk_prob is {norm_topk_prob!r}, expected True, False or None.")
        if norm_topk_prob and top_k == 1:
            raise ConfigError(
                "norm_topk_prob=True with top_k=1 makes every weight 1, so that the router never trains; leave "
                "norm_topk_prob out, or keep at least two experts."
            )
        self.router, self.experts, self.head = router, experts, head
        self.top_k, self.norm_topk_prob = top_k, norm_topk_prob

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., O)``, the head's output where there is one."""
        x = self.take(x)
        weights, values = self.router(x), self.experts(x)
        rows = (*x.shape[:-1], self.router.n_experts)
        if weights.shape != rows or values.shape != (*rows, self.experts.out_features):
            self._explain(rows, weights, values)
        mixed = (self._dispatch(weights).unsqueeze(-2) @ values).squeeze(-2)
        return mixed if self.head is None else self.head(mixed)

    def _explain(self, rows: tuple[int, ...], weights: Tensor, values: Tensor) -> None:
        """Raises `ShapeError`, which names the part that returned another shape than it declares."""
        for part, found, expected in (
            (self.router, weights, rows),
            (self.experts, values, (*rows, self.experts.out_features)),
        ):
            if found.shape != expected:
                raise ShapeError(
                    f"{type(part).__name__} returned shape {tuple(found.shape)}, expected {tuple(expected)} for n_experts="
                    f"{self.router.n_experts}" + ("." if part is self.router else f", out_features={expected[-1]}.")
                )

    def diagnostics(self, x: Tensor) -> Diagnostics:
        """Routing statistics of a batch ``(..., F)``.

        Raises:
            ShapeError: for an empty batch, which has no averages.
        """
        if x.numel() == 0:
            raise ShapeError(f"x has shape {tuple(x.shape)}: an empty batch has no averages; pass at least one row.")
        x = self.take(x)
        weights = self.router(x)
        softmax = self.router.as_softmax()
        used = self._dispatch(weights)
        k, kept = self.top_k or 1, used / used.sum(-1, keepdim=True)
        return Diagnostics(
            weights=used,
            load=expert_load(weights, k),
            importance=weights.reshape(-1, weights.shape[-1]).mean(0),
            entropy=-torch.xlogy(kept, kept).sum(-1).mean(),
            balance_loss=balance_loss(weights, k),
            z_loss=None if softmax is None else z_loss(softmax.logits(x)),
        )

    def _dispatch(self, weights: Tensor) -> Tensor:
        if self.top_k is None or self.top_k == weights.shape[-1]:
            return weights
        top = weights.topk(self.top_k, -1)
        kept = torch.zeros_like(weights).scatter(-1, top.indices, top.values)
        normalises = self.top_k > 1 if self.norm_topk_prob is None else self.norm_topk_prob
        return kept / kept.sum(-1, keepdim=True) if normalises else kept
