"""What the dense reference answers, found once for all engines that are asked the same."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines import ReferenceEngine


class Frozen:
    """A tensor as it is, which is equal to others of the same dtype, shape, numbers and wish for a gradient."""

    def __init__(self, tensor: Tensor | None) -> None:
        self.tensor = None if tensor is None else tensor.detach().cpu().clone()
        self.requires_grad = tensor is not None and tensor.requires_grad
        if self.tensor is None:
            self._key: Any = None
        else:
            self._key = self.tensor.dtype, self.tensor.shape, self.requires_grad, self.tensor.numpy().tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def double(self) -> Tensor:
        """The tensor in float64."""
        assert self.tensor is not None
        return self.tensor.double().requires_grad_(self.requires_grad)


@functools.lru_cache(maxsize=4096)
def reference_answer(
    circuit: Circuit, x: Frozen, weights: Frozen, strength: Frozen, seed: int
) -> tuple[Tensor, list[Tensor]]:
    """What the reference says, with the gradients of a random projection: found once for all engines that are asked."""
    assert x.tensor is not None
    x64, weights64 = x.double(), weights.double()
    expected = ReferenceEngine().evaluate(
        circuit, x64, weights64, None if strength.tensor is None else strength.double()
    )
    exact = gradients_of(expected, [x64, weights64], projection(expected, x.tensor.dtype, seed).double())
    return expected.detach(), [gradient.detach() for gradient in exact]


def projection(out: Tensor, dtype: torch.dtype, seed: int) -> Tensor:
    """Random numbers of the shape of ``out``, on the CPU, with a norm of one."""
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn / drawn.norm()).to(dtype)


def gradients_of(out: Tensor, inputs: list[Tensor], projection: Tensor) -> list[Tensor]:
    """Gradients of ``(out * projection).sum()``, zeros where an input plays no part."""
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    gradients = torch.autograd.grad(out, wanted, projection, allow_unused=True, retain_graph=True)
    return [
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(wanted, gradients, strict=True)
    ]
