"""The torch engine: plan, algebra, execution."""

from qmoe.engines.batched.engine import TorchEngine

__all__ = ["TorchEngine"]
