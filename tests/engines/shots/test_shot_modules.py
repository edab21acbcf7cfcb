"""Routers, layers, experts and the estimator with shots: streams of random numbers that belong to modules."""

import copy
import pickle

import pytest
import torch
from sklearn.datasets import make_moons

import qmoe
from qmoe.circuits import Circuit, NoiseModel, Pauli, ReadoutError
from qmoe.engines import sampled
from qmoe.engines.running import CircuitModule
from qmoe.engines.shots.shot_streams import next_sources
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.training import TrainingConfig, train_stack

NOISY = NoiseModel(0.02, channels=[ReadoutError(0.05, 0.02).before_readout()])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def router_of(seed=0, shots=200, **options):
    return qmoe.QuantumRouter(2, 2, shots=shots, generator=seeded(seed), **options)


def features(n=6, dtype=torch.float32):
    return 3 * torch.rand(n, 2, generator=seeded(5), dtype=dtype)


def moons(n=200):
    x, y = make_moons(n, noise=0.1, random_state=0)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_a_module_estimates_from_its_own_stream():
    module = CircuitModule(Circuit(2, 2), generator=seeded(0), shots=100, shot_seed=7)
    expected = CircuitModule(Circuit(2, 2), generator=seeded(0), shots=100, shot_seed=7)
    engine, _ = module.engine_for(torch.device("cpu"))
    for _ in range(2):
        got = module(features())
        source = next_sources(expected.shot_stream, torch.device("cpu"))
        assert torch.equal(
            got, sampled(engine, module.circuit, features(), module.weights, shots=100, generator=source)
        )
        assert ((100 * got + 100) / 2 - ((100 * got + 100) / 2).round()).abs().max() < 1e-4  # counts of 100


def test_evaluation_is_sampled_too_and_every_call_draws_anew():
    router = router_of().eval()
    with torch.no_grad():
        first, second = router(features()), router(features())
    assert not torch.equal(first, second)
    router.shots = None
    torch.testing.assert_close(first, router(features()), rtol=0, atol=0.3)


def test_first_weights_are_the_same_with_shots_and_without():
    with_shots, exact = router_of(), router_of(shots=None)
    for name, value in exact.state_dict().items():
        assert torch.equal(with_shots.state_dict()[name], value)
    assert with_shots.circuit == exact.circuit


def test_streams_differ_between_models_and_follow_from_the_generator():
    x, circuit = features(), Circuit(2, 1, ansatz="no_entangler")
    seeds = [router_of(seed, circuit=circuit, shots=5).quantum.shot_stream[0].item() for seed in (0, 1, 0)]
    assert seeds[0] == seeds[2] != seeds[1]
    without_weights = [qmoe.QuantumRouter(2, 2, n_layers=0, shots=5, generator=seeded(seed)) for seed in (0, 1, 0)]
    measured = [router.measure(x) for router in without_weights]
    assert torch.equal(measured[0], measured[2])
    assert not torch.equal(measured[0], measured[1])


def test_a_given_seed_decides_and_is_kept_when_weights_are_drawn_again():
    routers = [router_of(shot_seed=seed) for seed in (1, 1, 2)]
    for router in routers:
        router(features())
        router.reset_parameters(seeded(0))
    got = [router(features()) for router in routers]
    assert torch.equal(got[0], got[1])
    assert not torch.equal(got[0], got[2])


def test_streams_begin_anew_on_demand():
    router = router_of()
    router.restart_shots(3)
    first = router(features())
    router.restart_shots(3)
    assert torch.equal(first, router(features()))
    with pytest.raises(UnsupportedError, match="set shots first"):
        router_of(shots=None).restart_shots(3)


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda router: pickle.loads(pickle.dumps(router))])
def test_copies_go_on_alike(copied):
    router = router_of()
    router(features())
    other = copied(router)
    for _ in range(3):
        assert torch.equal(router(features()), other(features()))


def test_a_state_dict_carries_the_stream_and_goes_both_ways_without_one():
    router, other, exact = router_of(), router_of(1), router_of(2, shots=None)
    router(features())
    other.load_state_dict(router.state_dict())
    assert torch.equal(router(features()), other(features()))
    exact.load_state_dict(router.state_dict())
    router.shots = None
    assert torch.equal(exact(features()), router(features()))
    stream = other.quantum.shot_stream.clone()
    other.load_state_dict(exact.state_dict())
    assert torch.equal(other.quantum.shot_stream, stream)


def test_a_router_trained_exactly_runs_with_shots_and_the_other_way_round():
    router = router_of(shots=None)
    exact = router.measure(features())
    router.shots = 10**8
    torch.testing.assert_close(router.measure(features()), exact, rtol=0, atol=1e-3)
    router.shots = None
    assert torch.equal(router.measure(features()), exact)


def test_modules_without_memory_and_of_other_dtypes_keep_their_stream():
    made = router_of(device="meta", shot_seed=4).to_empty(device="cpu")
    made.reset_parameters(seeded(0))
    assert torch.equal(made(features()), router_of(shot_seed=4)(features()))
    double = router_of().double()
    assert torch.equal(double.quantum.shot_stream, router_of().quantum.shot_stream)
    assert double(features(dtype=torch.float64)).dtype == torch.float64


def test_modules_that_inference_mode_used_go_on_outside():
    with torch.inference_mode():
        router = router_of()
        router.shots = 10
        router(features())
    router(features())
    assert router.quantum.shot_stream[1] == 2


# --- parts ------------------------------------------------------------------------------------------------------------


def test_layers_with_parameters_of_their_own_take_shots():
    circuit = Circuit(2, 1, readout=[Pauli("X0"), Pauli("Z0 Z1")])
    parameters = (("first", (3,)), ("second", (1, 3)))
    layer = qmoe.QuantumLayer(circuit, parameters=parameters, shots=100, generator=seeded(0))
    layer(features()).sum().backward()
    assert (layer.first.grad != 0).any()
    out, pull = layer.vjp(features())
    assert out.shape == (6, 2)
    assert pull(torch.ones_like(out)).shape == circuit.weight_shape


def test_experts_take_shots_side_by_side():
    experts = qmoe.QuantumExperts(4, 3, generator=seeded(0), shots=100)
    x = torch.rand(5, 4, generator=seeded(1))
    got = experts(x)
    experts.shots = None
    torch.testing.assert_close(got, experts(x), rtol=0, atol=0.5)
    assert not torch.equal(got, experts(x))


@pytest.mark.parametrize("noise", [None, NOISY], ids=["pure", "noisy"])
def test_models_of_a_stack_train_as_they_do_alone(noise):
    def mixture(seed):
        router = qmoe.QuantumRouter(
            2, 2, n_layers=1, shots=50, noise=noise, generator=seeded(seed), dtype=torch.float64
        )
        experts = qmoe.LinearExperts(2, 2, n_experts=2, generator=seeded(seed), dtype=torch.float64)
        return qmoe.MixtureOfExperts(router, experts)

    x, y = moons(40)
    config = TrainingConfig(epochs=2, batch_size=20)
    together, alone = [mixture(seed) for seed in range(3)], [mixture(seed) for seed in range(3)]
    train_stack(together, x.double().expand(3, -1, -1), y.expand(3, -1), config, range(3))
    for seed, model in enumerate(alone):
        train_stack([model], x.double()[None], y[None], config, [seed])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.router.quantum.weights, other.router.quantum.weights, rtol=0, atol=1e-9)
        assert torch.equal(one.router.quantum.shot_stream, other.router.quantum.shot_stream)
    assert not torch.equal(together[0].router.quantum.weights, mixture(0).router.quantum.weights)
    assert together[0].router.quantum.shot_stream[1] >= 4  # a call for each batch


def test_controls_of_a_router_with_shots_train_with_shots():
    assert qmoe.routers.PermutedRouting(router_of()).compiled_parts() is None
    exact = router_of(shots=None)
    assert qmoe.routers.PermutedRouting(exact).compiled_parts().source.circuit is exact.quantum


def test_a_router_with_shots_trains_on_two_moons_by_plain_torch():
    x, y = moons()
    router = router_of(noise=NOISY, shots=100)
    model = qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, n_experts=2, generator=seeded(1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model(x).argmax(-1) == y).double().mean() > 0.85


def test_the_estimator_trains_with_shots_and_repeats_itself():
    x, y = make_moons(200, noise=0.1, random_state=0)
    options = {"random_state": 0, "epochs": 15, "circuit": {"shots": 200}}
    fits = [qmoe.QMoEClassifier(**options).fit(x, y) for _ in range(2)]
    assert fits[0].score(x, y) > 0.9
    assert fits[0].module_.router.shots == 200
    assert (fits[0].predict_proba(x) == fits[1].predict_proba(x)).all()
    assert (fits[0].predict_proba(x) == fits[0].predict_proba(x)).all()
    exact = qmoe.QMoEClassifier(random_state=0, epochs=15).fit(x, y)
    assert (fits[0].predict_proba(x) != exact.predict_proba(x)).any()
    with pytest.raises(ConfigError, match="shots is 0"):
        qmoe.QMoEClassifier(circuit__shots=0, router="linear").fit(x, y)


# --- what torch does around it ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch looks at it behind every break of a graph
def test_compiled_programs_leave_shots_out_of_their_graph():
    router, again = router_of(), router_of()
    assert torch.equal(torch.compile(router, backend="eager")(features()), again(features()))


@pytest.mark.parametrize("strict", [False, True])
def test_exports_and_transforms_are_refused_with_the_remedy(strict):
    router = router_of()
    with pytest.raises(Exception, match=r"router\.shots = None") as caught:
        torch.export.export(router, (features(),), strict=strict)
    assert strict or isinstance(caught.value, UnsupportedError)
    with pytest.raises(UnsupportedError, match="no transform of torch"):
        torch.func.vmap(router)(features()[None])
    assert router.quantum.shot_stream[1] == 0  # nothing was drawn
    router.shots = None
    torch.export.export(router, (features(),), strict=strict)


def test_autocast_leaves_the_digits():
    router, again = router_of(), router_of()
    with torch.autocast("cpu"):
        got = router.quantum(features())
    assert torch.equal(got, again.quantum(features()))


def test_misuse_is_refused():
    with pytest.raises(ConfigError, match=r"shots is 1\.5"):
        router_of(shots=1.5)
    with pytest.raises(ConfigError, match="shot_seed is -1"):
        router_of(shot_seed=-1)
    with pytest.raises(ConfigError, match="shot_gradient"):
        router_of(shot_gradient="adjoint")
    router = router_of()
    with pytest.raises(ConfigError, match="shots is True"):
        router.shots = True


def test_the_number_of_shots_is_shown():
    assert "200 shots" in repr(router_of())
    assert "shots" not in repr(router_of(shots=None))
