"""Whether torch runs operations, or records them."""

from __future__ import annotations

import sys

import torch

from qmoe.torch_internals import is_recorded


def traced() -> bool:
    """Whether torch records the operations that follow, on tensors that may hold no values, instead of running them."""
    return torch.compiler.is_compiling() or is_recorded()


def for_onnx() -> bool:
    """Whether what torch records becomes an ONNX program, which has no complex numbers."""
    exporter = sys.modules.get("torch.onnx")
    return exporter is not None and exporter.is_in_onnx_export()
