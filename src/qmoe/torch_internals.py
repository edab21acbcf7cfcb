"""All that qmoe asks of torch by private names, which another version of torch may rename: looked at first after an upgrade.

Nothing here computes. Most of it says how torch runs the code around a call: by itself, recorded, or inside a transform of
`torch.func`; torch has no public way to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

Function = TypeVar("Function", bound=Callable[..., Any])

# --- how code runs -----------------------------------------------------------------------------------------------------


def is_recorded() -> bool:
    """Whether `torch.jit.trace`, or a mode that takes operations in torch's place, sees the operations that follow."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._is_tracing()


def is_transformed() -> bool:
    """Whether a transform of `torch.func`, such as ``vmap`` or ``grad``, is around this call."""
    return torch._C._are_functorch_transforms_active()


def is_in_dual_level() -> bool:
    """Whether tensors may carry tangents, as in `torch.autograd.forward_ad.dual_level`."""
    return forward_ad._current_level >= 0


def differentiates_forwards() -> bool:
    """Whether something around this call differentiates forwards, as `torch.func.jacfwd` and ``hessian`` do."""
    if is_in_dual_level():
        return True
    transforms = torch._C._functorch.get_interpreter_stack() or ()
    return any(transform.key() == torch._C._functorch.TransformType.Jvp for transform in transforms)


def is_autocast_anywhere() -> bool:
    """Whether `torch.autocast` is on for some device; one question in place of one for each, asked at every step."""
    return torch._C._is_any_autocast_enabled()


def outside_transforms() -> AbstractContextManager[None]:
    """A context in which tensors are made as if no transform of `torch.func` were around it."""
    return torch._C._DisableFuncTorch()


# --- what a tensor is --------------------------------------------------------------------------------------------------


def is_wrapped(tensor: Tensor) -> bool:
    """Whether a transform of `torch.func` hides the values of a tensor."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def is_batch_of_gradients(tensor: Tensor) -> bool:
    """Whether many gradients stand on a hidden axis, as ``torch.autograd.grad(..., is_grads_batched=True)`` has them."""
    return torch._C._functorch.is_legacy_batchedtensor(tensor)


def is_symbolic_zero(tensor: Tensor) -> bool:
    """Whether a tensor stands for zeros and has no memory that holds them."""
    return tensor._is_zerotensor()


# --- what torch does in one call ---------------------------------------------------------------------------------------


def copy_all(targets: list[Any], sources: list[Any]) -> None:
    """Copies each tensor of ``sources`` to the one at its place in ``targets``."""
    torch._foreach_copy_(targets, sources)


def constant_when_compiled(function: Function) -> Function:
    """As `torch.compiler.assume_constant_result`, which imports the whole compiler, and makes a folder for it, to say so."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def program_of_any_sizes(function: Any, *examples: torch.Tensor) -> torch.fx.GraphModule:
    """A function's operations, recorded once for tensors of any sizes; tensors that it holds become constants."""
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*examples)
