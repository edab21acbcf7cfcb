"""A twin beside the router that it replaces: forwards, a training step, and whole epochs, in turns."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Qubits of the default router with two experts, and rows of a batch.
QUBITS, BATCHES = (2, 4, 6, 8), (32, 256)
#: Qubits and features of the routers that are trained: without a linear map in front, and with one.
TRAINED = ((2, 2), (2, 3), (4, 6), (6, 8), (8, 10))
#: Rows of their data, and epochs of a training.
ROWS, EPOCHS = 400, 20


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


@dataclass(frozen=True)
class EpochTimes:
    """The least seconds of an epoch of a mixture, in batches of 32.

    Attributes:
        n_qubits, n_features: the size; where they differ, a trainable linear map is in front.
        epoch: with the router, and with its twin.
    """

    n_qubits: int
    n_features: int
    epoch: tuple[float, float]


def measure_epochs(seconds: float = 2.0) -> Iterator[EpochTimes]:
    """Trains every size for so long, router and twin in turns, and yields the times as they are found."""
    import torch

    import qmoe
    from qmoe.training import TrainingConfig, train_stack

    config = TrainingConfig(EPOCHS)
    for n_qubits, n_features in TRAINED:
        generator = torch.Generator().manual_seed(0)
        router = qmoe.QuantumRouter(n_features, 2, n_qubits=n_qubits, generator=generator)
        x = torch.rand(1, ROWS, n_features, generator=generator)
        y = (x.sum(-1) > n_features / 2).long()
        calls: list[Callable[[], object]] = []
        for made in (router, qmoe.twin(router, generator=generator)):
            model = qmoe.MixtureOfExperts(made, qmoe.LinearExperts(n_features, 2, 2, generator=generator))
            calls.append(functools.partial(train_stack, [model], x, y, config, [0]))
        best = _best_in_turns(calls, seconds)
        yield EpochTimes(n_qubits, n_features, (best[0] / EPOCHS, best[1] / EPOCHS))


def _best_in_turns(calls: list[Callable[[], object]], seconds: float) -> list[float]:
    for call in calls * 3:
        call()
    best, end = [float("inf")] * len(calls), time.perf_counter() + seconds
    while time.perf_counter() < end:
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[place] = min(best[place], time.perf_counter() - start)
    return best


def text(one: TwinTimes | EpochTimes) -> str:
    """One line."""
    if isinstance(one, EpochTimes):
        circuit, twin = one.epoch
        where = "" if one.n_qubits == one.n_features else f" behind a map of {one.n_features} features"
        return f"{one.n_qubits} qubits{where}: epoch of {ROWS} rows {1e6 * circuit:.0f} us, twin {twin / circuit:.2f} of it"
    (router, twin), (router_step, twin_step) = one.forward, one.step
    return (
        f"{one.n_qubits} qubits, batch {one.n_batch}: forward {1e6 * router:.0f} us, twin {twin / router:.2f} of it; "
        f"step {1e6 * router_step:.0f} us, twin {twin_step / router_step:.2f} of it"
    )
