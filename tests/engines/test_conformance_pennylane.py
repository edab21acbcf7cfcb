from qmoe.engines import Engine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.testing.engine_suite import EngineConformance


class TestDefaultDevices(EngineConformance):
    """default.qubit for circuits without noise, default.mixed for those with it, both through backprop."""

    supports_vmap = False
    max_qubits = 3

    def make_engine(self) -> Engine:
        return PennyLaneEngine()


class TestDefaultMixed(EngineConformance):
    supports_vmap = False
    n_random = 6
    max_qubits = 3

    def make_engine(self) -> Engine:
        return PennyLaneEngine("default.mixed")


class TestLightningAdjoint(EngineConformance):
    """The path of the paper."""

    supports_noise = False
    supports_born = False
    supports_amplitude_gradients = False
    supports_vmap = False

    def make_engine(self) -> Engine:
        return PennyLaneEngine("lightning.qubit", diff_method="adjoint")


class TestLightningBest(EngineConformance):
    """Adjoint for expectation values, parameter-shift for probabilities."""

    supports_noise = False
    supports_amplitude_gradients = False
    supports_vmap = False
    n_random = 12
    max_qubits = 3

    def make_engine(self) -> Engine:
        return PennyLaneEngine("lightning.qubit")
