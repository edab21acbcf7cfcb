"""What users run on a GPU: routers, mixtures, training, the classifier. Everywhere else these tests are skipped."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import qmoe
from helpers import generator
from qmoe.circuits import Circuit, Computed, Feature, Gate, Hamiltonian, Pauli, Probs, Weight
from qmoe.engines import TorchEngine, choose_engine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.errors import ShapeError, UnsupportedError
from qmoe.moe import LossCoefficients
from qmoe.routers import Router, TwinRouter
from qmoe.testing import RouterConformance, random_inputs
from qmoe.training import LBFGSConfig, TrainingConfig, minimize_stack, train_stack

DEVICE = "cuda"

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
    # What torch says of streams and of the first call in a thread of its own.
    pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream", "ignore:Attempting to run cuBLAS"),
]


def moons(n: int = 100, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    angles = torch.linspace(0, 3.1, n, dtype=dtype)
    x = torch.stack([angles.cos() + torch.arange(n) % 2, angles.sin() * (1 - 2 * (torch.arange(n) % 2))], -1)
    return (x + 1.5).to(dtype), torch.arange(n) % 2


def mixture(dtype: torch.dtype = torch.float64, seed: int = 0, **options: Any) -> qmoe.MixtureOfExperts:
    rng = generator(seed)
    router = qmoe.QuantumRouter(2, 2, generator=rng, dtype=dtype, **options)
    return qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, 2, generator=rng, dtype=dtype))


class OnCuda(RouterConformance):
    device = DEVICE
    options: ClassVar[dict[str, Any]]

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return qmoe.QuantumRouter(in_features, n_experts, generator=generator, dtype=dtype, **self.options)


class TestAngles(OnCuda):
    options: ClassVar[dict[str, Any]] = {"encoding": qmoe.AngleEncoding("Y", uploads=2)}


class TestBorn(OnCuda):
    options: ClassVar[dict[str, Any]] = {"readout": "born", "noise": 0.1}


class TestAmplitudes(OnCuda):
    options: ClassVar[dict[str, Any]] = {"encoding": "amplitude"}


class TestProjected(OnCuda):
    options: ClassVar[dict[str, Any]] = {"n_qubits": 5, "noise": qmoe.NoiseModel(0.05, "gate", dephasing="all")}


class TestTwin(RouterConformance):
    """Gradients of features are summed in an order that torch fixes on a GPU where it is told to."""

    device = DEVICE

    @pytest.fixture(autouse=True)
    def _deterministic(self) -> Iterator[None]:
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield
        torch.use_deterministic_algorithms(False)

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return TwinRouter(Circuit(in_features, 2), n_experts, generator=generator, dtype=dtype)


OPTIONS: list[dict[str, Any]] = [{}, {"readout": "born"}, {"noise": 0.1}, {"encoding": "amplitude"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
def test_a_mixture_moved_to_the_gpu_gives_what_it_gave(
    options: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    here = mixture(dtype, **options)
    there = copy.deepcopy(here).to(DEVICE)
    x = moons(dtype=dtype)[0]
    expected, out = here(x), there(x.to(DEVICE))
    assert out.device.type == DEVICE
    torch.testing.assert_close(out.cpu(), expected, rtol=0, atol=tolerance)
    for one in (expected, out):
        one.square().mean().backward()
    for (name, own), other in zip(here.named_parameters(), there.parameters(), strict=True):
        assert other.grad is not None, name
        torch.testing.assert_close(other.grad.cpu(), own.grad, rtol=0, atol=tolerance)
    back = there.to("cpu")
    torch.testing.assert_close(back(x), expected, rtol=0, atol=tolerance)


def test_auto_takes_the_torch_engine_and_says_why() -> None:
    router = mixture().router.to(DEVICE)
    engine, why = choose_engine(Circuit(2, 3), torch.device(DEVICE))
    assert isinstance(engine, TorchEngine)
    assert why == f"the tensors are on {DEVICE}"
    assert "engine=torch" in repr(router)


def test_state_dicts_go_both_ways(tmp_path) -> None:
    here, there, x = mixture(seed=1, noise=0.1), mixture(seed=2, noise=0.1).to(DEVICE), moons()[0]
    there.load_state_dict(here.state_dict())
    expected = here(x)
    torch.testing.assert_close(there(x.to(DEVICE)).cpu(), expected, rtol=0, atol=1e-12)
    torch.save(there.state_dict(), tmp_path / "there.pt")
    again = mixture(seed=3, noise=0.1)
    again.load_state_dict(torch.load(tmp_path / "there.pt", map_location="cpu"))
    assert torch.equal(again(x), expected)
    taken = mixture(seed=4, noise=0.1)
    taken.load_state_dict(there.state_dict(), assign=True)  # moves it to the GPU
    torch.testing.assert_close(taken(x.to(DEVICE)).cpu(), expected, rtol=0, atol=1e-12)


def test_built_on_the_gpu() -> None:
    router = qmoe.QuantumRouter(2, 2, noise=0.1, device=DEVICE)
    assert {p.device.type for p in router.parameters()} == {DEVICE}
    with torch.device(DEVICE):
        inside = qmoe.QuantumRouter(2, 2, noise=0.1)
        assert inside(torch.rand(3, 2)).device.type == DEVICE
    assert router(torch.rand(3, 2, device=DEVICE)).device.type == DEVICE


def test_rows_on_the_other_device_are_refused() -> None:
    with pytest.raises(ShapeError, match=DEVICE):
        mixture().to(DEVICE)(moons()[0])


def test_values_that_are_not_finite_are_named() -> None:
    x = moons()[0].to(DEVICE)
    x[3, 1] = torch.nan
    with pytest.raises(ShapeError, match=r"nan at index \(3, 1\)"):
        mixture().to(DEVICE)(x)


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
@pytest.mark.parametrize("patience", [None, 2])
def test_training_gives_what_it_gives_on_the_cpu(options: dict[str, Any], patience: int | None) -> None:
    results = []
    for device in ("cpu", DEVICE):
        models = [mixture(seed=seed, **options).to(device) for seed in range(3)]
        x, y = (t.expand(3, *t.shape).to(device) for t in moons())
        config = TrainingConfig(epochs=4, batch_size=32, lr=0.05, patience=patience)
        weight = torch.rand(3, 100, generator=generator(), dtype=torch.float64).to(device)
        results.append(train_stack(models, x, y, config, [0, 1, 2], x, y, sample_weight=weight))
        assert {p.device.type for model in models for p in model.parameters()} == {device}
    here, there = results
    np.testing.assert_allclose(there.loss, here.loss, rtol=1e-7)
    np.testing.assert_allclose(there.train_accuracy, here.train_accuracy, atol=0.011)
    assert not there.failures


def test_lbfgs_gives_what_it_gives_on_the_cpu() -> None:
    found = []
    for device in ("cpu", DEVICE):
        x, y = (t[None].to(device) for t in moons())
        result = minimize_stack([mixture().to(device)], x, y, LBFGSConfig(max_iterations=10))
        assert not result.failures
        found.append(result.loss)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"experts": "quantum"}, {"early_stopping": True}, {"router": "twin"}], ids=str)
def test_the_classifier_trains_and_predicts(options: dict[str, Any]) -> None:
    x, y = (t.numpy() for t in moons(200))
    clf = qmoe.QMoEClassifier(device=DEVICE, epochs=10, random_state=0, **options).fit(x, y)
    assert {p.device.type for p in clf.module_.parameters()} == {DEVICE}
    assert clf.predict_proba(x).shape == (200, 2)
    assert clf.score(x, y) > 0.8
    clf.module_.to("cpu")
    assert clf.score(x, y) > 0.8


def test_the_regressor_trains_and_predicts() -> None:
    x = moons(200)[0].numpy()
    reg = qmoe.QMoERegressor(device=DEVICE, epochs=10, random_state=0).fit(x, x[:, 0] + x[:, 1] ** 2)
    assert {p.device.type for p in reg.module_.parameters()} == {DEVICE}
    assert reg.score(x, x[:, 0] + x[:, 1] ** 2) > 0.5


def test_distilled_from_a_router_on_the_gpu() -> None:
    router = qmoe.QuantumRouter(2, 2, generator=generator(), dtype=torch.float64)
    x = moons()[0]
    expected = router(x)
    gate = qmoe.distill(router.to(DEVICE)).to(DEVICE)
    torch.testing.assert_close(gate(x.to(DEVICE)).cpu(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("noise", [None, 0.1])
def test_shots_through_pennylane(noise: float | None) -> None:
    circuit = Circuit(2, 2, noise=noise)
    x, weights = (t.to(DEVICE) for t in random_inputs(circuit, 1))
    engine = PennyLaneEngine(shots=2000, seed=1)
    out = engine.evaluate(circuit, x, weights.requires_grad_())
    assert out.device.type == DEVICE
    torch.testing.assert_close(out, TorchEngine().evaluate(circuit, x, weights), rtol=0, atol=0.15)
    assert torch.autograd.grad(out.sum(), weights)[0].device.type == DEVICE


def test_the_native_engine_says_that_it_runs_on_the_cpu() -> None:
    router = qmoe.QuantumRouter(2, 2, engine="native").to(DEVICE)
    with pytest.raises(UnsupportedError, match=DEVICE):
        router(torch.rand(3, 2, device=DEVICE))


def test_inside_of_a_compiled_program() -> None:
    router, x = qmoe.QuantumRouter(2, 2, generator=generator()).to(DEVICE), torch.rand(5, 2, device=DEVICE)
    compiled = torch.compile(router, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), router(x))


@pytest.mark.parametrize("circuit", [Circuit(2, 3), Circuit(5, 2), Circuit(3, 2, noise=0.1)], ids=str)
def test_a_step_is_held_by_a_cuda_graph(circuit: Circuit) -> None:
    x, weights = (t.to(DEVICE) for t in random_inputs(circuit, 1))
    weights.requires_grad_()

    def step() -> Tensor:
        weights.grad = None
        out = TorchEngine().evaluate(circuit, x, weights)
        out.sum().backward()
        return out

    beside = torch.cuda.Stream()
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    weights.grad = None
    with torch.cuda.graph(graph):
        held = step()
        gradient = weights.grad
    with torch.no_grad():
        weights.add_(0.3)
    graph.replay()
    expected = step()
    torch.testing.assert_close(held, expected)
    torch.testing.assert_close(gradient, weights.grad)


# --- layers of any circuit -----------------------------------------------------------------------------------------


def any_layer(**options: Any) -> qmoe.QuantumLayer:
    x0, x1 = Feature(0), Feature(1)
    gates = [
        Gate("RX", (0,), (Computed(0) * Weight(0),)),
        Gate("CRZ", (0, 1), ((3 - x0) * (3 - x1),)),
        Gate("Rot", (1,), (x1, 2 * Weight(1) + 0.5, Computed(1))),
        Gate("CNOT", (1, 0)),
    ]
    circuit = Circuit.from_operations(
        gates,
        readout=[Pauli("Z0 Z1"), Hamiltonian([0.5, 2.0], ["X0", "I"]), Probs((1,))],
        angles=lambda x, w: torch.stack([torch.atan(x[:, 0]), torch.sin(x[:, 1]) * w[1]], -1),
        in_features=2,
        weight_shape=2,
    )
    return qmoe.QuantumLayer(circuit, generator=generator(), dtype=torch.float64, **options)


@pytest.mark.parametrize("parameters", [None, (("a", (1,)), ("b", (1,)))])
def test_a_layer_of_any_circuit_computes_and_trains_as_on_the_cpu(parameters: Any) -> None:
    here = any_layer(parameters=parameters)
    there = copy.deepcopy(here).to(DEVICE)
    x = torch.rand(7, 2, generator=generator(), dtype=torch.float64)
    rows, rows_there = x.clone().requires_grad_(), x.to(DEVICE).requires_grad_()
    out, out_there = here(rows), there(rows_there)
    assert out_there.device.type == DEVICE
    torch.testing.assert_close(out_there.cpu(), out, rtol=0, atol=1e-10)
    out.square().sum().backward()
    out_there.square().sum().backward()
    pairs = zip([rows, *here.parameters()], [rows_there, *there.parameters()], strict=True)
    for mine, theirs in pairs:
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(theirs.grad.cpu(), mine.grad, rtol=0, atol=1e-10)


def test_layers_of_many_models_run_together_on_the_gpu() -> None:
    layer = any_layer().to(DEVICE)
    weights = torch.rand(5, 2, dtype=torch.float64, device=DEVICE)
    x = torch.rand(5, 9, 2, dtype=torch.float64, device=DEVICE)
    together = torch.func.vmap(lambda w, row: torch.func.functional_call(layer, {"weights": w}, (row,)))(weights, x)
    each = [torch.func.functional_call(layer, {"weights": w}, (row,)) for w, row in zip(weights, x, strict=True)]
    torch.testing.assert_close(together, torch.stack(each), rtol=0, atol=1e-10)


def test_an_audit_runs_where_its_model_is() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), qmoe.QuantumLayer(Circuit(2, 1)), torch.nn.Linear(2, 2))
    x, y = moons(80, torch.float32)
    found = qmoe.audit(model.to(DEVICE), "1", x.numpy(), y.numpy(), seeds=3, epochs=3)
    assert found.to_frame().notna().all(axis=None)
    assert {value.device.type for value in model.parameters()} == {DEVICE}


def test_a_twin_with_a_certificate_moves_to_the_gpu() -> None:
    twin = qmoe.twin(qmoe.QuantumRouter(4, 2, generator=generator(), dtype=torch.float64), max_weight=2)
    x = torch.rand(6, 4, generator=generator(), dtype=torch.float64)
    expected = twin(x)
    torch.testing.assert_close(copy.deepcopy(twin).to(DEVICE)(x.to(DEVICE)).cpu(), expected, rtol=0, atol=1e-10)


# --- mixtures that choose ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispatch", ["dense", "sparse"])
@pytest.mark.parametrize(
    "options",
    [{"top_k": 2}, {"top_k": 2, "noise": True, "bias": 0.1, "capacity": 0.5}, {"expert_choice": 1.5}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["mlp", "quantum"])
def test_a_mixture_chooses_and_trains_as_on_the_cpu(kind: str, options: dict[str, Any], dispatch: Any) -> None:
    experts: Any = qmoe.MLPExperts(3, 3, 8, generator=generator(1), dtype=torch.float64)
    if kind == "quantum":
        experts = qmoe.QuantumExperts(3, 8, encoding="angle", generator=generator(1), dtype=torch.float64)
    router = qmoe.QuantumRouter(3, 8, generator=generator(0), dtype=torch.float64)
    here = qmoe.MixtureOfExperts(
        router, experts, dispatch=dispatch, losses=LossCoefficients(z=0.1, importance=0.1), **options
    )
    there = copy.deepcopy(here).to(DEVICE)
    x, mask = torch.rand(40, 3, generator=generator(), dtype=torch.float64), torch.arange(40) % 3 > 0
    for moe, rows, real in ((here, x, mask), (there, x.to(DEVICE), mask.to(DEVICE))):
        out, routing = moe.routed(rows, mask=real, generator=generator(7))
        (out.square().sum() + routing.loss).backward()
        if "bias" in options:
            moe.update_bias()
        moe.train(False)
    assert torch.equal(there.tokens_per_expert.cpu(), here.tokens_per_expert)
    torch.testing.assert_close(there(x.to(DEVICE)).cpu(), here(x), rtol=0, atol=1e-10)
    for mine, theirs in zip(here.parameters(), there.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(theirs.grad.cpu(), mine.grad, rtol=0, atol=1e-10)


def test_a_mixture_routes_in_its_own_precision_inside_autocast_on_the_gpu() -> None:
    router, experts = (
        qmoe.LinearRouter(64, 8, generator=generator(0)),
        qmoe.MLPExperts(64, 64, 8, generator=generator(1)),
    )
    moe = qmoe.MixtureOfExperts(router, experts, top_k=2, dispatch="sparse").to(DEVICE)
    x = torch.rand(256, 64, generator=generator()).to(DEVICE).bfloat16()
    expected = moe.routed(x.float())[1]
    with torch.autocast(DEVICE, torch.bfloat16):
        out, found = moe.routed(x)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.kept, expected.kept)
    torch.testing.assert_close(out.float(), moe(x.float()), rtol=0.05, atol=0.05)
