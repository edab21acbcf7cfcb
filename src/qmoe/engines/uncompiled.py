"""Calls that stay out of a compiled program, for engines and circuits that have no name there.

Imported by what torch traces alone, since what it takes of torch needs a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.compiler.disable
def run_uncompiled(function: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """``function(*inputs)``, at which `torch.compile` does not look: it breaks its graph there."""
    return function(*inputs)
