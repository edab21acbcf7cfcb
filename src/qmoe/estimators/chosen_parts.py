"""Router, experts and mixture from the options of an estimator, and the rows that they can take."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from qmoe.circuits import Circuit, CircuitSpec
from qmoe.errors import ConfigError, check_sizes
from qmoe.estimators.circuit_options import CircuitOptions
from qmoe.estimators.plain_options import choice, plain
from qmoe.experts import EXPERTS, Experts, QuantumExperts
from qmoe.layers import Linear
from qmoe.moe import MixtureOfExperts
from qmoe.part_spec import Drawn, PartSpec
from qmoe.routers import ROUTERS, QuantumRouter, Router, TwinRouter

#: What every feature of a row of zeros becomes where features are amplitudes: too little for any other part to see.
SMALL_AMPLITUDE = 1e-6


@dataclass(frozen=True)
class PartChoices:
    """The options of an estimator that say what its mixture is made of; see there."""

    router: Any
    experts: Any
    n_experts: Any
    circuit: CircuitOptions
    hidden: Any
    top_k: Any
    norm_topk_prob: Any

    def build(self, n_features: int, n_outputs: int, drawn: Drawn) -> MixtureOfExperts:
        """The mixture, with a linear layer to the outputs where its experts do not give these themselves.

        Raises:
            ConfigError: for options that are unknown, out of range or do not go together.
        """
        check_sizes(n_experts=plain(self.n_experts))
        router = self._router(n_features, drawn)
        experts = self._experts(n_features, n_outputs, drawn)
        if n_features == 1 and any(map(_prepares, (*router.modules(), *experts.modules()))):
            raise ConfigError(
                "Amplitude encoding of 1 feature(s) gives the same state for every row; use encoding='angle' for the "
                "router, experts='linear' or 'mlp'."
            )
        head: nn.Module | None = None
        # What circuits measure is bounded, which neither logits nor targets are.
        if isinstance(experts, QuantumExperts) or experts.out_features != n_outputs:
            head = Linear(experts.out_features, n_outputs, **drawn)
        return MixtureOfExperts(router, experts, head, plain(self.top_k), plain(self.norm_topk_prob))

    def _router(self, n_features: int, drawn: Drawn) -> Router:
        if isinstance(self.router, Router):
            return copy.deepcopy(self.router).to(drawn["dtype"])
        _require_name("router", self.router, "qmoe.QuantumRouter(...)", ROUTERS)
        kind, n_experts = choice("router", self.router, ROUTERS), plain(self.n_experts)
        spec = ROUTERS[kind]
        if not issubclass(spec, CircuitSpec):
            return spec(**self._options_of(spec)).build(n_features, n_experts, **drawn)
        options = self.circuit.of_router(n_features, n_experts)
        if kind == "twin":
            # Only its description counts; a generator of its own leaves the draws of other parts as they are.
            described = QuantumRouter(n_features, n_experts, **options, generator=torch.Generator())
            return TwinRouter(described.circuit, n_experts, n_features, **drawn)
        return QuantumRouter(n_features, n_experts, **options, **drawn)

    def _experts(self, n_features: int, n_outputs: int, drawn: Drawn) -> Experts:
        if isinstance(self.experts, Experts):
            return copy.deepcopy(self.experts).to(drawn["dtype"])
        _require_name("experts", self.experts, "qmoe.LinearExperts(...)", EXPERTS)
        kind, n_experts = choice("experts", self.experts, EXPERTS), plain(self.n_experts)
        spec = EXPERTS[kind]
        if not issubclass(spec, CircuitSpec):
            return spec(**self._options_of(spec)).build(n_features, n_outputs, n_experts, **drawn)
        return QuantumExperts(n_features, n_experts, **self.circuit.of_experts(), **drawn)

    def _options_of(self, spec: type[PartSpec]) -> dict[str, Any]:
        """Those of the options that a router or experts without a circuit take; their others keep their defaults."""
        known = {field.name for field in dataclasses.fields(spec)}
        given = {"hidden": self.hidden, "n_layers": self.circuit.n_layers}
        return {name: plain(value) for name, value in given.items() if name in known}


def _require_name(what: str, given: Any, example: str, known: Iterable[str]) -> None:
    """Raises `ConfigError` where an option is neither a name nor a made part."""
    if not isinstance(given, str):
        was = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
        raise ConfigError(
            f"{what} is {was}, expected a made one, such as {example}, or one of {', '.join(sorted(known))}."
        )


def encodable(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    """Scaled rows ``(N, F)`` that the module can take.

    Amplitudes of a row of zeros are undefined, since it has no direction. It gets that of equal features, at a length that
    other parts do not see.
    """
    zero = (rows == 0).all(axis=1)
    if not zero.any() or not any(map(_prepares, module.modules())):
        return rows
    return np.where(zero[:, None], SMALL_AMPLITUDE, rows)


def _prepares(module: nn.Module) -> bool:
    """Whether a module encodes features as amplitudes."""
    circuit = getattr(module, "circuit", None)
    return isinstance(circuit, Circuit) and circuit.prepares
