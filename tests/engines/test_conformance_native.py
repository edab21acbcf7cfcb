import pytest

from qmoe.engines import Engine, NativeEngine
from qmoe.engines.native.plan import batch_plan as plans
from qmoe.testing.engine_suite import EngineConformance


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
