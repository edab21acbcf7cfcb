import math

import numpy as np
import pytest
import torch
from torch import nn

import qmoe
import qmoe.analysis.fisher as fisher_module
from qmoe.analysis import fisher_matrices, initial_draws, uniform_draws
from qmoe.errors import ConfigError, ShapeError

POINTS = torch.rand(11, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * math.pi


def by_hand(model, parameters, x, logits):
    """E_x E_{y|x} of the outer product of grad log p(y|x), one gradient at a time."""
    with torch.no_grad():
        for name, value in parameters.items():
            model.get_parameter(name).copy_(value)
    total = 0
    for point in x:
        out = model(point[None])[0]
        p = out.softmax(-1) if logits else out
        for k in range(len(p)):
            grads = torch.autograd.grad(p[k].log(), list(model.parameters()), retain_graph=True, allow_unused=True)
            score = torch.cat([torch.zeros_like(q).flatten() if g is None else g.flatten()
                               for g, q in zip(grads, model.parameters(), strict=True)])  # fmt: skip
            total = total + p[k].detach() * torch.outer(score, score)
    return (total / len(x)).numpy()


def mixture(generator):
    router = qmoe.QuantumRouter(2, 3, n_layers=1, generator=generator)
    return qmoe.MixtureOfExperts(router, qmoe.MLPExperts(2, 4, 3, hidden=2, generator=generator), top_k=2)


@pytest.mark.parametrize(
    ("make", "logits"),
    [
        (lambda g: qmoe.QuantumRouter(2, 3, generator=g), False),
        (lambda g: qmoe.QuantumRouter(2, 3, readout="born", generator=g), False),
        (lambda g: qmoe.QuantumRouter(2, 2, readout="born", noise=0.1, encoding="amplitude", generator=g), False),
        (lambda g: qmoe.QuantumRouter(2, 2, n_qubits=3, n_layers=1, generator=g), False),
        (mixture, True),
        (lambda g: nn.Linear(2, 3), True),
    ],
    ids=["expval", "born", "amplitude noisy born", "projected", "top-k mixture", "plain module"],
)
def test_it_is_the_expected_outer_product_of_the_scores(make, logits):
    draws = initial_draws(make, 3)
    found = fisher_matrices(draws, POINTS)
    assert found.shape == (3, draws.n_parameters, draws.n_parameters)
    for m in range(3):
        expected = by_hand(draws.model, {k: v[m] for k, v in draws.parameters.items()}, POINTS, logits)
        assert found[m] == pytest.approx(expected, abs=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-12


class Logits(nn.Module):
    def __init__(self, router):
        super().__init__()
        self.router = router

    def forward(self, x):
        return self.router.logits(x)


def test_logits_and_their_softmax_have_one_fisher_matrix():
    router = qmoe.QuantumRouter(2, 3)
    weights = fisher_matrices(uniform_draws(router, 0, 6, 4), POINTS)
    logits = fisher_matrices(uniform_draws(Logits(router), 0, 6, 4), POINTS, "logits")
    assert weights == pytest.approx(logits, abs=1e-12)
    assert np.abs(weights).max() > 0.01


def test_chunks_do_not_matter(monkeypatch):
    draws = initial_draws(lambda g: qmoe.QuantumRouter(2, 3, generator=g), 5)
    whole = fisher_matrices(draws, POINTS)
    for size in (1, 150, 2000):
        monkeypatch.setattr(fisher_module, "JACOBIAN_CHUNK", size)
        assert fisher_matrices(draws, POINTS) == pytest.approx(whole, abs=1e-13)


class Coin(nn.Module):
    """One qubit turned by RY: p = (cos^2, sin^2)(theta / 2), whose Fisher information is 1 for every theta."""

    def __init__(self, theta, third=False):
        super().__init__()
        self.theta, self.third = nn.Parameter(torch.tensor(theta, dtype=torch.float64)), third

    def forward(self, x):
        p = torch.stack([torch.cos(self.theta / 2) ** 2, torch.sin(self.theta / 2) ** 2, 0 * self.theta])
        return p[: 3 if self.third else 2].expand(len(x), -1)


@pytest.mark.parametrize("theta", [0.3, 1e-3, 1e-6, math.pi - 1e-5])
@pytest.mark.parametrize("third", [False, True])
def test_small_and_absent_probabilities(theta, third):
    draws = fisher_module.ball_draws(Coin(theta, third), 0.0, 1)
    assert fisher_matrices(draws, POINTS, "probabilities") == pytest.approx(1.0, rel=1e-6)


def test_a_probability_of_zero_adds_nothing_and_is_finite():
    draws = fisher_module.ball_draws(Coin(0.0), 0.0, 1)
    assert fisher_matrices(draws, POINTS, "probabilities").tolist() == [[[0.0]]]


class Slope(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

    def forward(self, x):
        return torch.stack([self.p, 1 - self.p]).expand(len(x), -1)


def test_refusals():
    with pytest.raises(ShapeError, match="gradient of 1, expected 0"):
        fisher_matrices(fisher_module.ball_draws(Slope(), 0.0, 1), POINTS, "probabilities")
    router = uniform_draws(qmoe.QuantumRouter(2, 2), 0, 1, 2)
    with pytest.raises(ConfigError, match="did you mean 'logits'"):
        fisher_matrices(router, POINTS, "logit")
    with pytest.raises(ShapeError, match="no probabilities"):
        fisher_matrices(uniform_draws(nn.Linear(2, 2), 0, 1, 2), POINTS, "probabilities")
    with pytest.raises(ShapeError, match="at least 2 classes"):
        fisher_matrices(uniform_draws(nn.Linear(2, 1), 0, 1, 2), POINTS)
    with pytest.raises(ShapeError, match="at least 1"):
        fisher_matrices(router, POINTS[:0])
    with pytest.raises(ShapeError, match="one column per feature"):
        fisher_matrices(router, POINTS[:, :1])
    with pytest.raises(ShapeError, match="not finite"):
        fisher_matrices(router, POINTS * math.nan)
