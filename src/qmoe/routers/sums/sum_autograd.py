"""Sums of products as one differentiable torch operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qmoe.engines.tracing import traced
from qmoe.layers import in_autocast
from qmoe.routers.sums.product_sums import ProductSums
from qmoe.torch_internals import is_batch_of_gradients, is_in_dual_level, is_symbolic_zero, is_transformed

#: The same sums in operations of torch, which know their derivatives: of x, weight, bias, centre and scale.
Written = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def compiles(sums: ProductSums, x: Tensor, weight: Tensor, bias: Tensor, centre: Tensor, scale: Tensor) -> bool:
    """Whether the kernels can run on these tensors, which torch neither records, transforms nor lowers just now."""
    if traced() or is_transformed() or is_in_dual_level() or in_autocast(x.device):
        return False
    return not (centre.requires_grad or scale.requires_grad) and sums.takes(x, weight, bias, centre, scale)


def sum_up(
    sums: ProductSums, written: Written, x: Tensor, weight: Tensor, bias: Tensor, centre: Tensor, scale: Tensor
) -> Tensor:
    """``W (phi(x) - centre) / scale + b``: ``(..., F)`` to ``(..., E)``, with as little around the kernels as can be."""
    x = x.contiguous()
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad or bias.requires_grad):
        out: Tensor = SumProducts.apply(sums, written, x, weight, bias, centre, scale)
        return out
    return sums.run(x, weight, bias, centre, scale)


class SumProducts(torch.autograd.Function):
    """``(sums, written, x, weight, bias, centre, scale)`` to sums, for plain autograd; all tensors contiguous.

    Derivatives of gradients are those of ``written``.
    """

    @staticmethod
    def forward(ctx: Any, sums: ProductSums, written: Written, *tensors: Tensor) -> Tensor:
        """Runs the kernel."""
        ctx.sums, ctx.written = sums, written
        ctx.save_for_backward(*tensors)
        return sums.run(*tensors)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        """Runs the other kernel, which starts anew from the features."""
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or is_batch_of_gradients(cotangent) or is_transformed():
            # Somebody will differentiate the gradients, or asks for many at once.
            return None, None, *_written_gradients(ctx.written, tensors, wanted, cotangent)
        if is_symbolic_zero(cotangent):
            cotangent = torch.zeros_like(cotangent)
        cotangent = cotangent.resolve_neg().contiguous()
        x, weight, bias, centre, scale = tensors
        gradients = ctx.sums.differentiate(
            x, weight, bias, centre, scale, cotangent, features=wanted[0], weights=wanted[1] or wanted[2]
        )
        return None, None, *gradients, None, None


def _written_gradients(
    written: Written, tensors: tuple[Tensor, ...], wanted: tuple[bool, ...], cotangent: Tensor
) -> list[Tensor | None]:
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        out = written(*tensors)
    asked = [tensor for tensor, want in zip(tensors, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(out, asked, cotangent, create_graph=create))
    return [next(found) if want else None for want in wanted]
