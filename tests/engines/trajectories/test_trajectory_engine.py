"""What can be counted on: the same numbers for the same seed, exact results where nothing is drawn, refusals."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch

import qmoe
from helpers import generator
from qmoe.circuits import AmplitudeDamping, BitFlip, Circuit, Gate, NoiseModel, ReadoutError, Weight
from qmoe.engines import ReferenceEngine, TorchEngine, TrajectoryEngine, get_engine
from qmoe.engines.trajectories import trajectory_runs
from qmoe.errors import ConfigError, PerformanceWarning, UnsupportedError
from qmoe.testing.random_circuits import random_inputs

_CIRCUITS = (
    Circuit(5, 2, noise=NoiseModel(0.05, "gate")),
    Circuit(5, 2, noise=NoiseModel(0.05, channels=[AmplitudeDamping(0.05).after("layer")]), readout="born"),
)


@pytest.mark.parametrize("circuit", _CIRCUITS)
def test_a_seed_decides_all_numbers(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 0, batch=(3,))
    first = TrajectoryEngine(50, 7).evaluate(circuit, x, weights)
    torch.rand(3)  # the global state has no part in it
    assert torch.equal(TrajectoryEngine(50, 7).evaluate(circuit, x, weights), first)
    assert torch.equal(TrajectoryEngine(50, np.random.SeedSequence(7)).evaluate(circuit, x, weights), first)
    assert not torch.equal(TrajectoryEngine(50, 8).evaluate(circuit, x, weights), first)
    other = np.random.SeedSequence(7).spawn(1)[0]
    assert not torch.equal(TrajectoryEngine(50, other).evaluate(circuit, x, weights), first)


@pytest.mark.parametrize("circuit", _CIRCUITS)
def test_numbers_do_not_depend_on_what_stands_beside_them(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 1, stack=(3,), batch=(4,), dtype=torch.float64)
    strength = torch.tensor([0.1, 0.02, 0.1], dtype=torch.float64)
    engine = TrajectoryEngine(50)
    together = engine.evaluate(circuit, x, weights, strength)
    for model in range(3):
        alone = engine.evaluate(circuit, x[model], weights[model], strength[model])
        torch.testing.assert_close(together[model], alone, rtol=0, atol=1e-12)
        one = engine.evaluate(circuit, x[model, 2], weights[model], strength[model])
        torch.testing.assert_close(together[model, 2], one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("circuit", _CIRCUITS)
def test_estimate_gives_the_means_of_evaluate(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 2, stack=(2,), batch=(2, 2))
    found = TrajectoryEngine(50).estimate(circuit, x, weights, x.new_tensor([0.1, 0.2]))
    expected = TrajectoryEngine(50).evaluate(circuit, x, weights, x.new_tensor([0.1, 0.2]))
    assert torch.equal(found.mean, expected)
    assert found.standard_error.shape == (2, 2, 2, circuit.n_outputs)
    assert (found.standard_error > 0).all()


@pytest.mark.parametrize("circuit", _CIRCUITS)
def test_portions_give_the_same_numbers_and_gradients(circuit: Circuit, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weights = (t.requires_grad_() for t in random_inputs(circuit, 3, batch=(4,), dtype=torch.float64))

    def run() -> list[torch.Tensor]:
        found = TrajectoryEngine(60).estimate(circuit, x, weights)
        return [*found, *torch.autograd.grad(found.mean.square().sum(), (x, weights))]

    whole = run()
    monkeypatch.setattr(trajectory_runs, "PORTION_BYTES", 1 << 16)
    for found, expected in zip(run(), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_means() -> None:
    for circuit in _CIRCUITS:
        x, weights = (t.requires_grad_() for t in random_inputs(circuit, 4, dtype=torch.float64))
        engine = TrajectoryEngine(20)
        assert torch.autograd.gradcheck(functools.partial(engine.evaluate, circuit), (x, weights))


@pytest.mark.parametrize(
    "noise",
    [
        NoiseModel(channels=[BitFlip(0.1).before_readout(), ReadoutError(0.02, 0.05).before_readout()]),
        NoiseModel(channels=[AmplitudeDamping(0.1).before_readout()]),
        NoiseModel(0.0, "gate"),
    ],
)
@pytest.mark.parametrize("readout", ["expval", "born"])
def test_errors_that_are_measured_right_away_are_exact(noise: NoiseModel, readout: str) -> None:
    circuit = Circuit(5, 2, noise=noise, readout=readout)
    x, weights = random_inputs(circuit, 5, batch=(2,), dtype=torch.float64)
    found = TrajectoryEngine(2).estimate(circuit, x, weights)
    assert not found.standard_error.any()
    torch.testing.assert_close(found.mean, TorchEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-12)


def test_noise_that_makes_few_circuits_is_exact() -> None:
    # Errors after the last layer are measured; those of the encoding make 4**4 circuits.
    circuit = Circuit(4, 2, noise=0.3)
    x, weights = random_inputs(circuit, 6, batch=(2,), dtype=torch.float64)
    exact = ReferenceEngine().evaluate(circuit, x, weights)
    found = TrajectoryEngine(256).estimate(circuit, x, weights)
    assert not found.standard_error.any()
    torch.testing.assert_close(found.mean, exact, rtol=0, atol=1e-12)
    assert TrajectoryEngine(255).estimate(circuit, x, weights).standard_error.all()


def test_gradient_of_a_strength_at_which_nothing_is_drawn_is_refused() -> None:
    circuit = Circuit(6, 2, noise=NoiseModel(0.1, "gate"))
    x, weights = random_inputs(circuit, 7)
    strength = x.new_zeros(()).requires_grad_()
    with pytest.raises(UnsupportedError, match="at a strength between 0 and 1"):
        TrajectoryEngine(10).evaluate(circuit, x, weights, strength)
    assert TrajectoryEngine(10).evaluate(circuit, x, weights, strength.detach()).shape == (*x.shape[:-1], 6)


def test_engines_by_name() -> None:
    assert get_engine("trajectories") == TrajectoryEngine(256)
    assert get_engine("trajectories:1000") == TrajectoryEngine(1000)
    assert get_engine("trajectories:1000") != TrajectoryEngine(1000, seed=1)
    assert repr(TrajectoryEngine(10, seed=3)) == "TrajectoryEngine(10, seed=3)"
    assert pickle.loads(pickle.dumps(TrajectoryEngine(10, 3))) == copy.deepcopy(TrajectoryEngine(10, 3))
    with pytest.raises(ConfigError, match="'trajectories:1000'"):
        get_engine("trajectories:many")
    with pytest.raises(ConfigError, match="at least 2"):
        get_engine("trajectories:1")
    with pytest.raises(ConfigError, match="A seed is None"):
        TrajectoryEngine(10, None)  # type: ignore[arg-type]


def test_noise_beyond_density_matrices_is_refused_with_this_remedy_and_runs_by_it() -> None:
    circuit = Circuit(20, 1, noise=0.01)
    x, weights = torch.zeros(1, 20), torch.ones(circuit.weight_shape)
    with pytest.raises(UnsupportedError, match="engine='trajectories'"):
        TorchEngine().evaluate(circuit, x, weights)
    with pytest.warns(PerformanceWarning, match="engine='trajectories'"):
        qmoe.QuantumRouter(12, 2, n_qubits=12, noise=0.01)
    found = TrajectoryEngine(3).evaluate(Circuit(14, 1, noise=0.01), x[:, :14], weights[:, :14])
    assert found.shape == (1, 14)


def test_noise_beyond_density_matrices_equals_words_that_are_followed_exactly() -> None:
    gates = [Gate("Rot", (w,), tuple(Weight(3 * w + i) for i in range(3))) for w in range(12)]
    gates += [Gate("CNOT", (w, w + 1)) for w in range(0, 11, 2)]
    for noise in (NoiseModel(0.03, "gate"), NoiseModel(channels=[AmplitudeDamping(0.05).after("layer")])):
        circuit = Circuit(12, 2, ansatz=gates, noise=noise)
        engine = TrajectoryEngine(200)
        router = qmoe.QuantumRouter(12, 12, circuit=circuit, engine=engine, dtype=torch.float64, generator=generator(0))
        with torch.no_grad():  # logits are read-outs
            router.adapter.weight.copy_(torch.eye(12))
            router.adapter.bias.zero_()
            x = 6 * torch.rand(2, 12, generator=generator(1), dtype=torch.float64)
            found = engine.estimate(circuit, x, router.quantum.weights)
            off = (qmoe.distill(router).logits(x) - found.mean).abs() / found.standard_error
        assert 0.2 < float(off.median()) < 1.2
        assert float(off.max()) < 5


def test_a_noisy_router_of_ten_qubits_trains() -> None:
    router = qmoe.QuantumRouter(10, 2, n_qubits=10, noise=0.02, engine="trajectories:30", generator=generator(0))
    x = 3 * torch.rand(48, 10, generator=generator(1))
    labels = (x[:, 0] > 1.5).long()
    optimizer = torch.optim.Adam(router.parameters(), lr=0.1)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = torch.nn.functional.nll_loss(router(x).log(), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert float((router(x).argmax(-1) == labels).double().mean()) > 0.8
