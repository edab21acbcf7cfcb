"""What `torch.compile` calls as it is. Imported by what it traces alone, since its parts take a second to import."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qmoe.engines.protocol import Engine


@torch.compiler.disable
def evaluate(engine: Engine, *inputs: Any) -> Tensor:
    """`Engine.evaluate`: a circuit is one operation already."""
    return engine.evaluate(*inputs)


@torch.compiler.disable
def run(module: torch.nn.Module, x: Tensor) -> Any:
    """Calls ``module``."""
    return module(x)
