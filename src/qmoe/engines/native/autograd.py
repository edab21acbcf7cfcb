"""The kernels as one differentiable torch operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.batched import TorchEngine
from qmoe.engines.native.run.calls import Prepared
from qmoe.engines.native.run.prepared_circuits import prepare
from qmoe.torch_internals import is_batch_of_gradients, is_transformed

_TORCH = TorchEngine()


class Step(torch.autograd.Function):
    """A forward and backward pass with as little around the kernels as can be, for plain autograd.

    ``(prepared circuit, x, weights, strength, keep)`` to read-outs of any shape. A `Function` that `torch.func` can
    transform costs 30 us more a call, which at two qubits is more than the kernels; that is `Evaluate`.
    """

    @staticmethod
    def forward(ctx: Any, ready: Prepared, x: Tensor, weights: Tensor, strength: Tensor | None, keep: bool) -> Tensor:
        out, ctx.kept = ready.run(ready.inputs(x, weights, strength), keep)
        ctx.ready = ready
        ctx.save_for_backward(x, weights, strength)
        return out

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        x, weights, strength = ctx.saved_tensors
        ready, features = ctx.ready, ctx.needs_input_grad[1]
        if is_batch_of_gradients(cotangent):
            # ``is_grads_batched=True`` stands many gradients on an axis that only torch's own operations know.
            return (
                None,
                *_torch_pullback(ready.circuit, (x, weights, strength), ctx.needs_input_grad[1:4], cotangent),
                None,
            )
        if torch.is_grad_enabled() or is_transformed():
            # Somebody will differentiate the gradients, or asks for many at once.
            flat = _flatten(ready, x, weights, strength)
            rows = cotangent.reshape(ready.n_models, ready.n_batch, -1)
            gx, gw, gs = Differentiate.apply(ready.circuit, *flat, rows, features)
            gx = None if gx is None else gx.view(x.shape)
            return None, gx, gw.view(weights.shape), None if strength is None else gs.view(strength.shape), None
        # The final states are used up; a second backward pass through the same graph runs forward again.
        kept, ctx.kept = ctx.kept, None
        gx, gw, gs = ready.differentiate(ready.inputs(x, weights, strength), kept, cotangent, features)
        return None, gx, gw, gs, None


class Evaluate(torch.autograd.Function):
    """``(circuit, x (M, B, F), weights (M, P), strength (M,) or None)`` to read-outs, for the transforms of `torch.func`."""

    @staticmethod
    def forward(circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        ready = _prepared(circuit, x)
        return ready.run(ready.inputs(x, weights, strength), False)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        del output
        circuit, x, weights, strength = inputs
        ctx.circuit = circuit
        ctx.save_for_backward(x, weights, strength)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        x, weights, strength = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return None, *Differentiate.apply(ctx.circuit, x, weights, strength, cotangent, wanted[1])

    @staticmethod
    def vmap(info: Any, in_dims: Any, circuit: Circuit, *tensors: Tensor | None) -> Any:
        flat = [_lead(t, dim, info.batch_size) for t, dim in zip(tensors, in_dims[1:], strict=True)]
        return Evaluate.apply(circuit, *flat).unflatten(0, (info.batch_size, -1)), 0


class Differentiate(torch.autograd.Function):
    """The gradients of `Evaluate`: ``(circuit, x, weights, strength, cotangent, features)`` to three tensors or None.

    Derivatives of gradients are those of the torch engine, which is the same function written out.
    """

    @staticmethod
    def forward(
        circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None, cotangent: Tensor, features: bool
    ) -> Any:
        ready = _prepared(circuit, x)
        return ready.differentiate(ready.inputs(x, weights, strength), None, cotangent, features)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        del output
        circuit, *tensors, features = inputs
        ctx.circuit, ctx.features = circuit, features
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        x, weights, strength, cotangent = ctx.saved_tensors
        primals, given = _present((x, weights, strength), cotangents)
        pulled = torch.func.vjp(_torch_gradients(ctx.circuit), *primals, cotangent)[1](given)
        second = pulled[2] if strength is not None else None
        return None, pulled[0], pulled[1], second, pulled[-1], None

    @staticmethod
    def vmap(info: Any, in_dims: Any, circuit: Circuit, *inputs: Any) -> Any:
        *tensors, features = inputs
        flat = [_lead(t, dim, info.batch_size) for t, dim in zip(tensors, in_dims[1:-1], strict=True)]
        out = Differentiate.apply(circuit, *flat, features)
        shaped = tuple(None if t is None else t.unflatten(0, (info.batch_size, -1)) for t in out)
        return shaped, tuple(None if t is None else 0 for t in shaped)


def _prepared(circuit: Circuit, x: Tensor) -> Prepared:
    return prepare(circuit, x.shape[:1], x.shape[1:2], x.element_size())


def _flatten(
    ready: Prepared, x: Tensor, weights: Tensor, strength: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One axis of models and one of samples."""
    return (
        x.reshape(ready.n_models, ready.n_batch, x.shape[-1]),
        weights.reshape(ready.n_models, ready.circuit.n_weights),
        None if strength is None else strength.reshape(ready.n_models),
    )


def _lead(tensor: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    """Merges the mapped axis into the axis of models, which comes first."""
    if tensor is None:
        return None
    spread = tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return spread.flatten(0, 1)


def _present(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Leaves out what is None among the primals; a tangent that is None is 0."""
    pairs = [
        (p, torch.zeros_like(p) if t is None else t) for p, t in zip(primals, tangents, strict=True) if p is not None
    ]
    return tuple(p for p, _ in pairs), tuple(t for _, t in pairs)


def _torch_engine(circuit: Circuit) -> Any:
    """``(x, weights[, strength])`` to read-outs."""
    _TORCH.check_supported(circuit, torch.empty(0))

    def run(x: Tensor, weights: Tensor, strength: Tensor | None = None) -> Tensor:
        return _TORCH.run_flat(circuit, x, weights, strength)

    return run


def _torch_pullback(
    circuit: Circuit, inputs: tuple[Tensor | None, ...], wanted: tuple[bool, ...], cotangent: Tensor
) -> list[Tensor | None]:
    """The gradients of inputs of any shape, those that are wanted, through the torch engine."""
    with torch.enable_grad():
        leaves = [None if t is None else t.detach().requires_grad_(w) for t, w in zip(inputs, wanted, strict=True)]
        x, weights, strength = leaves
        assert x is not None
        assert weights is not None
        out = _TORCH.evaluate(circuit, x, weights, strength)
    asked = [leaf for leaf, w in zip(leaves, wanted, strict=True) if leaf is not None and w]
    found = iter(torch.autograd.grad(out, asked, cotangent, allow_unused=True))
    return [next(found) if w else None for w in wanted]


def _torch_gradients(circuit: Circuit) -> Any:
    """``(x, weights[, strength], cotangent)`` to gradients."""

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        return torch.func.vjp(_torch_engine(circuit), *inputs[:-1])[1](inputs[-1])

    return run
