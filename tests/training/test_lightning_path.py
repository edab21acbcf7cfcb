"""The paper's own path, lightning.qubit with adjoint differentiation, against the torch engine."""

import numpy as np
import torch

import qmoe
from qmoe.data import Moons, fit_scaling
from qmoe.seeding import torch_generator
from qmoe.training import TrainingConfig, train_stack


def losses(engine, batches):
    """Losses of the first steps of phase 2 in float64, one epoch a step."""
    generator = torch_generator(0)
    router = qmoe.QuantumRouter(2, 2, engine=engine, generator=generator, dtype=torch.float64)
    experts = qmoe.LinearExperts(2, 2, n_experts=2, generator=generator, dtype=torch.float64)
    model = qmoe.MixtureOfExperts(router, experts)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    found = []
    for x, y in batches:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def phase2_batches(steps):
    points = Moons(n_samples=500, noise=0.1).sample(42)
    x = torch.from_numpy(fit_scaling("minmax_pi", points.x)(points.x))
    y = torch.from_numpy(points.y)
    order = torch.randperm(len(x), generator=torch_generator(1))
    return [(x[part], y[part]) for part in (order.repeat(2)[32 * i : 32 * i + 32] for i in range(steps))]


def test_lightning_adjoint_gives_the_losses_of_the_torch_engine_over_twenty_steps_of_phase_2():
    batches = phase2_batches(20)
    ours = losses("torch", batches)
    theirs = losses("pennylane:lightning.qubit", batches)
    np.testing.assert_allclose(theirs, ours, atol=1e-8, rtol=0)
    assert ours[-1] < ours[0]


def test_a_stack_trains_on_lightning_model_by_model():
    points = Moons(n_samples=24, noise=0.1).sample(3)
    x = torch.from_numpy(fit_scaling("minmax_pi", points.x)(points.x)).expand(2, -1, -1)
    y = torch.from_numpy(points.y).expand(2, -1)
    results = []
    for engine in ("torch", "pennylane:lightning.qubit"):
        models = []
        for seed in (0, 1):
            generator = torch_generator(seed)
            router = qmoe.QuantumRouter(2, 2, engine=engine, generator=generator, dtype=torch.float64)
            experts = qmoe.LinearExperts(2, 2, n_experts=2, generator=generator, dtype=torch.float64)
            models.append(qmoe.MixtureOfExperts(router, experts))
        results.append(train_stack(models, x, y, TrainingConfig(epochs=2, batch_size=16), [5, 6]))
    np.testing.assert_allclose(results[0].loss, results[1].loss, atol=1e-8, rtol=0)
