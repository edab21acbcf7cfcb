"""How large gradients are at random parameters, against qubits and layers: barren plateaus.

McClean et al. 2018 (Nat. Commun. 9, 4812) found the variance of a gradient to fall exponentially with the number of qubits;
Cerezo et al. 2021 (Nat. Commun. 12, 1791) that it depends on how many qubits the cost looks at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Expval, Weight
from qmoe.engines import Engine, choose_engine, get_engine
from qmoe.errors import ConfigError, ShapeError, check_sizes
from qmoe.seeding import Seed, child, torch_generator
from qmoe.statistics.slopes import DEAD

Cost = Callable[[Tensor], Tensor]

#: Amplitudes that one pass holds; bounds its memory.
_CHUNK = 1 << 20
_ANGLE_NAMES = {"Rot": ("Rot.phi", "Rot.theta", "Rot.omega")}


@dataclass(frozen=True)
class GradientBlock:
    """The weights of one kind in one layer.

    Attributes:
        layer: index of the layer.
        kind: the gate and, for gates of several angles, the angle, such as ``"Rot.theta"``.
        variance: variance of the cost's derivative over draws, averaged over the weights of the block.
        n_weights: how many weights that are.
    """

    layer: int
    kind: str
    variance: float
    n_weights: int

    @property
    def dead(self) -> bool:
        """Whether the weights have no influence on the cost."""
        return self.variance < DEAD


@dataclass(frozen=True, eq=False)
class GradientVariance:
    """Variance of a cost's derivatives over random weights.

    Attributes:
        variance: ``circuit.weight_shape`` variance of each derivative over draws.
        blocks: the same by layer and kind, layers first.
        n_draws: number of draws.
    """

    variance: np.ndarray
    blocks: tuple[GradientBlock, ...]
    n_draws: int

    @property
    def mean(self) -> float:
        """Variance averaged over all weights, dead ones included."""
        return float(self.variance.mean())

    def of(self, layer: int, kind: str) -> float:
        """The variance of one block.

        Raises:
            ConfigError: when there is no such block.
        """
        for block in self.blocks:
            if (block.layer, block.kind) == (layer, kind):
                return block.variance
        known = ", ".join(f"({block.layer}, {block.kind!r})" for block in self.blocks)
        raise ConfigError(f"There is no block ({layer}, {kind!r}). Known: {known}.")


def local_cost(outputs: Tensor) -> Tensor:
    """``1 - mean_i P(qubit i is 0)`` from expectation values ``(..., Q)``: each term looks at one qubit.

    Example:
        >>> from qmoe.analysis import local_cost
        >>> local_cost(torch.tensor([1.0, 0.0]))
        tensor(0.2500)
    """
    return (1 - outputs.mean(-1)) / 2


def global_cost(outputs: Tensor) -> Tensor:
    """``1 - P(0...0)`` from Born probabilities ``(..., 2**Q)``: looks at all qubits at once.

    Example:
        >>> from qmoe.analysis import global_cost
        >>> global_cost(torch.tensor([0.75, 0.25, 0.0, 0.0]))
        tensor(0.2500)
    """
    return 1 - outputs[..., 0]


def gradient_variance(
    circuit: Circuit,
    cost: Cost | None = None,
    x: Tensor | None = None,
    *,
    n_draws: int = 500,
    seed: Seed = 0,
    engine: str | Engine = "auto",
) -> GradientVariance:
    """The variance of ``d cost / d weight`` over weights drawn uniformly from [0, 2 pi), in float64.

    Args:
        circuit: the circuit.
        cost: maps read-outs ``(..., n_outputs)`` to ``(...)``; `local_cost` for expectation values and `global_cost` for
            Born probabilities by default.
        x: ``(B, F)`` inputs over which the cost is averaged; one row of zeros by default for angle encodings.
        n_draws: number of draws; the variance's own relative error is about ``sqrt(kurtosis / n_draws)``.
        seed: seed of the draws.
        engine: an engine, its name, or ``"auto"``.

    Raises:
        ConfigError: for a circuit without weights, fewer than two draws, or no inputs for amplitude encoding.
        ShapeError: for a cost that does not return one number a sample.

    Example:
        >>> from qmoe.analysis import gradient_variance
        >>> found = gradient_variance(qmoe.Circuit(2, 2), n_draws=50)
        >>> len(found.blocks)
        6
    """
    check_sizes(n_draws=n_draws)
    if n_draws < 2 or circuit.n_weights == 0:
        raise ConfigError(
            f"A variance needs weights and at least 2 draws; the circuit has {circuit.n_weights} and n_draws is {n_draws}."
        )
    if x is None:
        if circuit.prepares:
            raise ConfigError(
                f"{circuit.template.encoding.name} encoding has no state for zeros; pass inputs x of shape (B, F)."
            )
        x = torch.zeros(1, circuit.in_features, dtype=torch.float64)
    if x.dim() != 2 or len(x) == 0:
        raise ShapeError(f"x has shape {tuple(x.shape)}, expected (B, {circuit.in_features}) with B of at least 1.")
    if cost is None:
        cost = {Expval: local_cost, Born: global_cost}.get(type(circuit.readout))
        if cost is None:
            raise ConfigError(f"There is no default cost for the read-out {circuit.readout.name!r}; pass cost.")
    points = x.detach().double()
    generator = torch_generator(seed)
    weights = torch.rand(n_draws, *circuit.weight_shape, generator=generator, dtype=torch.float64) * (2 * math.pi)
    runner = get_engine(engine) or choose_engine(circuit, points.device)[0]
    gradients = []
    for part in weights.to(points.device).split(max(1, _CHUNK // (circuit.dim * len(points)))):
        part.requires_grad_()
        costs = cost(runner.evaluate(circuit, points.expand(len(part), *points.shape), part))
        if costs.shape != (len(part), len(points)):
            raise ShapeError(
                f"The cost returned {tuple(costs.shape)}, expected one number a sample: {(len(part), len(points))}."
            )
        # Draws do not touch each other, so the gradient of the sum is each draw's own.
        gradients.append(torch.autograd.grad(costs.mean(-1).sum(), part)[0])
    variance = torch.cat(gradients).var(0).cpu().numpy()
    return GradientVariance(variance, _blocks(circuit, variance), n_draws)


def gradient_scaling(
    make: Callable[[int], Circuit],
    sizes: Sequence[int],
    cost: Cost | None = None,
    *,
    n_draws: int = 500,
    seed: Seed = 0,
    engine: str | Engine = "auto",
) -> dict[int, GradientVariance]:
    """`gradient_variance` of a circuit of each size: qubits, or layers, or what ``make`` makes of it.

    Example:
        >>> from qmoe.statistics import fit_log_slope
        >>> found = gradient_scaling(lambda q: Circuit(q, 2, readout="born"), [2, 3, 4, 5])
        >>> round(fit_log_slope(list(found), [v.of(0, "Rot.theta") for v in found.values()]).slope, 1)
        -1.3
    """
    found = {}
    for index, size in enumerate(sizes):
        # Draws of their own for each size, so that the scatter about the line is the error of the variances.
        found[size] = gradient_variance(make(size), cost, n_draws=n_draws, seed=child(seed, index), engine=engine)
    return found


def _blocks(circuit: Circuit, variance: np.ndarray) -> tuple[GradientBlock, ...]:
    blocks = []
    for layer in range(circuit.template.n_layers):
        kinds: dict[int, list[str]] = {}
        for gate in circuit.template.ansatz.layer(layer, circuit.n_qubits):
            names = _ANGLE_NAMES.get(gate.name, (gate.name,))
            for name, angle in zip(names, gate.angles, strict=False):
                if isinstance(angle, Weight):
                    known = kinds.setdefault(angle.index, [])
                    known += [name] * (name not in known)
        groups: dict[str, list[int]] = {}
        for index, found in kinds.items():
            groups.setdefault("+".join(found), []).append(index)
        values = variance[layer].reshape(-1)
        blocks += [GradientBlock(layer, kind, float(values[some].mean()), len(some)) for kind, some in groups.items()]
    return tuple(blocks)
