import pytest
import torch

from qmoe.engines import Engine, TorchEngine
from qmoe.testing.engine_suite import EngineConformance


class TestTorchEngine(EngineConformance):
    n_random = 60
    max_qubits = 5

    def make_engine(self) -> Engine:
        return TorchEngine()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS")  # of torch, at the first call in a thread of its own
class TestTorchEngineOnCuda(TestTorchEngine):
    device = "cuda"
