"""Modules that stand in for the layer that is audited."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qmoe.layers import ACTIVATIONS, Linear
from qmoe.routers.controls import permutation_of
from qmoe.routers.functions.basis import Basis

#: Activation of the MLP: bounded and smooth, as expectation values are.
ACTIVATION = "tanh"


class ConstantOutput(nn.Module):
    """The same trained output for every sample.

    It is trained, not the mean that the layer happens to have: so it is the best that any layer can do that does not look at
    its input, and does not depend on the batch. Before a linear layer it is the bias of that layer.

    Args:
        values: ``(*shape)`` the first output of a sample: the mean output of the layer that it stands in for.
        leading: whether ``values`` ``(O,)`` goes to all leading axes of the input, ``(..., F)`` to ``(..., O)``; otherwise
            to its first axis alone.
    """

    def __init__(self, values: Tensor, leading: bool) -> None:
        super().__init__()
        self.values = nn.Parameter(values.detach().clone())
        self.leading = leading

    def forward(self, x: Tensor, *others: object, **named: object) -> Tensor:
        """``(B, ...)`` to ``(B, *shape)``; further arguments, which the layer may take, are left alone."""
        axes = x.shape[:-1] if self.leading else x.shape[:1]
        return self.values.expand(*axes, *self.values.shape)


class PermutedOutput(nn.Module):
    """The layer's outputs, each given to another sample of the batch.

    The samples are exchanged along the first axis by one cycle through all of them, as `qmoe.routers` does it
    (``PermutedRouting``): no sample keeps its own, but for a batch of one.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *given: object, **named: object) -> Tensor:
        """What the layer takes, to its outputs ``(B, ...)`` of other samples."""
        out: Tensor = self.layer(*given, **named)
        return out.index_select(0, torch.tensor(permutation_of(out.shape[0]), dtype=torch.int64, device=out.device))


class WithoutAxis(nn.Module):
    """A module of one output as a layer that gives a bare number: ``(..., F)`` to ``(...)``.

    Args:
        layer: gives ``(..., 1)``.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` to ``(...)``."""
        out: Tensor = self.layer(x)
        return out.squeeze(-1)


class SmallMLP(nn.Module):
    """One hidden layer of tanh: ``(..., F)`` to ``(..., O)``.

    Args:
        in_features: F.
        hidden: width of the hidden layer.
        out_features: O.
        like: a tensor of the dtype and on the device of the new weights.
        generator: source of the first weights.
    """

    def __init__(
        self, in_features: int, hidden: int, out_features: int, like: Tensor, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.first = Linear(in_features, hidden, generator=generator, device=like.device, dtype=like.dtype)
        self.second = Linear(hidden, out_features, generator=generator, device=like.device, dtype=like.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``W2 tanh(W1 x + b1) + b2``."""
        return self.second(ACTIVATIONS[ACTIVATION](self.first(x)))


class TwinLayer(nn.Module):
    """A linear map on all functions that a circuit can compute of its input: a superset, without a circuit.

    Args:
        basis: the K functions.
        out_features: number of outputs O of the circuit.
        like: a tensor of the dtype and on the device of the new weights.
        generator: source of the first weights.
    """

    def __init__(self, basis: Basis, out_features: int, like: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.basis = basis
        self.map = Linear(len(basis), out_features, generator=generator, device=like.device, dtype=like.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``W phi(x) + b``: ``(..., F)`` to ``(..., O)``."""
        return self.map(self.basis.values(x))
