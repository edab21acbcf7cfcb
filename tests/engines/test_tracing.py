"""Under tracers, other devices and lowered precision: the right numbers or an error that says what to do."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

import qmoe
from qmoe.circuits import Circuit
from qmoe.compiled.threads import run_in_parts, run_shares
from qmoe.engines import NativeEngine, TorchEngine
from qmoe.errors import UnsupportedError

# torch's tracers and forward mode use parts of torch that it calls deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning"),
]


@pytest.fixture
def router() -> qmoe.QuantumRouter:
    return qmoe.QuantumRouter(2, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", [{}, {"noise": 0.1}, {"readout": "born"}, {"encoding": "amplitude"}], ids=str)
@pytest.mark.parametrize("engine", ["auto", "native", "torch"])
def test_compiled_model_equals_the_model(x: Tensor, engine: str, options: dict[str, object]) -> None:
    torch._dynamo.reset()
    router = qmoe.QuantumRouter(2, 2, engine=engine, generator=torch.Generator().manual_seed(0), **options)
    compiled = torch.compile(router, backend="eager")
    expected = router(x)
    assert torch.equal(compiled(x), expected)
    wanted = torch.autograd.grad(expected[:, 0].sum(), router.quantum.weights)[0]
    compiled(x)[:, 0].sum().backward()
    assert torch.equal(router.quantum.weights.grad, wanted)


CIRCUITS: list[dict[str, object]] = [
    {}, {"noise": 0.1}, {"readout": "born"}, {"encoding": "amplitude"}, {"n_qubits": 3}, {"n_qubits": 5},
]  # fmt: skip


def model(**options: object) -> qmoe.QuantumRouter:
    return qmoe.QuantumRouter(2, 2, generator=torch.Generator().manual_seed(0), **options)


def mixture(**options: object) -> qmoe.MixtureOfExperts:
    experts = qmoe.QuantumExperts(2, 2, n_qubits=2, noise=0.1, generator=torch.Generator().manual_seed(1))
    return qmoe.MixtureOfExperts(model(**options), experts)


def exported(module: torch.nn.Module, x: Tensor) -> torch.nn.Module:
    """Exported with a batch of any size."""
    return torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()


@pytest.mark.parametrize("options", CIRCUITS, ids=str)
def test_exported_model_takes_batches_of_any_size_and_a_second_export_is_like_the_first(
    x: Tensor, options: dict[str, object]
) -> None:
    router, other = model(**options), torch.rand(11, 2, generator=torch.Generator().manual_seed(3))
    for _ in range(2):
        torch.testing.assert_close(exported(router, x)(other), router(other))


@pytest.mark.parametrize(
    "make",
    [
        lambda: mixture(), lambda: mixture(noise=0.2), lambda: qmoe.twin(model()),
        lambda: qmoe.twin(model(encoding="amplitude")), lambda: qmoe.distill(model()),
        lambda: qmoe.distill(model(n_qubits=3)), lambda: qmoe.MLPRouter(2, 2),
    ],
    ids=["mixture", "noisy", "twin", "amplitude twin", "distilled", "projected", "mlp"],
)  # fmt: skip
def test_what_was_never_called_is_exported(x: Tensor, make: Callable[[], torch.nn.Module]) -> None:
    module, other = make(), torch.rand(7, 2)
    torch.testing.assert_close(exported(module, x)(other), module(other))


def test_batches_may_have_more_axes_in_an_export(x: Tensor) -> None:
    router, other = model(), torch.rand(9, 3, 2)
    torch.testing.assert_close(exported(router, torch.rand(4, 3, 2))(other), router(other))


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        *(("native", options) for options in CIRCUITS),
        ("auto", {}),
        ("torch", {"n_qubits": 3}),
        ("reference", {"noise": 0.1}),
    ],
    ids=str,
)
def test_whole_graph_is_compiled_with_gradients_for_batches_of_any_size(
    engine: str, options: dict[str, object]
) -> None:
    torch._dynamo.reset()
    router = model(engine=engine, **options)
    compiled = torch.compile(router, fullgraph=True, dynamic=True, backend="aot_eager")
    trained = [p for p in router.parameters() if p.requires_grad]
    for n in (5, 8):
        x = torch.rand(n, 2, generator=torch.Generator().manual_seed(n)).requires_grad_()
        found, expected = compiled(x), router(x)
        torch.testing.assert_close(found, expected)
        gradients = [torch.autograd.grad(out[:, 0].sum(), [x, *trained]) for out in (found, expected)]
        torch.testing.assert_close(*gradients)


def test_pennylane_is_compiled_as_well(x: Tensor) -> None:
    torch._dynamo.reset()
    router = model(engine="pennylane")
    found = torch.compile(router, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(found, router(x))
    gradients = [torch.autograd.grad(out[:, 0].sum(), router.quantum.weights) for out in (found, router(x))]
    torch.testing.assert_close(*gradients)


def test_compiled_copies_and_unpickled_models_run_their_own_circuits(x: Tensor) -> None:
    torch._dynamo.reset()
    router = model(ansatz="basic_entangler")
    for other in (copy.deepcopy(router), pickle.loads(pickle.dumps(router)), model(n_layers=1)):
        compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), other(x))


def test_program_with_a_circuit_that_is_gone_says_what_to_export(x: Tensor) -> None:
    program = torch.export.export(model(), (x,), strict=True).module()
    gc.collect()
    with pytest.raises(UnsupportedError, match=r"which this process does not have.*qmoe\.distill\(router\)"):
        program(x)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of comparisons of sizes, which do not matter
@pytest.mark.parametrize("options", CIRCUITS, ids=str)
def test_traced_model_takes_batches_of_any_size(x: Tensor, options: dict[str, object]) -> None:
    router, other = model(**options), torch.rand(9, 2)
    torch.testing.assert_close(torch.jit.trace(router, (x,))(other), router(other))


@pytest.mark.parametrize("options", CIRCUITS, ids=str)
def test_tensors_without_values_have_shapes(options: dict[str, object]) -> None:
    assert model(device="meta", **options)(torch.rand(5, 2, device="meta")).shape == (5, 2)
    with FakeTensorMode():
        assert mixture(**options)(torch.rand(5, 2)).shape == (5, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "make",
    [
        model, lambda: model(noise=0.1), lambda: model(readout="born"), lambda: model(n_qubits=3),
        lambda: qmoe.twin(model()), lambda: qmoe.distill(model(encoding="amplitude")),
    ],
    ids=["router", "noisy", "born", "projected", "twin", "distilled"],
)  # fmt: skip
def test_onnx_program_computes_the_same_for_batches_of_any_size(
    x: Tensor, make: Callable[[], torch.nn.Module], tmp_path: Path
) -> None:
    module, other, path = make(), torch.rand(9, 2), tmp_path / "model.onnx"
    torch.onnx.export(module, (x,), path, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False)
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {session.get_inputs()[0].name: other.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), module(other).detach())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "router",
    [model(encoding="amplitude"), qmoe.QuantumRouter(7, 2), qmoe.QuantumRouter(3, 2, encoding="amplitude", noise=0.1)],
    ids=["amplitude", "seven", "noisy"],
)
def test_what_onnx_cannot_hold_names_the_distilled_router(router: qmoe.QuantumRouter, tmp_path: Path) -> None:
    x = torch.rand(5, router.in_features)
    with pytest.raises(Exception, match=r"ONNX has no complex numbers.*export qmoe\.distill\(router\)"):
        torch.onnx.export(router, (x,), tmp_path / "model.onnx", verbose=False)


def test_traced_function_holds_the_circuit(router: qmoe.QuantumRouter, x: Tensor) -> None:
    traced = make_fx(router.quantum)(x)
    torch.testing.assert_close(traced(x + 0.3), router.quantum(x + 0.3))


def test_native_engine_refuses_tensors_without_values(x: Tensor) -> None:
    engine, circuit = NativeEngine(), Circuit(2, 1)
    with FakeTensorMode(), pytest.raises(UnsupportedError, match=r"records operations.*use engine='torch'"):
        engine.evaluate(circuit, torch.rand(5, 2), torch.rand(1, 2, 3))


def test_zeros_without_memory_are_zeros(router: qmoe.QuantumRouter, x: Tensor) -> None:
    nothing = torch._efficientzerotensor((5, 2))
    out = router.quantum(x)
    assert torch.equal(router.quantum(nothing), router.quantum(torch.zeros(5, 2)))
    assert not torch.autograd.grad(out, router.quantum.weights, nothing)[0].any()


def test_default_device_of_the_user_is_not_ours(router: qmoe.QuantumRouter, x: Tensor) -> None:
    expected = router(x)
    with torch.device("meta"):
        assert torch.equal(router(x), expected)
        large = NativeEngine().evaluate(
            Circuit(15, 1), torch.rand(1, 15, device="cpu"), torch.rand(1, 15, 3, device="cpu")
        )
    assert large.shape == (1, 15)


def test_projected_router_keeps_its_precision_under_autocast(x: Tensor) -> None:
    router = qmoe.QuantumRouter(2, 2, n_qubits=3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        weights = router(x)
    torch.testing.assert_close(weights.float(), router(x), atol=0.02, rtol=0)


def test_many_gradients_at_once_are_those_one_by_one(router: qmoe.QuantumRouter, x: Tensor) -> None:
    out = router.quantum(x).sum(0)
    single = [torch.autograd.grad(out[i], router.quantum.weights, retain_graph=True)[0] for i in range(2)]
    (both,) = torch.autograd.grad(out, router.quantum.weights, torch.eye(2), is_grads_batched=True)
    torch.testing.assert_close(both, torch.stack(single))


def test_forward_mode_by_dual_numbers_is_that_of_the_torch_engine() -> None:
    circuit = Circuit(2, 2)
    x, weights, direction = torch.rand(3, 2).double(), torch.rand(2, 2, 3).double(), torch.rand(3, 2).double()
    with forward_ad.dual_level():
        found = [
            forward_ad.unpack_dual(engine.evaluate(circuit, forward_ad.make_dual(x, direction), weights)).tangent
            for engine in (NativeEngine(), TorchEngine())
        ]
    torch.testing.assert_close(*found)
    assert found[0].any()


@pytest.mark.parametrize("engine", ["native", "torch", "reference"])
@pytest.mark.parametrize("noise", [None, 0.1])
@pytest.mark.parametrize(("dtype", "factor"), [(torch.float32, 1e-30), (torch.float32, 1e30), (torch.float64, 1e-200),
                                               (torch.float64, 1e200)], ids=str)  # fmt: skip
def test_amplitudes_of_any_size_give_the_same_state(
    engine: str, noise: float | None, dtype: torch.dtype, factor: float
) -> None:
    router = qmoe.QuantumRouter(
        4, 2, encoding="amplitude", noise=noise, engine=engine, dtype=dtype, generator=torch.Generator().manual_seed(0)
    )
    row = torch.tensor([[1.0, -2.0, 3.0, 0.5]], dtype=dtype)
    small = (row * factor).requires_grad_()
    found = router.measure(small)
    torch.testing.assert_close(found, router.measure(row))
    (gradient,) = torch.autograd.grad(found[0, 0], small)
    plain = row.clone().requires_grad_()
    (expected,) = torch.autograd.grad(router.measure(plain)[0, 0], plain)
    torch.testing.assert_close(gradient * factor, expected)


@pytest.mark.parametrize("noise", [None, 0.1])
def test_more_qubits_than_any_memory_holds_are_refused_in_words(noise: float | None) -> None:
    circuit = Circuit(40, 1, noise=noise)
    for engine in (NativeEngine(), TorchEngine()):
        with pytest.raises(UnsupportedError, match=r"40 qubits make a|up to 7 qubits, got 40"):
            engine.evaluate(circuit, torch.rand(1, 40), torch.rand(1, 40, 3))


def test_empty_batch_keeps_every_input_in_the_graph() -> None:
    circuit = Circuit(2, 1, noise=0.1)
    inputs = torch.rand(0, 2), torch.rand(1, 2, 3, requires_grad=True), torch.tensor(0.1, requires_grad=True)
    for engine in (NativeEngine(), TorchEngine()):
        gradients = torch.autograd.grad(engine.evaluate(circuit, *inputs).sum(), inputs[1:])
        assert not any(g.any() for g in gradients)
        out, pull = engine.vjp(circuit, *inputs)
        assert out.shape == (0, 2)
        assert torch.equal(pull(out), torch.zeros(1, 2, 3))


# --- threads -----------------------------------------------------------------------------------------------------------


def test_interrupted_call_returns_only_when_every_thread_has_ended() -> None:
    ended, release = [], threading.Event()

    def long() -> None:
        release.wait(10)
        ended.append(True)

    def interrupted() -> None:
        threading.Timer(0.1, release.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_shares([interrupted, long])
    assert ended == [True]


@pytest.mark.parametrize("in_parts", [False, True])
def test_want_of_threads_is_an_error_after_all_that_started_have_ended(
    in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    run = (lambda: run_in_parts([lambda part: None] * 3, 6, 3)) if in_parts else lambda: run_shares([lambda: None] * 3)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run()
    assert not begun[0].is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_forked_while_another_thread_holds_the_lock_goes_on() -> None:
    code = """
import os, sys, threading, warnings
from qmoe.compiled import cache
warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads, which is what this is about
held = threading.Event()
def hold():
    with cache._LOCK:
        held.set()
        threading.Event().wait(60)
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    os._exit(0 if cache._LOCK.acquire(timeout=5) else 1)
sys.stdout.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
sys.stdout.flush()
os._exit(0)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0"
