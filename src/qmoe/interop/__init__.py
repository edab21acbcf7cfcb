"""PennyLane, Qiskit and OpenQASM 3, in and out. Each is imported on use."""

from qmoe.interop.imported import Imported

__all__ = ["Imported"]
