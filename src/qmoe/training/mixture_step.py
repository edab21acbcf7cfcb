"""The training step of a stack of mixtures, in few calls.

Small models cost their number of operations, not their arithmetic, so everything but the circuits is compiled into one pass.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qmoe.compiled.cache import declare, kernel
from qmoe.engines.running import CircuitModule
from qmoe.experts import Experts, LinearExperts, MLPExperts, QuantumExperts
from qmoe.layers import LinearHead
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
    UniformRouter,
)
from qmoe.training.stack import ModelStack
from qmoe.training.step import Step, as_vector, trainable

#: The compiled passes: the loss with its gradients, and Adam.
KERNELS = declare("qmoe.training.mixture_kernel", ("mixture_loss", 2), ("adam", 3))
_DTYPES = (torch.float32, torch.float64)
_Call = ctypes.c_int64 * 56
#: Adam's, and torch's defaults.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

#: Weight and bias of a linear layer, or nothing.
Pair = tuple[Tensor, Tensor] | tuple[()]


@dataclass(frozen=True)
class Source:
    """What comes before the compiled pass.

    Attributes:
        run: features to a tensor, without gradients.
        vjp: features to the tensor and to a function that takes its gradient on to the parameters'; None where there is
            nothing to train.
    """

    run: Callable[[Tensor], Tensor]
    vjp: Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Any]]] | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Any] | None]:
        """The tensor, and the function where there is one."""
        return (self.run(x), None) if self.vjp is None else self.vjp(x)


def compiles(module: nn.Module | None) -> bool:
    """Whether `MixtureStep` covers a stacked module: a dense mixture on the CPU, of qmoe's own parts.

    Types are compared exactly, since a subclass may compute something else; of a `FeatureRouter` only its functions may be
    its own.
    """
    if type(module) is not MixtureOfExperts or module.top_k not in (None, module.router.n_experts):
        return False
    router, experts, head = module.router, module.experts, module.head
    tensors = [*module.parameters(), *module.buffers()]
    return (
        _covers(router)
        and type(experts) in (LinearExperts, MLPExperts, QuantumExperts)
        and (head is None or type(head) is LinearHead)
        and all(t.device.type == "cpu" and (t.dtype in _DTYPES or not t.is_floating_point()) for t in tensors)
    )


def _covers(router: Router) -> bool:
    """Whether a router is a softmax of logits that `_router_parts` knows how to come by."""
    if type(router) in (MeanRouting, PermutedRouting):
        assert isinstance(router, (MeanRouting, PermutedRouting))
        return _covers(router.router)
    if type(router) is QuantumRouter:
        return router.adapter_weight is not None  # the Born read-out is no softmax
    return type(router) in (LinearRouter, MLPRouter, UniformRouter, ConstantRouter, RandomRouter) or _is_gate(router)


def _is_gate(router: Router) -> bool:
    """Whether a router is a linear gate on functions in which nothing is trained."""
    trained = {name for name, _ in router.named_parameters()}
    return (
        isinstance(router, FeatureRouter)
        and type(router).logits is FeatureRouter.logits
        and type(router).forward is Router.forward
        and trained == {"weight", "bias"}
    )


class MixtureStep(Step):
    """The step of a stack of mixtures: the circuits, then all the rest in one compiled pass, then Adam in another.

    The rest are linear layers, hidden layers with relu, softmax, the mixture and cross-entropy, with their gradients: some
    40 operations of torch, which cost a small model several times what its circuits do. `torch.optim.Adam` alone, on a
    single tensor, costs two such passes.

    Args:
        stack: one whose module `compiles`, with a trainable parameter.
        lr: Adam's learning rate.

    Attributes:
        vector: all trainable parameters; those of the stack are views of its parts, and its gradient is laid out alike.
    """

    def __init__(self, stack: ModelStack, lr: float) -> None:
        module, self.vector = stack.module, as_vector(trainable(stack))
        assert isinstance(module, MixtureOfExperts)
        assert module.head is None or isinstance(module.head, LinearHead)
        assert self.vector.grad is not None
        self._gradient = self.vector.grad
        router, experts, head = module.router, module.experts, module.head
        gate, hidden, self._router = _router_parts(router, len(stack), self.vector.detach())
        last, deep, self._experts = _expert_parts(experts)
        pairs = (gate, hidden, last, deep, () if head is None else (head.weight, head.bias))
        layers: list[Tensor | None] = [value for pair in pairs for value in (pair or (None, None))]
        # Where frozen parameters' gradients go does not matter, but they need to go somewhere.
        gradients = [None if p is None else torch.empty_like(p) if p.grad is None else p.grad for p in layers]
        self._layers, self._gradients = tuple(map(_address, layers)), tuple(map(_address, gradients))
        self._n_classes = experts.out_features if head is None else head.bias.shape[-1]
        self._sizes = (router.n_experts, experts.out_features, self._n_classes)
        self._widths = tuple(pair[1].shape[-1] if pair else 0 for pair in (hidden, deep))

        size = self.vector.element_size()
        self._mixture_loss, self._adam = (kernel(one, size) for one in KERNELS)
        self._lr, self._n_updates = lr, 0
        first, second = torch.zeros_like(self._gradient), torch.zeros_like(self._gradient)
        self._state = (ctypes.c_int64 * 4)(*map(_address, (self.vector, self._gradient, first, second)))
        # The kernels know addresses only; this keeps what stands there.
        self._kept = layers, gradients, first, second

    def differentiate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Runs a batch forward and backward."""
        # The compiled pass writes its gradients; those by autograd are added to what is there.
        self._gradient.zero_()
        z, pull_z = self._router(x)
        f, pull_f = (None, None) if self._experts is None else self._experts(x)
        gz = None if pull_z is None else torch.empty_like(z)
        gf = None if f is None or pull_f is None else torch.empty_like(f)
        logits, entropy = x.new_empty(*y.shape, self._n_classes), x.new_empty(y.shape)
        self._run(x, y, z, f, logits, entropy, gz, gf)
        if pull_z is not None and gz is not None:
            pull_z(gz)
        if pull_f is not None and gf is not None:
            pull_f(gf)
        return logits, entropy

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Runs ``(M, B, F)`` to ``(M, B, C)``."""
        z, f = self._router.run(x), None if self._experts is None else self._experts.run(x)
        logits = x.new_empty(*x.shape[:-1], self._n_classes)
        self._run(x, None, z, f, logits)
        return logits

    def _run(
        self,
        x: Tensor,
        y: Tensor | None,
        z: Tensor,
        f: Tensor | None,
        logits: Tensor,
        entropy: Tensor | None = None,
        gz: Tensor | None = None,
        gf: Tensor | None = None,
    ) -> None:
        strides = (*_strides(y, 2), *_strides(z, 3), *_strides(f, 4), *_strides(gz, 3), *_strides(gf, 4))
        sizes = (*x.shape, *self._sizes, z.shape[-1], *self._widths)
        call = _Call(
            *sizes, *x.stride(), *strides, *self._layers, *self._gradients,
            x.data_ptr(), _address(y), z.data_ptr(), _address(f),
            logits.data_ptr(), _address(entropy), _address(gz), _address(gf),
        )  # fmt: skip
        scratch = x.new_empty(x.shape[1] * (_scratch_rows(sizes) + 2) + 2)
        self._mixture_loss(ctypes.addressof(call), scratch.data_ptr())

    def update(self) -> None:
        """Adam's step along the gradients."""
        self._n_updates += 1
        rate = self._lr / (1 - BETA1**self._n_updates)
        correction = math.sqrt(1 - BETA2**self._n_updates)
        factors = (ctypes.c_double * 6)(1 - BETA1, BETA2, 1 - BETA2, rate, correction, EPSILON)
        self._adam(len(self._gradient), ctypes.addressof(self._state), ctypes.addressof(factors))


def _scratch_rows(sizes: tuple[int, ...]) -> int:
    """Rows of B numbers that the pass needs for quantities of one model."""
    _, _, n_features, n_experts, n_out, n_classes, n_inputs, router_width, expert_width = sizes
    n_gate, n_deep = router_width or n_inputs, n_experts * expert_width
    gates, layers = n_inputs + 2 * n_gate + 2 * n_experts, 2 * n_deep + n_experts * n_out
    return n_features + gates + layers + 2 * n_classes + 2 * n_out + 2


def _router_parts(router: Router, n_models: int, like: Tensor) -> tuple[Pair, Pair, Source]:
    """The gate's weight and bias, those of a hidden layer that is compiled, and what comes before."""
    if isinstance(router, LinearRouter):
        return (router.weight, router.bias), (), _FEATURES
    if isinstance(router, MLPRouter):
        gate = router.weight2, router.bias2
        if router.activation == "relu":
            return gate, (router.weight1, router.bias1), _FEATURES
        return gate, (), _by_autograd(router.hidden_layer)
    if isinstance(router, QuantumRouter):
        assert router.adapter_weight is not None
        assert router.adapter_bias is not None
        direct = router.project_weight is None
        source = _circuit(router.quantum) if direct else _by_autograd(router.measure)
        return (router.adapter_weight, router.adapter_bias), (), source
    if isinstance(router, FeatureRouter):
        return (router.weight, router.bias), (), Source(torch.no_grad()(router.features))
    if isinstance(router, (MeanRouting, PermutedRouting, RandomRouter)):
        # A layer that hands the logits on as they are.
        same = torch.eye(router.n_experts, dtype=like.dtype).repeat(n_models, 1, 1)
        return (same, like.new_zeros(n_models, router.n_experts)), (), _by_autograd(router.logits)
    # Weights that are the same for all samples are the softmax of a layer that looks at nothing.
    bias = router.bias if isinstance(router, ConstantRouter) else like.new_zeros(n_models, router.n_experts)
    return (like.new_empty(n_models, router.n_experts, 0), bias), (), Source(lambda x: x[..., :0])


def _expert_parts(experts: Experts) -> tuple[Pair, Pair, Source | None]:
    """Weight and bias of the experts' last layer, those of a hidden layer, or else what gives the experts' outputs."""
    if isinstance(experts, LinearExperts):
        return (experts.weight, experts.bias), (), None
    if isinstance(experts, MLPExperts) and experts.activation == "relu":
        return (experts.weight2, experts.bias2), (experts.weight1, experts.bias1), None
    if isinstance(experts, QuantumExperts):
        return (), (), _circuits_of_experts(experts)
    return (), (), _by_autograd(experts)


_FEATURES = Source(lambda x: x)


def _by_autograd(run: Callable[[Tensor], Tensor]) -> Source:
    def vjp(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        with torch.enable_grad():
            out = run(x)
        return out, out.backward if out.requires_grad else lambda given: None  # all of it may be frozen

    return Source(run, vjp)


def _circuit(circuit: CircuitModule) -> Source:
    gradient = circuit.weights.grad
    if gradient is None or not gradient.numel():
        return Source(circuit)

    def vjp(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        out, pull = circuit.vjp(x)
        return out, lambda given: gradient.copy_(pull(given))

    return Source(circuit, vjp)


def _circuits_of_experts(experts: QuantumExperts) -> Source:
    circuits, axis = _circuit(experts.quantum), experts.axis

    def vjp(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        assert circuits.vjp is not None
        out, pull = circuits.vjp(experts.spread(x))
        return out.movedim(axis, -2), lambda given: pull(given.movedim(-2, axis))

    return Source(experts, None if circuits.vjp is None else vjp)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _strides(tensor: Tensor | None, n: int) -> tuple[int, ...]:
    return (0,) * n if tensor is None else tensor.stride()
