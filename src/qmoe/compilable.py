"""What routers and experts are made of, in the terms of training in machine code.

A router or a set of experts describes itself in `compiled_parts`; `qmoe.training.compiled` lays the description out for its
kernel. Tensors are those of the module, with the axis of models in front where it is a stack; a tensor that all models share
may go without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from qmoe.engines import check_values
from qmoe.engines.running import CircuitModule
from qmoe.errors import check_sizes
from qmoe.layers import Linear, Stackable


class Layer(NamedTuple):
    """``W x + b``."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, linear: Linear | None) -> Layer | None:
        """The layer of a module; None for None."""
        return None if linear is None else cls(linear.weight, linear.bias)


@dataclass(frozen=True)
class HiddenLayer:
    """``f(W x + b)``, f being one of `qmoe.layers.ACTIVATIONS`."""

    weight: Tensor
    bias: Tensor
    activation: str

    @property
    def width(self) -> int:
        """Number of its outputs."""
        return int(self.bias.shape[-1])


@dataclass(frozen=True)
class Features:
    """The source of a router that uses its n features as they are."""

    n: int


@dataclass(frozen=True)
class Functions:
    """The source of a router on n functions of its features without trained parameters.

    ``of`` maps ``(..., F)`` to ``(..., n)``. ``n=0`` and no ``of`` for a router that does not depend on its features.
    """

    n: int = 0
    of: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class CircuitReadouts:
    """The source of a router on what a circuit measures, applied to the features or to a linear map of them."""

    circuit: CircuitModule
    projection: Layer | None = None


@dataclass(frozen=True)
class WaveProducts:
    """The source of a router on products of cosines and sines behind a linear map of its features, each centred and scaled.

    The map gives U numbers. An angle is a product of some of them, or a sum. It has a row of a table: ``1, cos a, sin a,
    cos 2a, ...`` up to ``top`` times the angle; rows stand one after another. A product is another one times an entry. The
    router is on the first K of P products; the others only lead to these.

    Attributes:
        projection: the map in front.
        top: the largest multiple of an angle.
        order: ``(P,)`` the products in an order in which they can be computed.
        parents: ``(P,)`` the product that each of these goes on from, which comes before it; -1 for none.
        factors: ``(P,)`` places of their entries in the table.
        centre: ``(K,)`` for each model: what is taken off a product.
        scale: ``(K,)`` for each model: what the difference is divided by.
        angles: ``(A, D)`` which of the U numbers each angle multiplies, -1 beyond; None with ``waves``.
        units: ``(A,)`` a number to multiply each of these by.
        waves: ``(A, U)`` for each model: factors of the sums.
    """

    projection: Layer
    top: int
    order: np.ndarray
    parents: np.ndarray
    factors: np.ndarray
    centre: Tensor
    scale: Tensor
    angles: np.ndarray | None = None
    units: np.ndarray | None = None
    waves: Tensor | None = None

    @property
    def n_angles(self) -> int:
        """Number of angles A."""
        if self.angles is not None:
            return len(self.angles)
        return 0 if self.waves is None else int(self.waves.shape[-2])


@dataclass(frozen=True)
class Chain:
    """The source of a router on the n mean signs at the end of a stochastic chain of ``2 n`` bits.

    Attributes:
        n: number of features.
        angles: of its gates, ``(layers, 2 n, 2, 2)`` for each model.
        populations: of the bit strings it starts from, ``(..., n)`` to ``(..., 4**n)``.
    """

    n: int
    angles: Tensor
    populations: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RouterParts:
    """A router: most are the softmax of a linear gate on a source.

    Attributes:
        source: what the gate, or the hidden layer, is applied to.
        gate: the linear layer whose softmax the weights are; None where they are the source itself, as for the Born
            read-out, or constant.
        hidden: a layer between source and gate.
        constant: ``(E,)`` weights that neither train nor depend on the features.
        routing: whose weights a sample gets: its own, the mean of the batch, or another's.
    """

    source: Features | Functions | CircuitReadouts | WaveProducts | Chain
    gate: Layer | None = None
    hidden: HiddenLayer | None = None
    constant: Tensor | None = None
    routing: Literal["own", "mean", "permuted"] = "own"


@dataclass(frozen=True)
class ExpertParts:
    """Experts: linear layers side by side, behind hidden layers or not, or circuits.

    Attributes:
        layer: weights ``(E, O, F or width)`` and biases ``(E, O)``; None for circuits.
        hidden: layers in front of them, ``(E, width, F)`` and ``(E, width)``.
        circuit: the circuits of all experts.
    """

    layer: Layer | None = None
    hidden: HiddenLayer | None = None
    circuit: CircuitModule | None = None


Parts = TypeVar("Parts", RouterParts, ExpertParts)


class CompilablePart(Stackable, ABC, Generic[Parts]):
    """What a router and a set of experts have in common: sizes, the check of the input, and how they train in machine code.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.

    Raises:
        ConfigError: for sizes below 1.
    """

    def __init__(self, in_features: int, n_experts: int) -> None:
        super().__init__()
        check_sizes(in_features=in_features, n_experts=n_experts)
        self.in_features = in_features
        self.n_experts = n_experts

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to what the part computes from them."""

    def validate_input(self, x: Tensor) -> None:
        """Raises `qmoe.errors.ShapeError` for a wrong number of features, dtype or device, NaN or infinity."""
        if self.checks_input:
            check_values(x, self.in_features, self)

    def compiled_parts(self) -> Parts | None:
        """How this part trains in machine code; None for one that autograd trains.

        A class says so in its own body, by `own_parts`. As with ``runs_stacked``, the promise is not inherited, since a
        subclass may compute something else.
        """
        if any(isinstance(module, CircuitModule) and module.shots is not None for module in self.modules()):
            return None  # machine code computes exact read-outs
        return self.own_parts() if "own_parts" in vars(type(self)) else None

    def own_parts(self) -> Parts | None:
        """What an instance of exactly this class is made of, its parameters and buffers among them."""
        return None
