"""The mixture of experts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError, UnsupportedError, not_plain, unknown
from qmoe.experts import Experts
from qmoe.layers import Rng, Stackable
from qmoe.moe.expert_sums import combined_dense, combined_sparse
from qmoe.moe.gating import Gating, scored
from qmoe.moe.losses import balance_loss, check_mask, expert_load, importance_loss, z_loss
from qmoe.moe.routing import Recording, Routing, shares, spread
from qmoe.moe.routing_options import (
    OPTIONS,
    BiasCorrection,
    Capacity,
    ExpertChoice,
    LossCoefficients,
    RouterNoise,
    as_option,
    option_of,
)
from qmoe.routers import Router, require_router
from qmoe.torch_internals import is_transformed

#: How the experts are computed.
DISPATCHES = ("dense", "sparse")


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
        importance_loss: squared coefficient of variation of the weights' totals: 0 for equal ones, E - 1 for a router that
            has collapsed.
        tokens_per_expert: ``(E,)`` rows that each expert computes with sparse dispatch: chosen, and within its capacity.
        drop_rate: share of the assignments that found no place.
        unrouted: share of the rows that no expert computes.
    """

    weights: Tensor
    load: Tensor
    importance: Tensor
    entropy: Tensor
    balance_loss: Tensor
    z_loss: Tensor | None
    importance_loss: Tensor
    tokens_per_expert: Tensor
    drop_rate: Tensor
    unrouted: Tensor


class MixtureOfExperts(Recording, Stackable):
    """Weighs the outputs of experts by a router: ``y(x) = sum_e g_e(x) f_e(x)``.

    Router and experts may each be classical or quantum. Inside `torch.autocast` the router keeps its own precision.

    Args:
        router: a `Router` with E experts.
        experts: an `Experts` with as many.
        head: a module applied to the mixture's output ``(..., O)``, or None.
        top_k: keep the K largest routing weights of each sample; None keeps all (the paper).
        norm_topk_prob: whether the weights that are kept are rescaled to sum to 1. None rescales them from ``top_k=2`` on.
            A single weight, rescaled, would always be 1, so the router would never train; it stays as it is, and scales its
            expert's output (Fedus et al. 2021, Switch Transformers).
        dispatch: ``"dense"`` computes all experts on all rows; ``"sparse"`` only those that are chosen, which pays for large
            experts. Inside `torch.func.vmap` and `torch.compile` all are computed, with the same result.
        noise: on the logits in training: a `RouterNoise`, its standard deviation, or True for one that is trained.
        capacity: rows that an expert takes: a `Capacity`, or its factor.
        expert_choice: an `ExpertChoice`, or the mean number of experts per row: experts choose rows, instead of ``top_k``.
        bias: a `BiasCorrection`, its rate, or True: experts are chosen by weight plus a bias, and weighed without.
        losses: `LossCoefficients` of what `Routing.loss` adds up.
        shared: experts that compute every row and are added with weight 1: `Experts`, or any module of ``(..., F)`` to
            ``(..., O)``.
        generator: source of the seed of the noise; torch's default generator if None.

    Raises:
        ConfigError: when router, experts and options do not fit together, top_k is not from 1 to E, or a single weight is to
            be rescaled.

    Example:
        >>> import qmoe
        >>> moe = MixtureOfExperts(qmoe.QuantumRouter(2, 2), qmoe.LinearExperts(2, 2, n_experts=2))
        >>> tuple(moe(torch.zeros(5, 2)).shape)
        (5, 2)
    """

    runs_stacked = True
    # Of modules that were pickled before there were more ways to route.
    dispatch: str = "dense"
    gating: Gating | None
    shared: nn.Module | None

    def __init__(
        self,
        router: Router,
        experts: Experts,
        head: nn.Module | None = None,
        top_k: int | None = None,
        norm_topk_prob: bool | None = None,
        *,
        dispatch: Literal["dense", "sparse"] = "dense",
        noise: RouterNoise | float | None = None,
        capacity: Capacity | float | None = None,
        expert_choice: ExpertChoice | float | None = None,
        bias: BiasCorrection | float | None = None,
        losses: LossCoefficients | None = None,
        shared: nn.Module | None = None,
        generator: Rng = None,
    ) -> None:
        super().__init__()
        _check_parts(router, experts, shared)
        _check_top_k(router, top_k, norm_topk_prob)
        self.router, self.experts, self.head = router, experts, head
        self.top_k, self.norm_topk_prob = top_k, norm_topk_prob
        self.dispatch, self.shared = dispatch, shared
        options: dict[str, Any] = {
            "noise": as_option("noise", noise, RouterNoise),
            "capacity": as_option("capacity", capacity, Capacity),
            "expert_choice": as_option("expert_choice", expert_choice, ExpertChoice),
            "bias": as_option("bias", bias, BiasCorrection),
            "losses": losses,
        }
        if losses is not None and not isinstance(losses, LossCoefficients):
            raise ConfigError(
                f"losses is {losses!r}, expected LossCoefficients(balance=0.01), for example, of qmoe.moe."
            )
        if norm_topk_prob is not None and options["expert_choice"] is not None:
            raise ConfigError(
                "norm_topk_prob rescales the weights of top_k, but expert_choice was given; leave one out."
            )
        _check_dispatch(dispatch, experts, top_k is not None or options["expert_choice"] is not None)
        routes = dispatch == "sparse" or any(option is not None for option in options.values())
        self.gating = Gating(router, top_k, self._normalises, **options, generator=generator) if routes else None

    def config(self) -> dict[str, Any]:
        """The router, the experts and what stands beside them, and the options of the routing as dicts."""
        kept: dict[str, Any] = {}
        if (gating := self.gating) is not None:
            kept = {"noise": gating.noise, "capacity": gating.capacity, "expert_choice": gating.expert_choice}
            kept |= {"bias": gating.correction, "losses": gating.losses}
        plain = ("router", "experts", "head", "top_k", "norm_topk_prob", "dispatch", "shared")
        options = {name: dataclasses.asdict(kept[name]) if kept.get(name) is not None else None for name in OPTIONS}
        return {**{name: getattr(self, name) for name in plain}, **options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **making: Any) -> Self:
        """As of every module; options of the routing are dicts of their fields.

        Raises:
            ConfigError: as of every module, and for an option with other fields.
        """
        options = {name: option_of(name, value) for name, value in config.items() if name in OPTIONS}
        return super().from_config({**config, **options}, **making)

    @property
    def _normalises(self) -> bool:
        if self.top_k is None or self.top_k == self.router.n_experts:
            return False  # nothing is left out
        return self.top_k > 1 if self.norm_topk_prob is None else self.norm_topk_prob

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``(..., F)`` features to ``(..., O)``, the head's output where there is one.

        Args:
            x: features.
            mask: ``(...)`` False on padding, whose output is 0 and which changes nothing else; None for no padding.
        """
        if self.gating is not None or mask is not None or self.recorded_in is not None:
            return self.routed(x, mask=mask)[0]
        x = self.take(x)
        return self._finished(x, self._dispatch(self._weights(x)), None)

    def routed(self, x: Tensor, *, mask: Tensor | None = None, generator: Rng = None) -> tuple[Tensor, Routing]:
        """The output together with the routing of the batch, whose ``loss`` is to be added to the training loss.

        Args:
            x: ``(..., F)`` features.
            mask: ``(...)`` False on padding, whose output is 0 and which changes nothing else; None for no padding.
            generator: source of the noise; None for a stream of the module's own.
        """
        x = self.take(x)
        if mask is not None:
            check_mask(mask, x)
        rows = x if mask is None else x[mask]
        routing = self._route(rows, generator)
        out = self._finished(rows, routing.weights, routing.kept)
        if mask is not None:
            out, routing = spread(out, mask), routing.padded(mask)
        if self.recorded_in is not None:
            self.recorded_in.append(routing)
        return out, routing

    def diagnostics(self, x: Tensor, mask: Tensor | None = None) -> Diagnostics:
        """Routing statistics of a batch ``(..., F)``, without noise; nothing is counted.

        Args:
            x: features.
            mask: ``(...)`` False on padding, which is left out; None for no padding.

        Raises:
            ShapeError: for an empty batch, which has no averages.
        """
        if mask is not None:
            check_mask(mask, x)
            x = x[mask]
        if x.numel() == 0:
            raise ShapeError(f"x has shape {tuple(x.shape)}: an empty batch has no averages; pass at least one row.")
        x = self.take(x)
        routing = self._route(x, None, counts=False, noisy=False)
        weights, used, softmax = routing.scores, routing.weights, self.router.as_softmax()
        k, total = self.top_k or 1, used.sum(-1, keepdim=True)
        kept = used / torch.where(total > 0, total, 1)
        chosen = None if self.gating is None or self.gating.chooses_all else routing.chosen
        return Diagnostics(
            weights=used,
            load=expert_load(weights, k) if chosen is None else routing.load,
            importance=weights.reshape(-1, weights.shape[-1]).mean(0),
            entropy=-torch.xlogy(kept, kept).sum(-1).mean(),
            balance_loss=balance_loss(weights, k, chosen=chosen),
            z_loss=None if softmax is None else z_loss(softmax.logits(x)),
            importance_loss=importance_loss(used),
            tokens_per_expert=routing.tokens_per_expert,
            drop_rate=routing.drop_rate,
            unrouted=(~routing.kept.any(-1)).to(weights.dtype).mean(),
        )

    @property
    def tokens_per_expert(self) -> Tensor:
        """``(E,)`` int64: rows that each expert computed in all calls since `reset_counters`."""
        return self._gating("counters").assigned - self._gating("counters").dropped

    @property
    def drop_rate(self) -> Tensor:
        """Share of the assignments that found no place, in all calls since `reset_counters`."""
        gating = self._gating("counters")
        return gating.dropped.sum() / gating.assigned.sum().clamp_min(1)

    def reset_counters(self) -> None:
        """Begins to count rows per expert anew."""
        self._gating("counters").reset_counters()

    def update_bias(self) -> None:
        """One step of the bias of `BiasCorrection`, by what was routed in training mode since the last.

        Call it after the optimiser's step. With `torch.distributed`, all processes call it, and their counts are added up.

        Raises:
            UnsupportedError: for a mixture without such a bias.
        """
        self._gating("bias").update_bias()

    def update_bias_after(self, optimizer: torch.optim.Optimizer) -> torch.utils.hooks.RemovableHandle:
        """Calls `update_bias` after every step of an optimiser, until the handle that is returned is removed."""
        self._gating("bias").check_bias()
        return optimizer.register_step_post_hook(lambda *_: self.update_bias())

    @contextmanager
    def forced_balance(self) -> Iterator[None]:
        """Within it rows are assigned to experts in turn, whatever the router says: for timing without its imbalance.

        Weights are still those of the router.
        """
        gating = self._gating("forced balance")
        if gating.chooses_all:
            raise UnsupportedError("All experts compute every row here, which is balanced; choose some, by top_k.")
        if gating.expert_choice is not None:
            raise UnsupportedError("Experts choose equal numbers of rows here, which is balanced already.")
        before, gating.forced = gating.forced, True
        try:
            yield
        finally:
            gating.forced = before

    def _gating(self, what: str) -> Gating:
        if self.gating is None:
            raise UnsupportedError(
                f"A mixture that only weighs by top_k has no {what}; pass dispatch='sparse', or another option of routing; "
                "diagnostics(x) counts a batch."
            )
        return self.gating

    def _weights(self, x: Tensor) -> Tensor:
        weights = scored(self.router, x).scores
        if weights.shape != (*x.shape[:-1], self.router.n_experts):
            raise ShapeError(
                f"{type(self.router).__name__} returned shape {tuple(weights.shape)}, expected "
                f"{(*x.shape[:-1], self.router.n_experts)} for n_experts={self.router.n_experts}."
            )
        return weights

    def _route(self, x: Tensor, generator: Rng, counts: bool = True, noisy: bool = True) -> Routing:
        if self.gating is not None:
            return self.gating(self.router, x, generator, counts=counts, noisy=noisy)
        scores = self._weights(x)
        k = self.top_k or scores.shape[-1]
        chosen = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, scores.topk(k, -1).indices, True)
        load = shares(scores, chosen, k == scores.shape[-1])
        return Routing(scores, self._dispatch(scores), chosen, chosen, load, scores.new_zeros(()))

    def _finished(self, x: Tensor, weights: Tensor, kept: Tensor | None) -> Tensor:
        sparsely = self.dispatch == "sparse" and not is_transformed() and not torch.compiler.is_compiling()
        if sparsely and kept is not None:
            mixed = combined_sparse(self.experts, x, weights, kept)
        else:
            mixed = combined_dense(self.experts, x, weights)
        if self.shared is not None:
            more = self.shared(x)
            more = more.sum(-2) if isinstance(self.shared, Experts) else more
            if more.shape != mixed.shape:
                raise ShapeError(
                    f"The shared experts give shape {tuple(more.shape)}, the others {tuple(mixed.shape)}; make them alike."
                )
            mixed = mixed + more
        return mixed if self.head is None else self.head(mixed)

    def _dispatch(self, weights: Tensor) -> Tensor:
        if self.top_k is None or self.top_k == weights.shape[-1]:
            return weights
        top = weights.topk(self.top_k, -1)
        kept = torch.zeros_like(weights).scatter(-1, top.indices, top.values)
        return kept / kept.sum(-1, keepdim=True) if self._normalises else kept


def _check_parts(router: Router, experts: Experts, shared: nn.Module | None) -> None:
    require_router(router)
    if not isinstance(experts, Experts):
        raise ConfigError(
            f"experts is a {type(experts).__name__}, expected Experts such as LinearExperts(2, 2, n_experts=2)."
        )
    for what in ("n_experts", "in_features"):
        ours, theirs = getattr(router, what), getattr(experts, what)
        if ours != theirs:
            raise ConfigError(f"The router has {what}={ours}, the experts {what}={theirs}; make them equal.")
    if shared is not None and not isinstance(shared, nn.Module):
        raise ConfigError(f"shared is a {type(shared).__name__}, expected a module, such as LinearExperts(2, 2, 1).")
    if isinstance(shared, Experts):
        for what in ("in_features", "out_features"):
            ours, theirs = getattr(experts, what), getattr(shared, what)
            if ours != theirs:
                raise ConfigError(f"The experts have {what}={ours}, the shared ones {what}={theirs}; make them equal.")


def _check_top_k(router: Router, top_k: int | None, norm_topk_prob: bool | None) -> None:
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


def _check_dispatch(dispatch: str, experts: Experts, chooses: bool) -> None:
    if dispatch not in DISPATCHES:
        raise unknown("dispatch", dispatch, DISPATCHES)
    if dispatch == "dense":
        return
    if not chooses:
        raise ConfigError(
            "dispatch='sparse' computes experts that are chosen, and all are; pass top_k or expert_choice."
        )
    if type(experts).grouped is Experts.grouped:
        raise ConfigError(
            f"dispatch='sparse' asks experts for some of their outputs, which {type(experts).__name__} cannot give; define "
            "its method grouped(x, counts), or use dispatch='dense'."
        )
