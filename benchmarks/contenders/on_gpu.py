"""Who takes part on a GPU."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch

from benchmarks.contenders.base import Contender, Step, make_answer, torch_step, total_loss, wait_for
from benchmarks.contenders.own import Native
from benchmarks.machine import free_memory
from benchmarks.problem import Answer, Problem, make_problem
from benchmarks.sizes import Size
from qmoe.engines import TorchEngine


class _OnGpu(Contender):
    """Runs on the device; its memory counts, not the machine's."""

    def __init__(self, device: str) -> None:
        self.device = device

    def free(self) -> int:
        """Bytes that the device has left."""
        return free_memory() if self.device == "cpu" else torch.cuda.mem_get_info()[0]


class GpuTorch(_OnGpu):
    """The torch engine, as ``engine="auto"`` takes it there."""

    key = "gpu-qmoe-torch"
    title = "qmoe torch"
    packages = ("qmoe", "torch")
    advice = "the engine that auto takes there: one call for all models and samples, float32, torch's own autograd"
    ours = True
    states_kept = 1.0

    def prepare(self, problem: Problem) -> Step:
        """One call for all models and samples."""
        return torch_step(problem, _forward(problem), device=self.device)


class GpuGraph(_OnGpu):
    """The same step, recorded once and replayed."""

    key = "gpu-qmoe-graph"
    title = "qmoe torch, CUDA graph"
    packages = ("qmoe", "torch")
    advice = "the same step, loss and gradient included, recorded once by torch.cuda.graph and replayed"
    ours = True
    compiles = True
    states_kept = 1.0

    def applies(self, size: Size) -> bool:
        """The CPU has no such graphs."""
        del size
        return self.device != "cpu"

    def prepare(self, problem: Problem) -> Step:
        """Three steps on a stream of their own, as torch asks for, then one that is recorded."""
        x, weights, targets = problem.tensors(device=self.device)
        forward = _forward(problem)

        def step() -> tuple[torch.Tensor, torch.Tensor]:
            out = forward(x, weights)
            loss = total_loss(out, targets)
            loss.backward()
            return out, loss

        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                weights.grad = None
                step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        weights.grad = None
        with torch.cuda.graph(graph):
            held = step()

        def run() -> tuple[torch.Tensor, torch.Tensor]:
            graph.replay()
            wait_for(self.device)
            return held

        def read(result: tuple[torch.Tensor, torch.Tensor]) -> Answer:
            out, loss = result
            assert weights.grad is not None
            return make_answer(problem, out.detach().cpu().numpy(), float(loss.detach()), weights.grad.cpu().numpy())

        return Step(run, read)


class BesideGpu(Native):
    """The native engine on the processor beside the GPU."""

    key = "cpu-qmoe-native"
    title = "qmoe native, CPU"
    advice = 'engine="native" on the processor of the same machine, all cores'


class GpuDefaultQubit(_OnGpu):
    """PennyLane's torch program on the same GPU."""

    key = "gpu-default.qubit"
    title = "default.qubit"
    packages = ("pennylane",)
    advice = (
        "backprop, torch interface, samples (and models) broadcast in one call, all tensors on the GPU, inside "
        "`torch.device` (without which it makes some on the CPU and fails); computes in complex128"
    )
    states_kept = 3.0
    bytes_per_amplitude = 16

    def prepare(self, problem: Problem) -> Step:
        """As on the CPU, with its tensors elsewhere."""
        from benchmarks.contenders.pennylane import backprop_forward

        inner = backprop_forward("default.qubit", problem.circuit, problem.size.n_models)

        def forward(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            with torch.device(self.device):
                return inner(x, weights)

        return torch_step(problem, forward, torch.float64, self.device)


class _Jax(_OnGpu):
    """A peer on JAX, which puts its arrays on the GPU by itself."""

    compiles = True
    states_kept = 3.0
    inner: tuple[str, str]

    def __init__(self, device: str) -> None:
        super().__init__(device)
        jax = importlib.import_module("jax")
        if device != "cpu" and jax.default_backend() != "gpu":
            raise RuntimeError("this JAX sees no GPU")
        # By default a GPU multiplies matrices with 10 bits of a float32, which is off by 1e-3 here.
        jax.config.update("jax_default_matmul_precision", "highest")
        module, name = self.inner
        self.program = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), name)()

    def why_not(self, size: Size) -> str | None:
        """Circuits that XLA compiles for minutes are left out."""
        if size.n_qubits > _MAX_COMPILED:
            return f"XLA compiles more than {_MAX_COMPILED} qubits for up to minutes"
        return super().why_not(size)

    def prepare(self, problem: Problem) -> Step:
        """As on the CPU."""
        return self.program.prepare(problem)


class GpuTensorCircuit(_Jax):
    """TensorCircuit-NG."""

    key = "gpu-tensorcircuit"
    title = "TensorCircuit-NG"
    packages = ("tensorcircuit-ng", "jax", "jaxlib")
    advice = (
        "on JAX, as on the CPU, compiled for the GPU by XLA with matrix products in full float32; compilation is not "
        "counted"
    )
    inner = "tensorcircuit", "TensorCircuit"


class GpuPennyLaneJax(_Jax):
    """PennyLane on JAX."""

    key = "gpu-jax-default.qubit"
    title = "PennyLane on JAX"
    packages = ("pennylane", "jax", "jaxlib")
    advice = "default.qubit on JAX, as on the CPU, compiled for the GPU by XLA; compilation is not counted"
    inner = "pennylane_jax", "JaxDefaultQubit"


#: Qubits up to which peers on JAX take part.
_MAX_COMPILED = 8


def gpu_contenders(device: str) -> tuple[list[Contender], dict[str, str]]:
    """Those that can take part, and the others with the reason."""
    found: list[Contender] = [GpuTorch(device), GpuGraph(device), BesideGpu()]
    missing = {}
    peers = ((GpuDefaultQubit, "pennylane"), (GpuTensorCircuit, "tensorcircuit"), (GpuPennyLaneJax, "jax"))
    for kind, package in peers:
        try:
            importlib.import_module(package)
            peer = kind(device)
            peer.prepare(make_problem(Size(1, 1, 1))).run()  # versions may not go together
            found.append(peer)
        except Exception as error:  # whatever a peer raises, the others go on
            missing[kind.title] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found, missing


def _forward(problem: Problem) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    engine, circuit = TorchEngine(), problem.circuit
    return lambda x, weights: engine.evaluate(circuit, x, weights)
