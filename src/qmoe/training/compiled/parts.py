"""How a stacked mixture is laid out for the kernel: kinds, sizes, and which tensor stands at which place of a row of values.

Routers and experts describe themselves (`qmoe.compilable`); here their descriptions become the numbers of `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.compilable import (
    Chain,
    CircuitReadouts,
    ExpertParts,
    Features,
    Functions,
    HiddenLayer,
    Layer,
    RouterParts,
    WaveProducts,
)
from qmoe.engines.running import CircuitModule
from qmoe.layers import Linear
from qmoe.moe import MixtureOfExperts
from qmoe.training.compiled import layout as at

_ACTIVATIONS = {"relu": at.RELU, "tanh": at.TANH, "silu": at.SILU}
_DTYPES = (torch.float32, torch.float64)
_ROUTING = {"own": at.OWN, "mean": at.MEAN, "permuted": at.PERMUTED}


@dataclass(frozen=True)
class RouterLayout:
    """A router.

    Attributes:
        values: place in a row of values -> ``(M, ...)`` numbers.
        source: `layout.FEATURES`, ``FUNCTIONS``, ``CIRCUIT``, ``CHAIN_SIGNS``, ``INTERPOLATED`` or ``WAVE_PRODUCTS``: what
            its layers look at.
        weighing: ``SOFTMAX``, ``CONSTANT`` or ``BORN``: what makes weights of it.
        n_inputs: how many numbers its layers look at.
        width: of its hidden layer, 0 for none.
        activation: of its hidden layer.
        functions: of the features, ``(M, N, F)`` to ``(M, N, n_given)``; None where there are none or no inputs.
        circuit: what is measured, or None.
        routing: ``OWN``, ``MEAN`` or ``PERMUTED``: whose weights a sample gets.
        n_bits: of a stochastic chain; ``functions`` are its populations then.
        n_chain_layers: its layers.
        nodes: ``(F, nodes)``: where the circuit is measured if it is interpolated; ``functions`` are the weights of the
            nodes then.
        products: of cosines and sines, or None.
    """

    values: Mapping[int, Tensor]
    source: int = at.FEATURES
    weighing: int = at.SOFTMAX
    n_inputs: int = 0
    width: int = 0
    activation: int = at.RELU
    functions: Callable[[Tensor], Tensor] | None = None
    circuit: CircuitModule | None = None
    routing: int = at.OWN
    n_bits: int = 0
    n_chain_layers: int = 0
    nodes: np.ndarray | None = field(default=None, repr=False)
    products: WaveProducts | None = field(default=None, repr=False)

    @property
    def n_given(self) -> int:
        """How many functions of the features there are for each row."""
        if self.nodes is not None:
            return self.nodes.shape[1]
        return 1 << self.n_bits if self.source == at.CHAIN_SIGNS else self.n_inputs

    def n_measured(self, n_samples: int) -> int:
        """For how many inputs the circuit runs in a batch of ``n_samples``."""
        return n_samples if self.nodes is None else self.nodes.shape[1]

    @cached_property
    def product_record(self) -> np.ndarray | None:
        """The `layout.ProductRecord` of the products; it holds addresses of their arrays."""
        made = self.products
        if made is None:
            return None
        depth = 0 if made.angles is None else made.angles.shape[1]
        arrays = made.angles, made.units, made.order, made.parents, made.factors
        addresses = (0 if array is None else array.ctypes.data for array in arrays)
        return np.array([made.n_angles, made.top, len(made.order), depth, *addresses], dtype=np.int64)


@dataclass(frozen=True)
class ExpertLayout:
    """Experts; attributes as of `RouterLayout`, ``circuit`` being those of all of them."""

    values: Mapping[int, Tensor]
    width: int = 0
    activation: int = at.RELU
    circuit: CircuitModule | None = None


@dataclass(frozen=True)
class MixtureParts:
    """A stacked mixture.

    Attributes:
        router: its router.
        experts: its experts.
        n_features: number of features F.
        n_experts: number of experts E.
        n_out: outputs O of an expert.
        n_classes: number of logits C.
        values: place in a row of values -> ``(M, ...)`` numbers, of all parts.
    """

    router: RouterLayout
    experts: ExpertLayout
    n_features: int
    n_experts: int
    n_out: int
    n_classes: int
    values: Mapping[int, Tensor] = field(repr=False)


def parts_of(module: nn.Module | None, n_models: int) -> MixtureParts | None:
    """The parts of a stacked module; None unless it is a dense mixture on the CPU whose parts all describe themselves.

    Args:
        module: with the axis of models in front of its parameters and buffers; or None.
        n_models: length of that axis.
    """
    if type(module) is not MixtureOfExperts or module.top_k not in (None, module.router.n_experts):
        return None
    if module.gating is not None or module.shared is not None:
        return None
    tensors = [*module.parameters(), *module.buffers()]
    if any(t.device.type != "cpu" or (t.is_floating_point() and t.dtype not in _DTYPES) for t in tensors):
        return None
    head, router, experts = module.head, module.router.compiled_parts(), module.experts.compiled_parts()
    if router is None or experts is None or not (head is None or type(head) is Linear):
        return None
    if any(circuit is not None and type(circuit) is not CircuitModule for circuit in _circuits(router, experts)):
        return None
    of_router, of_experts = _lay_out_router(router, n_models), _lay_out_experts(experts)
    of_head = _of_layer(Layer.of(head), at.HEAD_WEIGHT, at.HEAD_BIAS)
    n_out = module.experts.out_features
    return MixtureParts(
        of_router,
        of_experts,
        module.router.in_features,
        module.router.n_experts,
        n_out,
        n_out if head is None else int(head.bias.shape[-1]),
        {**of_router.values, **of_experts.values, **of_head},
    )


def _circuits(router: RouterParts, experts: ExpertParts) -> tuple[CircuitModule | None, CircuitModule | None]:
    return router.source.circuit if isinstance(router.source, CircuitReadouts) else None, experts.circuit


def _lay_out_router(parts: RouterParts, n_models: int) -> RouterLayout:
    source, hidden = parts.source, parts.hidden
    values = _of_layer(parts.gate, at.GATE_WEIGHT, at.GATE_BIAS)
    values |= _of_layer(hidden, at.HIDDEN_WEIGHT, at.HIDDEN_BIAS)
    weighing = at.SOFTMAX
    if parts.constant is not None:
        weighing, values = at.CONSTANT, {at.GATE_BIAS: parts.constant}
    elif parts.gate is None:
        weighing = at.BORN
    options: dict[str, Any] = {"width": _width(hidden), "activation": _activation(hidden), "weighing": weighing}
    match source:
        case Features(n):
            options |= {"source": at.FEATURES, "n_inputs": n}
        case Functions(n, of):
            options |= {"source": at.FUNCTIONS, "n_inputs": n, "functions": of}
        case CircuitReadouts(circuit, projection):
            options |= {"source": at.CIRCUIT, "n_inputs": circuit.circuit.n_outputs, "circuit": circuit}
            values |= _of_circuit(circuit, at.ROUTER_ANGLES, at.ROUTER_STRENGTH)
            values |= _of_layer(projection, at.PROJECT_WEIGHT, at.PROJECT_BIAS)
        case WaveProducts():
            options |= {"source": at.WAVE_PRODUCTS, "n_inputs": int(source.centre.shape[-1]), "products": source}
            values |= {at.CENTRE: source.centre, at.SCALE: source.scale}
            values |= {} if source.waves is None else {at.WAVES: source.waves}
            values |= _of_layer(source.projection, at.PROJECT_WEIGHT, at.PROJECT_BIAS)
        case Chain(n, angles, populations):
            options |= {"source": at.CHAIN_SIGNS, "n_inputs": n, "functions": populations}
            options |= {"n_bits": 2 * n, "n_chain_layers": int(angles.shape[-4])}
            values[at.ROUTER_ANGLES] = angles
    stacked = {place: _stacked(value, place, n_models) for place, value in values.items()}
    return RouterLayout(stacked, routing=_ROUTING[parts.routing], **options)


def _lay_out_experts(parts: ExpertParts) -> ExpertLayout:
    values = _of_layer(parts.layer, at.EXPERT_WEIGHT, at.EXPERT_BIAS)
    values |= _of_layer(parts.hidden, at.DEEP_WEIGHT, at.DEEP_BIAS)
    if parts.circuit is not None:
        values |= _of_circuit(parts.circuit, at.EXPERT_ANGLES, at.EXPERT_STRENGTH)
    return ExpertLayout(values, _width(parts.hidden), _activation(parts.hidden), parts.circuit)


def _of_layer(layer: Layer | HiddenLayer | None, weight: int, bias: int) -> dict[int, Tensor]:
    return {} if layer is None else {weight: layer.weight, bias: layer.bias}


def _of_circuit(circuit: CircuitModule, angles: int, strength: int) -> dict[int, Tensor]:
    values: dict[int, Tensor] = {angles: circuit.weights}
    if circuit.noise_strength is not None:
        values[strength] = circuit.noise_strength
    return values


#: Axes that a gate has without that of models, which fixed ones, alike for all models, come without.
_GATE_AXES = {at.GATE_WEIGHT: 2, at.GATE_BIAS: 1}


def _stacked(value: Tensor, place: int, n_models: int) -> Tensor:
    return value.expand(n_models, *value.shape) if value.dim() == _GATE_AXES.get(place) else value


def _width(hidden: HiddenLayer | None) -> int:
    """Of one expert or the router; 0 for none."""
    return 0 if hidden is None else hidden.width


def _activation(hidden: HiddenLayer | None) -> int:
    return at.RELU if hidden is None else _ACTIVATIONS[hidden.activation]
