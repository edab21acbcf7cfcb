"""A module comes back from its file as it was, bit for bit, in another process too."""

import json
import types
from collections.abc import Callable
from pathlib import Path

import pennylane as qml
import pytest
import safetensors.torch
import torch
from torch import nn

import qmoe
from helpers import generator, run_python
from qmoe.circuits import AmplitudeDamping, AngleEncoding, Computed, Depolarizing, Feature, Pauli, ReadoutError
from qmoe.engines import TrajectoryEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.layers import Linear, Stackable
from qmoe.moe import Capacity, LossCoefficients
from qmoe.routers import (
    ChebyshevRouter,
    ConstantRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    Sampling,
    SingleExpertRouter,
    StochasticRouter,
    TrigonometricRouter,
    TwinRouter,
)
from qmoe.saving.known import KNOWN


def quantum(in_features: int = 2, n_experts: int = 2, **options) -> qmoe.QuantumRouter:
    options = {"generator": generator(), **options}
    return qmoe.QuantumRouter(in_features, n_experts, **options)


def own_circuit(**options) -> qmoe.Circuit:
    x, w = Feature(0), qmoe.Weight(0)
    gates = [qmoe.Gate("RX", (0,), (2 * w * x + 0.5,)), qmoe.Gate("CNOT", (0, 1)), qmoe.Gate("RY", (1,), (Feature(1),))]
    return qmoe.Circuit.from_operations(gates, readout=[Pauli("Z0 Z1"), Pauli("X1")], **options)


def noisy() -> qmoe.NoiseModel:
    placed = [Depolarizing(0.02, 2).after("two_qubit_gate", gates=("CNOT",)), ReadoutError(0.01, 0.03).before_readout()]
    return qmoe.NoiseModel(0.05, "gate", "layers", "X", channels=placed)


def mixture(router=None, **options) -> qmoe.MixtureOfExperts:
    experts = qmoe.LinearExperts(2, 3, n_experts=2, generator=generator(1))
    return qmoe.MixtureOfExperts(router or quantum(), experts, **options)


def with_old_shots() -> qmoe.QuantumRouter:
    """Exact read-outs, from a router that drew shots before: its stream is not at its beginning."""
    router = quantum(shots=10, shot_seed=3)
    router(torch.zeros(4, 2))
    router.shots = None
    return router


def standardised() -> TwinRouter:
    return qmoe.twin(quantum(), generator=generator(2)).standardise(torch.rand(50, 2, generator=generator(3)))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "quantum": quantum,
    "projected, float64, one noise, torch engine": lambda: quantum(
        5, 3, n_qubits=3, dtype=torch.float64, noise=0.1, engine="torch"
    ),
    "frozen": lambda: quantum(frozen=True),
    "born": lambda: quantum(n_experts=3, readout="born"),
    "amplitudes": lambda: quantum(4, encoding="amplitude"),
    "axis and uploads": lambda: quantum(encoding=AngleEncoding("Y", 2), ansatz="basic_entangler"),
    "layer of gates": lambda: quantum(ansatz=[qmoe.Gate("RY", (0,), (qmoe.Weight(0),)), qmoe.Gate("CZ", (0, 1))]),
    "own circuit": lambda: quantum(circuit=own_circuit()),
    "own circuit behind a map": lambda: quantum(3, circuit=own_circuit()),
    "noise of all kinds": lambda: quantum(noise=noisy()),
    "shots": lambda: quantum(shots=40),
    "shots with a seed": lambda: quantum(shots=40, shot_seed=7, shot_gradient="exact"),
    "shots before": with_old_shots,
    "twin": standardised,
    "twin behind a map": lambda: qmoe.twin(quantum(3, n_qubits=2)),
    "twin of amplitudes": lambda: qmoe.twin(quantum(4, encoding="amplitude")),
    "twin, restricted": lambda: TwinRouter(qmoe.Circuit(4, 3), 2, max_weight=2, without=[(1, 1, 0, 0), "cos x3"]),
    "twin, sampled": lambda: TwinRouter(qmoe.Circuit(4, 3), 2, sampling=Sampling(8, "grid", 0.5)),
    "distilled": lambda: qmoe.distill(quantum(noise=0.1), x=torch.rand(5, 2)),
    "distilled amplitudes": lambda: qmoe.distill(quantum(4, encoding="amplitude")),
    "distilled, eight qubits": lambda: qmoe.distill(quantum(8, n_layers=1)),
    "distilled, truncated": lambda: qmoe.distill(quantum(4), max_weight=2),
    "distilled, own circuit": lambda: qmoe.distill(quantum(circuit=own_circuit())),
    "linear": lambda: qmoe.LinearRouter(2, 3),
    "mlp": lambda: qmoe.MLPRouter(2, 3, hidden=5, activation="silu"),
    "chebyshev": lambda: ChebyshevRouter(2, 3, degree=3, low=-1.0, high=2.5),
    "quadratic": lambda: QuadraticRouter(2, 3),
    "trigonometric": lambda: TrigonometricRouter(2, 3, max_frequency=3),
    "random_fourier": lambda: RandomFourierRouter(2, 3, n_functions=5, length_scale=0.5),
    "stochastic": lambda: StochasticRouter(2, 3, n_layers=2),
    "uniform": lambda: qmoe.UniformRouter(2, 3),
    "constant": lambda: ConstantRouter(2, 3),
    "random": lambda: RandomRouter(2, 3),
    "single": lambda: SingleExpertRouter(2, 3, expert=2),
    "mean routing": lambda: MeanRouting(quantum()),
    "permuted routing": lambda: PermutedRouting(standardised()),
    "layer": lambda: qmoe.QuantumLayer(own_circuit(), init={"weights": torch.ones(1)}),
    "layer, named parameters": lambda: qmoe.QuantumLayer(
        qmoe.Circuit(2, 2), "normal", parameters=(("scale", (2, 3)), ("angle", (6,)))
    ),
    "layer, bare": lambda: qmoe.QuantumLayer(qmoe.Circuit(2, 1, readout=[Pauli("Z0")]), is_bare=True),
    "layer, drawn by a function": lambda: qmoe.QuantumLayer(qmoe.Circuit(2, 1), nn.init.ones_),
    "linear experts": lambda: qmoe.LinearExperts(2, 3, n_experts=4),
    "mlp experts": lambda: qmoe.MLPExperts(2, 3, n_experts=4, hidden=5, activation="tanh"),
    "quantum experts": lambda: qmoe.QuantumExperts(4, 3, noise=0.1),
    "quantum experts with shots": lambda: qmoe.QuantumExperts(2, 3, encoding="angle", shots=30),
    "layer of numbers": lambda: Linear(2, 3, copies=4, trainable=False),
    "mixture": lambda: mixture(top_k=2, norm_topk_prob=False),
    "mixture, head of torch": lambda: mixture(standardised(), head=nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2))),
    "mixture, sparse": lambda: mixture(top_k=1, dispatch="sparse", shared=nn.Linear(2, 3)),
    "mixture, all options": lambda: mixture(
        top_k=1,
        noise=True,
        capacity=Capacity(1.5, "weight"),
        bias=0.01,
        losses=LossCoefficients(balance=0.1, load=0.01),
    ),
    "mixture, expert choice": lambda: mixture(expert_choice=1.0, losses=LossCoefficients(z=0.1)),
    "mixture, distilled": lambda: mixture(qmoe.distill(quantum(2))),
    "quantum everywhere": lambda: qmoe.MixtureOfExperts(quantum(4), qmoe.QuantumExperts(4, 2), head=Linear(2, 2)),
    "sequence": lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh(), qmoe.QuantumLayer(qmoe.Circuit(2, 3)), nn.GELU()),
    "sequence with statistics": lambda: nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.25), quantum()).eval(),
}
made = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())


def rows_for(module: nn.Module, n: int = 5) -> torch.Tensor:
    first = next((part for part in module.modules() if hasattr(part, "in_features") or hasattr(part, "circuit")), None)
    router = module.router if isinstance(module, qmoe.MixtureOfExperts) else first
    n_features = (
        2 if isinstance(module, nn.Sequential) else getattr(router, "in_features", None) or router.circuit.in_features
    )
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    rows = torch.rand(n, n_features, generator=generator(9), dtype=dtype)
    return rows.expand(4, n, n_features) if isinstance(module, Linear) else rows


@made
def test_a_loaded_module_is_the_same_bit_for_bit(make, tmp_path: Path) -> None:
    module, path = make(), tmp_path / "module.safetensors"
    state = torch.get_rng_state()
    qmoe.save(module, path)
    loaded = qmoe.load(path)
    assert torch.equal(torch.get_rng_state(), state), "random numbers were drawn"
    assert type(loaded) is type(module)
    assert repr(loaded) == repr(module)
    for kind in ("named_parameters", "named_buffers"):
        ours, theirs = dict(getattr(module, kind)()), dict(getattr(loaded, kind)())
        assert list(ours) == list(theirs)
        for name, value in ours.items():
            assert (theirs[name].dtype, theirs[name].requires_grad) == (value.dtype, value.requires_grad)
            assert torch.equal(theirs[name], value), name
    assert [m.training for m in loaded.modules()] == [m.training for m in module.modules()]
    x = rows_for(module)
    outputs = [one(x) for one in (module, loaded)]
    assert torch.equal(outputs[1], outputs[0])
    assert [one(x).shape for one in (module, loaded)] == [outputs[0].shape] * 2
    if any(p.requires_grad for p in module.parameters()) and outputs[0].requires_grad:
        for out in outputs:
            (out * torch.linspace(1, 2, out.numel()).reshape(out.shape)).sum().backward()
        for ours, theirs in zip(module.parameters(), loaded.parameters(), strict=True):
            assert (ours.grad is None) == (theirs.grad is None)
            assert ours.grad is None or torch.equal(ours.grad, theirs.grad)


@made
def test_the_same_module_gives_the_same_bytes(make, tmp_path: Path) -> None:
    module = make()
    for name in ("first", "second"):
        qmoe.save(module, tmp_path / name)
    qmoe.save(qmoe.load(tmp_path / "first"), tmp_path / "third")
    first = (tmp_path / "first").read_bytes()
    assert (tmp_path / "second").read_bytes() == first
    assert (tmp_path / "third").read_bytes() == first


def test_every_module_of_qmoe_is_known_or_named_here() -> None:
    for name in qmoe.__all__:
        getattr(qmoe, name)
    kinds, found = [Stackable], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("qmoe.") and not kind.__module__.startswith("qmoe.testing"):
            found.add(kind.__name__.split("[")[0])
    bases = {"Stackable", "CompilablePart", "Router", "SoftmaxRouter", "FeatureRouter", "Rerouting", "Experts"}
    inside = {"ShotModule", "CircuitModule", "Gating"}  # parts of what is known
    assert found - set(KNOWN) <= bases | inside
    assert {name for name in KNOWN if not name.startswith("torch.")} <= found


def test_another_process_loads_it_and_computes_the_same(tmp_path: Path) -> None:
    path, rows = tmp_path / "moe.safetensors", torch.rand(6, 2, generator=generator(4))
    moe = mixture(quantum(noise=0.1), head=nn.Linear(3, 2))
    qmoe.save(moe, path)
    code = (
        "import sys, qmoe, torch; moe = qmoe.load(sys.argv[1]);"
        "print(moe(torch.rand(6, 2, generator=torch.Generator().manual_seed(4))).tolist())"
    )
    assert json.loads(run_python(code, str(path))) == moe(rows).tolist()


def test_weights_stand_in_the_file_under_their_own_names(tmp_path: Path) -> None:
    moe = mixture()
    qmoe.save(moe, tmp_path / "moe.safetensors")
    held = safetensors.torch.load_file(tmp_path / "moe.safetensors")
    assert held.keys() == moe.state_dict().keys()
    other = mixture(quantum(generator=generator(8)))
    other.load_state_dict(held)
    x = rows_for(moe)
    assert torch.equal(other(x), moe(x))


def test_noise_of_another_strength_than_the_circuit_says_is_kept(tmp_path: Path) -> None:
    router = quantum(noise=0.1)
    router.quantum.noise_strength.fill_(0.25)
    qmoe.save(router, tmp_path / "router.safetensors")
    loaded = qmoe.load(tmp_path / "router.safetensors")
    assert float(loaded.quantum.noise_strength) == 0.25
    assert torch.equal(loaded(torch.ones(3, 2)), router(torch.ones(3, 2)))
    assert loaded.state_dict().keys() == router.state_dict().keys()


@pytest.mark.parametrize("noise", [None, qmoe.NoiseModel(channels=[AmplitudeDamping(0.1).after("gate")])], ids=str)
def test_a_twin_keeps_what_was_proven_of_it(noise, tmp_path: Path) -> None:
    router = quantum(3, noise=noise)
    twin = qmoe.twin(router, max_weight=1, x=torch.rand(9, 3, generator=generator(1)))
    qmoe.save(twin, tmp_path / "twin.safetensors")
    loaded = qmoe.load(tmp_path / "twin.safetensors")
    assert (loaded.certificate is None) == (noise is not None)
    for name in ("certificate", "why_no_certificate", "rms", "without", "max_weight"):
        assert getattr(loaded, name) == getattr(twin, name)


def test_shots_go_on_where_they_were(tmp_path: Path) -> None:
    router, x = quantum(shots=20), torch.ones(4, 2)
    router(x)
    qmoe.save(router, tmp_path / "router.safetensors")
    loaded = qmoe.load(tmp_path / "router.safetensors")
    assert loaded.shots == 20
    for _ in range(2):
        assert torch.equal(loaded(x), router(x))


def test_a_loaded_module_does_not_hang_on_its_file(tmp_path: Path) -> None:
    path = tmp_path / "router.safetensors"
    router = quantum()
    qmoe.save(router, path)
    loaded = qmoe.load(path)
    with path.open("r+b") as file:
        file.truncate(8)
    x = torch.ones(3, 2)
    assert torch.equal(loaded(x), router(x))


def test_a_mixture_goes_on_with_its_bias_its_counters_and_its_noise(tmp_path: Path) -> None:
    moe, x = mixture(top_k=1, bias=0.5, noise=0.3), rows_for(mixture())
    moe(x)
    moe.update_bias()
    assert float(moe.gating.bias.abs().max()) == 0.5
    moe(x)
    qmoe.save(moe, tmp_path / "moe.safetensors")
    loaded = qmoe.load(tmp_path / "moe.safetensors")
    for _ in range(2):
        assert torch.equal(loaded(x), moe(x))
    for one in (moe, loaded):
        one.update_bias()
    assert torch.equal(loaded.gating.bias, moe.gating.bias)
    assert torch.equal(loaded.gating.assigned, moe.gating.assigned)


def test_a_loaded_module_trains_and_its_first_values_can_be_drawn_anew(tmp_path: Path) -> None:
    moe = mixture()
    qmoe.save(moe, tmp_path / "moe.safetensors")
    loaded = qmoe.load(tmp_path / "moe.safetensors")
    loaded(rows_for(moe)).sum().backward()
    torch.optim.SGD(loaded.parameters(), lr=0.1).step()
    assert not torch.equal(loaded.router.quantum.weights, moe.router.quantum.weights)
    for one in (moe, loaded):
        one.reset_parameters(generator(5))
    assert torch.equal(loaded.router.quantum.weights, moe.router.quantum.weights)


def test_files_of_distilled_routers_are_read_too(tmp_path: Path) -> None:
    for name, router in (("groups", quantum()), ("products", quantum(circuit=own_circuit()))):
        small = qmoe.distill(router)
        assert (small.products is None) == (name == "groups")
        small.save(tmp_path / name)
        x = rows_for(router)
        assert torch.equal(qmoe.load(tmp_path / name)(x), small(x))


@pytest.mark.parametrize("name", ["native", "torch", "pennylane:lightning.qubit", "trajectories", "trajectories:100"])
def test_engines_go_by_their_name(name: str, tmp_path: Path) -> None:
    router = quantum(engine=name)
    qmoe.save(router, tmp_path / "router.safetensors")
    loaded = qmoe.load(tmp_path / "router.safetensors")
    assert loaded.config()["engine"] == name
    assert torch.equal(loaded(torch.ones(3, 2)), router(torch.ones(3, 2)))


def test_engines_with_options_of_their_own_are_refused(tmp_path: Path) -> None:
    with pytest.raises(qmoe.UnsupportedError, match=r"engine TrajectoryEngine .*options of its own"):
        qmoe.save(quantum(engine=TrajectoryEngine(100, seed=3)), tmp_path / "router.safetensors")
    with pytest.raises(qmoe.UnsupportedError, match=r"engine PennyLaneEngine .*options of its own.*pennylane:DEVICE"):
        qmoe.save(quantum(engine=PennyLaneEngine(shots=5)), tmp_path / "router.safetensors")


class OwnEncoding(AngleEncoding):
    name = "own"


class OwnRouter(qmoe.LinearRouter):
    pass


def by_function(x, w):
    return x * w


def tied() -> nn.Module:
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, nn.Tanh(), layer)


def stacked() -> nn.Module:
    router = quantum()
    router.quantum.weights = nn.Parameter(router.quantum.weights.detach().expand(3, -1, -1, -1).clone())
    return router


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "own class": (lambda: OwnRouter(2, 2), r"the class \S*test_saving\.OwnRouter; keep it by torch\.save"),
    "own class inside": (lambda: mixture(OwnRouter(2, 2)), r"the module at 'router' is of the class .*OwnRouter"),
    "other module of torch": (lambda: mixture(head=nn.Bilinear(1, 1, 1)), r"at 'head' .*Bilinear"),
    "own encoding": (lambda: quantum(encoding=OwnEncoding()), r"circuit cannot be saved: The encoding OwnEncoding"),
    "own encoding, distilled": (
        lambda: qmoe.distill(quantum(encoding=OwnEncoding())),
        r"cannot be saved: A file holds",
    ),
    "angles by a function": (
        lambda: quantum(
            circuit=qmoe.Circuit.from_operations(
                [qmoe.Gate("RX", (0,), (Computed(0),))], angles=by_function, in_features=1, weight_shape=1
            ),
            in_features=1,
        ),
        r"angles by a function.*torch\.save",
    ),
    "stack": (stacked, r"quantum\.weights has the shape \(3, 3, 2, 3\).*stack one by one"),
    "tied weights": (tied, r"one parameter in two places"),
    "no memory": (lambda: quantum().to("meta"), r"meta device"),
    "estimator": (lambda: types.SimpleNamespace(module_=quantum()), r"Save its module_; joblib"),
    "circuit": (lambda: qmoe.Circuit(2, 1), r"got a Circuit; of a circuit, Circuit\.to_dict"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_file_holds_is_refused_with_the_remedy_and_nothing_is_written(make, message, tmp_path: Path) -> None:
    path = tmp_path / "module.safetensors"
    with pytest.raises(qmoe.UnsupportedError, match=message):
        qmoe.save(make(), path)
    assert list(tmp_path.iterdir()) == []


def test_another_default_dtype_does_not_matter(tmp_path: Path) -> None:
    router, x = quantum(), torch.ones(2, 2)
    qmoe.save(router, tmp_path / "router.safetensors")
    torch.set_default_dtype(torch.float16)
    try:
        loaded = qmoe.load(tmp_path / "router.safetensors")
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(loaded(x), router(x))


def test_options_of_the_routing_come_back_as_they_were(tmp_path: Path) -> None:
    module = mixture(
        top_k=1, noise=0.3, capacity=Capacity(1.5, "weight", 2.0), bias=0.01, losses=LossCoefficients(z=0.1)
    )
    qmoe.save(module, tmp_path / "m.safetensors")
    assert qmoe.load(tmp_path / "m.safetensors").config() | {"router": 0, "experts": 0} == module.config() | {
        "router": 0,
        "experts": 0,
    }


def test_an_option_of_the_routing_with_another_field_is_refused() -> None:
    config = mixture(capacity=1.5, top_k=1).config()
    with pytest.raises(qmoe.ConfigError, match="Unknown field of capacity 'faktor'; did you mean 'factor'"):
        qmoe.MixtureOfExperts.from_config({**config, "capacity": {"faktor": 2.0}})


def test_a_device_of_a_users_own_is_not_replaced_by_another_of_its_name(tmp_path: Path) -> None:
    device = qml.device("default.mixed", wires=2)
    with pytest.raises(qmoe.UnsupportedError, match=r"engine PennyLaneEngine .*options of its own"):
        qmoe.save(quantum(engine=PennyLaneEngine(device)), tmp_path / "router.safetensors")


def test_parts_in_another_mode_than_the_whole_come_back_in_theirs(tmp_path: Path) -> None:
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), quantum())
    module[0].eval()
    module[1].eval()
    qmoe.save(module, tmp_path / "m.safetensors")
    loaded = qmoe.load(tmp_path / "m.safetensors")
    assert [part.training for part in loaded.modules()] == [part.training for part in module.modules()]
    x = torch.rand(5, 2, generator=generator())
    assert torch.equal(loaded(x), module(x))
