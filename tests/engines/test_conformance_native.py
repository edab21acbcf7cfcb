import pytest

from qmoe.engines import Engine, NativeEngine
from qmoe.engines.native import plans
from qmoe.testing.engines import EngineConformance


class TestNativeEngine(EngineConformance):
    n_random = 60
    max_qubits = 5

    def make_engine(self) -> Engine:
        return NativeEngine()


class TestNativeEngineWithBasisStatesInTheLanes(EngineConformance):
    """The way of few samples on many qubits, taken from as few qubits as fill a vector."""

    n_random = 30
    max_qubits = 5

    @pytest.fixture(autouse=True)
    def _from_few_qubits(self, fresh_plans: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plans, "MIN_HIGH_QUBITS", 0)

    def make_engine(self) -> Engine:
        return NativeEngine()
