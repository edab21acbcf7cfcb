"""What a stacked mixture is made of, as far as it compiles: kinds, sizes, and the tensors that make up a model's values.

Types are compared exactly, since a subclass may compute something else; of a `FeatureRouter` only its functions may be its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from qmoe.engines.running import CircuitModule
from qmoe.experts import Experts, LinearExperts, MLPExperts, QuantumExperts
from qmoe.layers import Linear
from qmoe.moe import MixtureOfExperts
from qmoe.routers import (
    ConstantRouter,
    FeatureRouter,
    LinearRouter,
    MeanRouting,
    MLPRouter,
    PermutedRouting,
    QuantumRouter,
    RandomRouter,
    Router,
    SingleExpertRouter,
    SoftmaxRouter,
    StochasticRouter,
    UniformRouter,
)
from qmoe.training.compiled import layout as at

_ACTIVATIONS = {"relu": at.RELU, "tanh": at.TANH, "silu": at.SILU}
_DTYPES = (torch.float32, torch.float64)
_ROUTING: dict[type[Router], int] = {MeanRouting: at.MEAN, PermutedRouting: at.PERMUTED}


@dataclass(frozen=True)
class RouterParts:
    """A router.

    Attributes:
        values: place in a row of values -> ``(M, ...)`` numbers.
        source: `layout.FEATURES`, ``FUNCTIONS``, ``CIRCUIT`` or ``CHAIN_SIGNS``: what its layers look at.
        weighing: ``SOFTMAX``, ``CONSTANT`` or ``BORN``: what makes weights of it.
        n_inputs: how many numbers its layers look at.
        width: of its hidden layer, 0 for none.
        activation: of its hidden layer.
        functions: of the features, ``(M, N, F)`` to ``(M, N, n_given)``; None where there are none or no inputs.
        circuit: what is measured, or None.
        routing: ``OWN``, ``MEAN`` or ``PERMUTED``: whose weights a sample gets.
        n_bits: of a stochastic chain; ``functions`` are its populations then.
        n_chain_layers: its layers.
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

    @property
    def n_given(self) -> int:
        """How many functions of the features there are for each row."""
        return 1 << self.n_bits if self.source == at.CHAIN_SIGNS else self.n_inputs


@dataclass(frozen=True)
class ExpertParts:
    """Experts; attributes as of `RouterParts`, ``circuit`` being those of all of them."""

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

    router: RouterParts
    experts: ExpertParts
    n_features: int
    n_experts: int
    n_out: int
    n_classes: int
    values: Mapping[int, Tensor] = field(repr=False)


def parts_of(module: nn.Module | None, n_models: int) -> MixtureParts | None:
    """The parts of a stacked module; None unless it is a dense mixture on the CPU, of qmoe's own parts.

    Args:
        module: with the axis of models in front of its parameters and buffers; or None.
        n_models: length of that axis.
    """
    if type(module) is not MixtureOfExperts or module.top_k not in (None, module.router.n_experts):
        return None
    tensors = [*module.parameters(), *module.buffers()]
    if any(t.device.type != "cpu" or (t.is_floating_point() and t.dtype not in _DTYPES) for t in tensors):
        return None
    head = module.head
    router, experts = _router(module.router, n_models), _experts(module.experts)
    if router is None or experts is None or not (head is None or type(head) is Linear):
        return None
    n_out = module.experts.out_features
    n_classes = n_out if head is None else int(head.bias.shape[-1])
    of_head = {} if head is None else {at.HEAD_WEIGHT: head.weight, at.HEAD_BIAS: head.bias}
    return MixtureParts(
        router,
        experts,
        module.router.in_features,
        module.router.n_experts,
        n_out,
        n_classes,
        {**router.values, **experts.values, **of_head},
    )


def _router(router: Router, n_models: int) -> RouterParts | None:
    if type(router) in _ROUTING:
        assert isinstance(router, (MeanRouting, PermutedRouting))
        inside = _router(router.router, n_models)
        is_plain = inside is not None and inside.routing == at.OWN
        return replace(inside, routing=_ROUTING[type(router)]) if inside is not None and is_plain else None
    if type(router) is LinearRouter:
        return RouterParts({at.GATE_WEIGHT: router.weight, at.GATE_BIAS: router.bias}, n_inputs=router.in_features)
    if type(router) is MLPRouter:
        values: dict[int, Tensor] = {
            at.HIDDEN_WEIGHT: router.layer1.weight, at.HIDDEN_BIAS: router.layer1.bias,
            at.GATE_WEIGHT: router.layer2.weight, at.GATE_BIAS: router.layer2.bias,
        }  # fmt: skip
        activation = _ACTIVATIONS[router.activation]
        return RouterParts(values, n_inputs=router.in_features, width=router.hidden, activation=activation)
    if type(router) is QuantumRouter:
        return _quantum_router(router)
    if type(router) is StochasticRouter:
        return _chain(router)
    if isinstance(router, FeatureRouter):
        return _gate(router)
    return _fixed_router(router, n_models)


def _quantum_router(router: QuantumRouter) -> RouterParts | None:
    circuit = router.quantum
    if type(circuit) is not CircuitModule:
        return None
    values = _circuit_values(circuit, at.ROUTER_ANGLES, at.ROUTER_STRENGTH)
    if router.projection is not None:
        values |= {at.PROJECT_WEIGHT: router.projection.weight, at.PROJECT_BIAS: router.projection.bias}
    weighing = at.BORN
    if router.adapter is not None:
        weighing = at.SOFTMAX
        values |= {at.GATE_WEIGHT: router.adapter.weight, at.GATE_BIAS: router.adapter.bias}
    n_outputs = circuit.circuit.n_outputs
    return RouterParts(values, source=at.CIRCUIT, weighing=weighing, n_inputs=n_outputs, circuit=circuit)


def _chain(router: StochasticRouter) -> RouterParts:
    values: dict[int, Tensor] = {
        at.ROUTER_ANGLES: router.angles, at.GATE_WEIGHT: router.adapter.weight, at.GATE_BIAS: router.adapter.bias,
    }  # fmt: skip
    return RouterParts(
        values,
        source=at.CHAIN_SIGNS,
        n_inputs=router.in_features,
        functions=router.populations,
        n_bits=router.n_bits,
        n_chain_layers=router.n_layers,
    )


def _gate(router: FeatureRouter) -> RouterParts | None:
    """A linear gate on functions in which nothing is trained."""
    trained = {name for name, _ in router.named_parameters()}
    kind = type(router)
    if (
        kind.logits is not FeatureRouter.logits
        or kind.forward is not SoftmaxRouter.forward
        or trained != {"weight", "bias"}
    ):
        return None
    values = {at.GATE_WEIGHT: router.weight, at.GATE_BIAS: router.bias}
    return RouterParts(values, source=at.FUNCTIONS, n_inputs=router.n_functions, functions=router.functions)


def _fixed_router(router: Router, n_models: int) -> RouterParts | None:
    """Routers that do not look at the features, or not so that it could be trained."""
    n_experts = router.n_experts
    nothing = torch.zeros(n_models, n_experts, device="cpu")
    if type(router) is RandomRouter:
        # A layer that hands the logits on as they are.
        values = {at.GATE_WEIGHT: torch.eye(n_experts, device="cpu").expand(n_models, -1, -1), at.GATE_BIAS: nothing}
        return RouterParts(values, source=at.FUNCTIONS, n_inputs=n_experts, functions=router.logits)
    # Weights that are the same for all samples are the softmax of a layer that looks at nothing.
    layer = {at.GATE_WEIGHT: torch.empty(n_models, n_experts, 0, device="cpu")}
    if type(router) is UniformRouter:
        return RouterParts({**layer, at.GATE_BIAS: nothing}, source=at.FUNCTIONS)
    if type(router) is ConstantRouter:
        return RouterParts({**layer, at.GATE_BIAS: router.bias}, source=at.FUNCTIONS)
    if type(router) is SingleExpertRouter:
        nothing[:, router.expert] = 1
        return RouterParts({at.GATE_BIAS: nothing}, source=at.FUNCTIONS, weighing=at.CONSTANT)
    return None


def _experts(experts: Experts) -> ExpertParts | None:
    if type(experts) is LinearExperts:
        return ExpertParts({at.EXPERT_WEIGHT: experts.weight, at.EXPERT_BIAS: experts.bias})
    if type(experts) is MLPExperts:
        values: dict[int, Tensor] = {
            at.DEEP_WEIGHT: experts.layer1.weight, at.DEEP_BIAS: experts.layer1.bias,
            at.EXPERT_WEIGHT: experts.layer2.weight, at.EXPERT_BIAS: experts.layer2.bias,
        }  # fmt: skip
        return ExpertParts(values, experts.hidden, _ACTIVATIONS[experts.activation])
    if type(experts) is QuantumExperts and type(experts.quantum) is CircuitModule:
        values = _circuit_values(experts.quantum, at.EXPERT_ANGLES, at.EXPERT_STRENGTH)
        return ExpertParts(values, circuit=experts.quantum)
    return None


def _circuit_values(circuit: CircuitModule, angles: int, strength: int) -> dict[int, Tensor]:
    values: dict[int, Tensor] = {angles: circuit.weights}
    if circuit.noise_strength is not None:
        values[strength] = circuit.noise_strength
    return values
