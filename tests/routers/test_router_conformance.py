from typing import Any, ClassVar

import pytest
import torch

from qmoe import AngleEncoding, Gate, LinearRouter, MLPRouter, NoiseModel, QuantumRouter, UniformRouter, Weight
from qmoe.routers import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    Router,
    SingleExpertRouter,
    StochasticRouter,
    TrigonometricRouter,
)
from qmoe.testing import RouterConformance


class TestLinear(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return LinearRouter(in_features, n_experts, generator=generator, dtype=dtype)


class TestUniform(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        del dtype, generator
        return UniformRouter(in_features, n_experts)


class TestOneExpert(RouterConformance):
    n_experts = 1

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return LinearRouter(in_features, n_experts, generator=generator, dtype=dtype)


class _MLP(RouterConformance):
    activation: ClassVar[str]

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return MLPRouter(in_features, n_experts, hidden=5, activation=self.activation, generator=generator, dtype=dtype)


class TestMLPRelu(_MLP):
    activation = "relu"


class TestMLPTanh(_MLP):
    activation = "tanh"


class TestMLPSilu(_MLP):
    activation = "silu"


class TestQuadratic(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return QuadraticRouter(in_features, n_experts, generator=generator, dtype=dtype)


class TestRandomFourier(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return RandomFourierRouter(
            in_features, n_experts, n_functions=5, length_scale=0.7, generator=generator, dtype=dtype
        )


class TestTrigonometric(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return TrigonometricRouter(in_features, n_experts, max_frequency=2, generator=generator, dtype=dtype)


class TestStochastic(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return StochasticRouter(in_features, n_experts, n_layers=2, generator=generator, dtype=dtype)


class TestConstant(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return ConstantRouter(in_features, n_experts, generator=generator, dtype=dtype)


class TestSingleExpert(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        del dtype, generator
        return SingleExpertRouter(in_features, n_experts, expert=1)


class TestRandom(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        del dtype
        return RandomRouter(in_features, n_experts, generator=generator)


class TestMeanRouting(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return MeanRouting(MLPRouter(in_features, n_experts, hidden=5, generator=generator, dtype=dtype))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_every_sample_is_routed_by_itself(self, dtype: torch.dtype) -> None:
        """The one promise that it breaks on purpose: samples of one batch are routed alike, by their mean."""
        router, x = self.router(dtype), self.make_inputs((2, 3), dtype)
        assert isinstance(router, MeanRouting)
        for row, out in zip(x, router(x), strict=True):
            alone = torch.stack([router.router(sample) for sample in row])
            self._close(out, alone.mean(0).expand(3, -1))


class TestPermutedRouting(RouterConformance):
    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return PermutedRouting(MLPRouter(in_features, n_experts, hidden=5, generator=generator, dtype=dtype))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_every_sample_is_routed_by_itself(self, dtype: torch.dtype) -> None:
        """The one promise that it breaks on purpose: every sample has the weights of another one of its batch."""
        router, x = self.router(dtype), self.make_inputs((2, 7), dtype)
        assert isinstance(router, PermutedRouting)
        for row, out in zip(x, router(x), strict=True):
            alone = torch.stack([router.router(sample) for sample in row])
            givers = torch.cdist(out, alone).argmin(-1)
            self._close(out, alone[givers])
            assert sorted(givers.tolist()) == list(range(7))
            assert not (givers == torch.arange(7)).any()


class TestQuantumAngle(RouterConformance):
    """The default circuit; the classes below change one option of it each."""

    options: ClassVar[dict[str, Any]] = {}

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return QuantumRouter(in_features, n_experts, **self.options, generator=generator, dtype=dtype)


class TestQuantumAmplitude(TestQuantumAngle):
    options: ClassVar = {"encoding": "amplitude"}


class TestQuantumFrozen(TestQuantumAngle):
    options: ClassVar = {"frozen": True}


class TestQuantumEmbeddingOnly(TestQuantumAngle):
    options: ClassVar = {"n_layers": 0}


class TestQuantumBorn(TestQuantumAngle):
    options: ClassVar = {"readout": "born"}


class TestQuantumBornPerState(TestQuantumAngle):
    n_experts = 8
    options: ClassVar = {"readout": "born"}


class TestQuantumBornNoise(TestQuantumAngle):
    options: ClassVar = {"readout": "born", "noise": 0.1}


class TestQuantumProjection(TestQuantumAngle):
    in_features = 5
    options: ClassVar = {"n_qubits": 2}


class TestQuantumReuploading(TestQuantumAngle):
    options: ClassVar = {"encoding": AngleEncoding("Y", uploads=2)}


class TestQuantumNoise(TestQuantumAngle):
    options: ClassVar = {"noise": 0.1}


class TestQuantumGateNoise(TestQuantumAngle):
    in_features = 2
    options: ClassVar = {"noise": NoiseModel(0.05, "gate"), "n_layers": 2}


class TestQuantumBasicEntangler(TestQuantumAngle):
    options: ClassVar = {"ansatz": "basic_entangler"}


class TestQuantumNoEntangler(TestQuantumAngle):
    options: ClassVar = {"ansatz": "no_entangler"}


class TestQuantumGateList(TestQuantumAngle):
    options: ClassVar = {
        "ansatz": [Gate("RY", (0,), (Weight(0),)), Gate("CRX", (0, 1), (Weight(1),)), Gate("IsingZZ", (2, 1), (0.3,))]
    }


class TestQuantumReferenceEngine(TestQuantumAngle):
    in_features = 2
    options: ClassVar = {"engine": "reference", "n_layers": 1}


def test_conformance_finds_a_router_whose_rows_do_not_sum_to_one() -> None:
    class Broken(LinearRouter):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.9 * super().forward(x)

    class Suite(RouterConformance):
        def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: Any) -> Router:
            return Broken(in_features, n_experts, generator=generator, dtype=dtype)

    with pytest.raises(AssertionError):
        Suite().test_rows_are_non_negative_and_sum_to_one(torch.float64)


def test_conformance_finds_a_router_that_ignores_its_generator() -> None:
    class Suite(RouterConformance):
        def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: Any) -> Router:
            del generator
            return LinearRouter(in_features, n_experts, generator=torch.Generator().manual_seed(7), dtype=dtype)

    with pytest.raises(AssertionError, match="generator is not used"):
        Suite().test_equal_seeds_give_equal_weights_and_others_do_not(torch.float64)
    with pytest.raises(NotImplementedError, match="make_router"):
        RouterConformance().router(torch.float64)
