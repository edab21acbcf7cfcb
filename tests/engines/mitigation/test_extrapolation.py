"""Zero-noise extrapolation, and errors of the measurement undone."""

import math

import numpy as np
import pytest
import torch

from qmoe.circuits import (
    AmplitudeDamping,
    AngleEncoding,
    Circuit,
    Depolarizing,
    Disturb,
    Feature,
    Gate,
    NoiseModel,
    OverRotation,
    Pauli,
    ReadoutConfusion,
    ReadoutError,
    Weight,
)
from qmoe.engines import get_engine
from qmoe.engines.mitigation import Extrapolation, Measuring, amplified, amplified_strength, mitigated
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.routers.functions.bare import bare

REFERENCE = get_engine("reference")
PAIR = [[0.9, 0.05, 0.03, 0.02], [0.1, 0.8, 0.05, 0.05], [0.02, 0.03, 0.9, 0.05], [0.0, 0.1, 0.1, 0.8]]
MEASURING = [ReadoutError(0.05, 0.1).before_readout(), ReadoutConfusion(PAIR).before_readout((2, 0))]


def inputs(circuit, rows=4):
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(rows, circuit.in_features, dtype=torch.float64, generator=generator)
    return x, 6 * torch.rand(*circuit.weight_shape, dtype=torch.float64, generator=generator)


def test_richardson_coefficients_are_lagrange_weights_at_zero():
    scales = (1, 3, 5)
    by_hand = [math.prod(b / (b - a) for b in scales if b != a) for a in scales]
    assert Extrapolation(scales).coefficients == pytest.approx(by_hand)


def test_a_line_through_three_scales_is_a_fit_by_least_squares():
    slope = np.polynomial.Polynomial.fit([1, 2, 3], np.eye(3)[1], 1)
    assert Extrapolation((1, 2, 3), degree=1).coefficients[1] == pytest.approx(slope(0))
    assert Extrapolation((1, 2, 3), degree=1).coefficients.sum() == pytest.approx(1)


@pytest.mark.parametrize("shots", [3, 4, 100, 4096])
def test_shots_are_split_in_proportion_to_the_coefficients_and_none_is_lost(shots):
    split = Extrapolation((1, 2, 3)).split(shots)
    assert sum(split) == shots
    assert min(split) >= 1
    if shots > 50:
        assert np.array(split) / shots == pytest.approx(np.array([3, 3, 1]) / 7, abs=2 / shots + 0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scales": (1,)}, "at least two different integers"),
        ({"scales": (1, 1)}, "at least two different integers"),
        ({"scales": (0, 1)}, "at least two different integers"),
        ({"scales": (1, 1.5)}, "at least two different integers"),
        ({"scales": (1, 2), "degree": 2}, "a number from 1 to 1 for 2 scales"),
    ],
)
def test_scales_and_degrees_that_make_no_polynomial_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Extrapolation(**options)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_depolarizing_so_many_times_is_the_channel_repeated(times):
    transfer = np.linalg.matrix_power(Depolarizing(0.13).transfer(), times)
    assert Depolarizing(amplified_strength(0.13, times)).transfer() == pytest.approx(transfer)


def test_every_channel_but_those_of_the_measurement_acts_so_many_times():
    damping, error = AmplitudeDamping(0.1).after("layer"), ReadoutError(0.1).before_readout()
    turning = OverRotation(0.01, 0.02).after("gate")
    noise = NoiseModel(0.1, "gate", channels=[damping, error, turning])
    found = amplified(Circuit(2, 2, noise=noise), 3).noise
    assert found.depolarizing == pytest.approx(amplified_strength(0.1, 3))
    assert [placed.channel for placed in found.channels] == [
        OverRotation(0.03, 0.06), damping.channel, damping.channel, damping.channel, error.channel
    ]  # fmt: skip


def test_channels_among_the_operations_of_a_circuit_are_repeated():
    ops = [Gate("RX", (0,), (Feature(0),)), Disturb(AmplitudeDamping(0.1), (0,)), Gate("RY", (0,), (Weight(0),)),
           Disturb(ReadoutError(0.1), (0,))]  # fmt: skip
    circuit = Circuit.from_operations(ops, n_qubits=1, noise=0.0)
    kinds = [type(op.channel).__name__ for op in amplified(circuit, 2).operations if isinstance(op, Disturb)]
    assert kinds == ["AmplitudeDamping", "AmplitudeDamping", "ReadoutError"]


@pytest.mark.parametrize("readout", ["expval", "born"])
def test_errors_of_the_measurement_are_undone_exactly(readout):
    circuit = Circuit(3, 2, readout=readout, noise=NoiseModel(0.0, channels=MEASURING))
    x, weights = inputs(circuit)
    clean = REFERENCE.evaluate(circuit.with_noise(None), x, weights)
    assert (REFERENCE.evaluate(circuit, x, weights) - clean).abs().max() > 0.05
    assert torch.allclose(mitigated(REFERENCE, circuit, x, weights), clean, rtol=0, atol=1e-12)


def test_richardson_cancels_the_noise_up_to_its_power():
    """One block before the ansatz damps a word of weight w by f**w, so what is left is exactly the closed form."""
    circuit = Circuit(1, 1, noise=NoiseModel(0.06))
    x, weights = inputs(circuit)
    clean = REFERENCE.evaluate(circuit.with_noise(None), x, weights)
    f = (1 - 4 * 0.06 / 3) ** 2  # after the encoding and after the layer
    left = 3 * f - 3 * f**2 + f**3
    assert torch.allclose(mitigated(REFERENCE, circuit, x, weights), left * clean, rtol=0, atol=1e-12)
    assert 1 - left == pytest.approx((1 - f) ** 3)


def test_a_strength_of_each_model_is_amplified():
    circuit = Circuit(2, 1, noise=NoiseModel(0.0))
    x, weights = inputs(circuit)
    strengths = torch.tensor([0.02, 0.1], dtype=torch.float64)
    both = mitigated(
        REFERENCE, circuit, x.expand(2, -1, -1), weights.expand(2, *weights.shape), noise_strength=strengths
    )
    for m, p in enumerate(strengths.tolist()):
        alone = mitigated(REFERENCE, circuit.with_noise(p), x, weights)
        assert torch.allclose(both[m], alone, rtol=0, atol=1e-12)


def test_estimates_from_shots_are_unbiased_and_spread_as_their_split_says():
    circuit = Circuit(2, 1, noise=NoiseModel(0.05, channels=[ReadoutError(0.05).before_readout()]))
    x, weights = inputs(circuit, rows=2)
    exact = mitigated(REFERENCE, circuit, x, weights)
    generator = torch.Generator().manual_seed(1)
    spread = {}
    for shots in (700, 2800):
        found = torch.stack(
            [mitigated(REFERENCE, circuit, x, weights, shots=shots, generator=generator) for _ in range(300)]
        )
        error = found.std(0) / math.sqrt(len(found))
        assert ((found.mean(0) - exact).abs() < 4 * error).all()
        spread[shots] = found.std(0)
    assert torch.allclose(spread[700] / spread[2800], torch.full_like(exact, 2.0), rtol=0.15)


def test_what_cannot_be_undone_is_refused_with_its_remedy():
    words = Circuit(
        2, 1, readout=[Pauli("X0 Y1")], noise=NoiseModel(0.0, channels=[ReadoutError(0.1).before_readout()])
    )
    with pytest.raises(UnsupportedError, match="undone for 'expval' and 'born'"):
        mitigated(REFERENCE, words, *inputs(words))
    coin = Circuit(2, 1, noise=NoiseModel(0.0, channels=[ReadoutError(0.5).before_readout()]))
    with pytest.raises(ConfigError, match="cannot be undone"):
        mitigated(REFERENCE, coin, *inputs(coin))
    pure = Circuit(2, 1)
    with pytest.raises(ConfigError, match="nothing to extrapolate"):
        mitigated(REFERENCE, pure, *inputs(pure))
    noisy = Circuit(2, 1, noise=0.1)
    with pytest.raises(ConfigError, match="without a generator"):
        mitigated(REFERENCE, noisy, *inputs(noisy), shots=10)
    with pytest.raises(ConfigError, match="give each at least one"):
        mitigated(REFERENCE, noisy, *inputs(noisy), shots=2, generator=torch.Generator())


def test_an_engine_that_measures_leaves_circuits_without_noise_unextrapolated():
    circuit = Circuit(2, 1)
    x, weights = inputs(circuit)
    found = Measuring(extrapolation=Extrapolation()).evaluate(circuit, x, weights)
    assert torch.allclose(found, REFERENCE.evaluate(circuit, x, weights), rtol=0, atol=1e-12)


class _Relaxing(AngleEncoding):
    """An encoding after which a qubit relaxes."""

    def operations(self, n_qubits):
        return (*super().operations(n_qubits), Disturb(AmplitudeDamping(0.1), (0,)))


def test_channels_of_an_encoding_are_not_left_behind_without_a_word():
    circuit = Circuit(2, 1, encoding=_Relaxing(), noise=NoiseModel(0.1))
    with pytest.raises(UnsupportedError, match="_Relaxing holds channels of its own"):
        amplified(circuit, 3)
    with pytest.raises(UnsupportedError, match="_Relaxing holds channels of its own"):
        bare(circuit)


@pytest.mark.parametrize("options", [{"scales": 3}, {"degree": 1.5}, {"degree": "1"}, {"degree": True}])
def test_scales_and_degrees_of_other_types_are_refused(options):
    with pytest.raises(ConfigError, match="expected"):
        Extrapolation(**options)


def test_an_extrapolation_is_no_list_of_scales():
    circuit = Circuit(2, 1, noise=0.1)
    x, weights = torch.rand(3, 2), torch.rand(*circuit.weight_shape)
    with pytest.raises(ConfigError, match=r"extrapolation is \(1, 2, 3\), expected Extrapolation"):
        mitigated(get_engine("native"), circuit, x, weights, extrapolation=(1, 2, 3))
