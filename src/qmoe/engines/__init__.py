"""How circuits are executed: one protocol, several engines.

`PennyLaneEngine` lives in `qmoe.engines.pennylane`, so that importing this package does not import PennyLane.
"""

from qmoe.engines.batched import TorchEngine
from qmoe.engines.inputs import check_encodable, check_values
from qmoe.engines.native import NativeEngine
from qmoe.engines.protocol import Engine
from qmoe.engines.reference import ReferenceEngine
from qmoe.engines.selection import ENGINES, choose_engine, get_engine
from qmoe.engines.shots import sampled
from qmoe.engines.trajectories import TrajectoryEngine, TrajectoryEstimate

__all__ = [
    "ENGINES",
    "Engine",
    "NativeEngine",
    "ReferenceEngine",
    "TorchEngine",
    "TrajectoryEngine",
    "TrajectoryEstimate",
    "check_encodable",
    "check_values",
    "choose_engine",
    "get_engine",
    "sampled",
]
