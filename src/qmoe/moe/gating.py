"""How a mixture of experts chooses, where it does more than keep the largest weights."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from qmoe.engines.shots.shot_streams import begun, next_sources
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.layers import Rng, Stackable, in_autocast, own_tensor
from qmoe.moe.assignment import chosen_by_experts, chosen_by_rows, in_turn, within_places
from qmoe.moe.losses import balance_loss, importance_loss, load_loss, z_loss
from qmoe.moe.routing import Routing, shares
from qmoe.moe.routing_options import BiasCorrection, Capacity, ExpertChoice, LossCoefficients, RouterNoise
from qmoe.routers import Router
from qmoe.routers.base import require_softmax
from qmoe.torch_internals import is_transformed


class Scored(NamedTuple):
    """What a router says of ``N`` rows.

    Attributes:
        scores: ``(N, E)`` routing weights.
        logits: ``(N, E)`` without noise; None where nobody needs them.
        noisy: ``(N, E)`` with noise; None where there is none.
        std: of the noise; None where there is none.
    """

    scores: Tensor
    logits: Tensor | None = None
    noisy: Tensor | None = None
    std: Tensor | None = None


def scored(router: Router, x: Tensor, with_logits: bool = False) -> Scored:
    """Runs a router in its own precision, inside autocast too."""
    if not in_autocast(x.device):
        return _scored(router, x, with_logits)
    x = router.take(x)
    with torch.autocast(x.device.type, enabled=False):
        return _scored(router, x, with_logits)


def _scored(router: Router, x: Tensor, with_logits: bool) -> Scored:
    if not with_logits:
        return Scored(router(x))
    logits = require_softmax(router).logits(x)
    return Scored(torch.softmax(logits, -1), logits)


class Gating(Stackable):
    """Noise, choice, capacity, bias and losses of a mixture, and what it counts. `MixtureOfExperts` makes and calls it.

    Args:
        router: whose weights it works on; not kept.
        top_k: number of experts K per row; None for all.
        normalises: whether weights that are kept are rescaled to sum to 1.
        noise: on the logits.
        capacity: of an expert.
        bias: that corrects the balance.
        expert_choice: whether experts choose rows, instead of rows experts.
        losses: coefficients of the auxiliary losses.
        generator: source of the seed of the noise.

    Attributes:
        bias: ``(E,)`` what is added to the weights for the choice; in ``state_dict``. None without `BiasCorrection`.
        noise_weight: ``(E, F)`` of the trained standard deviation; None without.
        assigned: ``(E,)`` assignments to each expert since `reset_counters`.
        dropped: ``(E,)`` those of them that found no place.
        unbalanced: ``(E,)`` assignments in training mode since the last `update_bias`, without those in turn.
        forced: whether rows are assigned in turn, whatever the router says.
    """

    bias: Tensor | None
    noise_weight: Tensor | None
    noise_stream: Tensor
    assigned: Tensor
    dropped: Tensor
    unbalanced: Tensor

    def __init__(
        self,
        router: Router,
        top_k: int | None,
        normalises: bool,
        *,
        noise: RouterNoise | None = None,
        capacity: Capacity | None = None,
        bias: BiasCorrection | None = None,
        expert_choice: ExpertChoice | None = None,
        losses: LossCoefficients | None = None,
        generator: Rng = None,
    ) -> None:
        super().__init__()
        self.top_k, self.normalises, self.n_experts = top_k, normalises, router.n_experts
        self.noise, self.capacity, self.correction, self.expert_choice = noise, capacity, bias, expert_choice
        self.losses = losses or LossCoefficients()
        self.forced = False
        self._check(router)
        own = own_tensor(router)
        make: dict[str, Any] = {} if own is None else {"device": own.device}
        dtype = torch.get_default_dtype() if own is None else own.dtype
        if bias is None:
            self.bias = None
        else:
            self.register_buffer("bias", torch.zeros(self.n_experts, dtype=dtype, **make))
        if noise is None or noise.std is not None:
            self.noise_weight = None
        else:
            self.noise_weight = nn.Parameter(torch.zeros(self.n_experts, router.in_features, dtype=dtype, **make))
        if noise is not None:
            self.register_buffer("noise_stream", begun(0, is_given=False).to(make.get("device", "cpu")))
        for name in ("assigned", "dropped", "unbalanced"):
            count = torch.zeros(self.n_experts, dtype=torch.int64, **make)
            self.register_buffer(name, count, persistent=False)
        self.reset_parameters(generator)

    def _check(self, router: Router) -> None:
        options = {"noise": self.noise, "capacity": self.capacity, "bias": self.correction}
        given = [name for name, value in options.items() if value is not None]
        if self.expert_choice is not None:
            given += ["top_k"] if self.top_k is not None else []
            given += [f"{name} loss" for name in ("balance", "load") if getattr(self.losses, name) > 0]
            if given:
                raise ConfigError(
                    f"expert_choice was given, where experts choose rows and are balanced by construction, and so "
                    f"{', '.join(given)} cannot be; leave one or the other out."
                )
        elif given and self.top_k is None:
            raise ConfigError(f"{', '.join(given)} needs top_k, the number of experts that each row chooses.")
        if self.losses.load > 0 and self.noise is None:
            raise ConfigError(
                "The load loss is an expectation over the noise of the router; pass noise=True, or load=0."
            )
        if self.needs_logits and router.as_softmax() is None:
            what = "noise" if self.noise is not None else "The z-loss"
            raise ConfigError(
                f"{what} needs a router with logits, and the weights of this {type(router).__name__} are not a softmax."
            )

    @property
    def needs_logits(self) -> bool:
        """Whether the router is asked for logits rather than weights."""
        return self.noise is not None or self.losses.z > 0

    @property
    def chooses_all(self) -> bool:
        """Whether every row goes to all experts."""
        return self.top_k is None and self.expert_choice is None

    @property
    def only_routes(self) -> bool:
        """Whether it only chooses: no noise, limit or loss that depends on the batch or on training."""
        parts = (self.noise, self.capacity, self.correction, self.expert_choice)
        return all(part is None for part in parts) and self.losses == LossCoefficients()

    def reset_parameters(self, generator: Rng = None) -> None:
        """Sets bias, noise and counters to 0, and draws the seed of the noise."""
        with torch.no_grad():
            for value in (self.bias, self.noise_weight, self.assigned, self.dropped, self.unbalanced):
                if value is not None:
                    value.zero_()
            if self.noise is not None and not self.noise_stream.is_meta:
                seed = torch.randint(
                    2**62, (), generator=generator, device="cpu" if generator is None else generator.device
                )
                self.noise_stream.copy_(begun(int(seed), is_given=False))

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        kept = self.bias
        super()._apply(fn, recurse)
        bias = self.bias
        if kept is not None and bias is not None and bias.dtype in (torch.float16, torch.bfloat16):
            # Steps of the bias would be lost in lower precision.
            self.bias = kept.to(bias.device)
        return self

    def forward(
        self, router: Router, x: Tensor, generator: Rng = None, *, counts: bool = True, noisy: bool = True
    ) -> Routing:
        """Routes ``(..., F)`` rows.

        Args:
            router: gives the weights.
            x: features.
            generator: source of the noise; None for the stream of the module.
            counts: whether the batch is counted.
            noisy: whether there is noise, in training mode.
        """
        of = scored(router, x, self.needs_logits)
        if of.scores.shape != (*x.shape[:-1], self.n_experts):
            raise ShapeError(
                f"{type(router).__name__} returned shape {tuple(of.scores.shape)}, expected "
                f"{(*x.shape[:-1], self.n_experts)} for n_experts={self.n_experts}."
            )
        flat = Scored(*(None if v is None else v.reshape(-1, self.n_experts) for v in of))  # type: ignore[arg-type]
        rows = x.reshape(-1, x.shape[-1])
        if self.noise is not None:
            flat = self._disturbed(flat, rows, generator, noisy and self.training)
        chosen, kept = self.assigned_of(flat.scores)
        weights = torch.where(chosen, flat.scores, 0)
        if self.normalises:
            # Of a router that is sure, a bias may choose experts whose weights are all 0.
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
        found = self._losses(flat, weights, chosen)
        if kept is not chosen:
            weights = torch.where(kept, weights, 0)
        if counts and not is_transformed() and not torch.compiler.is_exporting():
            self._count(chosen, kept)
        return Routing(
            scores=flat.scores.reshape(of.scores.shape),
            weights=weights.reshape(of.scores.shape),
            chosen=chosen.reshape(of.scores.shape),
            kept=kept.reshape(of.scores.shape),
            load=shares(flat.scores, chosen, self.chooses_all),
            loss=sum((getattr(self.losses, name) * value for name, value in found.items()), flat.scores.new_zeros(())),
            losses=found,
        )

    def assigned_of(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Which experts rows with weights ``(N, E)`` are assigned to, and which of these assignments are within capacity."""
        n_rows, n_experts = scores.shape
        if self.expert_choice is not None:
            chosen = chosen_by_experts(scores, self.expert_choice.places(n_rows, n_experts))
            return chosen, chosen
        if self.top_k is None:
            chosen = torch.ones_like(scores, dtype=torch.bool)
            return chosen, chosen
        if self.forced:
            indices = in_turn(n_rows, self.top_k, n_experts, scores.device)
        else:
            by = scores.detach() if self.bias is None else scores.detach() + self.bias
            indices = by.topk(self.top_k, -1).indices
        chosen = chosen_by_rows(indices, n_experts)
        if self.capacity is None:
            return chosen, chosen
        places = self.capacity.places(n_rows, n_experts, self.top_k, self.training)
        return chosen, within_places(indices, scores, n_experts, places, self.capacity.priority)

    def _disturbed(self, of: Scored, rows: Tensor, generator: Rng, noisy: bool) -> Scored:
        assert self.noise is not None
        assert of.logits is not None
        if self.noise_weight is None:
            std = of.logits.new_full((1, 1), self.noise.std or 0.0)
        else:
            with torch.autocast(rows.device.type, enabled=False):
                std = softplus(linear(rows.to(self.noise_weight.dtype), self.noise_weight))
        if not noisy:
            return of._replace(noisy=of.logits, std=std)
        source = next_sources(self.noise_stream, of.logits.device)[0] if generator is None else generator
        drawn = torch.randn(of.logits.shape, generator=source, dtype=of.logits.dtype, device=source.device)
        noisy_logits = of.logits + drawn.to(of.logits.device) * std
        return Scored(torch.softmax(noisy_logits, -1), of.logits, noisy_logits, std)

    def _losses(self, of: Scored, weights: Tensor, chosen: Tensor) -> dict[str, Tensor]:
        factors, found = self.losses, {}
        if weights.shape[0] == 0:
            return {}
        if factors.balance > 0:
            found["balance"] = balance_loss(of.scores, chosen=None if self.top_k is None else chosen)
        if factors.z > 0 and of.logits is not None:
            found["z"] = z_loss(of.logits)
        if factors.importance > 0:
            found["importance"] = importance_loss(weights)
        if factors.load > 0 and of.logits is not None and of.noisy is not None and of.std is not None:
            found["load"] = load_loss(of.logits, of.noisy, of.std, self.top_k or self.n_experts)
        return found

    @torch.no_grad()
    def _count(self, chosen: Tensor, kept: Tensor) -> None:
        assigned = chosen.sum(0)
        self.assigned += assigned
        if kept is not chosen:
            self.dropped += assigned - kept.sum(0)
        if self.training and not self.forced:  # the bias answers to what the router chose
            self.unbalanced += assigned

    @torch.no_grad()
    def reset_counters(self) -> None:
        """Begins to count anew."""
        self.assigned.zero_()
        self.dropped.zero_()

    def check_bias(self) -> None:
        """Raises `UnsupportedError` where there is no bias to update."""
        if self.bias is None:
            raise UnsupportedError("This mixture has no bias to update; build it with bias=BiasCorrection().")

    @torch.no_grad()
    def update_bias(self) -> None:
        """One step of the bias, by the sign of the mean minus the number of rows of each expert, over all processes."""
        self.check_bias()
        assert self.correction is not None
        assert self.bias is not None
        counts = self.unbalanced.clone()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
        # Of E n_e and sum n, which are integers: exact.
        self.bias += self.correction.rate * (counts.sum() - self.n_experts * counts).sign()
        self.unbalanced.zero_()

    def extra_repr(self) -> str:
        """The options that are given."""
        options = (self.noise, self.capacity, self.correction, self.expert_choice)
        losses = () if self.losses == LossCoefficients() else (self.losses,)
        return ", ".join(map(repr, (*(option for option in options if option is not None), *losses)))
