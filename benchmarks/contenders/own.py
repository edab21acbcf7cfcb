"""qmoe's own engines."""

from __future__ import annotations

from typing import ClassVar

import torch

from benchmarks.contenders.base import Contender, Step, make_answer, torch_step, total_loss
from benchmarks.problem import Answer, Problem
from benchmarks.sizes import Size
from qmoe.engines import ENGINES, get_engine
from qmoe.engines.running import CircuitModule


class OwnEngine(Contender):
    """An engine of qmoe, called as a differentiable function."""

    packages = ("qmoe", "torch", "numba")
    ours = True
    engine: ClassVar[str]

    def prepare(self, problem: Problem) -> Step:
        """One call for all models and samples."""
        engine, circuit = get_engine(self.engine), problem.circuit
        assert engine is not None
        return torch_step(problem, lambda x, weights: engine.evaluate(circuit, x, weights))


class Native(OwnEngine):
    """The compiled engine, where this version has one."""

    key = "qmoe-native"
    title = "qmoe native"
    advice = 'engine="native": one call for all models and samples, float32'
    engine = "native"
    compiles = True


class NativeModule(Contender):
    """The same inside the module that routers and experts are made of."""

    key = "qmoe-module"
    title = "qmoe native module"
    packages = ("qmoe", "torch", "numba")
    advice = "the same inside the torch module that routers and experts are built on, as a user trains it"
    ours = True
    compiles = True

    def applies(self, size: Size) -> bool:
        """Where a step takes milliseconds, the module around it cannot be seen."""
        return size.n_qubits <= 4

    def prepare(self, problem: Problem) -> Step:
        """A forward call of the module, then backward."""
        x, weights, targets = problem.tensors()
        n_copies = problem.size.n_models if problem.size.n_models > 1 else None
        module = CircuitModule(problem.circuit, n_copies, engine="native")
        with torch.no_grad():
            module.weights.copy_(weights)

        def run() -> tuple[torch.Tensor, torch.Tensor]:
            module.zero_grad()
            out = module(x)
            loss = total_loss(out, targets)
            loss.backward()
            return out, loss

        def read(result: tuple[torch.Tensor, torch.Tensor]) -> Answer:
            out, loss = result
            assert module.weights.grad is not None
            return make_answer(problem, out.detach().numpy(), float(loss.detach()), module.weights.grad.numpy())

        return Step(run, read)


class NativeVjp(Contender):
    """The compiled engine without autograd: what JAX's users call a value and its gradient."""

    key = "qmoe-vjp"
    title = "qmoe native vjp"
    packages = ("qmoe", "torch", "numba")
    advice = (
        "`Engine.vjp` of the same: read-outs and a function from their gradient to that of the weights, outside of torch's "
        "autograd; the gradient of the loss is written by hand"
    )
    ours = True
    compiles = True

    def applies(self, size: Size) -> bool:
        """Where a step takes milliseconds, autograd around it cannot be seen."""
        return size.n_qubits <= 4

    def prepare(self, problem: Problem) -> Step:
        """Read-outs, the loss and its gradient, and the gradient of the weights."""
        x, weights, targets = problem.tensors()
        weights, engine, circuit = weights.detach(), get_engine("native"), problem.circuit
        assert engine is not None
        n = targets.numel() if problem.size.n_models == 1 else targets[0].numel()

        def run() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            out, pull = engine.vjp(circuit, x, weights)
            difference = out - targets
            gradient = pull(difference * (2 / n))
            return out, difference.square_().sum() / n, gradient

        def read(result: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> Answer:
            out, loss, gradient = result
            return make_answer(problem, out.numpy(), float(loss), gradient.numpy())

        return Step(run, read)


class Torch(OwnEngine):
    """The batched torch engine."""

    key = "qmoe-torch"
    title = "qmoe torch"
    advice = 'engine="torch": one call for all models and samples, float32, torch\'s own autograd'
    engine = "torch"
    states_kept = 1.0


def own_contenders() -> list[type[Contender]]:
    """Those that this version of qmoe can run."""
    return [Native, NativeModule, NativeVjp, Torch] if "native" in ENGINES else [Torch]
