"""Parameters counted as nominal, live and rank, against counts that are known."""

import math

import pytest
import torch
from torch import Tensor

from helpers import generator
from qmoe import LinearRouter, MLPRouter, NoiseModel, QuantumRouter, ShapeError, UniformRouter
from qmoe.analysis import ParameterCount, count_parameters
from qmoe.routers import (
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    Router,
    SingleExpertRouter,
    TrigonometricRouter,
)


def quantum(**options: object) -> QuantumRouter:
    return QuantumRouter(2, 2, **options, generator=generator())  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_papers_router_lives_in_nine_dimensions(seed: int) -> None:
    assert count_parameters(quantum(), seed=seed) == ParameterCount(nominal=24, live=22, rank=9)


#: A linear gate on K functions has E (K + 1) parameters and moves (E - 1) (K + 1) differences of logits.
@pytest.mark.parametrize(
    ("router", "expected"),
    [
        (LinearRouter(2, 2), (6, 6, 3)),
        (LinearRouter(3, 4), (16, 16, 12)),
        (QuadraticRouter(2, 2), (12, 12, 6)),
        (TrigonometricRouter(2, 2), (10, 10, 5)),
        (RandomFourierRouter(2, 2, n_functions=11, generator=generator()), (24, 24, 12)),
        (ConstantRouter(2, 3), (3, 3, 2)),
        (UniformRouter(2, 2), (0, 0, 0)),
        (RandomRouter(2, 2), (0, 0, 0)),
        (SingleExpertRouter(2, 2), (0, 0, 0)),
        # 12 in the hidden layer, 5 in the difference of the outputs; each unit of relu can be scaled against its output.
        (MLPRouter(2, 2, hidden=4, activation="tanh"), (22, 22, 17)),
        (MLPRouter(2, 2, hidden=4, activation="relu"), (22, 22, 13)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Router) else "",
)
def test_classical_routers_have_the_counts_of_theory(router: Router, expected: tuple[int, int, int]) -> None:
    assert count_parameters(router) == ParameterCount(*expected)


def test_controls_of_the_circuit_have_the_counts_of_theory() -> None:
    # Without entanglers only cosine and sine of each feature are left; noise takes away nothing.
    assert count_parameters(quantum(ansatz="no_entangler")).rank == 5
    assert count_parameters(quantum(noise=NoiseModel(0.1))) == ParameterCount(24, 22, 9)
    # The adapter alone, on two read-outs.
    assert count_parameters(quantum(frozen=True)) == ParameterCount(6, 6, 3, frozen=18)
    assert count_parameters(quantum(n_layers=0)) == ParameterCount(6, 6, 3)


def test_routing_controls_count_what_is_left_of_the_router() -> None:
    assert count_parameters(PermutedRouting(quantum())) == ParameterCount(24, 22, 9)
    # All samples alike: the weights of two experts are one number.
    assert count_parameters(MeanRouting(quantum())) == ParameterCount(24, 22, 1)


def test_weights_and_logits_have_the_same_rank() -> None:
    class Weights(MLPRouter):
        def as_softmax(self) -> None:
            return None

        def forward(self, x: Tensor) -> Tensor:
            return MLPRouter.logits(self, x).softmax(-1)

    expected = count_parameters(MLPRouter(2, 3, hidden=4, activation="tanh"))
    assert count_parameters(Weights(2, 3, hidden=4, activation="tanh")) == expected


def test_the_router_is_left_alone_and_few_inputs_bound_the_rank() -> None:
    router = quantum()
    before = [p.clone() for p in router.parameters()]
    x = torch.rand(4, 2) * math.pi
    assert count_parameters(router, x).rank == 4
    assert all(torch.equal(p, q) for p, q in zip(router.parameters(), before, strict=True))
    assert router.checks_input


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected \\(N, F\\)"):
        count_parameters(quantum(), torch.zeros(2))
    with pytest.raises(ShapeError, match="2"):
        count_parameters(quantum(), torch.zeros(5, 3))
