"""Constants as tensors, made once for a dtype and device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from qmoe.engines.tracing import traced
from qmoe.torch_internals import outside_transforms

Made = TypeVar("Made")


def cached_tensors(make: Callable[..., Made]) -> Callable[..., Made]:
    """Caches constants, made outside of any transform of `torch.func`: inside, they would belong to it and end with it.

    Nor inside of `torch.inference_mode`: autograd would refuse them ever after. While torch records operations they are
    made anew: such tensors hold no values, and would outlive the recording.
    """

    @functools.lru_cache(maxsize=1024)
    def kept(*arguments: Any) -> Made:
        with torch.inference_mode(False), outside_transforms():
            return make(*arguments)

    @functools.wraps(make)
    def constants(*arguments: Any) -> Made:
        return make(*arguments) if traced() else kept(*arguments)

    return constants


@cached_tensors
def constant(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers as a tensor. Kept, because a GPU waits for each that is copied to it."""
    return torch.tensor(values, dtype=dtype, device=device)


@cached_tensors
def identity(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(size, size)``."""
    return torch.eye(size, dtype=dtype, device=device)
