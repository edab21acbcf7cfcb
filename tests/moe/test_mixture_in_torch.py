"""Whole mixtures where torch's users take them: compiled, exported, on two processes, in lower precision, in files."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import qmoe
from helpers import generator
from qmoe.routers import TwinRouter

# torch's compiler uses parts of torch that it calls deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

ROUTERS = {
    "quantum": lambda: qmoe.QuantumRouter(3, 4, n_qubits=2, generator=generator()),
    "noisy": lambda: qmoe.QuantumRouter(3, 4, n_qubits=2, noise=0.1, generator=generator()),
    "twin": lambda: qmoe.twin(qmoe.QuantumRouter(3, 4, generator=generator()), generator=generator(5)),
    "mlp": lambda: qmoe.MLPRouter(3, 4, generator=generator()),
}
each_router = pytest.mark.parametrize("of_router", ROUTERS)


def mixture(of_router: str = "quantum", top_k: int | None = 2) -> qmoe.MixtureOfExperts:
    experts = qmoe.MLPExperts(3, 5, n_experts=4, generator=generator(1))
    head = qmoe.layers.Linear(5, 2, generator=generator(2))
    return qmoe.MixtureOfExperts(ROUTERS[of_router](), experts, head, top_k)


def rows(n: int = 8, seed: int = 3) -> Tensor:
    return torch.rand(n, 3, generator=generator(seed))


def gradients(model: nn.Module, x: Tensor, of: nn.Module | None = None) -> list[Tensor]:
    """Of the mean squared output, with respect to the parameters of ``of``."""
    loss = model(x).square().mean()
    return list(torch.autograd.grad(loss, list((of or model).parameters())))


@each_router
@pytest.mark.parametrize("top_k", [None, 1, 2])
def test_a_mixture_is_one_compiled_graph_with_its_gradients(of_router: str, top_k: int | None) -> None:
    torch._dynamo.reset()
    moe = mixture(of_router, top_k)
    compiled = torch.compile(moe, fullgraph=True, dynamic=True, backend="aot_eager")
    for n in (8, 5):
        torch.testing.assert_close(compiled(rows(n)), moe(rows(n)))
        torch.testing.assert_close(gradients(compiled, rows(n), moe), gradients(moe, rows(n)))


FUNCTIONS = {
    "twin": lambda: qmoe.twin(qmoe.QuantumRouter(4, 2)),
    "many functions": lambda: qmoe.twin(qmoe.QuantumRouter(6, 2)),
    "restricted": lambda: TwinRouter(qmoe.Circuit(5, 3), 2, max_weight=2),
    "amplitudes": lambda: qmoe.twin(qmoe.QuantumRouter(4, 2, encoding="amplitude")),
    "behind a map": lambda: qmoe.twin(qmoe.QuantumRouter(5, 2, n_qubits=3)),
    "distilled": lambda: qmoe.distill(qmoe.QuantumRouter(4, 2)),
    "distilled, truncated": lambda: qmoe.distill(qmoe.QuantumRouter(4, 2), max_weight=2),
}


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_a_router_on_functions_that_was_never_called_is_one_compiled_graph(make) -> None:
    torch._dynamo.reset()
    router = make()
    compiled = torch.compile(router, fullgraph=True, dynamic=True, backend="aot_eager")
    for n in (8, 5):
        x = torch.rand(n, router.in_features, generator=generator(n))
        found = compiled(x)
        torch.testing.assert_close(found, router(x))


@each_router
def test_a_mixture_is_exported_for_batches_of_any_size(of_router: str) -> None:
    moe = mixture(of_router)
    program = torch.export.export(moe, (rows(),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.testing.assert_close(program.module()(rows(13)), moe(rows(13)))


def test_a_mixture_whose_router_draws_shots_is_not_exported_and_the_remedy_works() -> None:
    moe = mixture()
    moe.router.shots = 20
    with pytest.raises(qmoe.UnsupportedError, match=r"router\.shots = None.* or export qmoe\.distill\(router\)"):
        torch.export.export(moe, (rows(),))
    moe.router.shots = None
    torch.testing.assert_close(torch.export.export(moe, (rows(),)).module()(rows()), moe(rows()))


@each_router
def test_a_training_step_in_lower_precision_is_near_the_one_in_full(of_router: str) -> None:
    moe, scaler = mixture(of_router, top_k=None), torch.amp.GradScaler("cpu")
    net = nn.Sequential(nn.Linear(3, 3), moe)
    wanted = gradients(net, rows())
    with torch.autocast("cpu", torch.bfloat16):
        out = net(rows())
        loss = out.square().mean()
    assert out.dtype == torch.bfloat16
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    before = copy.deepcopy(net.state_dict())
    scaler.scale(loss).backward()
    scaler.unscale_(optimiser)
    for parameter, expected in zip(net.parameters(), wanted, strict=True):
        assert parameter.grad.dtype == torch.float32
        torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=0.05 * float(expected.abs().max()) + 2e-3)
    scaler.step(optimiser)
    changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert {"0.weight", "1.head.weight", "1.experts.layer1.weight"} <= set(changed)


@each_router
def test_weights_go_through_a_state_dict_and_a_plain_file_of_tensors(of_router: str, tmp_path: Path) -> None:
    first, other = mixture(of_router), mixture(of_router)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.1)
    assert not torch.equal(other(rows()), first(rows()))
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(rows()), first(rows()))
    safetensors.torch.save_model(first, str(tmp_path / "weights.safetensors"))
    third = mixture(of_router)
    assert safetensors.torch.load_model(third, str(tmp_path / "weights.safetensors")) == (set(), [])
    assert torch.equal(third(rows()), first(rows()))


#: One of two processes: takes its half of the batch, and writes down gradients and weights after two steps.
PROCESS = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
import qmoe

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
x = torch.load(f"{folder}/rows.pt")[rank::2]
for kind in sys.argv[3:]:
    moe = qmoe.load(f"{folder}/{kind}.safetensors")
    if rank:  # the weights of the first process are those of all
        moe.reset_parameters(torch.Generator().manual_seed(99))
    parallel = DistributedDataParallel(moe)
    optimiser = torch.optim.SGD(moe.parameters(), lr=0.5)
    for step in range(2):
        optimiser.zero_grad()
        parallel(x).square().mean().backward()
        if step == 0:
            held = {f"gradient of {name}": p.grad.clone() for name, p in moe.named_parameters()}
        optimiser.step()
    torch.save({**held, **moe.state_dict()}, f"{folder}/{kind}-{rank}.pt")
dist.destroy_process_group()
"""


def test_two_processes_train_as_one_does_on_the_whole_batch(tmp_path: Path) -> None:
    kinds, x = ("noisy", "twin", "mlp"), rows(16)
    for kind in kinds:
        qmoe.save(mixture(kind), tmp_path / f"{kind}.safetensors")
    torch.save(x, tmp_path / "rows.pt")
    command = [sys.executable, "-W", "ignore", "-c", PROCESS]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path), *kinds], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    for kind in kinds:
        moe, found = mixture(kind), [torch.load(tmp_path / f"{kind}-{rank}.pt") for rank in range(2)]
        optimiser = torch.optim.SGD(moe.parameters(), lr=0.5)
        for step in range(2):
            optimiser.zero_grad()
            moe(x).square().mean().backward()
            if step == 0:
                expected = {f"gradient of {name}": p.grad.clone() for name, p in moe.named_parameters()}
            optimiser.step()
        expected |= moe.state_dict()
        for one in found:
            torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
