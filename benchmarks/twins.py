"""A twin beside the router that it replaces: forwards, and a training step, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Qubits of the default router with two experts, and rows of a batch.
QUBITS, BATCHES = (2, 4, 6, 8), (32, 256)


@dataclass(frozen=True)
class TwinTimes:
    """The least seconds of a call at one size.

    Attributes:
        n_qubits, n_batch: the size.
        forward: of the router and of its twin, without gradients.
        step: the same of a forward and a backward pass.
    """

    n_qubits: int
    n_batch: int
    forward: tuple[float, float]
    step: tuple[float, float]


def measure_twins(seconds: float = 2.0) -> Iterator[TwinTimes]:
    """Times every size for so long, all four calls in turns, and yields them as they are done."""
    import torch
    from torch import Tensor, nn

    import qmoe

    def forward(model: nn.Module, x: Tensor) -> None:
        with torch.no_grad():
            model(x)

    def step(model: nn.Module, x: Tensor) -> None:
        model.zero_grad(set_to_none=True)
        model(x).square().sum().backward()

    for n_qubits in QUBITS:
        for n_batch in BATCHES:
            generator = torch.Generator().manual_seed(0)
            router = qmoe.QuantumRouter(n_qubits, 2, generator=generator)
            twin, x = qmoe.twin(router, generator=generator), torch.rand(n_batch, n_qubits, generator=generator)
            calls = [(call, model, x) for call in (forward, step) for model in (router, twin)]
            best = _best_in_turns([lambda given=given: given[0](*given[1:]) for given in calls], seconds)
            yield TwinTimes(n_qubits, n_batch, (best[0], best[1]), (best[2], best[3]))


def _best_in_turns(calls: list[Callable[[], None]], seconds: float) -> list[float]:
    for call in calls * 3:
        call()
    best, end = [float("inf")] * len(calls), time.perf_counter() + seconds
    while time.perf_counter() < end:
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[place] = min(best[place], time.perf_counter() - start)
    return best


def text(one: TwinTimes) -> str:
    """One line."""
    (router, twin), (router_step, twin_step) = one.forward, one.step
    return (
        f"{one.n_qubits} qubits, batch {one.n_batch}: forward {1e6 * router:.0f} us, twin {twin / router:.2f} of it; "
        f"step {1e6 * router_step:.0f} us, twin {twin_step / router_step:.2f} of it"
    )
