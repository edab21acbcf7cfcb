"""Routers without a circuit, as a study file names them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qmoe.studies.specs.base import Size, Spec


class LinearRouterSpec(Spec):
    """The paper's control."""

    kind: Literal["linear"]


class MLPRouterSpec(Spec):
    """One hidden layer."""

    kind: Literal["mlp"]
    hidden: Size = 16
    activation: Literal["relu", "tanh", "silu"] = "relu"


class FixedFunctionsSpec(Spec):
    """A linear gate on fixed functions; ``standardised`` to mean 0 and standard deviation 1 over the training part."""

    standardised: Annotated[bool, Field(strict=True)] = True


class QuadraticRouterSpec(FixedFunctionsSpec):
    """A linear gate on the features and their products."""

    kind: Literal["quadratic"]


class TrigonometricRouterSpec(FixedFunctionsSpec):
    """A linear gate on cosines and sines of each feature, without products of them."""

    kind: Literal["trigonometric"]
    max_frequency: Size = 1


class RandomFourierRouterSpec(FixedFunctionsSpec):
    """A linear gate on waves of random frequency and phase, drawn with the first weights."""

    kind: Literal["random_fourier"]
    n_functions: Size = 8
    length_scale: Annotated[float, Field(gt=0, lt=1e30)] = 1.0


class StochasticRouterSpec(Spec):
    """A chain of random bits on the same functions, without interference."""

    kind: Literal["stochastic"]
    n_layers: Size = 3


class UniformRouterSpec(Spec):
    """All experts alike; with one expert, no router."""

    kind: Literal["uniform"]


class ConstantRouterSpec(Spec):
    """Weights that train, but are the same for every sample."""

    kind: Literal["constant"]


class RandomRouterSpec(Spec):
    """Each point at random, but always alike."""

    kind: Literal["random"]


class SingleRouterSpec(Spec):
    """All weight on one expert."""

    kind: Literal["single"]
    expert: Annotated[int, Field(ge=0, strict=True)] = 0
