"""Trained models under noise and few shots, by protocol, and where they break down."""

import copy

import numpy as np
import pytest
import torch

import qmoe
from qmoe.analysis import NoiseSurface, breakdowns, noise_surface, noisy_accuracy, noisy_copy
from qmoe.analysis.robustness import noisy_answers, recalibration_obstacle
from qmoe.analysis.robustness.noisy_models import Noisy
from qmoe.analysis.robustness.recalibration import _loss, recalibrate
from qmoe.circuits import NoiseModel
from qmoe.data import fit_scaling, make_dataset
from qmoe.engines.mitigation import Measuring
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.training import TrainingConfig, train_stack


def mixture(seed, noise=0.0, **options):
    generator = torch.Generator().manual_seed(seed)
    router = qmoe.QuantumRouter(2, 2, noise=noise, generator=generator, **options)
    return qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, n_experts=2, generator=generator))


@pytest.fixture(scope="module")
def trained():
    """Three models that were trained without noise, with held-out and training rows."""
    sample = make_dataset("moons", n_samples=400).split(0, 0.5, 1)
    scaling = fit_scaling("minmax_pi", sample.x_train)
    x, x_test = (torch.from_numpy(scaling(part)).float().expand(3, -1, -1) for part in (sample.x_train, sample.x_test))
    y, y_test = (torch.from_numpy(part).expand(3, -1) for part in (sample.y_train, sample.y_test))
    models = [mixture(seed) for seed in range(3)]
    train_stack(models, x, y, TrainingConfig(epochs=25, batch_size=32, lr=0.05), order_seeds=range(3))
    return models, (x_test, y_test), (x, y)


def test_without_noise_and_shots_the_accuracy_is_the_models_own(trained):
    models, (x, y), _ = trained
    with torch.no_grad():
        own = [
            float((model(rows).argmax(-1) == labels).double().mean())
            for model, rows, labels in zip(models, x, y, strict=True)
        ]
    for protocol in ("evaluated", "mitigated"):
        assert noisy_accuracy(models, x, y, 0.0, protocol).tolist() == own


def test_used_at_a_strength_is_a_model_whose_circuit_has_that_noise(trained):
    models, (x, y), _ = trained
    found = noisy_accuracy(models, x, y, 0.2)
    with torch.no_grad():
        own = [
            float((noisy_copy(m, 0.2)(r).argmax(-1) == t).double().mean()) for m, r, t in zip(models, x, y, strict=True)
        ]
    assert found.tolist() == own
    assert found.mean() < noisy_accuracy(models, x, y, 0.0).mean() - 0.02


def test_the_models_are_left_as_they_were(trained):
    models, (x, y), calibration = trained
    before = copy.deepcopy([model.state_dict() for model in models])
    engines = [model.router.quantum.engine_for(x.device)[0].name for model in models]
    generator = torch.Generator().manual_seed(0)
    noisy_accuracy(models, x, y, 0.1, "recalibrated", shots=50, calibration=calibration, generator=generator)
    assert all(torch.equal(a[k], b.state_dict()[k]) for a, b in zip(before, models, strict=True) for k in a)
    assert [model.router.quantum.engine_for(x.device)[0].name for model in models] == engines
    assert {float(model.router.quantum.noise_strength) for model in models} == {0.0}


def test_recalibration_comes_to_a_minimum_over_the_adapter_alone(trained):
    models, _, (x, y) = trained
    noisy = Noisy(models, 0.1, Measuring())
    ((before, _),) = noisy.parts()
    kept = {name: value.clone() for name, value in before.named_parameters()}
    first = torch.nn.functional.cross_entropy(noisy(x).flatten(0, 1), y.flatten())
    recalibrate(noisy, x, y)
    ((after, _),) = noisy.parts()
    changed = {name for name, value in after.named_parameters() if not torch.equal(kept[name], value)}
    assert changed == {"router.adapter.weight", "router.adapter.bias"}
    loss = torch.nn.functional.cross_entropy(noisy(x).flatten(0, 1), y.flatten())
    assert float(loss) < float(first)


def test_the_gradient_of_recalibration_is_that_of_autograd():
    generator = np.random.default_rng(0)
    z, values, y = generator.normal(size=(3, 20)), generator.normal(size=(2, 4, 20)), generator.integers(0, 4, 20)
    numbers, gradient = generator.normal(size=6), np.zeros(6)
    found = _loss(z, values, y, numbers, gradient)
    leaf = torch.from_numpy(numbers).requires_grad_()
    weights = (leaf.reshape(2, 3) @ torch.from_numpy(z)).softmax(0)
    logits = (weights[:, None] * torch.from_numpy(values)).sum(0).T
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
    loss.backward()
    assert found == pytest.approx(loss.item())
    assert gradient == pytest.approx(leaf.grad.numpy())


def test_the_adapter_undoes_noise_that_only_rescales_and_extrapolation_most_of_it(trained):
    models, (x, y), calibration = trained
    clean = noisy_accuracy(models, x, y, 0.0)
    used, mitigated = (noisy_accuracy(models, x, y, 0.1, protocol) for protocol in ("evaluated", "mitigated"))
    fitted = noisy_accuracy(models, x, y, 0.1, "recalibrated", calibration=calibration)
    assert clean.mean() - used.mean() > 0.02
    assert clean.mean() - mitigated.mean() < 0.01
    assert clean.mean() - fitted.mean() < 0.01


def test_fewer_shots_cost_accuracy_and_the_same_seed_gives_the_same(trained):
    models, (x, y), _ = trained
    runs = [noise_surface(models, x, y, [0.0, 0.1], [4, 4096], seed=3) for _ in range(2)]
    assert np.array_equal(runs[0].accuracy, runs[1].accuracy)
    assert runs[0].shots == (4, 4096, None)
    assert runs[0].mean[0, 0] < runs[0].mean[0, 1] - 0.02
    assert runs[0].mean[0, 1] == pytest.approx(runs[0].mean[0, 2], abs=0.01)


def test_a_surface_by_rows_has_a_row_for_each(trained):
    models, (x, y), _ = trained
    rows = noise_surface(models, x, y, [0.0, 0.1], by_rows=True)
    assert rows.accuracy.shape == (x.shape[1], 2, 1)
    assert rows.mean == pytest.approx(noise_surface(models, x, y, [0.0, 0.1]).mean)


def test_noise_can_be_given_to_a_model_that_was_trained_without_a_noise_model():
    model = mixture(0, noise=None)
    x, y = torch.rand(1, 10, 2), torch.zeros(1, 10, dtype=torch.int64)
    with pytest.raises(ConfigError, match="no noise to give a strength"):
        noisy_accuracy([model], x, y, 0.1)
    noisy = noisy_copy(model, NoiseModel(0.0, "gate"))
    assert model.router.circuit.noise is None
    assert noisy.router.circuit.noise.placement == "gate"
    with torch.no_grad():
        assert torch.allclose(noisy(x[0]), model(x[0]), atol=1e-6)
    assert noisy_answers([noisy], x, y, 0.75).shape == (1, 10)
    back = noisy_copy(noisy, 0.0)
    back.router.quantum.set_noise(None)
    assert back.router.quantum.noise_strength is None
    assert torch.equal(back(x[0]), model(x[0]))


def test_shots_of_the_model_itself_do_not_come_on_top():
    generator = torch.Generator().manual_seed(0)
    x, y = 3 * torch.rand(1, 200, 2, generator=generator), torch.zeros(1, 200, dtype=torch.int64)
    few, exact = mixture(0, shots=2), mixture(0)
    assert np.array_equal(noisy_answers([few], x, y, 0.1), noisy_answers([exact], x, y, 0.1))
    assert few.router.shots == 2


def test_what_a_protocol_lacks_is_named(trained):
    models, (x, y), _ = trained
    with pytest.raises(ConfigError, match="did you mean 'evaluated'"):
        noisy_accuracy(models, x, y, 0.1, "evaluted")
    with pytest.raises(ConfigError, match="without a generator"):
        noisy_accuracy(models, x, y, 0.1, shots=10)
    with pytest.raises(ConfigError, match="pass calibration"):
        noisy_accuracy(models, x, y, 0.1, "recalibrated")
    with pytest.raises(ShapeError, match=r"expected \(M, N, F\)"):
        noisy_accuracy(models, x[0], y[0], 0.1)
    born = mixture(0, readout="born")
    with pytest.raises(UnsupportedError, match="no adapter to recalibrate"):
        noisy_accuracy([born], x[:1], y[:1], 0.1, "recalibrated", calibration=(x[:1], y[:1]))
    shared = qmoe.MixtureOfExperts(
        qmoe.QuantumRouter(2, 2), qmoe.LinearExperts(2, 2, n_experts=2), shared=torch.nn.Linear(2, 2)
    )
    assert "shared experts" in recalibration_obstacle(shared)
    choosing = qmoe.MixtureOfExperts(qmoe.QuantumRouter(2, 2), qmoe.LinearExperts(2, 2, n_experts=2), expert_choice=1.0)
    assert "does not mix all experts" in recalibration_obstacle(choosing)
    assert "needs a QuantumRouter" in recalibration_obstacle(
        qmoe.MixtureOfExperts(qmoe.LinearRouter(2, 2), qmoe.LinearExperts(2, 2, n_experts=2))
    )
    with pytest.raises(ConfigError, match="has no circuit"):
        noisy_copy(torch.nn.Linear(2, 2), 0.1)


def surface(rows):
    """Ten draws of curves over four strengths, exact and with shots."""
    accuracy = np.stack([np.array(rows)] * 10).astype(float)
    return NoiseSurface("evaluated", (0.0, 0.1, 0.2, 0.3), (100, None), accuracy)


def test_the_three_criteria_of_breakdown_are_told_from_exact_and_noise_free():
    found = breakdowns(surface([[0.85, 0.9], [0.8, 0.9], [0.7, 0.86], [0.6, 0.6]]), 0.5, linear=np.full(10, 0.75))
    at = {key: point.strength.at for key, point in found.items()}
    assert at["margin", None] == pytest.approx(0.15)
    assert at["margin", 100] == 0.0
    assert found["margin", 100].words == "already at p = 0"
    assert at["advantage", 100] == pytest.approx(0.15)
    assert at["half", 100] == pytest.approx(0.2)
    assert at["half", None] == pytest.approx(0.2 + 0.1 * 16 / 26)
    assert found["half", None].words == "p = 0.262 [0.262, 0.262]"


def test_what_is_not_reached_in_the_grid_is_said():
    found = breakdowns(surface([[0.9, 0.9]] * 4), 0.5)
    assert found["half", None].words == "not reached up to p = 0.3"
    assert ("advantage", None) not in found


def test_a_surface_without_exact_values_or_with_another_number_of_rivals_is_refused():
    with pytest.raises(ConfigError, match="no exact expectation values"):
        breakdowns(NoiseSurface("evaluated", (0.0,), (10,), np.zeros((2, 1, 1))), 0.5)
    with pytest.raises(ShapeError, match=r"expected \(10,\)"):
        breakdowns(surface([[0.9, 0.9]] * 4), 0.5, np.zeros(3))
    with pytest.raises(ShapeError, match=r"expected \(M, 1, 1\)"):
        NoiseSurface("evaluated", (0.0,), (None,), np.zeros((2, 2, 1)))
