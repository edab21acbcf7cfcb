"""How many parameters a router has, how many of them do anything, and how many directions they move it in."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, jacrev

from qmoe.errors import ShapeError
from qmoe.layers import Stackable
from qmoe.routers import Router, SoftmaxRouter
from qmoe.seeding import Seed, child, torch_generator

#: Settings of the parameters that are looked at: a hidden unit that one leaves switched off is alive in another.
_DRAWS = 3
#: A derivative below this, relative to the largest, is rounding.
_DEAD = 1e-10
#: A singular value below this, relative to the largest, is rounding.
_RANK = 1e-9


@dataclass(frozen=True)
class ParameterCount:
    """The parameters of a router, counted in three ways.

    Attributes:
        nominal: how many are trained.
        live: how many of them have an influence on the routing weights, for some input at generic values.
        rank: in how many independent directions they move the routing weights as a function of the input.
        frozen: how many more there are that are not trained.
    """

    nominal: int
    live: int
    rank: int
    frozen: int = 0


def count_parameters(router: Router, x: Tensor | None = None, seed: Seed = 0) -> ParameterCount:
    """Counts the trainable parameters of a router: all, live ones, and the rank of the Jacobian of its logits.

    Softmax does not see a shift that is common to all logits, so logits are taken modulo such a shift: less their mean over
    experts. So a linear router from 2 features to 2 experts has 6 parameters and rank 3, the paper's quantum router 24
    parameters, 22 of them live, and rank 9. A router without logits is counted by its routing weights; where there are both,
    the rank is the same, since the derivative of softmax is invertible modulo a shift.

    Trained parameters are drawn anew from a standard normal distribution, the largest of three draws counts. Frozen ones and
    buffers stay as they are. All is computed in float64.

    Args:
        router: a router; it is not changed.
        x: ``(N, F)`` inputs; by default as many as may be needed, uniform in (-pi, pi).
        seed: seed of the parameters, and of the inputs.

    Raises:
        ShapeError: for inputs that the router does not take.

    Example:
        >>> from qmoe.analysis import count_parameters
        >>> count_parameters(qmoe.QuantumRouter(2, 2)).rank
        9
    """
    router = copy.deepcopy(router).double().eval()
    trained = {name: p.detach() for name, p in router.named_parameters() if p.requires_grad}
    nominal = sum(p.numel() for p in trained.values())
    frozen = sum(p.numel() for p in router.parameters()) - nominal
    if nominal == 0:
        return ParameterCount(0, 0, 0, frozen)
    if x is None:
        generator = torch_generator(child(seed, 0))
        x = (2 * torch.rand(nominal + 10, router.in_features, generator=generator, dtype=torch.float64) - 1) * math.pi
        x = x.to(next(iter(trained.values())).device)
    elif x.dim() != 2:
        raise ShapeError(f"x has shape {tuple(x.shape)}, expected (N, F).")
    points = x.double()
    router.validate_input(points)
    for module in router.modules():  # values cannot be looked at under torch.func
        if isinstance(module, Stackable):
            module.checks_input = False
    softmax = router.as_softmax()

    def outputs(parameters: dict[str, Tensor]) -> Tensor:
        if softmax is None:
            return functional_call(router, parameters, (points,)).flatten()
        logits = functional_call(_Logits(softmax), {f"router.{k}": v for k, v in parameters.items()}, (points,))
        return (logits - logits.mean(-1, keepdim=True)).flatten()

    live = torch.zeros(nominal, dtype=torch.bool)
    rank = 0
    seen: list[Tensor] = []
    generator = torch_generator(child(seed, 1))
    for _ in range(_DRAWS):
        drawn = {
            k: torch.randn(v.shape, generator=generator, dtype=torch.float64).to(v.device) for k, v in trained.items()
        }
        jacobian = torch.cat([j.flatten(1) for j in jacrev(outputs)(drawn).values()], 1).cpu()
        if any(torch.equal(jacobian, other) for other in seen):
            continue  # of a router that is linear in its parameters, which has one Jacobian wherever one looks
        seen.append(jacobian)
        largest = jacobian.abs().max()
        if largest > 0:
            live |= jacobian.abs().amax(0) > _DEAD * largest
            values = torch.linalg.svdvals(jacobian)
            rank = max(rank, int((values > _RANK * values[0]).sum()))
    return ParameterCount(nominal, int(live.sum()), rank, frozen)


class _Logits(torch.nn.Module):
    """A router's logits as a module's output, which is what `torch.func` calls."""

    def __init__(self, router: SoftmaxRouter) -> None:
        super().__init__()
        self.router = router

    def forward(self, x: Tensor) -> Tensor:
        return self.router.logits(x)
