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


class Torch(OwnEngine):
    """The batched torch engine."""

    key = "qmoe-torch"
    title = "qmoe torch"
    advice = 'engine="torch": one call for all models and samples, float32, torch\'s own autograd'
    engine = "torch"
    states_kept = 1.0


def own_contenders() -> list[type[Contender]]:
    """Those that this version of qmoe can run."""
    return [Native, NativeModule, Torch] if "native" in ENGINES else [Torch]
