import math

import numpy as np
import pytest
import torch

import qmoe
from qmoe.analysis import beyond_degree, circuit_spectrum, fourier_coefficients
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.testing import random_circuit, random_inputs


def weights_for(circuit, seed=0, stack=()):
    return (
        torch.rand(*stack, *circuit.weight_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        * 6
    )


def test_coefficients_of_a_known_function():
    def function(x):
        a, b = x.unbind(-1)
        return torch.stack([1 + torch.cos(a) + 3 * torch.sin(2 * b), torch.cos(a - 2 * b), 0 * a], -1)

    found = fourier_coefficients(function, 2, degree=3)
    assert found.coefficients.shape == (3, 7, 7)
    assert found.degree == 3
    assert found.frequencies.tolist() == [0, 1, 2, 3, -3, -2, -1]
    assert found.at(0, 0) == pytest.approx([1, 0, 0], abs=1e-14)
    assert found.at(1, 0) == pytest.approx([0.5, 0, 0], abs=1e-14)
    assert found.at(0, 2) == pytest.approx([-1.5j, 0, 0], abs=1e-14)
    assert found.at(0, -2) == pytest.approx([1.5j, 0, 0], abs=1e-14)
    assert found.at(-1, 2) == pytest.approx([0, 0.5, 0], abs=1e-14)
    assert found.at(1, 2) == pytest.approx([0, 0, 0], abs=1e-14)
    assert found.at(4, 0).tolist() == [0, 0, 0]
    assert np.square(np.abs(found.coefficients)).sum() == pytest.approx(1 + 0.5 + 4.5 + 0.5)
    assert found.highest().tolist() == [[1, 2], [1, 2], [0, 0]]
    assert found.power() == pytest.approx(np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), abs=1e-14)


def test_one_feature_beyond_the_degree_is_enough():
    found = fourier_coefficients(lambda x: torch.cos(2 * x[:, :1]) + torch.cos(x[:, 1:]), 2, degree=3)
    assert beyond_degree(found, 1) == pytest.approx(0.5)
    assert beyond_degree(found, 2) < 1e-14


def test_one_feature():
    found = fourier_coefficients(lambda x: torch.cos(2 * x), 1, degree=2)
    assert found.coefficients[0] == pytest.approx([0, 0, 0.5, 0.5, 0], abs=1e-14)
    assert found.highest().tolist() == [[2]]


@pytest.mark.parametrize("seed", range(4))
def test_coefficients_are_pennylanes(seed):
    qml = pytest.importorskip("pennylane")
    circuit = random_circuit(seed, max_qubits=2, encoding="angle", noise=False)
    _, weights = random_inputs(circuit, seed)
    found = circuit_spectrum(circuit, weights)
    reference = qmoe.engines.ReferenceEngine()
    for output in range(circuit.n_outputs):

        def function(x, output=output):
            x = torch.as_tensor(np.asarray(x, dtype=float)).reshape(1, -1)
            return float(reference.evaluate(circuit, x, weights)[0, output])

        expected = qml.fourier.coefficients(function, circuit.in_features, circuit.encoding.max_frequency)
        assert found.coefficients[output] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rotation", ["X", "Y", "Z"])
@pytest.mark.parametrize("uploads", [1, 2, 3])
def test_degree_is_the_number_of_uploads(rotation, uploads):
    circuit = qmoe.Circuit(2, 3, encoding=qmoe.AngleEncoding(rotation, uploads))
    found = circuit_spectrum(circuit, weights_for(circuit), degree=uploads + 1)
    assert beyond_degree(found, uploads) < 1e-14
    # It is reached, so that the check can fail.
    assert found.highest().max() == uploads
    assert beyond_degree(found, uploads - 1) > 1e-3
    exact = circuit_spectrum(circuit, weights_for(circuit))
    inside = np.ix_(range(2), *[np.abs(found.frequencies) <= uploads] * 2)
    assert exact.coefficients == pytest.approx(found.coefficients[inside], abs=1e-13)


def test_the_series_is_the_function_and_stacks_are_models():
    circuit = qmoe.Circuit(2, 2, encoding=qmoe.AngleEncoding(uploads=2))
    weights = weights_for(circuit, stack=(3,))
    found = circuit_spectrum(circuit, weights)
    assert found.coefficients.shape == (3, 2, 5, 5)
    x = torch.rand(6, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 9 - 4
    k = np.stack(np.meshgrid(found.frequencies, found.frequencies, indexing="ij"))
    waves = np.exp(1j * np.einsum("nf,fab->nab", x.numpy(), k))
    series = np.einsum("moab,nab->mno", found.coefficients, waves)
    values = qmoe.engines.ReferenceEngine().evaluate(circuit, x.expand(3, 6, 2), weights)
    assert series == pytest.approx(values.numpy(), abs=1e-12)
    assert found.at(-1, 2) == pytest.approx(found.at(1, -2).conj())


def test_without_entangler_each_qubit_knows_its_own_feature():
    apart = qmoe.Circuit(2, 3, ansatz="no_entangler")
    found = circuit_spectrum(apart, weights_for(apart))
    assert found.highest().tolist() == [[1, 0], [0, 1]]
    assert found.power()[:, 1] == pytest.approx(1.0)
    joined = qmoe.Circuit(2, 3)
    assert circuit_spectrum(joined, weights_for(joined)).power()[:, 2].max() > 0.05


def test_block_noise_before_the_layers_damps_by_order():
    circuit, p = qmoe.Circuit(2, 1), 0.12
    clean = circuit_spectrum(circuit, weights_for(circuit))
    noisy = circuit_spectrum(circuit.with_noise(p), weights_for(circuit))
    ratio = np.abs(noisy.coefficients) / np.maximum(np.abs(clean.coefficients), 1e-300)
    damping = 1 - 4 * p / 3
    both = np.abs(clean.coefficients[:, 1, 1]) > 1e-3
    assert both.any()
    # One factor for the channel before the measurement, one for each feature in the term.
    assert ratio[:, 1, 1][both] == pytest.approx(damping**3)


def test_refusals():
    amplitude = qmoe.Circuit(2, 1, encoding="amplitude")
    with pytest.raises(UnsupportedError, match="no Fourier coefficients"):
        circuit_spectrum(amplitude, weights_for(amplitude))
    circuit = qmoe.Circuit(2, 2, encoding=qmoe.AngleEncoding(uploads=2))
    with pytest.raises(ConfigError, match="reaches frequency 2"):
        circuit_spectrum(circuit, weights_for(circuit), degree=1)
    with pytest.raises(ConfigError, match=r"3\*\*14 samples.*up to 12 features"):
        fourier_coefficients(lambda x: x, 14, 1)
    with pytest.raises(ConfigError, match="compute it to 3"):
        beyond_degree(circuit_spectrum(circuit, weights_for(circuit)), 2)
    with pytest.raises(ShapeError, match="expected 2"):
        circuit_spectrum(circuit, weights_for(circuit)).at(1)
    with pytest.raises(ShapeError, match="all finite"):
        fourier_coefficients(lambda x: x * math.nan, 1, 1)
