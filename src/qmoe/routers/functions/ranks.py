"""How many directions the parameters of a router move its routing, and what dephasing leaves of them."""

from __future__ import annotations

import contextlib
import copy
import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from qmoe.circuits import AngleEncoding, Circuit, NoiseModel
from qmoe.circuits.noise import AXES
from qmoe.engines import TorchEngine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.layers import runs_stacked
from qmoe.routers.base import Router
from qmoe.routers.quantum import QuantumRouter
from qmoe.routers.stochastic import StochasticRouter

_CUT = 1e-9
#: Points of a period, random weights: what a circuit is constant on.
_N_POINTS, _N_WEIGHTS = 8, 3


def jacobian_rank(router: Router, seed: int = 0, constant: bool = True) -> int:
    """How many directions the parameters move the routing at generic values: dimensions of the set of its functions.

    It is the rank of the Jacobian of the differences of logits (each less the mean over experts) with respect to all
    parameters; for a quantum router with the Born read-out, of the routing weights. A router's noise and dephasing count.

    Args:
        router: a router of qmoe. The values of its parameters do not count: they are drawn, for circuits and stochastic
            chains as for a new one, in all others uniformly in [-1, 1].
        seed: of the parameters and points.
        constant: whether the constant counts; False for the functions beside it.

    Raises:
        UnsupportedError: for a router that does not run as a stack of models.
    """
    if not runs_stacked(router):
        raise UnsupportedError(
            f"{type(router).__name__} does not run as a stack of models (runs_stacked), which its Jacobian is found by."
        )
    generator = torch.Generator().manual_seed(seed)
    circuit = router.circuit if isinstance(router, QuantumRouter) else Circuit(router.in_features, 0, AngleEncoding())
    return moved(router, circuit, generator, constant)[0]


def dephased_ranks(router: QuantumRouter, where: str = "all", seed: int = 0) -> dict[str, int]:
    """How many independent functions of the features are left when the circuit is dephased along each axis.

    Args:
        router: a quantum router; its own noise and the values of its weights do not count.
        where: ``"encoding"``, ``"layers"`` or ``"all"``; see `qmoe.NoiseModel`.
        seed: of the random weights and points.

    Returns:
        Jacobian ranks beside the constant: ``"none"`` for the circuit as it is, then ``"X"``, ``"Y"`` and ``"Z"``.

    Raises:
        ConfigError: for anything but a QuantumRouter.

    Example:
        >>> dephased_ranks(QuantumRouter(in_features=2, n_experts=2))
        {'none': 8, 'X': 0, 'Y': 1, 'Z': 2}
    """
    if not isinstance(router, QuantumRouter):
        raise ConfigError(f"dephased_ranks takes a qmoe.QuantumRouter, got a {type(router).__name__}.")
    noises = {"none": None} | {axis: NoiseModel(dephasing=where, dephasing_axis=axis) for axis in AXES}
    found = {}
    for name, noise in noises.items():
        generator = torch.Generator().manual_seed(seed)
        found[name] = moved(router, router.circuit.with_noise(noise), generator, constant=False)[0]
    return found


@functools.lru_cache(maxsize=64)
def is_constant(circuit: Circuit) -> bool:
    """Whether the read-outs of a circuit, with its noise, tell nothing of the features, whatever its weights."""
    generator = torch.Generator().manual_seed(0)
    x = random_inputs(circuit, _N_POINTS, generator)
    weights = torch.rand(_N_WEIGHTS, *circuit.weight_shape, generator=generator, dtype=torch.float64) * (2 * math.pi)
    with torch.no_grad():
        out = TorchEngine().evaluate(circuit, x.expand(_N_WEIGHTS, *x.shape), weights)
    return bool((out - out[:, :1]).abs().max() < 1e-12)


def random_inputs(circuit: Circuit, n: int, generator: torch.Generator) -> Tensor:
    """``(n, F)`` inputs of the circuit within one period; of any direction, for amplitudes."""
    x = torch.rand(n, circuit.in_features, generator=generator, dtype=torch.float64)
    if circuit.prepares:
        return torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return (x - 0.5) * (circuit.period or 2 * math.pi)


def moved(
    router: Router, circuit: Circuit, generator: torch.Generator, constant: bool = True
) -> tuple[int, int, tuple[str, ...]]:
    """Rank of the Jacobian of differences of logits and of the logits, and the parameters that move neither.

    Args:
        router: what is moved.
        circuit: that of a quantum router, with the noise that counts; for all others, whose inputs to take.
        generator: source of parameters and points.
        constant: whether the constant counts among the functions.
    """
    if not sum(p.numel() for p in router.parameters()):
        return 0, 0, ()
    ranks, largest = np.zeros(2, dtype=int), None
    for _ in range(2):
        fresh = _fresh(router, circuit, generator)
        fresh.checks_input = False
        n = 2 * sum(p.numel() for p in fresh.parameters()) + 16
        x = random_inputs(circuit, n, generator)
        if fresh.in_features != circuit.in_features:
            x = torch.randn(n, fresh.in_features, generator=generator, dtype=torch.float64)
        # A stack of n copies, one for each point, has the gradients of each point by themselves.
        copies = {k: p.detach().expand(n, *p.shape).clone().requires_grad_() for k, p in fresh.named_parameters()}
        buffers = {k: b.expand(n, *b.shape) for k, b in fresh.named_buffers()}
        readout = _Readout(fresh)
        named = {f"router.{k}": v for k, v in {**copies, **buffers}.items()}
        out = functional_call(readout, named, (x.unsqueeze(1),)).squeeze(1)
        rows = []
        for expert in range(router.n_experts):
            gradients = torch.autograd.grad(
                out[:, expert].sum(), list(copies.values()), retain_graph=True, materialize_grads=True
            )
            rows.append(torch.cat([g.reshape(n, -1) for g in gradients], -1))
        jacobian = torch.stack(rows, 1)
        differences = jacobian - jacobian.mean(1, keepdim=True)
        parts, scale = [differences, jacobian], None
        if not constant:
            # Less its mean over the points, a function is what it is beside the constant; rounding is no function.
            parts, scale = [part - part.mean(0) for part in parts], 1.0
        found = [rank_of(part.flatten(0, 1).numpy(), scale) for part in parts]
        ranks = np.maximum(ranks, found)
        size = jacobian.abs().amax((0, 1))
        largest = size if largest is None else torch.maximum(largest, size)
    assert largest is not None
    labels = [
        f"{name}[{', '.join(map(str, index))}]"
        for name, p in fresh.named_parameters()
        for index in np.ndindex(*p.shape)
    ]
    bound = 1e-12 * max(float(largest.max()), 1e-300)
    dead = tuple(label for label, value in zip(labels, largest.tolist(), strict=True) if value <= bound)
    return int(ranks[0]), int(ranks[1]), dead


class _Readout(torch.nn.Module):
    """A router's logits, or its weights where it has none, as the output of a module."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router = router

    def forward(self, x: Tensor) -> Tensor:
        softmax = self.router.as_softmax()
        out: Tensor = self.router(x) if softmax is None else softmax.logits(x)
        return out


def _fresh(router: Router, circuit: Circuit, generator: torch.Generator) -> Router:
    """A router of the same description with random weights, in float64."""
    if isinstance(router, QuantumRouter):
        # With the circuit given, not its options; and with no machine code to wait for.
        return QuantumRouter(
            router.in_features,
            router.n_experts,
            circuit=circuit,
            engine="torch",
            generator=generator,
            dtype=torch.float64,
        )
    copied = copy.deepcopy(router).to("cpu", torch.float64)
    if isinstance(router, StochasticRouter):
        copied.reset_parameters(generator)
        return copied
    with torch.no_grad():
        for p in copied.parameters():
            p.uniform_(-1, 1, generator=generator)
    return copied


def misfit(design: np.ndarray, columns: np.ndarray) -> float:
    """The largest error of ``(N, C)`` columns as sums, by least squares, of the ``(N, K)`` columns of a design."""
    import scipy.linalg

    norms = np.linalg.norm(design, axis=0)
    scaled = design / np.where(norms > 0, norms, 1.0)
    # By Cholesky, and by singular values only where that leaves a doubt: they take fifty times as long at 4,000 functions.
    with contextlib.suppress(np.linalg.LinAlgError):
        factor = scipy.linalg.cho_factor(scaled.T @ scaled)
        left = columns
        for _ in range(2):  # the second time takes away what rounding left
            left = left - scaled @ scipy.linalg.cho_solve(factor, scaled.T @ left)
        if (off := float(np.abs(left).max())) <= _CUT:
            return off
    return float(np.abs(columns - scaled @ np.linalg.lstsq(scaled, columns, rcond=None)[0]).max())


def rank_of(matrix: np.ndarray, scale: float | None = None) -> int:
    """Number of singular values above rounding."""
    values = np.linalg.svd(matrix, compute_uv=False)
    top = float(values.max(initial=0.0))
    # A function that is 0 but for rounding has no rank, however large its rounding is beside itself.
    floor = 1e-12 if scale is None else 1e-12 * scale * math.sqrt(matrix.size)
    return int((values > max(_CUT * top, floor)).sum())
