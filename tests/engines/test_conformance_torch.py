from qmoe.engines import Engine, TorchEngine
from qmoe.testing.engines import EngineConformance


class TestTorchEngine(EngineConformance):
    n_random = 60
    max_qubits = 5

    def make_engine(self) -> Engine:
        return TorchEngine()
