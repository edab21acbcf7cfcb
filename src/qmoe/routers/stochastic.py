"""An incoherent counterpart of the quantum router: a Markov chain on bits in place of a circuit on qubits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qmoe.compilable import Chain, Layer, RouterParts
from qmoe.engines.constants import cached_tensors
from qmoe.errors import ConfigError, check_sizes
from qmoe.layers import Device, DType, Linear, Rng, affine, check_same, parameter
from qmoe.part_spec import Depth
from qmoe.routers.base import RouterSpec, SoftmaxRouter

#: Features up to which a chain is followed: it holds ``4**F`` bit strings.
MAX_FEATURES = 6


class StochasticRouter(SoftmaxRouter):
    """A chain of random bits that gives the weights of the experts: a quantum router's functions without interference.

    Every feature x sets two bits at random, with ``P(1) = sin^2(x / 2)`` and ``P(1) = sin^2((x - pi/2) / 2)``: the
    populations of ``RX(x)|0>`` and ``RX(x - pi/2)|0>``. Their signs ``(-1)^bit`` have the means ``cos x`` and ``sin x``.
    Then come layers of gates on the ring of the ``2 F`` bits. A gate flips its second bit with a probability that depends
    on the values of both: a column-stochastic matrix with four free angles, ``P(flip | c, t) = sin^2(angle[c, t] / 2)``,
    which a quantum rotation by that angle would have. The mean sign of the first bit of each feature goes to an adapter,
    as the expectation values of a quantum router do: ``softmax(A <s> + b)``.

    The probabilities are followed exactly, nothing is drawn. A mean sign is ``sum_b C[b] p_b(x)`` over bit strings, where
    only C depends on the angles.

    **Expressivity.** Its logits lie in the span of all products of 1, cos x, sin x and cos x sin x of each feature. That
    holds the span of a quantum router with one upload, ``3**F`` products of 1, cos x and sin x. Which functions
    of the span a chain reaches depends on its depth. For two features (quantum router: 24 parameters, rank 9):

    ========  ============  ================  =================================================================
    layers    parameters    Jacobian rank     random quantum routers that it equals to 1e-8, of 8 (best of 4 starts)
    ========  ============  ================  =================================================================
    1         22            11                0
    2         38            16 (the span)     6
    3         54            16 (the span)     8
    ========  ============  ================  =================================================================

    Args:
        in_features: number of features F, up to ``MAX_FEATURES``. Angles, as for angle encoding.
        n_experts: number of experts E.
        n_layers: number of layers L; the router has ``8 F L + E (F + 1)`` parameters.
        generator: source of the initial weights, angles uniform in [0, 2 pi) as those of a quantum router; torch's default
            generator if None.
        device, dtype: as of `Router`.

    Raises:
        ConfigError: for more than ``MAX_FEATURES`` features.

    Example:
        >>> router = StochasticRouter(in_features=2, n_experts=2)
        >>> sum(p.numel() for p in router.parameters())
        54
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        n_layers: int = 3,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, n_experts)
        if in_features > MAX_FEATURES:
            raise ConfigError(
                f"in_features is {in_features}, but a stochastic chain follows 4**F bit strings and takes up to "
                f"{MAX_FEATURES} features; use qmoe.twin(router) as the control, or reduce the features first."
            )
        check_sizes(n_layers=n_layers)
        self.n_layers = n_layers
        self.n_bits = 2 * in_features
        self.angles = parameter(n_layers, self.n_bits, 2, 2, device=device, dtype=dtype)
        self.adapter = Linear(in_features, n_experts, device=device, dtype=dtype, draw=False)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the angles, then the adapter."""
        nn.init.uniform_(self.angles, 0, 2 * math.pi, generator=generator)
        self.adapter.reset_parameters(generator)

    def populations(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., 4**F)`` probabilities of the bit strings at the start of the chain.

        Bits 2 i and 2 i + 1 are those of feature i; bit 0 is the most significant.
        """
        signs = torch.stack([x.cos(), x.sin()], -1).flatten(-2)
        bits = torch.stack([1 + signs, 1 - signs], -1) / 2
        found = bits[..., 0, :]
        for bit in range(1, self.n_bits):
            found = (found.unsqueeze(-1) * bits[..., bit, :].unsqueeze(-2)).flatten(-2)
        return found

    def outcomes(self) -> Tensor:
        """``C``: ``(*stack, F, 4**F)``, the mean sign that each read-out has when the chain starts from a bit string."""
        stack, n = self.angles.shape[:-4], self.n_bits
        flips = (1 - self.angles.cos()) / 2
        signs = _signs(n, flips.dtype, flips.device)
        # Backwards: what a bit string gives is the mean over what it is turned into.
        found = signs.expand(*stack, *signs.shape)
        first = found.dim() - n
        for layer in reversed(range(self.n_layers)):
            for control in reversed(range(n)):
                target = (control + 1) % n
                chance = flips[..., layer, control, :, :]
                if target < control:
                    chance = chance.mT
                shape = [2 if bit in (control, target) else 1 for bit in range(n)]
                chance = chance.reshape(*stack, 1, *shape)
                found = torch.lerp(found, found.flip(first + target), chance.expand_as(found))
        return found.flatten(first)

    def measure(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to the ``(..., F)`` mean signs that the chain ends with."""
        x = self.take(x)
        self.validate_input(x)
        if self.checks_input:
            check_same(x.dtype, x.device, self.angles.dtype, self.angles.device)
        outcomes = self.outcomes()
        return affine(self.populations(x), outcomes, outcomes.new_zeros(outcomes.shape[:-1]))

    def logits(self, x: Tensor) -> Tensor:
        """``A <s> + b``."""
        return self.adapter(self.measure(x))

    def own_parts(self) -> RouterParts:
        """A linear gate on the mean signs at the end of the chain."""
        return RouterParts(Chain(self.in_features, self.angles, self.populations), Layer.of(self.adapter))

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{super().extra_repr()}, n_layers={self.n_layers}, n_bits={self.n_bits}"


@cached_tensors
def _signs(n_bits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(n_bits / 2, 2, ..., 2)``: the sign of every second bit, for all bit strings."""
    strings = torch.arange(2**n_bits, device=device)
    read = torch.stack([1 - 2 * (strings >> (n_bits - 1 - bit) & 1) for bit in range(0, n_bits, 2)])
    return read.to(dtype).reshape(-1, *(2,) * n_bits)


@dataclass(frozen=True, kw_only=True)
class StochasticSpec(RouterSpec):
    """A chain of random bits on the same functions, without interference.

    Example:
        >>> from qmoe.routers import StochasticSpec
        >>> StochasticSpec(n_layers=2).n_layers
        2
    """

    builds = StochasticRouter

    n_layers: Depth = 3
