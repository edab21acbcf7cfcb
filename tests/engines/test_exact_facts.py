"""What theory says about circuits, held against each engine."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from qmoe.circuits import AngleEncoding, Circuit, Gate, NoiseModel, Weight
from qmoe.engines import Engine, ReferenceEngine, TorchEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.testing import random_inputs

ENGINES = {"reference": ReferenceEngine(), "torch": TorchEngine(), "pennylane": PennyLaneEngine()}

EXACT = 1e-11  # default.mixed adds an epsilon under the roots of its Kraus operators, which shows at 1e-13


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def weights_of(circuit: Circuit, seed: int = 0) -> Tensor:
    return random_inputs(circuit, seed)[1]


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """Angles in [-pi, pi]."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1) * math.pi


def fit(features: Tensor, values: Tensor) -> tuple[Tensor, float]:
    """Least squares: the coefficients and the largest residual."""
    solution = torch.linalg.lstsq(features, values).solution
    return solution, float((features @ solution - values).abs().max())


# --- encodings -------------------------------------------------------------------------------------------------------


def test_rx_on_zero_state_has_expectation_cosine(engine: Engine) -> None:
    x = uniform(9, 1)
    out = engine.evaluate(Circuit(1, 0), x, torch.zeros(0, 1, 3, dtype=x.dtype))
    torch.testing.assert_close(out, x.cos(), rtol=0, atol=EXACT)


def test_rx_on_zero_state_has_born_probabilities_of_half_the_angle(engine: Engine) -> None:
    x = uniform(9, 1)
    out = engine.evaluate(Circuit(1, 0, readout="born"), x, torch.zeros(0, 1, 3, dtype=x.dtype))
    torch.testing.assert_close(out, torch.cat([(x / 2).cos() ** 2, (x / 2).sin() ** 2], -1), rtol=0, atol=EXACT)


def test_wire_zero_is_the_most_significant_bit(engine: Engine) -> None:
    x = torch.tensor([math.pi, 0.0, 0.0], dtype=torch.float64)
    circuit = Circuit(3, 0, readout="born")
    out = engine.evaluate(circuit, x, weights_of(circuit))
    torch.testing.assert_close(out, torch.eye(8, dtype=torch.float64)[0b100], rtol=0, atol=EXACT)


@pytest.mark.parametrize("uploads", [1, 2, 3])
@pytest.mark.parametrize("rotation", ["X", "Y", "Z"])
def test_output_is_a_trigonometric_polynomial_whose_degree_is_the_number_of_uploads(
    uploads: int, rotation: str
) -> None:
    circuit = Circuit(2, 3, AngleEncoding(rotation, uploads=uploads))
    assert circuit.frequencies == tuple(range(-uploads, uploads + 1))
    x = uniform(200, 2)
    out = TorchEngine().evaluate(circuit, x, weights_of(circuit))

    def waves(column: Tensor, degree: int) -> Tensor:
        ks = torch.arange(1, degree + 1, dtype=column.dtype)
        angles = column[:, None] * ks
        return torch.cat([torch.ones_like(column)[:, None], angles.cos(), angles.sin()], -1)

    def residual(degree: int) -> float:
        pair = waves(x[:, 0], degree)[:, :, None] * waves(x[:, 1], degree)[:, None, :]
        return fit(pair.flatten(1), out)[1]

    assert waves(x[:, 0], uploads).shape[1] ** 2 == circuit.n_frequencies
    assert residual(uploads) < 1e-10
    assert residual(uploads - 1) > 1e-2


def test_amplitude_read_out_is_even_and_blind_to_length(engine: Engine) -> None:
    circuit = Circuit(2, 2, "amplitude", in_features=3)
    x, weights = random_inputs(circuit, 1, batch=(4,))
    out = engine.evaluate(circuit, x, weights)
    for same in (-x, 7.5 * x, 0.01 * x):
        torch.testing.assert_close(engine.evaluate(circuit, same, weights), out, rtol=0, atol=EXACT)


def test_amplitude_read_out_is_a_quadratic_form_over_the_squared_norm() -> None:
    circuit = Circuit(2, 2, "amplitude")
    x, weights = random_inputs(circuit, 1, batch=(50,))
    out = TorchEngine().evaluate(circuit, x, weights)
    i, j = torch.triu_indices(4, 4)
    _, residual = fit(x[:, i] * x[:, j] / x.square().sum(-1, keepdim=True), out)
    assert residual < EXACT


# --- ansatze ---------------------------------------------------------------------------------------------------------


def marginals_product(probabilities: Tensor, n_qubits: int) -> Tensor:
    joint = probabilities.reshape(-1, *(2,) * n_qubits)
    product = torch.ones(len(joint), 1, dtype=joint.dtype)
    for wire in range(n_qubits):
        others = [axis + 1 for axis in range(n_qubits) if axis != wire]
        product = (product[:, :, None] * joint.sum(others)[:, None, :]).flatten(1)
    return product


def test_no_entangler_gives_a_product_distribution(engine: Engine) -> None:
    circuit = Circuit(3, 2, ansatz="no_entangler", readout="born", noise=NoiseModel(0.05, "gate"))
    out = engine.evaluate(circuit, uniform(5, 3), weights_of(circuit))
    torch.testing.assert_close(out, marginals_product(out, 3), rtol=0, atol=EXACT)


def test_strongly_entangling_layers_give_correlated_outcomes() -> None:
    circuit = Circuit(3, 2, readout="born")
    out = TorchEngine().evaluate(circuit, uniform(5, 3), weights_of(circuit))
    assert float((out - marginals_product(out, 3)).abs().max()) > 0.05


def test_last_rz_of_each_qubit_has_zero_gradient_in_the_router_of_the_paper(engine: Engine) -> None:
    circuit = Circuit(2, 3)
    x, weights = random_inputs(circuit, 3, batch=(8,), requires_grad=True)
    out = engine.evaluate(circuit, x, weights)
    gradient = torch.stack([torch.autograd.grad(o, weights, retain_graph=True)[0] for o in out.flatten()])
    assert float(gradient[:, -1, :, 2].abs().max()) < EXACT
    others = gradient.abs().amax(0)
    others[-1, :, 2] = 1
    assert float(others.min()) > 1e-3


# --- noise -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_depolarizing_before_measurement_scales_expectations(engine: Engine, p: float) -> None:
    # Without layers the channel after the encoding is the last thing before measurement.
    clean, noisy = Circuit(2, 0), Circuit(2, 0, noise=p)
    x = uniform(5, 2)
    out = engine.evaluate(noisy, x, weights_of(noisy))
    expected = (1 - 4 * p / 3) * engine.evaluate(clean, x, weights_of(clean))
    torch.testing.assert_close(out, expected, rtol=0, atol=EXACT)


def test_depolarizing_before_the_ansatz_damps_each_term_by_its_weight(engine: Engine) -> None:
    p, x = 0.1, uniform(40, 2)
    local = torch.stack([torch.ones_like(x), -x.sin(), x.cos()], -1)  # I, Y, Z of one qubit
    terms = (local[:, 0, :, None] * local[:, 1, None, :]).flatten(1)
    order = torch.tensor([(a > 0) + (b > 0) for a, b in itertools.product(range(3), repeat=2)], dtype=x.dtype)
    weights = weights_of(Circuit(2, 3), seed=4)
    clean, residual = fit(terms, engine.evaluate(Circuit(2, 3), x, weights))
    assert residual < EXACT
    noisy, residual = fit(terms, engine.evaluate(Circuit(2, 3, noise=p), x, weights))
    assert residual < EXACT
    factor = 1 - 4 * p / 3
    # The channel after the layers scales every read-out once more.
    torch.testing.assert_close(noisy, clean * factor ** order[:, None] * factor, rtol=0, atol=EXACT)


@pytest.mark.parametrize("placement", ["block", "gate"])
@pytest.mark.parametrize("encoding", ["angle", "amplitude"])
def test_three_quarters_mixes_fully(engine: Engine, encoding: str, placement: str) -> None:
    noise = NoiseModel(0.75, placement)
    for readout, level in (("expval", 0.0), ("born", 0.25)):
        circuit = Circuit(2, 2, encoding, noise=noise, readout=readout)
        out = engine.evaluate(circuit, *random_inputs(circuit, 5))
        torch.testing.assert_close(out, torch.full_like(out, level), rtol=0, atol=EXACT)


def test_zero_noise_changes_nothing(engine: Engine) -> None:
    for readout in ("expval", "born"):
        circuit = Circuit(3, 2, readout=readout)
        x, weights = random_inputs(circuit, 6)
        silent = circuit.with_noise(NoiseModel(0.0, "gate"))
        torch.testing.assert_close(
            engine.evaluate(silent, x, weights), engine.evaluate(circuit, x, weights), rtol=0, atol=EXACT
        )


def test_probabilities_sum_to_one(engine: Engine) -> None:
    for noise in (None, NoiseModel(0.2, "gate")):
        circuit = Circuit(3, 2, readout="born", noise=noise)
        out = engine.evaluate(circuit, *random_inputs(circuit, 7))
        torch.testing.assert_close(out.sum(-1), torch.ones(3, dtype=out.dtype), rtol=0, atol=EXACT)
        assert float(out.min()) > -EXACT


def test_expectations_are_marginals_of_the_born_probabilities(engine: Engine) -> None:
    born = Circuit(3, 2, readout="born", noise=0.1)
    x, weights = random_inputs(born, 8)
    joint = engine.evaluate(born, x, weights).reshape(3, 2, 2, 2)
    signs = torch.tensor([1.0, -1.0], dtype=joint.dtype)
    marginal = torch.stack([joint.sum((2, 3)) @ signs, joint.sum((1, 3)) @ signs, joint.sum((1, 2)) @ signs], -1)
    out = engine.evaluate(Circuit(3, 2, noise=0.1), x, weights)
    torch.testing.assert_close(out, marginal, rtol=0, atol=EXACT)


# --- gradients -------------------------------------------------------------------------------------------------------


def gradient_of_sum(engine: Engine, circuit: Circuit, x: Tensor, weights: Tensor) -> Tensor:
    weights = weights.clone().requires_grad_()
    return torch.autograd.grad(engine.evaluate(circuit, x, weights).sum(), weights)[0]


def test_adjoint_equals_autograd_equals_parameter_shift() -> None:
    circuit = Circuit(3, 2, ansatz="basic_entangler")
    x, weights = random_inputs(circuit, 9)
    autograd = gradient_of_sum(TorchEngine(), circuit, x, weights)
    shifted = torch.zeros_like(weights)
    for index in np.ndindex(*weights.shape):
        step = torch.zeros_like(weights)
        step[index] = math.pi / 2  # the two-term rule of a Pauli rotation
        ends = [TorchEngine().evaluate(circuit, x, weights + s * step).sum() for s in (1, -1)]
        shifted[index] = (ends[0] - ends[1]) / 2
    torch.testing.assert_close(autograd, shifted, rtol=0, atol=EXACT)
    for diff_method in ("adjoint", "parameter-shift"):
        lightning = PennyLaneEngine("lightning.qubit", diff_method=diff_method)
        torch.testing.assert_close(gradient_of_sum(lightning, circuit, x, weights), autograd, rtol=0, atol=EXACT)


def test_shared_weights_add_their_gradients(engine: Engine) -> None:
    shared = Circuit(2, 1, ansatz=[Gate("RY", (0,), (Weight(0),)), Gate("CRX", (0, 1), (Weight(0),))])
    apart = Circuit(2, 1, ansatz=[Gate("RY", (0,), (Weight(0),)), Gate("CRX", (0, 1), (Weight(1),))])
    x, weights = random_inputs(shared, 10)
    together = gradient_of_sum(engine, shared, x, weights)
    summed = gradient_of_sum(engine, apart, x, weights.expand(1, 2)).sum(-1, keepdim=True)
    torch.testing.assert_close(together, summed, rtol=0, atol=EXACT)


def test_second_derivatives_of_the_torch_engine() -> None:
    for circuit in (Circuit(2, 2), Circuit(2, 1, noise=0.1), Circuit(2, 1, "amplitude", readout="born")):
        x, weights = random_inputs(circuit, 11, batch=(1,), requires_grad=True)

        def run(x: Tensor, weights: Tensor, circuit: Circuit = circuit) -> Tensor:
            return TorchEngine().evaluate(circuit, x, weights)

        assert torch.autograd.gradgradcheck(run, (x, weights))
