"""Statistics of finite shots: what an estimate is, how its error falls, and what it is correlated with."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from qmoe.circuits import Circuit, Hamiltonian, NoiseModel, Parity, Pauli, Probs, ReadoutError
from qmoe.engines import ReferenceEngine, TorchEngine, get_engine, sampled
from qmoe.engines.aer import AerEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.errors import ConfigError, UnsupportedError

READOUTS = {
    "Z of every wire": "expval",
    "probabilities": "born",
    "one word": Pauli("X0 Y1"),
    "sum of words": Hamiltonian([0.5, -1.5, 0.25], ["Z0 Z1", "X2", "I"]),
    "some wires": Probs((2, 0)),
    "parity": Parity(),
    "list": [Pauli("Y2"), Probs((1,)), Hamiltonian([1.0, 0.5], ["Z0", "X1"]), Pauli("Z1")],
}
NOISY = NoiseModel(0.05, channels=[ReadoutError(0.1, 0.03).before_readout()])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(readout, noise=None, n_batch=1, stack=()):
    """A random circuit of 3 qubits, features and weights."""
    circuit = Circuit(3, 2, readout=readout, noise=noise)
    draw = {"generator": seeded(7), "dtype": torch.float64}
    x = 3 * torch.rand(*stack, n_batch, 3, **draw)
    return circuit, x, 6 * torch.rand(*stack, *circuit.weight_shape, **draw)


@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS)
@pytest.mark.parametrize("noise", [None, NOISY], ids=["pure", "noisy"])
def test_estimates_are_unbiased_and_their_error_falls_with_the_root_of_the_shots(readout, noise):
    circuit, x, weights = problem(readout, noise)
    exact = ReferenceEngine().evaluate(circuit, x, weights)
    n_draws, powers, errors = 1_000, range(4, 17), []
    many, generator = x.expand(n_draws, 3), seeded(0)
    for power in powers:
        drawn = sampled(TorchEngine(), circuit, many, weights, shots=2**power, generator=generator)
        errors.append((drawn - exact).square().mean().sqrt().item())
        standard_error = drawn.std(0) / n_draws**0.5
        assert ((drawn.mean(0) - exact[0]).abs() <= 4 * standard_error + 1e-12).all()
    slope = np.polyfit(np.log(2.0 ** np.array(powers)), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)


def test_signs_of_wires_measured_together_have_the_covariance_of_one_bit_string():
    circuit, x, weights = problem("expval")
    pairs = circuit.with_readout([Pauli(f"Z{i} Z{j}") for i in range(3) for j in range(3) if i != j])
    means = TorchEngine().evaluate(circuit, x, weights)[0]
    products = torch.eye(3, dtype=torch.float64)
    products[~products.bool()] = TorchEngine().evaluate(pairs, x, weights)[0]
    shots, n_draws = 50, 20_000
    drawn = sampled(TorchEngine(), circuit, x.expand(n_draws, 3), weights, shots=shots, generator=seeded(1))
    expected = (products - means.outer(means)) / shots
    assert expected.triu(1).abs().max() > 1e-3  # entangled, or the test would see nothing
    spread = ((drawn - means)[:, :, None] * (drawn - means)[:, None, :]).std(0) / n_draws**0.5
    assert ((drawn.T.cov() - expected).abs() <= 4 * spread).all()


def test_counts_are_multinomial():
    circuit, x, weights = problem("born")
    shots, n_draws = 5, 40_000
    probabilities = TorchEngine().evaluate(circuit, x, weights)[0]
    drawn = sampled(TorchEngine(), circuit, x.expand(n_draws, 3), weights, shots=shots, generator=seeded(2))
    counts = (shots * drawn).round().long()
    assert (counts.sum(-1) == shots).all()
    assert chisquare(counts.sum(0).numpy(), (n_draws * shots * probabilities).numpy()).pvalue > 1e-3
    # Two samples of a pair are the same outcome as often as independent ones are.
    same = (counts * (counts - 1)).sum(-1).double() / (shots * (shots - 1))
    assert (same.mean() - probabilities.square().sum()).abs() <= 4 * same.std() / n_draws**0.5


@pytest.mark.parametrize("name", ["reference", "native", "torch", "pennylane"])
def test_every_engine_gives_the_same_estimates(name):
    circuit, x, weights = problem(READOUTS["list"], n_batch=3)
    got = sampled(get_engine(name), circuit, x, weights, shots=1000, generator=seeded(3))
    assert torch.equal(got, sampled(ReferenceEngine(), circuit, x, weights, shots=1000, generator=seeded(3)))


def test_a_model_of_a_stack_draws_what_it_draws_alone():
    circuit, x, weights = problem("expval", NOISY, n_batch=4, stack=(2, 3))
    strength = torch.full((2, 3), 0.1, dtype=torch.float64)
    seeds = [seeded(seed) for seed in range(6)]
    got = sampled(TorchEngine(), circuit, x, weights, shots=100, generator=seeds, noise_strength=strength)
    alone = sampled(
        TorchEngine(), circuit, x[1, 2], weights[1, 2], shots=100, generator=seeded(5), noise_strength=strength[1, 2]
    )
    assert torch.equal(got[1, 2], alone)


def test_outcomes_that_cannot_happen_are_never_drawn_and_certain_ones_always():
    circuit = Circuit(2, 1, ansatz="no_entangler", readout="born")
    x, weights = torch.tensor([[0.0, 0.0], [torch.pi, 0.0]], dtype=torch.float64), torch.zeros(circuit.weight_shape)
    got = sampled(TorchEngine(), circuit, x, weights.double(), shots=10**6, generator=seeded(0))
    assert torch.equal(got, torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0]], dtype=torch.float64))


def test_values_that_are_not_finite_stay_visible():
    circuit, x, weights = problem("expval")
    got = sampled(TorchEngine(), circuit, x * torch.nan, weights, shots=10, generator=seeded(0))
    assert got.isnan().all()


def test_empty_batches_give_empty_estimates():
    circuit, x, weights = problem("expval")
    assert sampled(TorchEngine(), circuit, x[:0], weights, shots=10, generator=seeded(0)).shape == (0, 3)


def test_misuse_is_refused():
    circuit, x, weights = problem("expval")
    for shots in (0, -1, 1.5, True, None, np.int64(10)):
        with pytest.raises(ConfigError, match=r"shots is .* expected an integer of at least 1"):
            sampled(TorchEngine(), circuit, x, weights, shots=shots, generator=seeded(0))
    with pytest.raises(ConfigError, match=r"expected a torch\.Generator"):
        sampled(TorchEngine(), circuit, x, weights, shots=10, generator=None)
    with pytest.raises(ConfigError, match="list of 2, and the stack has 1 model"):
        sampled(TorchEngine(), circuit, x, weights, shots=10, generator=[seeded(0), seeded(1)])


def test_a_readout_of_a_users_own_is_refused():
    from qmoe.circuits import Expval

    class Mine(Expval):
        pass

    circuit, x, weights = problem(Mine())
    with pytest.raises(UnsupportedError, match="Mine"):
        sampled(TorchEngine(), circuit, x, weights, shots=10, generator=seeded(0))


def test_shots_of_an_engine_that_takes_shots_are_refused():
    circuit = Circuit(2, 1)
    x, weights = torch.rand(3, 2), torch.rand(*circuit.weight_shape)
    for engine in (AerEngine(shots=1, seed=0), PennyLaneEngine(shots=1)):
        with pytest.raises(ConfigError, match="takes shots itself"):
            sampled(engine, circuit, x, weights, shots=10, generator=seeded(0))
