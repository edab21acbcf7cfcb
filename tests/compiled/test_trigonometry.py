"""Cosines and sines of the compiled engine, seen through circuits whose read-out is one of them.

A qubit turned by x has ``<Z> = cos(x/2)**2 - sin(x/2)**2``. Halving is exact, and so is the reduction of the half angle up
to the last bit or so: errors are a few roundings of numbers of at most 1, however large the angle.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from qmoe.circuits import AngleEncoding, Circuit, Gate, Weight
from qmoe.compiled import trigonometry
from qmoe.engines import NativeEngine
from qmoe.testing import random_inputs

F32, F64 = torch.float32, torch.float64
ROUNDINGS = {F64: 8 * 2.0**-53, F32: 8 * 2.0**-24}
DTYPES = pytest.mark.parametrize("dtype", [F64, F32], ids=str)
TURNED = Circuit(1, 0)
# The angle as a phase between two Hadamard gates: it goes by way of the tables, where pi is added to it.
PHASED = Circuit(
    1, 1, AngleEncoding("Y"), [Gate("Hadamard", (0,)), Gate("RZ", (0,), (Weight(0),)), Gate("Hadamard", (0,))]
)


def cosines(angles: Tensor) -> Tensor:
    """By `math`, one after another."""
    return torch.tensor([math.cos(a) for a in angles.tolist()], dtype=F64)


def sines(angles: Tensor) -> Tensor:
    return torch.tensor([math.sin(a) for a in angles.tolist()], dtype=F64)


def turned(angles: Tensor) -> tuple[Tensor, Tensor]:
    """``<Z>`` and its derivative at each angle."""
    x = angles[:, None].clone().requires_grad_()
    out = NativeEngine().evaluate(TURNED, x, angles.new_zeros(TURNED.weight_shape))
    (slope,) = torch.autograd.grad(out.sum(), x)
    return out.detach()[:, 0], slope[:, 0]


def phased(angles: Tensor) -> Tensor:
    """``<Z>`` with the angle as the weight of as many models."""
    zeros = angles.new_zeros(len(angles), 1, 1)
    return NativeEngine().evaluate(PHASED, zeros, angles.view(-1, 1, 1))[:, 0, 0]


def assert_cosines(angles: Tensor, extra: float = 0.0) -> None:
    out, slope = turned(angles)
    bound = ROUNDINGS[angles.dtype] + extra
    torch.testing.assert_close(out.double(), cosines(angles), rtol=0, atol=bound)
    torch.testing.assert_close(slope.double(), -sines(angles), rtol=0, atol=bound)


@pytest.fixture
def angles() -> np.random.Generator:
    return np.random.default_rng(1)


@DTYPES
@pytest.mark.parametrize("largest", [1e-8, 1.0, 10.0, 1e3, 1e5, 1.9e6])
def test_cosine_is_exact_to_the_last_bits(largest: float, dtype: torch.dtype, angles: np.random.Generator) -> None:
    # Up to 2e6, half of which is where the slow road begins.
    assert largest / 2 < trigonometry._LIMIT
    assert_cosines(torch.tensor(angles.uniform(-largest, largest, 4000), dtype=dtype))


@DTYPES
@pytest.mark.parametrize("largest", [1e7, 1e9, 1e12])
def test_cosine_of_huge_angles_takes_the_slow_road_and_is_as_exact(
    largest: float, dtype: torch.dtype, angles: np.random.Generator
) -> None:
    assert largest / 2 > trigonometry._LIMIT
    assert_cosines(torch.tensor(angles.uniform(-largest, largest, 4000), dtype=dtype))


@DTYPES
def test_both_roads_meet_at_the_limit(dtype: torch.dtype) -> None:
    near = 2 * trigonometry._LIMIT + torch.arange(-400, 400, dtype=dtype)
    for block in (near, -near):
        for one in block.split(1):  # a block by itself, so that each takes its own road
            assert_cosines(one)


@DTYPES
def test_cosine_at_multiples_of_a_quarter_turn(dtype: torch.dtype) -> None:
    quarters = torch.arange(-4096, 4097, dtype=F64) * (math.pi / 2)
    for shift in (0.0, math.pi / 4):
        assert_cosines((quarters + shift).to(dtype))
    out, _ = turned(torch.tensor([0.0, math.pi, -math.pi, 2 * math.pi], dtype=F64))
    torch.testing.assert_close(out, torch.tensor([1.0, -1, -1, 1], dtype=F64), rtol=0, atol=ROUNDINGS[F64])


def test_angle_of_zero_is_exact_and_tiny_angles_keep_their_slope() -> None:
    out, slope = turned(torch.tensor([0.0, -0.0, 1e-300, 1e-20, -1e-9], dtype=F64))
    assert out.tolist() == [1.0] * 5
    torch.testing.assert_close(slope, torch.tensor([0.0, 0.0, -1e-300, -1e-20, 1e-9], dtype=F64), rtol=1e-15, atol=0)


@DTYPES
@pytest.mark.parametrize("largest", [10.0, 1e5, 1e7])
def test_phases_add_the_rounding_of_the_angle_and_no_more(
    largest: float, dtype: torch.dtype, angles: np.random.Generator
) -> None:
    values = torch.tensor(angles.uniform(-largest, largest, 2000), dtype=dtype)
    # Sums with pi are rounded in float64, whatever the precision of the state.
    bound = ROUNDINGS[dtype] + 4 * 2.0**-53 * largest
    torch.testing.assert_close(phased(values).double(), cosines(values), rtol=0, atol=bound)


@DTYPES
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [3, 40])
def test_angle_that_is_no_number_gives_nan_for_its_sample_alone(bad: float, n: int, dtype: torch.dtype) -> None:
    angles = torch.linspace(-3, 3, n, dtype=dtype)
    angles[1] = bad
    out, slope = turned(angles)
    assert out.isnan().nonzero().flatten().tolist() == [1]
    assert slope.isnan().nonzero().flatten().tolist() == [1]
    others = [i for i in range(n) if i != 1]
    torch.testing.assert_close(out[others].double(), cosines(angles[others]), rtol=0, atol=ROUNDINGS[dtype])


@DTYPES
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weight_that_is_no_number_gives_nan_for_its_model_alone(bad: float, dtype: torch.dtype) -> None:
    weights = torch.tensor([0.3, bad, -2.0], dtype=dtype)
    out = phased(weights)
    assert out.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(out[::2].double(), cosines(weights[::2]), rtol=0, atol=2 * ROUNDINGS[dtype])


@pytest.mark.parametrize("noise", [None, 0.1])
@pytest.mark.parametrize("n_qubits", [2, 7])
@pytest.mark.parametrize("batch", [1, 20])
def test_nan_anywhere_ends_in_nan_and_not_in_a_crash(noise: float | None, n_qubits: int, batch: int) -> None:
    circuit = Circuit(n_qubits, 2, noise=noise)
    x, weights = random_inputs(circuit, 1, batch=(batch,), dtype=F32)
    bad = weights.clone()
    bad[0, 0, 1] = math.nan
    bad.requires_grad_()
    out = NativeEngine().evaluate(circuit, x, bad)
    (gradient,) = torch.autograd.grad(out.sum(), bad)
    assert out.isnan().any()
    assert gradient.isnan().any()
    assert not NativeEngine().evaluate(circuit, x, weights).isnan().any()


def test_one_huge_angle_does_not_touch_its_neighbours() -> None:
    # The whole block takes the slow road.
    angles = torch.linspace(-3, 3, 8, dtype=F64)
    angles[3] = 1e12
    assert_cosines(angles)
