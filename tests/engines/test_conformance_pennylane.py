from qmoe.circuits import Circuit
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
    """Circuits without noise on default.mixed. Those with noise run there above: a test below holds that they do."""

    supports_vmap = False
    n_random = 6
    max_qubits = 3
    test_dephased_circuit_equals_reference_or_is_refused = None
    test_noise_strength_of_each_model_equals_reference = None
    test_vmap_over_noise_strengths_equals_the_loop_or_raises = None

    def make_engine(self) -> Engine:
        return PennyLaneEngine("default.mixed")

    def _showcase(self) -> list[Circuit]:
        return [circuit for circuit in super()._showcase() if circuit.noise is None]


def test_circuits_with_noise_run_on_default_mixed_whether_it_is_named_or_not() -> None:
    noisy = [circuit for circuit in TestDefaultDevices()._showcase() if circuit.noise is not None]
    assert len(noisy) == 5
    by_default, named = PennyLaneEngine(), PennyLaneEngine("default.mixed")
    for circuit in noisy:
        for engine in (by_default, named):
            assert (engine._device_name(circuit), engine._diff_method(circuit)) == ("default.mixed", "backprop")


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
