"""The Fisher information of a classifier over many settings of its parameters, exact in the labels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from qmoe.errors import ConfigError, ShapeError, check_sizes, unknown
from qmoe.routers import Router
from qmoe.seeding import Seed, child, torch_generator

Output = Literal["logits", "probabilities"]

#: Numbers in the Jacobians that one pass holds: 4 MB, which caches hold; 16 times as many took twice the time.
JACOBIAN_CHUNK = 500_000
#: Outcomes less probable than this are rounding. Where p is 0 to rounding, dp dp^T / p is 0 / 0.
_FLOOR = 1e-14
#: A probability is a minimum where it is 0, so its gradient is at most sqrt(2 p'' p): about 1e-7 at the floor.
_FLOOR_GRADIENT = 1e-5


@dataclass(frozen=True, eq=False)
class Draws:
    """M settings of one model.

    Attributes:
        model: the model, in float64 and evaluation mode; its own values do not matter.
        parameters: ``(M, ...)`` for each trainable parameter.
        constants: ``(M, ...)`` for each frozen parameter and each buffer.
    """

    model: nn.Module
    parameters: dict[str, Tensor]
    constants: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    @property
    def n_parameters(self) -> int:
        """Number d of trainable parameters."""
        return sum(value[0].numel() for value in self.parameters.values())


def initial_draws(make: Callable[[torch.Generator], nn.Module], n_draws: int = 500, seed: Seed = 0) -> Draws:
    """Draws a model anew M times, each from its own initial distribution; frozen parameters are drawn too.

    Args:
        make: builds the model from a generator, such as ``lambda g: qmoe.QuantumRouter(2, 2, generator=g)``.
        n_draws: number of draws M.
        seed: draw m uses child m of this seed.

    Raises:
        ConfigError: for fewer than one draw, or a model without trainable parameters.
    """
    check_sizes(n_draws=n_draws)
    models = [make(torch_generator(child(seed, index))) for index in range(n_draws)]
    template = _template(models[0])
    found = [_values(model) for model in models]
    stacked = {name: torch.stack([values[name].double() for values in found]) for name in found[0]}
    return _draws(template, stacked)


def uniform_draws(
    model: nn.Module, low: float = 0.0, high: float = 2 * np.pi, n_draws: int = 500, seed: Seed = 0
) -> Draws:
    """Draws every trainable parameter uniformly from ``[low, high]``; all else stays.

    Raises:
        ConfigError: for an empty range, fewer than one draw, or a model without trainable parameters.

    Example:
        >>> from qmoe.analysis import uniform_draws
        >>> draws = uniform_draws(qmoe.QuantumRouter(2, 2), n_draws=3)
        >>> len(draws.parameters)
        3
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ConfigError(f"The range is {low!r} to {high!r}, expected two finite numbers, the lower one first.")
    check_sizes(n_draws=n_draws)
    draws = _around(model, n_draws)
    generator = torch_generator(seed)
    for name, value in draws.parameters.items():
        # Drawn where the generator lives, so that a device gives the numbers of another.
        noise = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        draws.parameters[name] = low + (high - low) * noise.to(value.device)
    return draws


def ball_draws(model: nn.Module, radius: float, n_draws: int = 500, seed: Seed = 0) -> Draws:
    """Draws the trainable parameters uniformly from the Euclidean ball of ``radius`` around their values.

    Raises:
        ConfigError: for a negative radius, fewer than one draw, or a model without trainable parameters.

    Example:
        >>> from qmoe.analysis import ball_draws
        >>> draws = ball_draws(qmoe.LinearRouter(2, 2), radius=0.1, n_draws=3)
        >>> len(draws.parameters)
        2
    """
    if not (np.isfinite(radius) and radius >= 0):
        raise ConfigError(f"radius is {radius!r}, expected a finite number of at least 0.")
    check_sizes(n_draws=n_draws)
    draws = _around(model, n_draws)
    generator, d = torch_generator(seed), draws.n_parameters
    step = torch.randn(n_draws, d, generator=generator, dtype=torch.float64)
    # Uniform in the ball: a uniform direction, at a distance whose d-th power is uniform.
    distance = radius * torch.rand(n_draws, 1, generator=generator, dtype=torch.float64) ** (1 / d)
    step *= distance / torch.linalg.vector_norm(step, dim=1, keepdim=True)
    at = 0
    for name, value in draws.parameters.items():
        size = value[0].numel()
        draws.parameters[name] = value + step[:, at : at + size].reshape(value.shape).to(value.device)
        at += size
    return draws


def fisher_matrices(draws: Draws, x: Tensor | np.ndarray, output: Output | None = None) -> np.ndarray:
    """The Fisher information ``F = E_x E_{y|x} [grad log p(y|x) grad log p(y|x)^T]`` of each draw.

    The expectation over labels is exact. For logits with Jacobian J, ``F = E_x J^T (diag(p) - p p^T) J``; for
    probabilities, ``F = E_x sum_k dp_k dp_k^T / p_k`` over the outcomes that occur: one of probability 0 (below 1e-14,
    which is rounding) adds nothing. Where a probability only touches 0 the exact limit may be larger, but depends on the
    direction from which it is approached; such points have measure 0.

    Args:
        draws: M settings of a model whose forward maps ``(B, F)`` to ``(B, C)``; it must run under `torch.func`.
        x: ``(N, F)`` inputs that stand for their distribution.
        output: whether the model returns ``"logits"`` or ``"probabilities"``. None takes probabilities for a `Router`, whose
            rows sum to 1, and logits for all else, such as a `MixtureOfExperts`.

    Returns:
        ``(M, d, d)`` float64, symmetric positive semi-definite, the parameters in the order of ``draws.parameters``.

    Raises:
        ShapeError: for inputs or outputs of the wrong shape, or values that are not probabilities.
    """
    return np.concatenate(list(iterate_fisher(draws, x, output)))


def iterate_fisher(draws: Draws, x: Tensor | np.ndarray, output: Output | None = None) -> Iterator[np.ndarray]:
    """Yields the matrices of `fisher_matrices` ``(m, d, d)`` by parts, for when all at once are too many to hold."""
    kind: str = output or ("probabilities" if isinstance(draws.model, Router) else "logits")
    if kind not in ("logits", "probabilities"):
        raise unknown("output", kind, ("logits", "probabilities"))
    first = next(iter(draws.parameters.values()))
    points = torch.as_tensor(x).to(first.device, torch.float64)
    n_classes = _check_outputs(draws, points, kind)

    def forward(parameters: dict[str, Tensor], constants: dict[str, Tensor], point: Tensor) -> tuple[Tensor, Tensor]:
        out = functional_call(draws.model, (parameters, constants), (point.unsqueeze(0),)).squeeze(0)
        return out, out

    of_one_draw = vmap(jacrev(forward, has_aux=True), (None, None, 0))
    of_all = vmap(of_one_draw, (0, 0, None))
    n, d = len(points), draws.n_parameters
    few_points = max(1, min(n, JACOBIAN_CHUNK // (n_classes * d)))
    few_draws = max(1, JACOBIAN_CHUNK // (few_points * n_classes * d))
    for start in range(0, len(draws), few_draws):
        some = [{k: v[start : start + few_draws] for k, v in g.items()} for g in (draws.parameters, draws.constants)]
        fisher: Tensor = first.new_zeros(len(next(iter(some[0].values()))), d, d)
        for at in range(0, n, few_points):
            jacobians, out = of_all(some[0], some[1], points[at : at + few_points])
            jacobian = torch.cat([j.reshape(*out.shape, -1) for j in jacobians.values()], -1)
            scores = (_scores_of_logits if kind == "logits" else _scores_of_probabilities)(jacobian, out).flatten(1, 2)
            fisher += scores.mT @ scores
        yield (fisher / n).cpu().numpy()


def _scores_of_logits(jacobian: Tensor, logits: Tensor) -> Tensor:
    """``sqrt(p_k) grad log p_k`` ``(m, n, C, d)``: grad log p_k is row k of J less the rows' mean under p."""
    p = logits.softmax(-1).unsqueeze(-1)
    return p.sqrt() * (jacobian - (p * jacobian).sum(-2, keepdim=True))


def _scores_of_probabilities(jacobian: Tensor, p: Tensor) -> Tensor:
    """``dp_k / sqrt(p_k)`` ``(m, n, C, d)`` where p_k is not 0."""
    occurs = p > _FLOOR
    steep = jacobian.abs().amax(-1).masked_fill(occurs, 0.0).max()
    if steep > _FLOOR_GRADIENT:
        raise ShapeError(
            f"A probability of 0 has a gradient of {float(steep):.3g}, expected 0: its Fisher information is infinite. "
            "Pass a model whose outputs stay probabilities for all parameters, or its logits with output='logits'."
        )
    return torch.where(occurs.unsqueeze(-1), jacobian, 0.0) / p.clamp_min(_FLOOR).sqrt().unsqueeze(-1)


@torch.no_grad()
def _check_outputs(draws: Draws, points: Tensor, kind: str) -> int:
    """Runs the first draw on all points outside of transforms, where modules check their input; returns C."""
    if points.dim() != 2 or len(points) == 0:
        raise ShapeError(f"x has shape {tuple(points.shape)}, expected (N, F) with N of at least 1.")
    values = {k: v[0] for group in (draws.parameters, draws.constants) for k, v in group.items()}
    out = functional_call(draws.model, values, (points,))
    if out.dim() != 2 or len(out) != len(points) or out.shape[1] < 2:
        raise ShapeError(
            f"The model returns {tuple(out.shape)}, expected ({len(points)}, C) with C of at least 2 classes."
        )
    if kind == "probabilities" and (bool((out < -1e-9).any()) or bool(((out.sum(-1) - 1).abs() > 1e-6).any())):
        raise ShapeError(
            "The model's outputs are no probabilities that sum to 1; pass output='logits' if they are logits."
        )
    return int(out.shape[1])


def _template(model: nn.Module) -> nn.Module:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            f"{type(model).__name__} has no trainable parameters, so it has no Fisher information; unfreeze some, or count "
            "its effective dimension as 0."
        )
    return copy.deepcopy(model).double().eval()


def _values(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in (*model.named_parameters(), *model.named_buffers())}


def _draws(template: nn.Module, stacked: dict[str, Tensor]) -> Draws:
    trainable = {name for name, parameter in template.named_parameters() if parameter.requires_grad}
    return Draws(
        template,
        {name: value for name, value in stacked.items() if name in trainable},
        {name: value for name, value in stacked.items() if name not in trainable},
    )


def _around(model: nn.Module, n_draws: int) -> Draws:
    template = _template(model)
    return _draws(template, {name: value.expand(n_draws, *value.shape) for name, value in _values(template).items()})
