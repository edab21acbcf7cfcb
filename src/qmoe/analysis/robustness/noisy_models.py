"""Trained models with other noise than they were trained with, and with read-outs as a device gives them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from qmoe.circuits import NoiseModel
from qmoe.engines import Engine
from qmoe.engines.running import CircuitModule
from qmoe.errors import ConfigError
from qmoe.layers import Linear
from qmoe.moe import MixtureOfExperts
from qmoe.routers import QuantumRouter
from qmoe.training import ModelStack

Model = TypeVar("Model", bound=nn.Module)


def noisy_copy(model: Model, noise: float | NoiseModel) -> Model:
    """A copy of a model all of whose circuits have this noise, in place of any that they had; nothing is trained.

    Args:
        model: a module with circuits of qmoe inside.
        noise: a `NoiseModel`, or a depolarizing probability.

    Raises:
        ConfigError: for a model without a circuit.
    """
    copied = copy.deepcopy(model)
    for part in circuits_of(copied):
        part.set_noise(noise)
    return copied


def circuits_of(model: nn.Module) -> list[CircuitModule]:
    """The circuits inside a model.

    Raises:
        ConfigError: where there is none.
    """
    found = [module for module in model.modules() if isinstance(module, CircuitModule)]
    if not found:
        raise ConfigError(
            f"The {type(model).__name__} has no circuit, so noise changes nothing; give one with a QuantumRouter."
        )
    return found


def recalibration_obstacle(model: nn.Module) -> str:
    """Why the adapter of a model cannot be retrained by itself; "" where it can."""
    if not isinstance(model, MixtureOfExperts):
        return f"the model is a {type(model).__name__}, and recalibration needs a MixtureOfExperts"
    if not isinstance(model.router, QuantumRouter):
        return f"the router is a {type(model.router).__name__}, and recalibration needs a QuantumRouter"
    if model.router.adapter is None:
        return "the Born read-out has no adapter to recalibrate"
    if model.top_k is not None and model.top_k < model.router.n_experts:
        return f"top_k = {model.top_k} leaves out experts, which no gradient crosses"
    if model.gating is not None and not model.gating.chooses_all:
        return "the mixture does not mix all experts, and no gradient crosses a choice"
    if model.shared is not None:
        return "the mixture has shared experts beside the routed ones"
    if not isinstance(model.head, Linear | nn.Linear | None):
        return f"the head is a {type(model.head).__name__}, and recalibration needs a linear one"
    return ""


class Noisy:
    """Models of one shape as they run on a noisy device; the models themselves are not changed.

    Args:
        models: M models.
        strength: depolarizing probability of all their circuits with noise.
        engine: what runs their circuits.
    """

    def __init__(self, models: Sequence[nn.Module], strength: float, engine: Engine) -> None:
        stack = ModelStack(models)
        self._parts: list[tuple[nn.Module, slice | int]]
        if stack.module is not None:
            self._parts = [(stack.module, slice(None))]
        else:
            self._parts = [(copy.deepcopy(model), m) for m, model in enumerate(models)]
        for module, _ in self._parts:
            for part in circuits_of(module):
                part.run_on(engine)
                part.shots = None  # those of the engine count, not the model's own
                if part.noise_strength is None:
                    raise ConfigError(
                        "A circuit of the model has no noise to give a strength; use noisy_copy(model, NoiseModel(...))."
                    )
                with torch.no_grad():
                    part.noise_strength.fill_(strength)

    def parts(self) -> Iterator[tuple[nn.Module, slice | int]]:
        """Modules that run some of the models each, with their places: all on a leading axis, or one without."""
        return iter(self._parts)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """``(M, B, F)`` features to ``(M, B, C)`` logits."""
        found = [(module(x[at]), at) for module, at in self._parts]
        return torch.cat([out if isinstance(at, slice) else out.unsqueeze(0) for out, at in found])
