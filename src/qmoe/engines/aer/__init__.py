"""Qiskit's simulator as an engine, and circuits compiled for devices. Qiskit is imported on use."""

from qmoe.engines.aer.compiling import compiled
from qmoe.engines.aer.engine import AerEngine

__all__ = ["AerEngine", "compiled"]
