"""The PennyLane engine. Importing it imports PennyLane, which takes seconds."""

from qmoe.engines.pennylane.engine import PennyLaneEngine

__all__ = ["PennyLaneEngine"]
